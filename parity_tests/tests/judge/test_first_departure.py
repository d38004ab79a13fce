"""The departure that is reported first is the one that was computed first."""

import numpy as np
import pytest
from judging import INF, names_of, recording_of

from parity_tests.judge.compare import compare
from parity_tests.judge.first_departure import first_departure
from parity_tests.judge.row import Row
from parity_tests.record.quantities import FED


def test_the_first_departure_is_the_first_in_the_order_of_computation():
    names = ["train/z", "train/a", "train/m", "train/b"]
    ours = {name: np.ones(1) for name in names}
    recording = recording_of(**names_of(*sorted(names)))
    assert [r.quantity for r in compare(ours, recording, "float64")] == names
    assert first_departure(compare(ours, recording, "float64")) is None
    for wrong, first in (
        (["train/b", "train/m"], "train/m"),
        (["train/a", "train/z"], "train/z"),
        (["train/b"], "train/b"),
    ):
        bad = ours | {name: np.full(1, 2.0) for name in wrong}
        assert first_departure(compare(bad, recording, "float64")).quantity == first
    # what was not compared is reported too, after everything that was
    assert first_departure(compare({n: ours[n] for n in names[1:]}, recording, "float64")).quantity == "train/z"


def failed(quantity: str, step: int | None = None, recording: str = "lstm/as_is", precision: str = "float64") -> Row:
    where = {"row": 0} if step is None else {"row": 0, "step": step}
    return Row(recording, quantity, precision, "different", 1.0, 0.0, where=where)


def test_a_name_that_is_missing_is_named_only_where_nothing_departs():
    missing = Row("lstm/as_is", "eval/mu", "float64", "not compared", INF, 0.0)
    assert first_departure([missing, failed("encode")]).quantity == "encode"
    assert first_departure([missing]) is missing


def first_of(*rows: Row) -> tuple[str, str, str, int | None]:
    found = first_departure([Row("x", "train/0", "float64", "equal", 0.0, 0.0), *rows])
    return found.recording, found.precision, found.quantity, found.where.get("step")


@pytest.mark.parametrize("layer", ["train/encoder/fw", "train/encoder/bw", "train/decoder", "eval/decoder"])
def test_within_a_recurrent_layer_the_earliest_step_is_first_and_there_what_is_computed_first(layer):
    i, c, state = (f"{layer}/{name}" for name in ("i", "hyper_cell/c", "state"))
    assert first_of(failed(i, 3), failed(c, 2), failed(state, 2))[2:] == (c, 2)
    assert first_of(failed(i, 0), failed(c, 0), failed(state, 0))[2:] == (i, 0)
    assert first_of(failed(i, 9), failed("train/mu"), failed(c, 8), failed(state, 1))[2:] == (state, 1)


def test_between_layers_the_order_of_computation_counts_and_not_the_step():
    fw, bw, dec = ("train/encoder/fw/i", "train/encoder/bw/i", "train/decoder/i")
    assert first_of(failed(fw, 9), failed(bw, 5), failed(dec, 0))[2:] == (fw, 9)
    assert first_of(failed("train/mu"), failed(dec, 0))[2:] == ("train/mu", None)
    assert first_of(failed(dec, 4), failed("train/pi", 0), failed("eval/decoder/i", 0))[2:] == (dec, 4)
    # the initial state is no step of the layer
    assert first_of(failed("train/decoder/initial_state"), failed(dec, 0))[2] == "train/decoder/initial_state"
    assert first_of(failed(dec, 2), failed("train/decoder/final_state"))[2:] == (dec, 2)


def test_a_layer_of_another_recording_or_precision_is_another_layer():
    dec, c = "train/decoder/i", "train/decoder/c"
    assert first_of(failed(dec, 4), failed(c, 0, "lstm/moved"))[::3] == ("lstm/as_is", 4)
    assert first_of(failed(dec, 4), failed(c, 0, precision="float32"))[1::2] == ("float64", 4)


def test_what_was_fed_comes_last():
    dec, pi = "train/decoder/i", "train/pi"
    assert first_of(failed(FED + dec, 0), failed(pi, 3))[2:] == (pi, 3)
    assert first_of(failed(FED + dec, 3), failed(FED + "train/decoder/c", 1))[2:] == (FED + "train/decoder/c", 1)


def test_a_run_over_the_first_points_is_named_only_where_no_whole_run_departs():
    prefix, fed = failed("prefix/1/mu"), failed(FED + "train/mu")
    assert first_of(prefix, failed("eval/mu"))[2] == "eval/mu"
    assert first_of(fed, prefix)[2] == "prefix/1/mu"


def test_what_a_model_is_made_from_comes_before_it_and_trainings_come_last():
    ordered = [
        failed("converted/w", recording="lstm/as_is", precision="exact"),
        failed("variables/w", recording="lstm/moved", precision="exact"),
        failed("h", 2, "cell/lstm"),
        failed("train/0/sketches", recording="data", precision="exact"),
        failed("initial/w", recording="initial/lstm", precision="distribution"),
        failed("train/mu", recording="lstm/moved"),
        failed("train/mu", recording="lstm/moved", precision="float32"),
        failed("steps/cost", recording="training/lstm"),
    ]
    for start, expected in enumerate(ordered):
        for rows in (ordered[start:], ordered[start:][::-1]):
            assert first_departure(rows) is expected
