"""Drives a port through the first points of each sketch alone.

These results are nearly local, even for a model that is chaotic over a whole sketch, and a port can answer them that
offers no single steps.
"""

from functools import partial
from typing import Any

import numpy as np

from parity_tests.adapter import Adapter, Arrays
from parity_tests.record.draws import PREFIXES
from parity_tests.record.mixtures import PARAMETERS
from parity_tests.record.quantities import PREFIX
from parity_tests.record.recording import Recording
from parity_tests.replay.answers import Answers, Replay, is_arrays


def replay_prefixes(recording: Recording, precision: str, port: Adapter) -> Answers:
    """mu and presig after each number of points, and the mixtures of the first points from the official z."""
    replay = Replay(recording, precision, port)
    sketches, z = replay.sketches(), None
    if replay.conditional:
        noise = replay.latent_noise()
        for length in PREFIXES:
            lengths = np.minimum(replay.inputs["lengths"], length)
            replay.answers.take(
                f"encode (first {length})",
                partial(_posterior, port, sketches[:, 1:], lengths, noise),
                ("mu", "presig"),
                f"{PREFIX}{length}/",
            )
        z = replay.official["eval/z"].copy()
    replay.answers.take(
        "decode (first points)",
        lambda: _only(port.decode(sketches[:, : max(PREFIXES)], z, {}), PARAMETERS),
        PARAMETERS,
        PREFIX,
    )
    return replay.answers


def _posterior(port: Adapter, strokes: np.ndarray, lengths: np.ndarray, draws: Arrays) -> Any:
    return _only(port.encode(strokes, lengths, draws), ("mu", "presig"))


def _only(answer: Any, names: tuple[str, ...]) -> Any:
    """The named arrays of an answer; whatever is no mapping of arrays is returned as it is."""
    return {name: answer[name] for name in names if name in answer} if is_arrays(answer) else answer
