"""A whole run over few planted bugs: the score, the table, survivors, several processes, and the unit tests it runs."""

import dataclasses
import importlib.util
import itertools
import json
from itertools import pairwise

import pytest
from tiny_catalogue import EQUIVALENT, FOUND, run

from parity_tests.mutation import port_bugs, unit_tests
from parity_tests.mutation import run as running
from parity_tests.mutation.bugs import HarnessMutant
from parity_tests.mutation.catalogue.harness import HARNESS_MUTANTS
from parity_tests.mutation.catalogue.kernels.every import KERNEL_MUTANTS, runnable
from parity_tests.mutation.catalogue.kernels.python import PYTHON_MUTANTS
from parity_tests.mutation.catalogue.kernels.triton import TRITON_MUTANTS
from parity_tests.mutation.catalogue.product import PRODUCT_MUTANTS
from parity_tests.mutation.port_bugs import judge
from parity_tests.mutation.run import LOCATED, TABLE, UNFINISHED, run_mutants
from parity_tests.report.score import FILE, Score
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.fused import build, choice


def test_a_report_can_read_the_score_and_the_smallest_bug_of_each_part(tmp_path):
    code, lines = run(tmp_path, *FOUND)
    assert code == 0
    score = Score.load(tmp_path / FILE)
    assert (score.planted, score.killed, score.located) == (3, 3, 3)
    content = json.loads((tmp_path / FILE).read_text())
    assert {field: content[field] for field in score.summary()} == score.summary()
    assert list(score.smallest) == ["LSTM cell alone"]
    assert score.smallest["LSTM cell alone"]["bug"] == "forget bias 0.9"
    rows = {row["name"]: row for row in content["rows"]}
    assert list(rows) == [mutant.name for mutant in FOUND]
    assert rows["forget bias 0.9"] == {
        "name": "forget bias 0.9", "family": "biases", "killed": True, "by": "cell/lstm: c", "part": "LSTM cell alone",
        "located": True, "effect": rows["forget bias 0.9"]["effect"], "cause": rows["forget bias 0.9"]["cause"],
    }  # fmt: skip
    assert 1e-3 < rows["forget bias 0.9"]["effect"] <= score.smallest["LSTM cell alone"]["effect"] < 0.1
    assert "LSTM cell alone" not in content["never_touched"]
    assert {"decoder", "encoder, forward", "checkpoint: weights, converted or exported"} <= set(
        content["never_touched"]
    )
    assert content["harness"] == []
    assert sum(line.startswith("[") and "caught" in line for line in lines) == 3


def test_the_page_begins_with_the_score_and_has_a_row_for_each_bug(tmp_path):
    run(tmp_path, *FOUND, EQUIVALENT)
    title, score, *rest = (tmp_path / TABLE).read_text().split("\n\n")
    assert title.startswith("# ")
    assert score.startswith("**3 of 4 planted port bugs were caught, 3 of them with the right part named; 0 of 0 bugs")
    lines = [line for piece in rest for line in piece.splitlines() if line.startswith("| ")]
    for mutant in FOUND:
        assert sum(line.startswith(f"| {mutant.name} | {mutant.family} | `cell/lstm: ") for line in lines) == 1
    assert [line for line in lines if "survived" in line] == [
        f"| **{EQUIVALENT.name}** | biases | **survived**: nothing differs |  |  |  |"
    ]
    assert all(line.count("|") == before.count("|") for before, line in pairwise(lines[:5]))


def test_a_survivor_is_reported_and_fails(tmp_path):
    code, lines = run(tmp_path, FOUND[0], EQUIVALENT)
    assert code == 1
    assert any(line.startswith("[2/2] SURVIVED: the same sum") for line in lines)
    score = Score.load(tmp_path / FILE)
    assert (score.planted, score.killed, score.located) == (2, 1, 1)


@pytest.mark.parametrize(("wrong", "code"), [(1, 0), (2, 1)])
def test_of_ten_bugs_nine_must_be_located(wrong, code, tmp_path):
    sound = FOUND[0]
    lost = dataclasses.replace(sound, parts=("decoder",))
    bugs = [dataclasses.replace(lost if i < wrong else sound, name=f"bug {i}") for i in range(10)]
    assert LOCATED == 0.9
    assert run(tmp_path, *bugs)[0] == code


def test_if_the_sound_code_departs_no_bug_is_planted_and_nothing_is_written(tmp_path):
    with FOUND[0].planted():
        code, lines = run(tmp_path, *FOUND)
    assert code == 1
    assert lines[0] == "without any bug planted the port departs already:"
    assert not list(tmp_path.iterdir())


def interrupted_at(call, function):
    """The function, but its n-th call is interrupted."""
    calls = itertools.count(1)

    def interrupted(*arguments):
        if next(calls) == call:
            raise KeyboardInterrupt
        return function(*arguments)

    return interrupted


def counted(function, names):
    """The function; appends the name of each bug that it is called with."""

    def counting(mutant, *arguments):
        names.append(mutant.name)
        return function(mutant, *arguments)

    return counting


def test_an_interrupted_run_leaves_no_earlier_score(tmp_path, monkeypatch):
    for name in (FILE, TABLE):
        (tmp_path / name).write_text("of an earlier run")
    monkeypatch.setattr(port_bugs, "judge", interrupted_at(1, judge))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, *FOUND)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """A folder with an interrupted run, in which two of three bugs were judged."""
    with monkeypatch.context() as patch:
        patch.setattr(port_bugs, "judge", interrupted_at(3, judge))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out", *FOUND)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [UNFINISHED]
    return tmp_path / "out"


def test_an_interrupted_run_is_continued_with_the_same_result(interrupted, tmp_path, monkeypatch):
    judged = []
    with monkeypatch.context() as patch:
        patch.setattr(port_bugs, "judge", counted(judge, judged))
        code, lines = run(interrupted, *FOUND)
    assert code == 0
    assert judged == [FOUND[2].name]
    assert lines[0] == "kept 2 results of an interrupted run; --fresh starts over"
    assert [line for line in lines if line.startswith("[")] == [
        f"[3/3] caught: {FOUND[2].name}, by cell/lstm: g (LSTM cell alone)"
    ]
    assert sorted(path.name for path in interrupted.iterdir()) == [FILE, TABLE]
    run(tmp_path / "at once", *FOUND)
    for name in (FILE, TABLE):
        assert (interrupted / name).read_bytes() == (tmp_path / "at once" / name).read_bytes()


def test_fresh_starts_over(interrupted, monkeypatch):
    judged = []
    monkeypatch.setattr(port_bugs, "judge", counted(judge, judged))
    code, lines = run(interrupted, *FOUND, fresh=True)
    assert code == 0
    assert judged == [mutant.name for mutant in FOUND]
    assert not any("kept" in line for line in lines)


def test_a_run_over_other_recordings_starts_over(interrupted, monkeypatch):
    judged = []
    monkeypatch.setattr(port_bugs, "judge", counted(judge, judged))
    run(interrupted, *FOUND, only="cell-lst")
    assert judged == [mutant.name for mutant in FOUND]


def test_a_finished_run_is_not_continued(tmp_path, monkeypatch):
    run(tmp_path, *FOUND)
    judged = []
    monkeypatch.setattr(port_bugs, "judge", counted(judge, judged))
    run(tmp_path, *FOUND)
    assert judged == [mutant.name for mutant in FOUND]


def test_what_the_self_tests_said_of_a_bug_is_kept_too(tmp_path, monkeypatch):
    bugs = HARNESS_MUTANTS[:3]
    asked = []

    def stand_in(mutants, processes):
        asked.append([mutant.name for mutant in mutants])
        for mutant in mutants:
            if len(asked) == 1 and mutant is bugs[1]:
                raise KeyboardInterrupt
            yield {"name": mutant.name, "killed": True, "by": "test_x.py::test_y"}

    monkeypatch.setattr(running, "run_against_tests", stand_in)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, FOUND[0], harness=bugs)
    code, lines = run(tmp_path, FOUND[0], harness=bugs)
    assert code == 0
    assert asked == [[mutant.name for mutant in bugs], [mutant.name for mutant in bugs[1:]]]
    assert lines[0].startswith("kept 2 results of an interrupted run")
    assert [row["name"] for row in json.loads((tmp_path / FILE).read_text())["harness"]] == asked[0]


def test_a_folder_that_cannot_be_written_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"cannot be written \(.*\); choose another --out"):
        run(tmp_path / "file" / "out", *FOUND)


def test_several_processes_give_the_same_result(tmp_path):
    assert run(tmp_path / "one", *FOUND)[0] == 0
    assert (
        run_mutants(
            tmp_path / "two", mutants=FOUND, harness=(), product=(), kernels=(), only="cell-lstm", log=lambda _: None
        )
        == 0
    )
    for name in (FILE, TABLE):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


# The harness's own bugs ----------------------------------------------------------------------------------------------


def test_a_bug_of_the_harness_is_caught_by_a_self_test_and_one_that_is_not_fails_the_run(tmp_path):
    caught = next(mutant for mutant in HARNESS_MUTANTS if mutant.name == "a recording's SHA-256 is not checked")
    none = dataclasses.replace(HARNESS_MUTANTS[0], tests=("report/test_score.py",))  # which have nothing to do with it
    code, lines = run(tmp_path, FOUND[0], harness=[caught, none])
    assert code == 1
    first, second = json.loads((tmp_path / FILE).read_text())["harness"]
    assert (first["name"], first["killed"]) == (caught.name, True)
    assert first["by"].startswith("test_recording.py::test_")
    assert second == {"name": none.name, "killed": False, "by": "no self-test fails"}
    assert "1 of 2 bugs planted in the harness itself" in lines[-2]


def test_self_tests_that_fail_by_themselves_prove_nothing(tmp_path):
    absent = HarnessMutant("x", FOUND[0].planting, ("test_that_is_not_there.py",))
    code, lines = run(tmp_path, FOUND[0], harness=[absent])
    assert code == 1
    assert lines[-1].startswith("without any bug planted the self-tests fail already:")
    assert not (tmp_path / FILE).exists()
    assert not (tmp_path / TABLE).exists()


def test_a_bug_of_what_surrounds_the_model_is_listed_with_its_family_and_the_test_that_caught_it(tmp_path):
    mutant = next(mutant for mutant in PRODUCT_MUTANTS if mutant.name == "the next seed draws what the next step does")
    none = dataclasses.replace(PRODUCT_MUTANTS[0], tests=("report/test_score.py",))  # which have nothing to do with it
    code, lines = run(tmp_path, FOUND[0], product=[mutant, none])
    assert code == 1
    first, second = json.loads((tmp_path / FILE).read_text())["product"]
    assert (first["name"], first["family"], first["killed"]) == (mutant.name, "keyed draws", True)
    assert first["by"].startswith("test_keyed_draws.py::test_")
    assert second == {"name": none.name, "family": none.family, "killed": False, "by": "no self-test fails"}
    assert "1 of 2 planted in what surrounds the model" in lines[-2]
    table = (tmp_path / TABLE).read_text()
    assert f"| {mutant.name} | keyed draws | `{first['by']}` |" in table
    assert f"| **{none.name}** | {none.family} | **survived**: no self-test fails |" in table


def test_a_bug_of_a_fused_path_is_listed_likewise(tmp_path):
    mutant = next(mutant for mutant in KERNEL_MUTANTS if mutant.name == "a tape records nothing")
    none = dataclasses.replace(KERNEL_MUTANTS[-1], tests=("report/test_score.py",))  # which have nothing to do with it
    code, lines = run(tmp_path, FOUND[0], kernels=[mutant, none])
    assert code == 1
    first, second = json.loads((tmp_path / FILE).read_text())["kernels"]
    assert (first["name"], first["family"], first["killed"]) == (mutant.name, "tape", True)
    assert first["by"] == "test_fused_sequences.py::test_a_tape_makes_the_loop_compute"
    assert second == {"name": none.name, "family": none.family, "killed": False, "by": "no self-test fails"}
    assert "1 of 2 planted in the fused paths" in lines[-2]
    assert f"| {mutant.name} | tape | `{first['by']}` |" in (tmp_path / TABLE).read_text()


def test_bugs_of_compiled_code_are_left_out_and_counted_where_there_is_no_compiler(tmp_path, monkeypatch):
    kept = next(mutant for mutant in KERNEL_MUTANTS if mutant.name == "a tape records nothing")
    compiled = next(mutant for mutant in KERNEL_MUTANTS if mutant.name.startswith("compiled:"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    choice.forget()
    build.library.cache_clear()
    try:
        code, lines = run(tmp_path, FOUND[0], kernels=[compiled, kept])
    finally:
        choice.forget()
    assert code == 0
    said = "bugs of compiled code are left out (1): there is no C++ compiler (no-such-compiler)"
    assert lines[0] == said
    content = json.loads((tmp_path / FILE).read_text())
    assert [row["name"] for row in content["kernels"]] == [kept.name]
    assert content["left_out"] == said
    assert f"On this machine, {said}." in (tmp_path / TABLE).read_text()


def test_bugs_of_triton_kernels_are_left_out_and_counted_where_it_is_not_installed(monkeypatch):
    find, kept = importlib.util.find_spec, list(PYTHON_MUTANTS)
    assert TRITON_MUTANTS
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "triton" else find(name))
    assert runnable((*kept, *TRITON_MUTANTS)) == (
        kept,
        f"bugs of Triton kernels are left out ({len(TRITON_MUTANTS)}): it is not installed",
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name == "triton" else find(name))
    assert runnable(TRITON_MUTANTS) == (list(TRITON_MUTANTS), None)


def test_a_bug_of_an_unknown_name_is_refused():
    with pytest.raises(LookupError, match="owl"):
        unit_tests.run_tests("owl", [])
