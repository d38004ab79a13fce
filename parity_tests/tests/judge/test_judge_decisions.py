"""Sampling: a decision that rounding may tip ends what can be judged, neither sooner nor later."""

import random

import numpy as np
import pytest
from judging import changed
from shipped import shipped

from parity_tests.judge.compare import compare
from parity_tests.judge.limits import SPREAD_FACTOR64
from parity_tests.judge.tensor.decisions import last_certain_step, margins
from parity_tests.record.configurations import SAMPLING_MODES, SAMPLING_SEEDS

RECORDING = shipped()["lstm/moved"]
STEPS, COMPONENTS = RECORDING["float64"]["sample/greedy/pi"].shape
THREAD = 5  # the step whose decision hangs by a thread
AFTER_IT = ("mu1", "mu2", "sigma1", "sigma2", "corr")


def uniform_numbers() -> np.ndarray:
    """What the official sampling drew at each step: for the component, and for the pen."""
    stream = random.Random(SAMPLING_SEEDS["uniform"])
    return np.array([[stream.random(), stream.random()] for _ in range(STEPS)])


def at_a_boundary(mode: str, name: str, distance: float):
    """The recording, with a decision that lies as near to a boundary, in probability."""
    pdf = RECORDING["float64"][f"sample/{mode}/{name}"].copy()
    if mode == "greedy":
        pdf[THREAD] = [0.4 + distance, 0.4, 0.2 - distance]
    else:
        drawn = uniform_numbers()[THREAD, ("pi", "pen").index(name)] + distance
        weights = np.array([drawn, (1 - drawn) / 2, (1 - drawn) / 2]) ** SAMPLING_MODES[mode]["temperature"]
        pdf[THREAD] = weights / weights.sum()
    return changed(RECORDING, float64={f"sample/{mode}/{name}": pdf})


def rows_of(recording, mode: str, **off):
    """Rows of the official numbers themselves, but for those that are given."""
    official = {n: v for n, v in recording["float64"].items() if n.startswith(f"sample/{mode}/")}
    off = {f"sample/{mode}/{name}": value for name, value in off.items()}
    rows = compare(official | off, recording, "float64", offers=frozenset())
    return {row.quantity.rpartition("/")[2]: row for row in rows if row.quantity.startswith(f"sample/{mode}/")}


def off_from(recording, mode: str, name: str, step: int) -> np.ndarray:
    value = recording["float64"][f"sample/{mode}/{name}"].copy()
    value[step:] += 1.0
    return value


@pytest.mark.parametrize("mode", SAMPLING_MODES)
def test_of_the_recordings_that_ship_every_decision_is_certain(mode):
    for recording in shipped().values():
        if recording.kind == "model":
            last = last_certain_step(mode, "float64", recording["float64"], recording["float64_ensemble"])
            assert last == len(recording["float64"][f"sample/{mode}/pi"]) - 1


@pytest.mark.parametrize("mode", SAMPLING_MODES)
@pytest.mark.parametrize("name", ["pi", "pen"])
def test_a_margin_is_how_far_a_decision_is_from_going_the_other_way(mode, name):
    for distance in (1e-3, 1e-9):
        recording = at_a_boundary(mode, name, distance)
        pdfs = {each: recording["float64"][f"sample/{mode}/{each}"] for each in ("pi", "pen")}
        found = margins(mode, pdfs)
        assert found[name][THREAD] == pytest.approx(distance, rel=1e-4)
        assert (np.delete(found[name], THREAD) > 1e-4).all()


def test_a_single_component_is_always_picked():
    pdfs = {"pi": np.ones((4, 1)), "pen": np.tile([0.2, 0.7, 0.1], (4, 1))}
    for mode in SAMPLING_MODES:
        assert (margins(mode, pdfs)["pi"] == 1).all()


@pytest.mark.parametrize("mode", SAMPLING_MODES)
@pytest.mark.parametrize("name", ["pi", "pen"])
def test_behind_a_decision_that_hangs_by_a_thread_nothing_is_judged(mode, name):
    recording = at_a_boundary(mode, name, 1e-16)
    rows = rows_of(recording, mode)
    for quantity in AFTER_IT:
        assert rows[quantity].verdict == "not judged"
        assert rows[quantity].note.startswith(f"from step {THREAD + 1} on: a decision of the official run depends on ")
    assert rows["strokes"].verdict == "not judged"
    assert rows["strokes"].note.startswith(f"from step {THREAD} on: ")
    # how much was drawn does not depend on what was decided
    assert {rows[name].verdict for name in ("next_uniform", "next_normal")} == {"equal"}


@pytest.mark.parametrize("mode", SAMPLING_MODES)
@pytest.mark.parametrize("name", ["pi", "pen"])
def test_up_to_that_decision_all_is_judged(mode, name):
    recording = at_a_boundary(mode, name, 1e-16)
    for quantity, last in (("mu1", THREAD), ("strokes", THREAD - 1)):
        beyond = rows_of(recording, mode, **{quantity: off_from(recording, mode, quantity, last + 1)})
        assert beyond[quantity].verdict == "not judged"
        within = rows_of(recording, mode, **{quantity: off_from(recording, mode, quantity, last)})
        assert (within[quantity].verdict, within[quantity].where["step"]) == ("different", last)


@pytest.mark.parametrize("mode", SAMPLING_MODES)
def test_how_near_is_too_near_follows_from_how_far_official_runs_drift(mode):
    recording, spread = at_a_boundary(mode, "pi", 1e-8), 1e-12
    temperature = SAMPLING_MODES[mode]["temperature"]
    near = 1e-8 * temperature / (SPREAD_FACTOR64 * COMPONENTS)  # the drift of pi that would just do
    for drift, last in ((spread, STEPS - 1), (0.9 * near, STEPS - 1), (1.1 * near, THREAD - 1)):
        ensemble = {
            f"sample/{mode}/{name}": np.full((10, 2, STEPS), drift if name == "pi" else 0.0) for name in ("pi", "pen")
        }
        assert last_certain_step(mode, "float64", recording["float64"], ensemble) == last


@pytest.mark.parametrize("mode", SAMPLING_MODES)
def test_an_official_run_that_sampled_something_else_ends_it_too(mode):
    drift = RECORDING["float64_ensemble"][f"sample/{mode}/pi"].copy()
    drift[2, :, THREAD:] = np.nan
    ensemble = RECORDING["float64_ensemble"] | {f"sample/{mode}/pi": drift}
    assert last_certain_step(mode, "float64", RECORDING["float64"], ensemble) == THREAD - 1
