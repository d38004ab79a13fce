"""The error of each quantity at each time step, merged over several recordings."""

import numpy as np
from report_rows import EQUAL, NAN, a_row

from parity_tests.judge.row import Row
from parity_tests.record.quantities import FED
from parity_tests.report.profiles import merged, profiles


def with_profile(recording: str, quantity: str, precision: str, values: list, allowed: float = 0.5) -> Row:
    return a_row(recording, quantity, precision, profile=np.array(values), allowed=allowed)


def test_the_error_of_each_step_is_kept_for_each_side_and_precision_and_of_all_recordings_the_largest():
    rows = [
        with_profile("lstm/as_is", FED + "train/decoder/i", "float64", [0.5, 0.25]),
        with_profile("lstm/moved", FED + "train/decoder/i", "float64", [0.25, 0.75, 0.125]),
        with_profile("lstm/as_is", FED + "train/decoder/i", "float32", [[5.0, 6.0], [7.0, 8.0]]),
        with_profile("lstm/moved", FED + "train/decoder/i", "float32", [[6.0, 5.0], [3.0, 9.0]]),
        with_profile("cell/lstm", "i", "float32", [[1.5, 2.5], [9.0, 9.0]]),
        with_profile("data", "train/0/sketches", "exact", [0.0, 1.0]),
        with_profile("lstm/as_is", "train/mu", "float64", [1.0]),  # has no steps
        with_profile("lstm/as_is", "train/mu", "float32", [[1.0], [2.0], [3.0]]),
        EQUAL,
    ]
    assert profiles(rows) == {
        "train/decoder/i": {
            "float64": {"fed": [0.5, 0.75, 0.125], "allowed": [0.5, 0.5, 0.5]},
            "float32": {"fed": [6.0, 6.0], "official": [7.0, 9.0]},
        },
        "cell/lstm/i": {"float32": {"fed": [1.5, 2.5], "official": [9.0, 9.0]}},
        "train/0/sketches": {"exact": {"ours": [0.0, 1.0]}},
    }


def test_of_what_runs_freely_the_recording_counts_that_comes_closest_to_its_allowance():
    closest = [[2.0, 4.0, 1.0, 7.0], [3.0, 0.1, 1.0, 9.0], [30.0, 5.0, 9.0, NAN]]
    rows = [
        with_profile("lstm/as_is", "train/pi", "float64", [[9.0, 5.0, 2.0], [0.5, 1.0, 2.0], [20.0, 20.0, NAN]]),
        with_profile("lstm/as_is", FED + "train/pi", "float64", [0.25, 0.25, 0.25]),
        with_profile("lstm/moved", "train/pi", "float64", closest),
        with_profile("lstm/more", "train/pi", "float64", [[99.0], [99.0], [NAN]] * np.ones((3, 2))),
    ]
    for some in (rows, rows[::-1], rows[1:] + rows[:1]):
        found = profiles(some)["train/pi"]["float64"]
        wanted = dict(zip(("ours", "spread", "allowed"), closest, strict=True)) | {"fed": [0.25, 0.25, 0.25]}
        np.testing.assert_equal(found, wanted)
    unjudged = profiles(rows[-1:])["train/pi"]["float64"]
    np.testing.assert_equal(unjudged, {"ours": [99.0, 99.0], "spread": [99.0, 99.0], "allowed": [NAN, NAN]})
    # JSON holds infinity, an error beyond measure, as None
    near = {"ours": [1.0], "spread": [0.0], "allowed": [2.0]}
    wild = {"ours": [None], "spread": [None], "allowed": [9.0]}
    assert merged([near, wild]) == merged([wild, near]) == wild
