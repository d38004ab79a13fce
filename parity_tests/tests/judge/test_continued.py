"""A training that is handed back to the official code: both sides take the same next step, and a wrong export shows."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from parity_tests.adapter import OURS, load_adapter
from parity_tests.judge.continued import hand_back, judge_continued
from parity_tests.record.launch import require_oracle, run_official
from parity_tests.record.recording import FOLDER, Recording
from parity_tests.replay.training import state_before, with_step
from pytorch_sketch_rnn.errors import BadInput
from weight_port.export import checkpoint

PATH = FOLDER / "training-mix.h5"  # an LSTM encoder, a hyper decoder
STEP = 3


def continued(folder: Path) -> dict[str, str]:
    """The verdicts on the step after the next."""
    try:
        require_oracle()
    except BadInput as error:
        pytest.skip(str(error))
    recording = Recording.load(PATH)
    variables = with_step(state_before(recording, STEP), STEP)
    handed = hand_back(recording, PATH, load_adapter(OURS), variables, folder)
    run_official([handed.task], folder, "continued")
    assert handed.answer.step == STEP + 1
    rows = judge_continued(handed)
    assert {row.recording for row in rows} == {recording.name}
    return {row.quantity: row.verdict for row in rows}


def test_the_official_code_takes_the_step_that_we_take(tmp_path):
    verdicts = continued(tmp_path)
    assert set(verdicts.values()) == {"equal"}
    of_every_variable = {name for name in Recording.load(PATH)["float64"] if name.startswith("steps/after/")}
    assert verdicts.keys() >= {name.replace("steps/", "continued/") for name in of_every_variable}
    assert verdicts.keys() >= {f"continued/{name}" for name in ("cost", "r_cost", "kl_cost", "sketches", "lr")}


def test_a_wrong_export_is_different(tmp_path):
    written = checkpoint.official_variables

    def swapped(*arguments: object) -> dict[str, np.ndarray]:
        variables = written(*arguments)
        slot = "vector_rnn/vector_rnn/RNN/output_b/Adam"
        return variables | {slot: variables[f"{slot}_1"], f"{slot}_1": variables[slot]}

    with patch.object(checkpoint, "official_variables", swapped):
        verdicts = continued(tmp_path)
    wrong = {name for name, verdict in verdicts.items() if verdict == "different"}
    # NaN where m took the place of v, which must not be negative
    assert wrong == {f"continued/after/vector_rnn/{name}" for name in (
        "RNN/output_b", "vector_rnn/RNN/output_b/Adam", "vector_rnn/RNN/output_b/Adam_1")}  # fmt: skip
