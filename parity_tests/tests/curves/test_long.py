"""`long-curves`: one training of each side at default sizes."""

import json

import numpy as np
import pytest
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
OFFICIAL = {"versions": {"magenta": "2.1.4"}, "threads": 1, "hparams": {**TINY, "max_seq_len": 8}}


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


@pytest.fixture
def strokes(tmp_path):
    path = tmp_path / "few.npz"
    write_npz(path, {"train": sketches(12, 1), "valid": sketches(4, 2), "test": sketches(4, 3)})
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


# The results ---------------------------------------------------------------------------------------------------------


def test_costs_are_read_as_they_were_written(tmp_path):
    written(tmp_path / COSTS_FILE, curves(1))
    found = read_costs(tmp_path / COSTS_FILE)
    assert found.keys() == curves(1).keys()
    assert all(np.array_equal(found[name], value) for name, value in curves(1).items())


def test_a_row_that_is_still_being_written_is_left_out(tmp_path):
    path = tmp_path / COSTS_FILE
    written(path, curves(1))
    whole = read_costs(path)
    with path.open("a") as file:
        file.write("31,train,1.0")
    assert len(read_costs(path)["train/step"]) == len(whole["train/step"])
    assert rows_before(path, 100)[-1].startswith("30,valid,")


def test_rows_behind_a_checkpoint_are_left_out(tmp_path):
    path = tmp_path / COSTS_FILE
    written(path, curves(1))
    kept = rows_before(path, 7)
    assert [row.split(",")[:2] for row in kept if ",train," in row] == [[str(step), "train"] for step in range(7)]
    assert [row.split(",")[0] for row in kept if ",valid," in row] == ["3", "6"]
    assert rows_before(tmp_path / "none.csv", 7) == []


@pytest.mark.parametrize("text", ["", "step,split\n1,train\n", ",".join(COLUMNS) + "\n1,train,x,1,1,1\n"])
def test_a_file_that_is_not_one_of_costs_is_one_line(tmp_path, text):
    (tmp_path / COSTS_FILE).write_text(text)
    if text:
        with pytest.raises(BadInput, match=r"costs\.csv: expected the costs of a training"):
            read_costs(tmp_path / COSTS_FILE)
    else:
        assert len(read_costs(tmp_path / COSTS_FILE)["train/step"]) == 0


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
    page = markdown(content("few.npz", theirs, ours, OFFICIAL), "few")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    first = rows[2]
    assert first[0] == "to 3"
    assert first[1:3] == [f"{side['train/cost'][:4].mean():.4f}" for side in (theirs, ours)]
    last = rows[-1]
    assert last[0] == "30"
    assert last[1:] == [f"{side[f'valid/{name}'][-1]:.4f}" for name in COSTS for side in (theirs, ours)]
    assert len(rows) == 2 * (2 + 10)


# The command ---------------------------------------------------------------------------------------------------------


def test_the_command_leaves_curves_a_page_and_a_picture(tmp_path, strokes, without_training, capsys):
    out = tmp_path / "out"
    assert main(["long-curves", str(strokes), "--steps", str(STEPS), "--out", str(out)]) == 0
    found = json.loads((out / "few.json").read_text())
    assert found["magenta"] == {name: values.tolist() for name, values in curves(1).items()}
    assert found["ours"] == {name: values.tolist() for name, values in curves(2).items()}
    assert (out / "few.md").read_text() in capsys.readouterr().out
    assert (out / "few.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "31"], "--steps is 31, expected a multiple of 10, at least 30"),
        (["--steps", "20"], "--steps is 20, expected a multiple of 10, at least 30"),
    ],
)
def test_wrong_flags_are_one_line(tmp_path, strokes, without_training, capsys, arguments, message):
    assert run_command(main, ["long-curves", str(strokes), "--out", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_was_begun_for_something_else_is_refused(tmp_path, strokes, without_training, capsys):
    out = tmp_path / "out"
    command = ["long-curves", str(strokes), "--out", str(out), "--steps"]
    assert run_command(main, [*command, "30"]) == 0
    assert run_command(main, [*command, "40"]) == 2
    assert f"{out}: was begun with 30 steps on {strokes}; choose another --out" in capsys.readouterr().err


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
        "do": "long", "data_dir": str(tmp_path), "out": str(out), "weights_seed": 1, "seed": 5,
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
    task["hparams"] |= {"num_steps": 7}
    launch.run_official([task], out, "magenta")
    both = read_costs(out / COSTS_FILE)
    assert both["train/step"].tolist() == list(range(7))
    assert both["valid/step"].tolist() == [3, 6]
    assert all(np.array_equal(both[name][: len(values)], values) for name, values in first.items())
    assert both["train/cost"][4] != 9

    # the checkpoint of the initial weights is a model like any other
    for folder in (INITIAL, RUN):
        with open_source(out / folder) as source:
            convert_source(source, tmp_path / folder, {})
