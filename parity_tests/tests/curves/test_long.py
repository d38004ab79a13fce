"""`long-curves`: one training of each side at default sizes."""

import json

import numpy as np
import pytest
from filelock import FileLock
from synthetic_curves import TINY, sketches

from parity_tests.__main__ import main
from parity_tests.curves import long
from parity_tests.curves.long_report import blocks, content, markdown, mean_and_error
from parity_tests.record import launch
from parity_tests.record.long_run import COLUMNS, COSTS_FILE, INITIAL, PROVENANCE, RUN, read_costs, rows_before
from parity_tests.record.quantities import COSTS
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import BadInput, run_command
from weight_port.folder import convert_source
from weight_port.source import open_source

STEPS = 30
OFFICIAL = {"versions": {"magenta": "2.1.4"}, "hparams": {**TINY, "max_seq_len": 8}, "starts": [0]}


def curves(seed, steps=STEPS):
    """Costs of a training that falls along straight lines, with a scatter."""
    rng = np.random.RandomState(seed)
    found = {"train/step": np.arange(steps + 1), "valid/step": np.arange(3, steps + 1, 3)}
    for split in ("train", "valid"):
        step = found[f"{split}/step"]
        for name in (*COSTS, "seconds"):
            found[f"{split}/{name}"] = 3 - 0.01 * step + 0.1 * rng.standard_normal(len(step))
    return found


def written(path, curves):
    """The file that the official process writes for these curves."""
    lines = [",".join(COLUMNS)]
    for split in ("train", "valid"):
        columns = [curves[f"{split}/{name}"].tolist() for name in ("step", *COSTS, "seconds")]
        lines += [",".join((str(step), split, *map(repr, values))) for step, *values in zip(*columns, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def strokes(tmp_path_factory):
    path = tmp_path_factory.mktemp("strokes") / "few.npz"
    write_npz(path, {split: sketches(100, seed) for seed, split in enumerate(("train", "valid", "test"))})
    return path


@pytest.fixture
def without_training(monkeypatch):
    """Both trainings are replaced by curves."""

    def official(folder, *_):
        folder.mkdir(exist_ok=True)
        written(folder / COSTS_FILE, curves(1))
        (folder / PROVENANCE).write_text(json.dumps(OFFICIAL), encoding="utf-8")

    monkeypatch.setattr(long, "require_oracle", lambda: None)
    monkeypatch.setattr(long, "_train_official", official)
    monkeypatch.setattr(long, "_train_ours", lambda *_: None)
    monkeypatch.setattr(long, "our_curves", lambda _: curves(2))


def long_curves(strokes, out, *more):
    return run_command(main, ["long-curves", str(strokes), "--steps", str(STEPS), "--out", str(out), *more])


# The results ---------------------------------------------------------------------------------------------------------


def test_costs_are_read_as_they_were_written(tmp_path):
    written(tmp_path / COSTS_FILE, curves(1))
    found = read_costs(tmp_path / COSTS_FILE)
    assert found.keys() == curves(1).keys()
    assert all(np.array_equal(found[name], value) for name, value in curves(1).items())


@pytest.mark.parametrize("end", ["31,train,1.0", "31,train,1.0,1.0,1.0,0.1", "31,train,1.0,1.0,1.0,"])
def test_a_row_that_is_still_being_written_is_left_out(tmp_path, end):
    path = tmp_path / COSTS_FILE
    written(path, curves(1))
    with path.open("a") as file:
        file.write(end)
    assert read_costs(path)["train/step"].tolist() == list(range(31))
    assert rows_before(path, 31)[-1].startswith("30,valid,")


def test_rows_after_a_checkpoint_are_left_out(tmp_path):
    path = tmp_path / COSTS_FILE
    written(path, curves(1))
    kept = rows_before(path, 7)
    assert [row.split(",")[:2] for row in kept if ",train," in row] == [[str(step), "train"] for step in range(7)]
    assert [row.split(",")[0] for row in kept if ",valid," in row] == ["3", "6"]
    assert rows_before(tmp_path / "none.csv", 0) == []


def test_a_checkpoint_whose_costs_are_missing_is_refused(tmp_path):
    path = tmp_path / COSTS_FILE
    written(path, curves(1))
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith("4,")))
    assert len(rows_before(path, 4)) == 5
    for file, done in ((path, 6), (path, 100), (tmp_path / "none.csv", 1)):
        with pytest.raises(BadInput, match="expected the costs of steps 0 to"):
            rows_before(file, done)


@pytest.mark.parametrize("text", ["step,split\n1,train\n", ",".join(COLUMNS) + "\n1,train,x,1,1,1\n", "a\n\0\n", None])
def test_a_file_that_is_not_one_of_costs_is_one_line(tmp_path, text):
    if text is not None:
        (tmp_path / COSTS_FILE).write_text(text)
    with pytest.raises(BadInput, match=r"costs\.csv: expected the costs of a training"):
        read_costs(tmp_path / COSTS_FILE)


def test_a_missing_step_and_a_cost_that_is_not_finite_are_refused(tmp_path):
    assert long.whole(curves(1), STEPS, tmp_path).keys() == curves(1).keys()
    for split, name, message in (("train", "cost", "cost of train step 4 is not"), ("valid", "kl_cost", "step 15 is")):
        bad = curves(1)
        bad[f"{split}/{name}"][4] = np.nan
        with pytest.raises(BadInput, match=message):
            long.whole(bad, STEPS, tmp_path)
    for split, message in (("train", "each train step from 0 to 30"), ("valid", "each valid step from 3 to 30")):
        with pytest.raises(BadInput, match=message):
            long.whole(curves(1) | {f"{split}/step": curves(1)[f"{split}/step"][1:]}, STEPS, tmp_path)


def test_blocks_end_with_the_validations():
    found = blocks(np.arange(8), np.array([3, 6]))
    assert [np.flatnonzero(block).tolist() for block in found] == [[0, 1, 2, 3], [4, 5, 6]]


def test_the_error_of_a_mean_is_the_scatter_around_a_line():
    steps = np.arange(10_000)
    mean, error = mean_and_error(steps, 5 - 3 * steps + np.random.RandomState(1).standard_normal(len(steps)))
    assert mean == pytest.approx(5 - 3 * steps.mean(), abs=0.05)
    assert error == pytest.approx(0.01, rel=0.03)


def test_the_page_shows_the_means_and_validations_of_both_sides():
    theirs, ours = curves(1), curves(2)
    page = markdown(content("few.npz", theirs, ours, OFFICIAL), "few.png")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    first = rows[2]
    assert first[0] == "to 3"
    assert first[1:3] == [f"{side['train/cost'][:4].mean():.4f}" for side in (theirs, ours)]
    last = rows[-1]
    assert last[0] == "30"
    assert last[1:] == [f"{side[f'valid/{name}'][-1]:.4f}" for name in COSTS for side in (theirs, ours)]
    assert len(rows) == 2 * (2 + 10)
    assert "interrupted" not in page
    again = markdown(content("few.npz", theirs, ours, OFFICIAL | {"starts": [0, 4, 9]}), "few.png")
    assert "it was interrupted, with new random numbers from step 4, 9 on" in again


# The command ---------------------------------------------------------------------------------------------------------


def test_the_command_leaves_curves_a_page_and_a_picture(tmp_path, strokes, without_training, capsys):
    out = tmp_path / "out"
    for _ in range(2):  # again: all is there
        assert long_curves(strokes, out) == 0
        found = json.loads((out / "long-curves.json").read_text())
        assert found["magenta"] == {name: values.tolist() for name, values in curves(1).items()}
        assert found["ours"] == {name: values.tolist() for name, values in curves(2).items()}
        assert (out / "long-curves.md").read_text() in capsys.readouterr().out
        assert (out / "long-curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("steps", ["31", "20", "-30"])
def test_a_wrong_number_of_steps_is_one_line(tmp_path, strokes, without_training, capsys, steps):
    assert long_curves(strokes, tmp_path / "out", "--steps", steps) == 2
    assert f"--steps is {steps}, expected a multiple of 10, at least 30" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_set_that_cannot_be_used_is_one_line(tmp_path, strokes, without_training, capsys):
    few = tmp_path / "few.npz"
    write_npz(few, {"train": sketches(100, 1), "valid": sketches(99, 2), "test": sketches(100, 3)})
    comma = tmp_path / "a,b.npz"
    comma.write_bytes(strokes.read_bytes())
    for path, message in (
        (few, "expected a batch of 100 sketches in each split, got 100 in train, 99 in valid, 100 in test"),
        (comma, "--data_set separates names by commas"),
        (tmp_path / "none.npz", "none.npz"),
    ):
        assert long_curves(path, tmp_path / "out") == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_was_begun_for_something_else_is_refused_and_keeps_its_results(
    tmp_path, strokes, without_training, capsys
):
    out, other = tmp_path / "out", tmp_path / "few.npz"
    assert long_curves(strokes, out) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert long_curves(strokes, out, "--steps", "40") == 2
    assert f"{out}: was begun with 30 steps on {strokes}, SHA-256 " in capsys.readouterr().err
    write_npz(other, {split: sketches(101, seed) for seed, split in enumerate(("train", "valid", "test"))})
    assert long_curves(other, out) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (None, "long-curves did not begin it"),
        ("{", "expected JSON"),
        ("[]", "was begun with None steps"),
        ('{"steps": 3}', "was begun with 3 steps"),
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path, strokes, without_training, capsys, plan, message):
    (tmp_path / "long-curves.md").write_text("mine")
    if plan is not None:
        (tmp_path / long.PLAN).write_text(plan)
    assert long_curves(strokes, tmp_path) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path}")
    assert message in error
    assert error.count("\n") == 1
    assert (tmp_path / "long-curves.md").read_text() == "mine"


def test_a_folder_that_was_left_before_its_plan_was_written_is_begun(tmp_path, strokes, without_training):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / long.LOCK).touch()
    assert long_curves(strokes, tmp_path / "out") == 0


def test_two_processes_do_not_share_a_folder(tmp_path, strokes, without_training, capsys):
    assert long_curves(strokes, tmp_path / "out") == 0
    with FileLock(tmp_path / "out" / long.LOCK):
        assert long_curves(strokes, tmp_path / "out") == 2
    assert "another process trains there" in capsys.readouterr().err


# Our side ------------------------------------------------------------------------------------------------------------


class Ended:
    """A training that has ended with an exit code, perhaps after it was interrupted."""

    def __init__(self, code, interrupted=False):
        self.code, self.interrupted, self.commands, self.ended = code, interrupted, [], False

    def __call__(self, command, env):
        self.commands.append(command)
        return self

    def wait(self):
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt
        self.ended = True
        return self.code


def test_ours_starts_from_the_official_weights_and_is_resumed(tmp_path, strokes, monkeypatch):
    (tmp_path / long.CONVERTED).mkdir()
    ended = Ended(0)
    monkeypatch.setattr(long.subprocess, "Popen", ended)
    long._train_ours(tmp_path, strokes, STEPS, lambda _: None)
    (tmp_path / long.OURS).mkdir()
    long._train_ours(tmp_path, strokes, STEPS, lambda _: None)
    first, again = ended.commands
    flags = {"--num_steps=31", "--save_every=3", "--preset=magenta", f"--init_from={tmp_path / long.CONVERTED}"}
    assert flags | {f"--data_dir={strokes.parent}", "--data_set=few.npz"} <= set(first)
    assert again[4:] == [f"--save_dir={tmp_path / long.OURS}", "--resume"]


@pytest.mark.parametrize(
    ("ended", "error", "message"),
    [
        (Ended(2), BadInput, "exit code 2; its message is above"),
        (Ended(-9), BadInput, "killed by signal 9"),
        (Ended(130), KeyboardInterrupt, ""),
        (Ended(0, interrupted=True), KeyboardInterrupt, ""),
    ],
)
def test_a_training_that_does_not_end_well_is_said(tmp_path, strokes, monkeypatch, ended, error, message):
    (tmp_path / long.CONVERTED).mkdir()
    monkeypatch.setattr(long.subprocess, "Popen", ended)
    with pytest.raises(error, match=message or None):
        long._train_ours(tmp_path, strokes, STEPS, lambda _: None)
    assert ended.ended  # after an interruption, it may still save its state


# The official side ---------------------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.slow
def test_an_official_run_goes_on_from_its_last_checkpoint(tmp_path, strokes):
    try:
        launch.require_oracle()
    except BadInput as error:
        pytest.skip(str(error))
    out = tmp_path / "magenta"
    out.mkdir()
    task = {
        "do": "long", "data_dir": str(strokes.parent), "out": str(out), "weights_seed": 1, "seed": 5,
        "hparams": TINY | {"data_set": [strokes.name], "num_steps": 4, "save_every": 3},
    }  # fmt: skip
    launch.run_official([task], out, "magenta")
    first = read_costs(out / COSTS_FILE)
    assert first["train/step"].tolist() == [0, 1, 2, 3]
    assert first["valid/step"].tolist() == [3]
    assert first["valid/r_cost"][0] + 0.01 * first["valid/kl_cost"][0] == pytest.approx(first["valid/cost"][0])
    assert json.loads((out / PROVENANCE).read_text())["hparams"]["num_steps"] == 4

    with (out / COSTS_FILE).open("a") as file:
        file.write("4,train,9,9,9,9\n5,tr")  # of a process that was killed
    out = out.rename(tmp_path / "moved")
    task |= {"hparams": task["hparams"] | {"num_steps": 7}, "out": str(out)}
    launch.run_official([task], out, "magenta")
    both = read_costs(out / COSTS_FILE)
    assert both["train/step"].tolist() == list(range(7))
    assert both["valid/step"].tolist() == [3, 6]
    assert all(np.array_equal(both[name][: len(values)], values) for name, values in first.items())
    assert both["train/cost"][4] != 9
    assert json.loads((out / PROVENANCE).read_text())["starts"] == [0, 4]

    # the checkpoint of the initial weights is a model like any other
    for folder in (INITIAL, RUN):
        with open_source(out / folder) as source:
            convert_source(source, tmp_path / folder, {})
