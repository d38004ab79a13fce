"""Results of an interrupted run: kept, used once and only where nothing they depend on has changed."""

import sys
from types import SimpleNamespace

import pytest

from parity_tests.mutation import progress as module
from parity_tests.mutation.progress import Progress, fingerprint

JOBS = [SimpleNamespace(name=name) for name in ("first", "second", "third")]


def results_of(jobs):
    return ({"length": len(job.name)} for job in jobs)


def interrupted(jobs):
    yield {"length": len(jobs[0].name)}
    raise KeyboardInterrupt


@pytest.fixture
def path(tmp_path):
    """Of a run that was interrupted after its first result."""
    path = tmp_path / "unfinished.json"
    with pytest.raises(KeyboardInterrupt):
        list(Progress(path, "abc").continued("kind", JOBS, interrupted))
    return path


def test_jobs_run_in_their_order_and_each_result_is_numbered(tmp_path):
    progress = Progress(tmp_path / "unfinished.json", "abc")
    assert progress.note == ""
    found = list(progress.continued("kind", JOBS, results_of))
    assert found == [(1, {"length": 5}), (2, {"length": 6}), (3, {"length": 5})]
    assert list(progress.kept("kind")) == ["first", "second", "third"]
    assert progress.kept("another kind") == {}


def test_what_was_done_is_not_done_again(path):
    progress = Progress(path, "abc")
    assert progress.note == "kept 1 results of an interrupted run; --fresh starts over"
    assert list(progress.continued("kind", JOBS, results_of)) == [(2, {"length": 6}), (3, {"length": 5})]
    assert set(progress.kept("kind")) == {"first", "second", "third"}
    assert list(progress.continued("kind", JOBS, lambda jobs: pytest.fail("there is nothing left to do"))) == []


def test_a_job_that_broke_is_reported_and_tried_again(tmp_path):
    path = tmp_path / "unfinished.json"
    broken = [{"length": 5}, {"length": 6, "broken": True}, {"length": 5, "broken": False}]
    found = list(Progress(path, "abc").continued("kind", JOBS, lambda _: broken))
    assert [result for _, result in found] == [{"length": 5}, {"length": 6}, {"length": 5}]
    assert list(Progress(path, "abc").kept("kind")) == ["first", "third"]


def test_the_same_name_in_another_kind_is_another_job(path):
    assert len(list(Progress(path, "abc").continued("another kind", JOBS, results_of))) == 3


def test_another_fingerprint_starts_over(path):
    progress = Progress(path, "abd")
    assert progress.note == f"{path}: of other code, recordings or versions, or not intact; starting over"
    assert progress.kept("kind") == {}


def test_fresh_starts_over(path):
    progress = Progress(path, "abc", fresh=True)
    assert (progress.note, progress.kept("kind")) == ("", {})


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", b"\xff"),
        *('{"fingerprint": "abc", "results": []}', '{"fingerprint": "abc", "results": {"kind": 3}}'),
    ],
)
def test_a_file_that_cannot_be_used_starts_over(text, path):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    progress = Progress(path, "abc")
    assert progress.kept("kind") == {}
    assert "starting over" in progress.note
    assert len(list(progress.continued("kind", JOBS, results_of))) == 3


def test_a_finished_run_leaves_no_file(path):
    progress = Progress(path, "abc")
    progress.finish()
    assert not path.exists()
    progress.finish()


def test_fewer_results_than_jobs_are_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="shorter"):
        list(Progress(tmp_path / "x", "abc").continued("kind", JOBS, lambda jobs: results_of(jobs[1:])))


def test_the_fingerprint_sees_sources_recordings_and_details(tmp_path, monkeypatch):
    source, lock = tmp_path / "package" / "room" / "module.py", tmp_path / "SHA256SUMS"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1\n")
    lock.write_text("0" * 64)
    package = SimpleNamespace(__name__="package", __path__=[str(tmp_path / "package")])
    monkeypatch.setattr(module, "_PACKAGES", (package,))
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    seen = [fingerprint("mutants")]
    assert fingerprint("mutants") == seen[0]
    seen.append(fingerprint("scaled"))
    lock.write_text("1" * 64)
    seen.append(fingerprint("mutants"))
    source.write_text("x = 2\n")
    seen.append(fingerprint("mutants"))
    source.rename(source.with_name("other.py"))
    seen.append(fingerprint("mutants"))
    source.with_name("template.j2").write_text("{{ x }}")
    seen.append(fingerprint("mutants"))
    monkeypatch.setattr(module, "distributions", lambda: [SimpleNamespace(metadata={"Name": "torch"}, version="0.0")])
    seen.append(fingerprint("mutants"))
    assert len(set(seen)) == len(seen)


def test_the_fingerprint_covers_the_three_packages():
    assert {package.__name__ for package in module._PACKAGES} == {"pytorch_sketch_rnn", "weight_port", "parity_tests"}
    assert all(package is sys.modules[package.__name__] for package in module._PACKAGES)
