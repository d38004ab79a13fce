"""A conversion is held against what the official side read from the same file, and only against that."""

import numpy as np
import pytest
from sample_models import checkpoint, tiny

from parity_tests.judge.conversion import compare_converted
from parity_tests.record.recording import Recording
from weight_port.names import GLOBAL_STEP, table
from weight_port.source import open_source
from weight_port.tensor_bundle_writer import write_bundle

HPARAMS = tiny("lstm", "layer_norm")
EVERYTHING = checkpoint(HPARAMS, strays=())


def compared(tmp_path, held, read=EVERYTHING):
    """The verdicts for a checkpoint that holds some variables, of which the official graph read others."""
    write_bundle(tmp_path / "vector-9", {name: EVERYTHING[name] for name in held})
    HPARAMS.save(tmp_path / "model_config.json")
    recording = Recording("model", "own/as_is", HPARAMS.to_dict(), {}, {"weights": dict(read)})
    with open_source(tmp_path / "vector-9") as source:
        rows = compare_converted(source, tmp_path / "pytorch", recording)
    return {row.quantity.removeprefix("converted/"): row.verdict for row in rows}


def test_everything_that_a_checkpoint_holds_is_compared(tmp_path):
    verdicts = compared(tmp_path, EVERYTHING)
    skipped = {"vector_rnn/Variable", "vector_rnn/Variable_1"}
    assert verdicts == dict.fromkeys(EVERYTHING.keys() - skipped, "equal")


@pytest.mark.parametrize("step", [[], [GLOBAL_STEP]], ids=["weights", "weights and step"])
def test_slots_that_the_official_graph_made_itself_are_not_missing_in_a_checkpoint_without_them(tmp_path, step):
    held = [*table(HPARAMS).weights, *step]
    assert compared(tmp_path, held) == dict.fromkeys(held, "equal")


def test_another_number_is_different(tmp_path):
    name = "vector_rnn/RNN/output_w"
    read = EVERYTHING | {name: np.nextafter(EVERYTHING[name], np.float32(0))}
    verdicts = compared(tmp_path, EVERYTHING, read)
    assert verdicts.pop(name) == "different"
    assert set(verdicts.values()) == {"equal"}
