"""The committed mutation score comes back as it was written, or is refused."""

import json

import pytest

from parity_tests.recording import FOLDER
from parity_tests.score import FILE, Score
from pytorch_sketch_rnn.errors import BadInput

CONTENT = {
    "planted": 40,
    "killed": 39,
    "located": 38,
    "smallest": {"decoder": {"bug": "forget bias missing", "effect": 1e-7}, "mu": {"bug": "no bias", "effect": 0.5}},
}


def test_a_score_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / FILE
    path.write_text(json.dumps(CONTENT | {"mutants": ["what else stands there"]}))
    score = Score.load(path)
    assert (score.planted, score.killed, score.located, score.smallest) == tuple(CONTENT.values())
    assert score.summary() == CONTENT
    assert score == Score(**CONTENT)


def test_without_a_file_there_is_no_score(tmp_path):
    assert Score.load(tmp_path / FILE) is None
    assert Score.load(tmp_path) is None


def test_the_score_that_ships_is_the_default():
    assert Score.load() == Score.load(FOLDER / FILE)


@pytest.mark.parametrize("lacking", CONTENT)
def test_a_score_that_lacks_something_is_refused(lacking, tmp_path):
    path = tmp_path / FILE
    path.write_text(json.dumps({name: value for name, value in CONTENT.items() if name != lacking}))
    with pytest.raises(BadInput, match=f"{FILE}: expected the score that `make mutants` writes, but .*{lacking}"):
        Score.load(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"null", b'"text"', b"\xff"])
def test_what_is_no_score_is_refused(content, tmp_path):
    path = tmp_path / FILE
    path.write_bytes(content)
    with pytest.raises(BadInput, match="expected the score that `make mutants` writes") as caught:
        Score.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1
