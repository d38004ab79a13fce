"""Planted bugs: each can be planted and removed, and is found in the part of the model where it is."""

import os
import re
import subprocess
import sys

import pytest
from shipped import shipped
from tiny_catalogue import BY_NAME, EQUIVALENT

from parity_tests.judge import compare
from parity_tests.judge.compare import failures
from parity_tests.judge.training import judge_training
from parity_tests.mutation import unit_tests
from parity_tests.mutation.bugs import Entries, Mutant, Text, Value
from parity_tests.mutation.catalogue.harness import HARNESS_MUTANTS
from parity_tests.mutation.catalogue.kernels.every import KERNEL_MUTANTS
from parity_tests.mutation.catalogue.port import FAMILIES, LEFT_OUT, MUTANTS
from parity_tests.mutation.catalogue.product import PRODUCT_MUTANTS
from parity_tests.mutation.kernel_source import Source
from parity_tests.mutation.port_bugs import judge, judged_rows
from parity_tests.mutation.triton_source import MODULE, TritonSource
from parity_tests.ours import Adapter
from parity_tests.report.parts import PARTS, part_of
from pytorch_sketch_rnn.model import cells, initializers, sketch_rnn
from pytorch_sketch_rnn.model.fused import build, choice
from weight_port import names

PLANTINGS = {mutant.name: mutant.planting for mutant in (*MUTANTS, *HARNESS_MUTANTS, *PRODUCT_MUTANTS)}


@pytest.fixture(scope="module")
def fixtures():
    return shipped()


# The catalogue -------------------------------------------------------------------------------------------------------


def test_the_catalogue_covers_every_family_and_names_are_unique():
    assert len(MUTANTS) >= 40
    assert len(HARNESS_MUTANTS) >= 8
    assert {mutant.family for mutant in MUTANTS} == set(FAMILIES)
    assert len(PRODUCT_MUTANTS) >= 50
    assert len(PLANTINGS) == len(MUTANTS) + len(HARNESS_MUTANTS) + len(PRODUCT_MUTANTS)
    assert all(LEFT_OUT.values())
    assert not set(LEFT_OUT) & set(PLANTINGS)


def test_bugs_of_the_fused_paths_are_of_every_kind_and_in_every_file():
    names = [mutant.name for mutant in KERNEL_MUTANTS]
    assert len(set(names)) == len(names)
    assert not set(names) & set(PLANTINGS)
    compiled = [mutant for mutant in KERNEL_MUTANTS if isinstance(mutant.planting.planting, Source)]
    assert {mutant.family for mutant in compiled} >= {
        "forward", "backward", "mask", "mix", "lengths", "tail of a vector", "last row", "length 1", "groups of rows",
        "not finite",
    }  # fmt: skip
    interpreted = [mutant for mutant in KERNEL_MUTANTS if isinstance(mutant.planting.planting, TritonSource)]
    assert {mutant.family for mutant in interpreted} >= {
        "forward", "backward", "mask", "mix", "lengths", "tail", "last row", "parts", "draws",
    }  # fmt: skip
    others = [mutant for mutant in KERNEL_MUTANTS if mutant not in compiled and mutant not in interpreted]
    files = {mutant.planting.planting.target.__module__ for mutant in others}
    assert {name.rpartition(".")[2] for name in files} == {"aten", "gated", "hyper", "layout", "sequence", "weights"}


@pytest.mark.parametrize("name", [mutant.name for mutant in KERNEL_MUTANTS])
def test_a_bug_of_a_fused_path_can_be_planted_and_removed_again(name):
    planting = next(mutant.planting for mutant in KERNEL_MUTANTS if mutant.name == name)
    inner, before = planting.planting, (build.library, choice.disagreement)
    code = None if isinstance(inner, Source) else state_of(inner)
    with planting.planted():
        assert choice.disagreement is not before[1]
        if isinstance(inner, Source):
            assert build.library is not before[0]
            assert inner.changed() != build.read_source(inner.name)
        else:
            assert state_of(inner) != code
    assert isinstance(inner, Source) or state_of(inner) == code
    assert (build.library, choice.disagreement) == before


def test_a_source_without_what_is_to_be_changed_is_refused():
    for function, old, why in (
        ("owl", "for", "no function owl"),
        ("_mean", "owl", "0 times"),
        ("_load4", "n", "times"),
    ):
        with pytest.raises(LookupError, match=why), TritonSource(function, old, "").planted():
            pass
    for old in ("no such text", "for"):
        with pytest.raises(LookupError, match="occurs"), Source("kernels.cpp", (old, "")).planted():
            pass


def test_changed_triton_kernels_are_what_another_process_imports():
    code = f"import importlib.util as u; print(open(u.find_spec({MODULE!r}).origin).read())"

    def imported():
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    planting = TritonSource("_sigmoid", "1 + tl.exp", "2 + tl.exp")
    with planting.planted():
        assert imported() == planting.changed().strip()
    assert "2 + tl.exp" in planting.changed()
    assert "2 + tl.exp" not in imported()


def state_of(planting):
    """The present state of what a planting changes."""
    if isinstance(planting, Text):
        return planting.target.__code__
    if isinstance(planting, Value):
        return getattr(planting.owner, planting.name)
    if isinstance(planting, TritonSource):  # it changes what the processes that are started import
        return os.environ.get("PYTHONPATH")
    return dict(planting.table)


@pytest.mark.parametrize("name", PLANTINGS)
def test_a_bug_can_be_planted_and_removed_again(name):
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
        Text(cells.LSTMCell, "no_such_method", ("new_c", "c")),
        Value(cells, "NO_SUCH_VALUE", 1),
        Entries(names.LSTM_CELL, {"no such entry": "W_xh"}),
    ],
    ids=["missing text", "text that occurs twice", "missing function", "missing constant", "missing entry"],
)
def test_what_cannot_be_planted_is_refused(planting, fixtures):
    with pytest.raises(LookupError), planting.planted():
        pass
    with pytest.raises(LookupError):  # and does not count as a bug that was found
        judge(Mutant("x", "gates", planting, ()), [fixtures["cell/lstm"]])


def test_a_changed_method_can_still_call_super():
    changed = Text(cells.LSTMCell, "__init__", ("torch.zeros(4 * num_units)", "torch.ones(4 * num_units)"))
    with changed.planted():
        assert cells.LSTMCell(5, 3).bias.sum() == 12
    assert cells.LSTMCell(5, 3).bias.sum() == 0


def test_a_bug_in_a_decorated_function_reaches_every_module_that_imported_it():
    imported = sketch_rnn.gaussian_  # from initializers; decorated with torch.no_grad
    weight = cells.torch.zeros(3)
    with Text(initializers, "gaussian_", ("normal_(0.0, std, generator=generator)", "fill_(7.0)")).planted():
        assert imported(weight, 1.0).tolist() == [7.0, 7.0, 7.0]


@pytest.fixture(scope="module")
def sound(fixtures):
    return judged_rows(fixtures.values())


def test_without_a_bug_all_that_is_judged_is_equal(sound):
    assert not failures(sound)
    assert {row.precision for row in sound} == {"float64", "exact", "distribution"}


FAILING = {"encode", "encode (first 1)", "data"}  # methods that a bug may make fail


def test_the_quantities_where_a_bug_must_show_are_compared(sound):
    compared = {(part_of(row), row.quantity) for row in sound}
    known = {part for _, part in PARTS} | {part for part, _ in compared} | FAILING
    for mutant in MUTANTS:
        assert mutant.parts
        assert set(mutant.parts) <= known, mutant.name
        assert any(p in mutant.parts and re.fullmatch(mutant.quantity, q) for p, q in compared), mutant.name


def test_every_part_that_is_compared_has_a_bug(sound):
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
    "points dropped one too early in a stroke: count > 1": "data/joined",
    "KL floor that lets gradients through": "lstm/as_is",
    "powers in float64": "training/layer_norm",
    "points fed back without rounding to float32": "lstm/as_is",
    "W_hh transposed, then reshaped": "lstm/as_is",
    "clips from above only": "lstm/moved",
    "KL weight starts at 0.005": "training/layer_norm",
    "weights rounded to float32 on the way": "training/layer_norm",
}

SHAPES = {"points dropped one too early in a stroke: count > 1"}  # other numbers of points have no error


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


def test_the_right_part_does_not_count_if_another_quantity_is_named(fixtures):
    mutant = BY_NAME["candidate without tanh"]
    elsewhere = Mutant(mutant.name, mutant.family, mutant.planting, mutant.parts, "[ijfo]")
    result = judge(elsewhere, [fixtures["cell/lstm"]])
    assert (result.killed, result.located, result.by) == (True, False, "cell/lstm: g")
    assert not judge(Mutant("x", "gates", mutant.planting, ("decoder",)), [fixtures["cell/lstm"]]).located


def test_a_bug_that_raises_is_caught_if_the_harness_turns_it_into_a_failing_row(fixtures):
    raising = Mutant(
        "x", "gates", Text(cells.LSTMCell, "forward", ("c, h = state", "c, h = 1 / 0")), ("LSTM cell alone",)
    )
    result = judge(raising, [fixtures["cell/lstm"]])
    assert result.killed
    assert result.effect is None
    assert result.touched == {"LSTM cell alone": None}


def test_a_bug_that_breaks_the_harness_survives(fixtures):
    escaping = Mutant("x", "gates", Text(compare, "compare", ("return rows", "return 1 / 0")), ("LSTM cell alone",))
    result = judge(escaping, [fixtures["cell/lstm"]])
    assert not result.killed
    assert "ZeroDivisionError" in result.by


# Self-tests -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mutant", [*HARNESS_MUTANTS, *PRODUCT_MUTANTS], ids=lambda mutant: mutant.name)
def test_the_self_tests_of_a_bug_are_there(mutant):
    for test in mutant.tests:
        file, _, function = test.partition("[")[0].partition("::")
        assert (unit_tests.TESTS / file).is_file()
        assert function in (unit_tests.TESTS / file).read_text()


@pytest.mark.parametrize("mutants", [MUTANTS, HARNESS_MUTANTS, PRODUCT_MUTANTS, KERNEL_MUTANTS])
def test_every_bug_fits_the_code(mutants):
    """A change of a pinned text is noticed before `make mutants` is run."""
    for mutant in mutants:
        with mutant.planting.planted():
            pass


class LeavesOneOut(Adapter):
    """Ours, but the second step of a training does not say what one gradient was."""

    steps = 0

    def train_step(self, *arguments):
        answer = super().train_step(*arguments)
        self.steps += 1
        return {name: value for name, value in answer.items() if name != GRADIENT or self.steps != 2}


GRADIENT = "gradient/vector_rnn/RNN/output_w"


def test_a_training_must_show_a_quantity_at_every_step(fixtures):
    rows, _ = judge_training(fixtures["training/layer_norm"], LeavesOneOut())
    assert [(row.quantity, row.verdict) for row in failures(rows)] == [(f"steps/{GRADIENT}", "not compared")]
