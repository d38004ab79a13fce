"""The command that ``dataset`` prints for training works as it is printed."""

import re
import shlex

import numpy as np
import pytest
from made_sets import drawing, run, write

from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.training.command import main as train

pytest.importorskip("shapely")
# The printed command is run for one step of a small model.
TINY = ["--enc_rnn_size=3", "--dec_rnn_size=4", "--z_size=2", "--num_mixture=2", "--num_steps=1", "--save_every=1"]


def follow(output: str) -> int:
    """Run the command that was printed; its exit code."""
    words = shlex.split(re.search(r"^next: (.*)$", output, re.MULTILINE)[1])
    flags = [word for word in words if word.startswith("--")]
    return run_command(train, [*flags, *TINY])


@pytest.mark.parametrize("name", ["out.npz", "my set's.npz", "out.h5", "a b/-out.npz"])
def test_the_command_for_five_drawings_trains(tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").mkdir()
    source = write(tmp_path / "five.ndjson", *(drawing(number) for number in range(10, 15)))
    assert run(source, name) == 0
    output = capsys.readouterr().out
    assert "--batch_size=3" in output
    assert follow(output) == 0


def test_the_command_for_long_sketches_trains(tmp_path, capsys):
    source = write(tmp_path / "long.ndjson", *(drawing(number, 251) for number in range(10, 13)))
    assert run(source, tmp_path / "out.npz", "--max_points", 300) == 0
    output = capsys.readouterr().out
    assert "--max_seq_len=251 --batch_size=1" in output
    assert follow(output) == 0


def test_a_set_of_a_hundred_sketches_needs_no_other_batch_size(tmp_path, capsys):
    sketches = [np.array([[0, 0, 0], [number, 5, 1]], np.int16) for number in range(100)]
    for count, flag in ((100, False), (99, True)):
        write_npz(tmp_path / "set.npz", {"train": sketches[:count], "valid": sketches[:1], "test": sketches[:1]})
        assert run(tmp_path / "set.npz", tmp_path / "out.npz", "--force") == 0
        assert ("--batch_size=99" in capsys.readouterr().out) == flag


def test_the_command_for_a_set_that_is_made_again_trains_beside_the_first_model(tmp_path, capsys):
    source = write(tmp_path / "five.ndjson", *(drawing(number) for number in range(10, 15)))
    for _ in range(3):
        assert run(source, tmp_path / "out.npz", "--force") == 0
        assert follow(capsys.readouterr().out) == 0
        capsys.readouterr()
    models = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert models == {"out-model", "out-model-2", "out-model-3"}


@pytest.mark.parametrize("name", ["a,b.npz", " a.npz", "a\n.npz"])
def test_a_name_that_no_command_could_take_is_refused(tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    source = write(tmp_path / "five.ndjson", *(drawing(number) for number in range(10, 15)))
    assert run(source, name) == 2
    assert "expected a name without commas, outer blanks and control characters" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source]
