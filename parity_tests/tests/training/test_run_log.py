"""training.run_log: a run's numbers are kept bit for bit across interruptions; TensorBoard tags as in Magenta."""

import math
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.losses import Costs
from pytorch_sketch_rnn.training.run_log import RunLog, check_curves, plot_curves, read_curves
from pytorch_sketch_rnn.training.trainer import StepResult

HEADER = "step,split,cost,r_cost,kl_cost,learning_rate,kl_weight,seconds\n"
ROW = "0,train,1.5,1.0,0.5,0.001,0.01,0.25\n"
COLUMNS = ("cost", "r_cost", "kl_cost", "learning_rate", "kl_weight", "seconds")


def values_of(step: int) -> list[float]:
    """Six floats that need all their digits."""
    return np.random.default_rng(step).normal(size=6).tolist()


def train(log: RunLog, step: int, *values: float) -> None:
    """Record three costs, two schedules and the seconds of a training step."""
    log.train(StepResult(step, *values[:5]), seconds=values[5])


def validate(record: Callable[[int, Costs, float], None], step: int, *values: float) -> None:
    """Record three costs and the seconds of a validation or test."""
    record(step, Costs(*values[:3]), values[3])


def write_steps(folder: Path, first: int, end: int) -> None:
    with RunLog(folder, first) as log:
        for step in range(first, end):
            train(log, step, *values_of(step))
            if step % 10 == 0:
                validate(log.valid, step, *values_of(step)[:4])
                validate(log.test, step, *values_of(step)[2:])


def events_of(folder: Path) -> list[list[Event]]:
    """The events of each file in a TensorBoard folder, oldest first: records of length, check, data, check."""
    files = []
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns):
        data, place, events = path.read_bytes(), 0, []
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            events.append(Event.FromString(data[place + 12 : place + 12 + length]))
            place += 12 + length + 4
        files.append(events)
    return files


def scalars_of(events: list[Event]) -> dict[str, list[tuple[int, float]]]:
    scalars: dict[str, list[tuple[int, float]]] = {}
    for event in events:
        for value in event.summary.value:
            scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    return scalars


def test_every_float_reads_back_bit_by_bit(tmp_path):
    special = [0.1, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf]
    single = [np.float32(0.1), np.float64(1 / 3), 1, np.float32(1e-8), 2**53, 0.0]
    with RunLog(tmp_path, 0) as log:
        train(log, 0, *special)
        train(log, 7, *single)
        train(log, 2**40, *([math.nan] * 6))
        validate(log.valid, 7, 0.1, 0.2, 0.3, 0.4)
        validate(log.test, 7, 0.5, 0.6, 0.7, 0.8)
    curves = read_curves(tmp_path / "curves.csv")
    assert list(curves) == ["train", "valid", "test"]
    expected = np.array([special, [float(value) for value in single], [math.nan] * 6])
    got = np.stack([curves["train"][name] for name in COLUMNS], axis=1)
    assert got.dtype == np.float64
    assert got.tobytes() == expected.tobytes()
    assert curves["train"]["step"].dtype == np.int64
    assert curves["train"]["step"].tolist() == [0, 7, 2**40]
    for split, values in (("valid", [0.1, 0.2, 0.3, 0.4]), ("test", [0.5, 0.6, 0.7, 0.8])):
        rows = {name: column.tolist() for name, column in curves[split].items()}
        assert rows == {"step": [7], **{name: [value] for name, value in zip((*COLUMNS[:3], "seconds"), values)}}  # noqa: B905


def test_the_csv_is_as_documented_with_empty_cells_where_nothing_is_meant(tmp_path):
    with RunLog(tmp_path, 0) as log:
        train(log, 0, 1.5, 1.0, 0.5, 0.001, 0.01, 0.25)
        validate(log.valid, 0, 1.5, 1.0, 0.5, 2.0)
        validate(log.test, 0, 1e-7, 1.0, 0.5, 2.0)
    expected = HEADER + ROW + "0,valid,1.5,1.0,0.5,,,2.0\n0,test,1e-07,1.0,0.5,,,2.0\n"
    assert (tmp_path / "curves.csv").read_bytes() == expected.encode()


def test_rows_can_be_read_while_the_run_goes_on(tmp_path):
    with RunLog(tmp_path, 0) as log:
        for step in range(200):  # more than a block of a buffered file, which would end within a row
            train(log, step, *values_of(step))
            assert len(read_curves(tmp_path / "curves.csv")["train"]["step"]) == step + 1


def test_flush_puts_the_rows_on_the_disk(tmp_path, monkeypatch):
    synced = []
    with RunLog(tmp_path, 0) as log:
        monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(Path(f"/dev/fd/{descriptor}").resolve()))
        train(log, 0, *values_of(0))
        assert synced == []
        log.flush()
        assert synced == [tmp_path / "curves.csv"]


@pytest.mark.parametrize("resumed_at", [0, 1, 15, 20, 21, 33, 40])
@pytest.mark.parametrize("half", ["", "33,tr", "33,train,0.1,0.2,0.3,0.4,0.5,0.6"])
def test_an_interrupted_and_resumed_run_leaves_the_csv_of_an_uninterrupted_one(tmp_path, resumed_at, half):
    for folder in ("whole", "resumed"):
        (tmp_path / folder).mkdir()
    write_steps(tmp_path / "whole", 0, 50)
    write_steps(tmp_path / "resumed", 0, 33)
    with (tmp_path / "resumed" / "curves.csv").open("a") as file:
        file.write(half)
    if resumed_at > 33:  # interrupted twice
        write_steps(tmp_path / "resumed", 33, resumed_at)
    write_steps(tmp_path / "resumed", resumed_at, 50)
    assert (tmp_path / "resumed" / "curves.csv").read_bytes() == (tmp_path / "whole" / "curves.csv").read_bytes()
    assert sorted(path.name for path in (tmp_path / "resumed").iterdir()) == ["curves.csv", "tensorboard"]


@pytest.mark.parametrize("left", ["", HEADER[:1], HEADER[:-1], HEADER, HEADER + "0", HEADER + ROW[:-1]])
def test_a_log_interrupted_at_its_beginning_starts_over(tmp_path, left):
    (tmp_path / "curves.csv").write_text(left)
    write_steps(tmp_path, 0, 1)
    assert read_curves(tmp_path / "curves.csv")["train"]["step"].tolist() == [0]


def test_a_step_that_is_already_recorded_is_refused_at_once(tmp_path):
    write_steps(tmp_path, 0, 11)
    with RunLog(tmp_path, 11) as log:
        with pytest.raises(ValueError, match="comes after step 10"):
            train(log, 10, *[0.0] * 6)
        for record in (log.valid, log.test):
            with pytest.raises(ValueError, match="comes after step 10"):
                validate(record, 10, *[0.0] * 4)
    assert len(read_curves(tmp_path / "curves.csv")["train"]["step"]) == 11


DAMAGED = {
    "empty": "",
    "another header": HEADER.replace("step", "steps") + ROW,
    "no header": ROW,
    "half a line": HEADER + ROW + "1,train,1.5",
    "half a number": HEADER + ROW + ROW[:-1].replace("0,", "1,", 1),
    "too few cells": HEADER + "0,train,1.5,1.0,0.5,0.001,0.01\n",
    "too many cells": HEADER + ROW[:-1] + ",1.0\n",
    "no number": HEADER + ROW.replace("1.5", "x"),
    "an empty cell": HEADER + ROW.replace("1.5", ""),
    "a cell that is to be empty": HEADER + ROW.replace("train", "valid"),
    "an unknown split": HEADER + ROW.replace("train", "eval"),
    "a step that is no integer": HEADER + ROW.replace("0,", "0.0,", 1),
    "a negative step": HEADER + ROW.replace("0,", "-1,", 1),
    "a step too large": HEADER + ROW.replace("0,", f"{2**63},", 1),
    "a step twice": HEADER + ROW + ROW,
    "steps that fall": HEADER + ROW.replace("0,", "5,", 1) + ROW,
    "spaces": HEADER + ROW.replace("1.5", " 1.5"),
    "another spelling": HEADER + ROW.replace("1.5", "1.50"),
    "line ends of Windows": HEADER + ROW.replace("\n", "\r\n"),
    "an empty line": HEADER + "\n" + ROW,
    "a zero byte": HEADER + ROW.replace("1.5", "1.\0"),
    "not ASCII": HEADER + ROW.replace("1.5", "1\u0665"),
    "an endless line": HEADER + ROW + "1" * 5000 + "\n",
}
# What an interruption leaves, which the reader refuses and a resumed run removes.
INTERRUPTED = ("empty", "half a line", "half a number")


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_csv_is_bad_input_for_the_reader_and_the_plot(tmp_path, name):
    path = tmp_path / "curves.csv"
    path.write_text(DAMAGED[name], encoding="utf-8", newline="")
    with pytest.raises(BadInput, match=f"^{path}: line [123]: expected "):
        read_curves(path)
    with pytest.raises(BadInput, match=f"^{path}: line [123]: expected "):
        plot_curves(path, tmp_path / "curves.png")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.csv"]


@pytest.mark.parametrize("name", [name for name in DAMAGED if name not in INTERRUPTED])
def test_a_damaged_csv_is_bad_input_for_a_resumed_run_and_left_unchanged(tmp_path, name):
    path = tmp_path / "curves.csv"
    path.write_text(DAMAGED[name], encoding="utf-8", newline="")
    for use in (lambda: RunLog(tmp_path, 1), lambda: check_curves(tmp_path)):
        with pytest.raises(BadInput, match=f"^{path}: line [123]: expected .* got .*delete the file$"):
            use()
    assert path.read_bytes() == DAMAGED[name].encode()
    assert [path.name for path in tmp_path.iterdir()] == ["curves.csv"]


@pytest.mark.parametrize("name", [*INTERRUPTED, None])
def test_what_an_interruption_leaves_passes_the_check_of_a_resumed_run_unchanged(tmp_path, name):
    path = tmp_path / "curves.csv"
    if name is not None:
        path.write_text(DAMAGED[name])
    check_curves(tmp_path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ([] if name is None else [DAMAGED[name]])


def test_files_and_folders_that_are_not_there_or_in_the_way_are_bad_input(tmp_path):
    with pytest.raises(BadInput, match=r"none/curves\.csv: expected the curves\.csv of a run"):
        read_curves(tmp_path / "none" / "curves.csv")
    with pytest.raises(BadInput, match=r"none/curves\.csv: cannot be written"):
        RunLog(tmp_path / "none", 0)
    (tmp_path / "a" / "curves.csv").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"a/curves\.csv: expected the curves\.csv of a run"):
        RunLog(tmp_path / "a", 0)
    (tmp_path / "tensorboard").write_text("in the way")
    with pytest.raises(BadInput, match="the log of the run cannot be written"):
        RunLog(tmp_path, 0)


def test_tensorboard_gets_what_magenta_writes_when_magenta_writes_it(tmp_path):
    with RunLog(tmp_path, 0) as log:
        for step in range(45):
            train(log, step, step + 0.5, step + 0.25, step + 0.125, 0.5, 0.25, 2.0)
        validate(log.valid, 40, 1.5, 1.25, 1.125, 3.0)
        validate(log.test, 40, 2.5, 2.25, 2.125, 4.0)
        log.best(40, 1.5)
        log.parameters(77)
    (events,) = events_of(tmp_path / "tensorboard")
    assert scalars_of(events) == {
        "Best_Valid_Cost": [(40, 1.5)],
        "Num_Trainable_Params": [(0, 77.0)],
        "Train_Cost": [(20, 20.5), (40, 40.5)],
        "Train_Reconstr_Cost": [(20, 20.25), (40, 40.25)],
        "Train_KL_Cost": [(20, 20.125), (40, 40.125)],
        "Learning_Rate": [(20, 0.5), (40, 0.5)],
        "KL_Weight": [(20, 0.25), (40, 0.25)],
        "Time_Taken_Train": [(20, 42.0), (40, 40.0)],  # the first has step 0 in it, too
        "Valid_Cost": [(40, 1.5)],
        "Valid_Reconstr_Cost": [(40, 1.25)],
        "Valid_KL_Cost": [(40, 1.125)],
        "Time_Taken_Valid": [(40, 3.0)],
        "Eval_Cost": [(40, 2.5)],
        "Eval_Reconstr_Cost": [(40, 2.25)],
        "Eval_KL_Cost": [(40, 2.125)],
        "Time_Taken_Eval": [(40, 4.0)],
    }


def test_a_resumed_run_tells_tensorboard_which_steps_no_longer_count(tmp_path):
    write_steps(tmp_path, 0, 50)
    write_steps(tmp_path, 30, 50)
    first, second = events_of(tmp_path / "tensorboard")
    starts = [
        [event.step for event in file if event.session_log.status == SessionLog.START] for file in (first, second)
    ]
    assert starts == [[0], [30]]
    assert [step for step, _ in scalars_of(second)["Train_Cost"]] == [40]


def test_tensorflow_is_neither_imported_nor_needed(tmp_path):
    # A fake module reports any attempt to import it; the real one need not be installed for this.
    (tmp_path / "tensorflow.py").write_text("print('imported')\nraise ImportError")
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from pathlib import Path
from pytorch_sketch_rnn.training.run_log import RunLog
from pytorch_sketch_rnn.training.trainer import StepResult
with RunLog(Path({str(tmp_path)!r}), 0) as log:
    log.train(StepResult(20, *[0.0] * 5), seconds=0.0)
    log.flush()
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "Train_Cost" in scalars_of(events_of(tmp_path / "tensorboard")[0])


def test_the_log_is_closed_when_the_run_fails_and_can_be_closed_twice(tmp_path):
    with pytest.raises(RuntimeError), RunLog(tmp_path, 0) as log:  # noqa: PT012
        train(log, 0, *values_of(0))
        raise RuntimeError
    log.close()
    with pytest.raises(ValueError, match="closed"):
        train(log, 1, *values_of(1))
    assert read_curves(tmp_path / "curves.csv")["train"]["step"].tolist() == [0]


def draw(folder: Path, monkeypatch) -> list[dict[str, np.ndarray]]:
    """Plot a log; returns for each axes its lines [points, x and y] by label, or by the label of the axis."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (figures.append(figure), save(figure, *a, **k)))
    plot_curves(folder / "curves.csv", folder / "curves.png")
    (figure,) = figures
    return [
        {
            axes.get_ylabel() if line.get_label().startswith("_") else line.get_label(): line.get_xydata()
            for line in axes.get_lines()
        }
        for axes in figure.axes
    ]


def test_the_picture_shows_every_number_of_a_short_run(tmp_path, monkeypatch):
    write_steps(tmp_path, 0, 50)
    *costs, rate, weight = draw(tmp_path, monkeypatch)
    curves = read_curves(tmp_path / "curves.csv")

    def points(split: str, name: str) -> np.ndarray:
        return np.stack([curves[split]["step"], curves[split][name]], axis=1)

    for lines, name in zip(costs, ("cost", "r_cost", "kl_cost"), strict=True):
        assert list(lines) == ["train, every step", "train, mean of 1", "valid", "test"]
        assert np.array_equal(lines["train, every step"][::2], points("train", name))
        assert np.array_equal(lines["train, mean of 1"], points("train", name))
        assert np.array_equal(lines["valid"], points("valid", name))
        assert np.array_equal(lines["test"], points("test", name))
    assert np.array_equal(rate["learning rate"], points("train", "learning_rate"))
    assert np.array_equal(weight["KL weight"], points("train", "kl_weight"))
    with Image.open(tmp_path / "curves.png") as image:
        assert (image.format, image.size) == ("PNG", (1210, 825))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.csv", "curves.png", "tensorboard"]


def test_the_picture_of_a_long_run_has_its_extremes_and_means_over_blocks_of_steps(tmp_path, monkeypatch):
    with RunLog(tmp_path, 0) as log:
        for step in range(3000):
            train(log, step, *values_of(step))
    lines, *_ = draw(tmp_path, monkeypatch)
    values = read_curves(tmp_path / "curves.csv")["train"]["cost"]
    assert list(lines) == ["train, every step", "train, mean of 30"]
    blocks = values.reshape(1000, 3)
    assert np.array_equal(
        lines["train, every step"][:, 1].reshape(1000, 2), np.stack([blocks.min(1), blocks.max(1)], 1)
    )
    assert np.array_equal(lines["train, every step"][::2, 0], np.arange(0, 3000, 3))
    means = lines["train, mean of 30"]
    np.testing.assert_allclose(means[:, 1], values.reshape(100, 30).mean(1), rtol=0, atol=1e-12)
    assert np.array_equal(means[:, 0], np.arange(14.5, 3000, 30))


def test_a_run_that_diverged_can_be_drawn(tmp_path):
    with RunLog(tmp_path, 0) as log:
        for step in range(10):
            train(log, step, *values_of(step))
        for step, value in enumerate((1e308, -1e308, math.inf, -math.inf, math.nan), 10):
            train(log, step, *[value] * 6)
            validate(log.valid, step, *[value] * 4)
    plot_curves(tmp_path / "curves.csv", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_a_log_without_a_training_step_and_a_picture_that_cannot_be_written_are_bad_input(tmp_path):
    with RunLog(tmp_path, 0):
        pass
    with pytest.raises(BadInput, match="expected a training step to draw, got none"):
        plot_curves(tmp_path / "curves.csv", tmp_path / "curves.png")
    write_steps(tmp_path, 0, 1)
    with pytest.raises(BadInput, match=r"none/curves\.png: cannot be written"):
        plot_curves(tmp_path / "curves.csv", tmp_path / "none" / "curves.png")
