"""Rows and scores that the tests of the report share."""

from parity_tests.judge.row import Row
from parity_tests.record.quantities import FED
from parity_tests.report.score import FalseAlarms, Score

INF, NAN = float("inf"), float("nan")


def a_row(recording: str, quantity: str, precision: str = "float64", verdict: str = "equal", **more) -> Row:
    """A row as a comparison would make it."""
    return Row(recording, quantity, precision, verdict, **{"error": 0.0, "allowed": 0.0, "where": {}} | more)


EQUAL = a_row(
    *("lstm/as_is", "train/mu"),
    **{"error": 1e-15, "allowed": 1e-10, "noise": 2e-14, "where": {"row": 0, "unit": 1}, "ours": 0.5, "theirs": 0.5},
)
SINGLE = a_row("lstm/as_is", "train/mu", "float32", error=1e-7, allowed=4e-7, official_error=2e-7, measure="rms")
EXACT = a_row("data", "train/0/lengths", "exact")
WORST = a_row(
    *("hyper/moved", "train/mu", "float64", "different"),
    **{"error": 0.25, "allowed": 1e-10, "where": {"row": 3, "unit": 7}, "ours": 1.5, "theirs": -2.5, "truth": -2.5},
)
LACKING = {"error": INF, "where": None, "note": "missing on the port"}
ABSENT = a_row("hyper/moved", "train/z", "float64", "not compared", **LACKING)
UNTESTED = a_row("lstm/as_is", "sample/greedy/pi", "float64", "untested", **LACKING)
GOOD = [EQUAL, SINGLE, EXACT]
LOCAL = a_row("lstm/as_is", FED + "train/decoder/h", error=1e-16, allowed=1e-10)
CHAOTIC = a_row(
    *("lstm/as_is", "train/decoder/h", "float64", "not judged"),
    **{"error": 1e-13, "allowed": 1e-10, "noise": 1e-14, "note": "chaotic from step 27 on: 1e-16 becomes 2e-06"},
)
DRAWN = a_row("initial/lstm", "distribution/output_w", "distribution", error=0.1, allowed=0.2)
OVERFLOWN = a_row(
    "lstm/as_is", "train/nll", "float32", "official overflow", error=1e-7, allowed=1e-2, note="not finite"
)

SCORE = Score(planted=5, killed=4, located=3, smallest={"mu": {"bug": "no bias", "effect": 1e-7}})
ALARMS = FalseAlarms(
    *(224, 1_500_000, 0, 812, 0.01328, 2.4e-5, 0.7, "a machine"),
    [{"name": "ours", "recordings": 224, "different": 0, "closest": 0.7}],
)
