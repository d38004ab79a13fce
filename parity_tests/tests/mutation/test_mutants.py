"""Planted bugs: each can be planted and taken out again, is found where it is, and a survivor is never hidden."""

import dataclasses
import json
import re
from itertools import pairwise

import pytest
from shipped import shipped

from parity_tests.judge import compare
from parity_tests.judge.compare import failures
from parity_tests.judge.training import replay_training
from parity_tests.mutation import run as mutation
from parity_tests.mutation import unit_tests
from parity_tests.mutation.catalogue import (
    FAMILIES,
    LEFT_OUT,
    MUTANTS,
    Entries,
    HarnessMutant,
    Mutant,
    Text,
    Value,
)
from parity_tests.mutation.catalogue_harness import HARNESS_MUTANTS
from parity_tests.mutation.catalogue_product import PRODUCT_MUTANTS
from parity_tests.mutation.run import LOCATED, TABLE, judge, judged_rows, run_mutants
from parity_tests.ours import Adapter
from parity_tests.report.parts import PARTS, part_of
from parity_tests.report.score import FILE, Score
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model import cells
from pytorch_sketch_rnn.model import sketch_rnn as model
from weight_port import names

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
PLANTINGS = {mutant.name: mutant.planting for mutant in (*MUTANTS, *HARNESS_MUTANTS, *PRODUCT_MUTANTS)}
EQUIVALENT = Mutant(
    "the same sum the other way round",
    "biases",
    Text(cells.LSTMCell, "forward", ("x @ self.W_xh + h @ self.W_hh", "h @ self.W_hh + x @ self.W_xh")),
    ("LSTM cell alone",),
)


@pytest.fixture(scope="module")
def fixtures():
    return shipped()


# The catalogue -------------------------------------------------------------------------------------------------------


def test_the_catalogue_covers_every_family_and_says_each_thing_once():
    assert len(MUTANTS) >= 40
    assert len(HARNESS_MUTANTS) >= 8
    assert {mutant.family for mutant in MUTANTS} == set(FAMILIES)
    assert len(PRODUCT_MUTANTS) >= 50
    assert len(PLANTINGS) == len(MUTANTS) + len(HARNESS_MUTANTS) + len(PRODUCT_MUTANTS)
    assert all(LEFT_OUT.values())
    assert not set(LEFT_OUT) & set(PLANTINGS)


def state_of(planting):
    """What a planting changes, as it stands now."""
    if isinstance(planting, Text):
        return planting._sound().__code__
    if isinstance(planting, Value):
        return getattr(planting.owner, planting.name)
    return dict(planting.table)


@pytest.mark.parametrize("name", PLANTINGS)
def test_a_bug_can_be_planted_and_afterwards_the_sound_code_is_back(name):
    planting = PLANTINGS[name]
    before = state_of(planting)
    with planting.planted():
        assert state_of(planting) != before
    after = state_of(planting)
    assert after is before or after == before
    with pytest.raises(ZeroDivisionError), planting.planted():
        raise ZeroDivisionError
    assert state_of(planting) == before


@pytest.mark.parametrize(
    "planting",
    [
        Text(cells.LSTMCell, "forward", ("no such text", "")),
        Text(cells.LSTMCell, "forward", ("new_c", "c")),
        Value(cells, "NO_SUCH_VALUE", 1),
        Entries(names.LSTM_CELL, {"no such entry": "W_xh"}),
    ],
    ids=["a text that is not there", "a text that stands twice", "a constant that is not there", "an unknown entry"],
)
def test_what_cannot_be_planted_is_refused(planting, fixtures):
    with pytest.raises(LookupError), planting.planted():
        pass
    with pytest.raises(LookupError):  # and does not count as a bug that was found
        judge(Mutant("x", "gates", planting, ()), [fixtures["cell/lstm"]])


def test_what_a_function_has_from_around_it_stays_its_own():
    changed = Text(cells.LSTMCell, "__init__", ("torch.zeros(4 * num_units)", "torch.ones(4 * num_units)"))
    with changed.planted():
        assert cells.LSTMCell(5, 3).bias.sum() == 12
    assert cells.LSTMCell(5, 3).bias.sum() == 0


def test_a_bug_under_a_decorator_reaches_whoever_has_imported_the_function():
    imported = model.gaussian_  # from pytorch_sketch_rnn.model.initializers, under torch.no_grad
    weight = cells.torch.zeros(3)
    from pytorch_sketch_rnn.model import initializers as init

    with Text(init, "gaussian_", ("normal_(0.0, std, generator=generator)", "fill_(7.0)")).planted():
        assert imported(weight, 1.0).tolist() == [7.0, 7.0, 7.0]


@pytest.fixture(scope="module")
def sound(fixtures):
    return judged_rows(fixtures.values())


def test_without_a_bug_all_that_is_judged_is_equal(sound):
    assert not failures(sound)
    assert {row.precision for row in sound} == {"float64", "exact", "distribution"}


FAILING = {"encode", "encode (first 1)", "data"}  # methods that a bug may make fail


def test_where_a_bug_must_show_something_is_compared(sound):
    compared = {(part_of(row), row.quantity) for row in sound}
    known = {part for _, part in PARTS} | {part for part, _ in compared} | FAILING
    for mutant in MUTANTS:
        assert mutant.parts
        assert set(mutant.parts) <= known, mutant.name
        assert any(p in mutant.parts and re.fullmatch(mutant.quantity, q) for p, q in compared), mutant.name


def test_in_every_part_that_is_compared_a_bug_is_looked_for_or_follows_from_one(sound):
    looked_for = {part for mutant in MUTANTS for part in mutant.parts}
    follows = {part for part in map(part_of, sound) if part.startswith(("training: ", "local: "))}
    assert set(map(part_of, sound)) - looked_for - follows == {
        "likelihood of the strokes",
        "gradients, all together in L2",
        "the first points of a sketch",
    }


# Judging -------------------------------------------------------------------------------------------------------------

SAMPLE = {
    "gates in torch's order: i, f, g, o": "cell/lstm",
    "layer-norm epsilon 1e-5": "cell/layer_norm",
    "hyper norms of input and output gate swapped": "cell/hyper",
    "masks drawn without 1 / keep probability": "cell/lstm",
    "W_hh orthogonal as a whole, not in four blocks": "initial/lstm",
    "points dropped from the second of a stroke on: count > 1": "data/joined",
    "KL floor that lets gradients through": "lstm/as_is",
    "powers in float64": "training/layer_norm",
    "points fed back without being rounded to float32": "lstm/as_is",
    "W_hh transposed, then pressed into shape": "lstm/as_is",
    "clips from above only": "lstm/moved",
    "KL weight starts at 0.005": "training/layer_norm",
    "weights rounded to float32 on the way": "training/layer_norm",
}

SHAPES = {"points dropped from the second of a stroke on: count > 1"}  # other numbers of points have no error


@pytest.mark.parametrize("name", SAMPLE)
def test_a_bug_is_found_and_its_part_named(name, fixtures):
    result = judge(BY_NAME[name], [fixtures[SAMPLE[name]]])
    assert result.killed
    assert result.located, result.by
    assert result.by.startswith(f"{SAMPLE[name]}: ")
    assert result.part in result.touched
    if name not in SHAPES:
        assert 1e-10 < result.effect <= result.touched[result.part]


def test_a_bug_that_changes_nothing_survives(fixtures):
    result = judge(EQUIVALENT, [fixtures["cell/lstm"]])
    assert (result.killed, result.located, result.by, result.touched) == (False, False, "nothing differs", {})


def test_the_right_part_alone_does_not_count_where_another_quantity_is_named(fixtures):
    mutant = BY_NAME["candidate without tanh"]
    elsewhere = Mutant(mutant.name, mutant.family, mutant.planting, mutant.parts, "[ijfo]")
    result = judge(elsewhere, [fixtures["cell/lstm"]])
    assert (result.killed, result.located, result.by) == (True, False, "cell/lstm: g")
    assert not judge(Mutant("x", "gates", mutant.planting, ("decoder",)), [fixtures["cell/lstm"]]).located


def test_a_bug_that_raises_is_found_where_the_harness_makes_a_failing_row_of_it(fixtures):
    raising = Mutant(
        "x", "gates", Text(cells.LSTMCell, "forward", ("c, h = state", "c, h = 1 / 0")), ("LSTM cell alone",)
    )
    result = judge(raising, [fixtures["cell/lstm"]])
    assert result.killed
    assert result.effect is None
    assert result.touched == {"LSTM cell alone": None}


def test_a_bug_that_brings_the_harness_down_has_escaped_it(fixtures):
    escaping = Mutant("x", "gates", Text(compare, "compare", ("rows = []", "rows = 1 / 0")), ("LSTM cell alone",))
    result = judge(escaping, [fixtures["cell/lstm"]])
    assert not result.killed
    assert "ZeroDivisionError" in result.by


# The run -------------------------------------------------------------------------------------------------------------


def run(out, *bugs, harness=(), product=(), only="cell-lstm"):
    told = []
    code = run_mutants(out, mutants=bugs, harness=harness, product=product, only=only, processes=1, say=told.append)
    return code, told


FOUND = [BY_NAME[name] for name in ("forget bias missing", "forget bias 0.9", "candidate without tanh")]


def test_the_score_is_what_a_report_reads_and_tells_the_smallest_bug_of_each_part(tmp_path):
    code, told = run(tmp_path, *FOUND)
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
    assert {"decoder", "encoder, forward", "checkpoint: weights as converted"} <= set(content["never_touched"])
    assert content["harness"] == []
    assert sum(line.startswith("[") and "caught" in line for line in told) == 3


def test_the_table_begins_with_the_score_and_has_a_line_for_each_bug(tmp_path):
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


def test_a_survivor_is_told_and_fails(tmp_path):
    code, told = run(tmp_path, FOUND[0], EQUIVALENT)
    assert code == 1
    assert any(line.startswith("[2/2] SURVIVED: the same sum") for line in told)
    score = Score.load(tmp_path / FILE)
    assert (score.planted, score.killed, score.located) == (2, 1, 1)


@pytest.mark.parametrize(("wrong", "code"), [(1, 0), (2, 1)])
def test_of_ten_bugs_nine_must_be_located(wrong, code, tmp_path):
    sound = FOUND[0]
    lost = Mutant(sound.name, sound.family, sound.planting, ("decoder",))
    assert LOCATED == 0.9
    assert run(tmp_path, *[sound] * (10 - wrong), *[lost] * wrong)[0] == code


def test_where_the_sound_code_departs_no_bug_is_planted_and_nothing_written(tmp_path):
    with FOUND[0].planted():
        code, told = run(tmp_path, *FOUND)
    assert code == 1
    assert told[0] == "without any bug planted the port departs already:"
    assert not list(tmp_path.iterdir())


def test_what_is_broken_off_leaves_nothing_and_no_earlier_score(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    for name in (FILE, TABLE):
        (tmp_path / name).write_text("of an earlier run")
    monkeypatch.setattr(mutation, "judge", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, *FOUND)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"cannot be written \(.*\); choose another --out"):
        run(tmp_path / "file" / "out", *FOUND)


def test_several_processes_come_to_the_same_end(tmp_path):
    assert run(tmp_path / "one", *FOUND)[0] == 0
    assert (
        run_mutants(tmp_path / "two", mutants=FOUND, harness=(), product=(), only="cell-lstm", say=lambda _: None) == 0
    )
    for name in (FILE, TABLE):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


# The harness's own bugs ----------------------------------------------------------------------------------------------


def test_a_bug_of_the_harness_is_caught_by_a_self_test_and_one_that_is_not_fails_the_run(tmp_path):
    caught = next(mutant for mutant in HARNESS_MUTANTS if mutant.name == "a recording is not held against its SHA-256")
    none = dataclasses.replace(HARNESS_MUTANTS[0], tests=("test_score.py",))  # which have nothing to do with it
    code, told = run(tmp_path, FOUND[0], harness=[caught, none])
    assert code == 1
    first, second = json.loads((tmp_path / FILE).read_text())["harness"]
    assert (first["name"], first["killed"]) == (caught.name, True)
    assert first["by"].startswith("test_recording.py::test_")
    assert second == {"name": none.name, "killed": False, "by": "no self-test fails"}
    assert "1 of 2 bugs planted in the harness itself" in told[-2]


def test_self_tests_that_fail_by_themselves_prove_nothing(tmp_path):
    absent = HarnessMutant("x", FOUND[0].planting, ("test_that_is_not_there.py",))
    code, told = run(tmp_path, FOUND[0], harness=[absent])
    assert code == 1
    assert told[-1].startswith("without any bug planted the self-tests fail already:")
    assert not list(tmp_path.iterdir())


def test_a_bug_of_what_surrounds_the_model_is_told_with_its_family_and_the_test_that_caught_it(tmp_path):
    mutant = next(mutant for mutant in PRODUCT_MUTANTS if mutant.name == "the next seed draws what the next step does")
    none = dataclasses.replace(PRODUCT_MUTANTS[0], tests=("test_score.py",))  # which have nothing to do with it
    code, told = run(tmp_path, FOUND[0], product=[mutant, none])
    assert code == 1
    first, second = json.loads((tmp_path / FILE).read_text())["product"]
    assert (first["name"], first["family"], first["killed"]) == (mutant.name, "keyed draws", True)
    assert first["by"].startswith("test_keyed_draws.py::test_")
    assert second == {"name": none.name, "family": none.family, "killed": False, "by": "no self-test fails"}
    assert "1 of 2 planted in what surrounds the model" in told[-2]
    table = (tmp_path / TABLE).read_text()
    assert f"| {mutant.name} | keyed draws | `{first['by']}` |" in table
    assert f"| **{none.name}** | {none.family} | **survived**: no self-test fails |" in table


def test_a_bug_that_no_one_knows_is_not_planted_in_silence():
    with pytest.raises(LookupError, match="owl"):
        unit_tests.run_tests("owl", [])


@pytest.mark.parametrize("mutant", [*HARNESS_MUTANTS, *PRODUCT_MUTANTS], ids=lambda mutant: mutant.name)
def test_the_self_tests_of_a_bug_are_there(mutant):
    for test in mutant.tests:
        file, _, function = test.partition("::")
        assert (unit_tests.TESTS / file).is_file()
        assert function in (unit_tests.TESTS / file).read_text()


class LeavesOneOut(Adapter):
    """Ours, but the second step of a training does not say what one gradient was."""

    steps = 0

    def train_step(self, *arguments):
        answer = super().train_step(*arguments)
        self.steps += 1
        return {name: value for name, value in answer.items() if name != GRADIENT or self.steps != 2}


GRADIENT = "gradient/vector_rnn/RNN/output_w"


def test_a_training_must_show_a_quantity_at_every_step(fixtures):
    rows, _ = replay_training(fixtures["training/layer_norm"], LeavesOneOut())
    assert [(row.quantity, row.verdict) for row in failures(rows)] == [(f"steps/{GRADIENT}", "not compared")]
