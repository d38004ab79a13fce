"""All gradients as one vector: its error in L2, held against that of each official run as one vector too."""

import numpy as np
import pytest
from judging import changed
from shipped import shipped

from parity_tests.judge.limits import EPSILON32, FLOAT32_FLOOR, FLOAT64_ALLOWED
from parity_tests.judge.tensor.together import TOGETHER, gradients_together
from parity_tests.record.recording import Recording

RECORDING = shipped()["lstm/as_is"]
WEIGHT = "vector_rnn/RNN/output_w"
GRADIENTS = {name: value for name, value in RECORDING["float64"].items() if name.startswith("gradient/")}
LENGTH = np.sqrt(sum(np.sum(value**2) for value in GRADIENTS.values()))  # of all of them as one vector


def still(precision: str, **drifts: np.ndarray) -> Recording:
    """The recording, its gradients without any drift but the given."""
    quiet = {name: np.zeros((10, 2, 1)) for name in GRADIENTS}
    return changed(RECORDING, **{f"{precision}_ensemble": quiet | drifts})


def off_by(relative: float, precision: str) -> dict[str, np.ndarray]:
    """The official gradients, moved by so much of their length, spread over all of them."""
    scale = 1 + relative
    return {
        name: (value * scale).astype(precision if precision == "float32" else "float64")
        for name, value in GRADIENTS.items()
    }


def together(recording: Recording, precision: str, ours: dict[str, np.ndarray]):
    (row,) = gradients_together(recording, precision, ours)
    assert (row.quantity, row.precision, row.measure) == (TOGETHER, precision, "rms")
    return row


@pytest.mark.parametrize(("precision", "floor"), [("float64", FLOAT64_ALLOWED), ("float32", FLOAT32_FLOOR * EPSILON32)])
def test_without_drift_the_floor_is_allowed_and_no_more(precision, floor):
    for size, verdict in ((0.0, "equal"), (0.8 * floor, "equal"), (1.3 * floor, "different")):
        row = together(still(precision), precision, off_by(size, precision))
        assert (row.verdict, row.official_error) == (verdict, 0.0)
        assert row.allowed == pytest.approx(floor)


@pytest.mark.parametrize(("precision", "drift"), [("float64", 1e-9), ("float32", 1e-5)])
def test_they_may_be_off_by_ten_times_the_largest_drift_of_an_official_run(precision, drift):
    root = np.sqrt(sum(value.size for value in GRADIENTS.values()))
    members = np.full((10, 2, 1), 0.3 * drift * LENGTH / root)  # as root of the mean square, of each variable alike
    members[6] = drift * LENGTH / root
    recording = still(precision, **dict.fromkeys(GRADIENTS, members))
    for size, verdict in ((9 * drift, "equal"), (11 * drift, "different")):
        row = together(recording, precision, off_by(size, precision))
        assert row.verdict == verdict
        assert (row.official_error, row.allowed) == pytest.approx((drift, 10 * drift), rel=1e-6)
        assert row.error == pytest.approx(size, rel=0.05)
    assert (row.noise is None) == (precision == "float32")


def test_each_official_run_counts_as_one_vector():
    """Two runs that drift in different variables are not added up."""
    names = list(GRADIENTS)[:2]
    drifts = {}
    for member, name in enumerate(names):
        drifts[name] = np.zeros((10, 2, 1))
        drifts[name][member] = 1e-9 * LENGTH / np.sqrt(GRADIENTS[name].size)
    row = together(still("float64", **drifts), "float64", off_by(0.0, "float64"))
    assert row.official_error == pytest.approx(1e-9, rel=1e-6)


@pytest.mark.parametrize(("precision", "limit"), [("float64", 1e-6), ("float32", 1e-2)])
def test_where_official_gradients_drift_too_far_apart_they_are_not_judged(precision, limit):
    name = max(GRADIENTS, key=lambda name: GRADIENTS[name].size)
    for size, verdict in ((0.9 * limit, "equal"), (1.1 * limit, "not judged"), (np.nan, "not judged")):
        drift = np.full((10, 2, 1), size * LENGTH / np.sqrt(GRADIENTS[name].size))
        row = together(still(precision, **{name: drift}), precision, off_by(0.0, precision))
        assert row.verdict == verdict
        assert row.note.startswith("official runs drift by " if verdict == "not judged" else "")


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_not_finite_is_different(odd):
    ours = {name: value.copy() for name, value in GRADIENTS.items()}
    ours[f"gradient/{WEIGHT}"][1, 1] = odd
    assert together(RECORDING, "float64", ours).verdict == "different"


def test_of_a_port_that_lacks_a_gradient_or_has_another_shape_its_own_row_says_so():
    lacking = {name: value for name, value in GRADIENTS.items() if WEIGHT not in name}
    assert gradients_together(RECORDING, "float64", lacking) == []
    assert gradients_together(RECORDING, "float64", GRADIENTS | {f"gradient/{WEIGHT}": np.zeros((2, 2))}) == []
