"""Planted code uses no name that its module lacks: it would raise, and would be caught for that alone."""

import builtins
import dis
import sys
from collections.abc import Iterator
from types import CodeType

import pytest

from parity_tests.causes.hypotheses import HYPOTHESES
from parity_tests.mutation.bugs import Text
from parity_tests.mutation.catalogue.harness import HARNESS_MUTANTS
from parity_tests.mutation.catalogue.kernels.every import KERNEL_MUTANTS
from parity_tests.mutation.catalogue.port import MUTANTS
from parity_tests.mutation.catalogue.product import PRODUCT_MUTANTS
from parity_tests.sensitivity.catalogue import SCALED_BUGS
from parity_tests.sensitivity.scaling import _functions
from pytorch_sketch_rnn.model import cells

BUGS = (*MUTANTS, *HARNESS_MUTANTS, *PRODUCT_MUTANTS, *HYPOTHESES, *SCALED_BUGS)
TEXTS = {bug.name: bug.planting for bug in BUGS if isinstance(bug.planting, Text)}
FUSED = {bug.name: bug.planting.planting for bug in KERNEL_MUTANTS}
TEXTS |= {name: planting for name, planting in FUSED.items() if isinstance(planting, Text)}


def nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested(constant)


def unknown_names(planting: Text) -> set[str]:
    known = {*vars(sys.modules[planting.target.__module__]), *vars(builtins), *_functions(0.0, "float64")}
    codes = nested(planting.changed_code())
    used = {i.argval for code in codes for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    return used - known


@pytest.mark.parametrize("name", TEXTS)
def test_planted_code_knows_every_name_that_it_uses(name):
    assert unknown_names(TEXTS[name]) == set()


def test_an_unknown_name_is_found_inside_a_nested_function_too():
    for bug in ("no_such(state)", "[(lambda: no_such(s))() for s in state]"):
        assert unknown_names(Text(cells.LSTMCell, "forward", ("c, h = state", f"c, h = {bug}"))) == {"no_such"}
