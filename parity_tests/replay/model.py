"""Drives a port through a recording: what the official code computed there, the port computes again.

Quantities come in the order in which they are computed. Here the port runs freely, from the recorded inputs, so that an
early error carries into everything after it. Single steps and functions on official values are in
:mod:`parity_tests.replay.local`.
"""

import random
from functools import partial
from typing import Any

import numpy as np

from parity_tests.adapter import Adapter, Arrays
from parity_tests.record.configurations import SAMPLING_MODES, SAMPLING_SEEDS
from parity_tests.record.mixtures import DENSITY_PARAMETERS, PARAMETERS, nll
from parity_tests.record.quantities import COSTS, VARIABLES
from parity_tests.record.recording import Recording
from parity_tests.replay.answers import Answers, Replay, in_precision
from parity_tests.replay.data import replay_data
from parity_tests.replay.local import replay_cell, replay_local
from parity_tests.replay.prefixes import replay_prefixes

OF_EACH_VARIABLE = ("gradient/", "clipped/", "after/")  # prefixes of what a training step gives for each variable


def replay(recording: Recording, precision: str, port: Adapter) -> Answers:
    """Compute what a recording holds.

    Args:
        recording: of a cell, a data loader or a model.
        precision: ``float64`` or ``float32``; for data and masks ``exact``.
        port: the port.
    """
    if recording.kind == "cell":  # its "exact" group holds the values of a mask; see parity_tests.judge.proof
        return Answers() if precision == "exact" else replay_cell(recording, precision, port)
    if recording.kind == "data":
        return replay_data(recording, port)
    return replay_model(recording, precision, port)


def replay_model(recording: Recording, precision: str, port: Adapter) -> Answers:
    """The loaded weights, every local function, the first points, an evaluation, some sampling and a training step."""
    model = ModelReplay(recording, precision, port)
    answers = model.answers
    if not model.load("load"):
        answers.absorb(replay_local(recording, precision, port))  # cells need no model
        return answers
    if precision == "float64":
        answers.take("variables", port.variables, (), VARIABLES)
    local = replay_local(recording, precision, port)
    if model.load("load (a second time)"):  # the optimizer's step changed the weights
        answers.absorb(replay_prefixes(recording, precision, port))
        model.evaluation()
        model.sampling()
        model.training_step()
    answers.absorb(local)
    return answers


class ModelReplay(Replay):
    """The free runs of one model."""

    def load(self, what: str) -> bool:
        """Load the recorded weights; returns whether the port could."""
        weights = in_precision(self.recording["weights"], self.precision)

        def load() -> Arrays:
            self.port.load(dict(self.hparams), {name: value.copy() for name, value in weights.items()})
            return {}

        self.answers.take(what, load, ())
        return what not in self.answers.broken and what not in self.answers.untested

    def evaluation(self) -> None:
        """All dropout off, the pen loss of the padding masked."""
        noise = self.latent_noise() if self.conditional else {}
        decoded, targets, latent = self._forward(self.answers, "eval/", noise, {}, prefix="eval/")
        self._drop_unrecorded("eval/")
        self.answers.arrays |= self._likelihood("eval/")
        self._loss(self.answers, decoded, targets, latent, prefix="eval/", is_training=False)

    def _forward(
        self, answers: Answers, run: str, encoder_draws: Arrays, decoder_draws: Arrays, *, prefix: str
    ) -> tuple[Arrays, np.ndarray, Arrays | None]:
        """Encode and decode; official values of the run replace what the port's encoder did not answer.

        Returns:
            What the port decoded, the targets, and the latent values (None for an unconditional model).
        """
        port, sketches, lengths = self.port, self.sketches(), self.inputs["lengths"].copy()
        targets, latent = sketches[:, 1:], None
        if self.conditional:
            names = ("mu", "presig", "z")
            latent = answers.take("encode", lambda: port.encode(targets, lengths, encoder_draws), names, prefix)
            latent = {name: latent.get(name, self.official[f"{run}{name}"].copy()) for name in names}
        z = None if latent is None else latent["z"]
        decoded = answers.take("decode", lambda: port.decode(sketches[:, :-1], z, decoder_draws), PARAMETERS, prefix)
        return decoded, targets, latent

    def _loss(
        self,
        answers: Answers,
        decoded: Arrays,
        targets: np.ndarray,
        latent: Arrays | None,
        *,
        prefix: str,
        is_training: bool,
    ) -> None:
        if set(PARAMETERS) <= set(decoded):
            answers.take(
                "loss", lambda: self.port.loss(decoded, targets, latent, is_training=is_training), COSTS[1:], prefix
            )

    def _likelihood(self, prefix: str) -> Arrays:
        """Negative log-likelihood of the targets; none if the mixture is malformed, which its own rows report."""
        arrays, names = self.answers.arrays, {name: f"{prefix}{name}" for name in DENSITY_PARAMETERS}
        if not all(
            n in arrays and arrays[n].shape == self.official[n].shape and arrays[n].dtype.kind == "f"
            for n in names.values()
        ):
            return {}
        return {f"{prefix}nll": nll({name: arrays[n] for name, n in names.items()}, self.sketches()[:, 1:])}

    def _drop_unrecorded(self, prefix: str) -> None:
        """Drop intermediates that were recorded only of the training step, not of the evaluation."""
        arrays = self.answers.arrays
        for name in [name for name in arrays if name.startswith((f"{prefix}encoder/", f"{prefix}decoder/"))]:
            if name not in self.official and f"train/{name.removeprefix(prefix)}" in self.official:
                del arrays[name]

    def sampling(self) -> None:
        """Sketches from the official seeds; the next number of either generator tells how many were drawn."""
        for mode, options in SAMPLING_MODES.items():
            if f"sample/{mode}/strokes" not in self.official:
                continue  # the official code could not sample from this model; the recording's provenance says so
            seq_len = len(self.official[f"sample/{mode}/strokes"])
            temperature, greedy = options["temperature"], bool(options["greedy_mode"])
            uniform = random.Random(SAMPLING_SEEDS["uniform"])
            normal = np.random.RandomState(SAMPLING_SEEDS["normal"])
            drawn = self.answers.take(
                f"sample ({mode})",
                partial(self.port.sample, seq_len, temperature, greedy, uniform, normal),
                required=("strokes", *DENSITY_PARAMETERS),
                prefix=f"sample/{mode}/",
            )
            if drawn:
                self.answers.arrays[f"sample/{mode}/next_uniform"] = np.asarray(uniform.random())
                self.answers.arrays[f"sample/{mode}/next_normal"] = np.asarray(normal.random_sample())

    def training_step(self) -> None:
        """Forward pass with every intermediate, costs, gradients, clipped gradients, and the state after the step."""
        port, inputs = self.port, self.inputs
        draws, sketches = self.draws(), self.sketches()
        lr: Any = inputs["lr"]  # an array without axes, float64 in both precisions
        kl_weight: Any = inputs["kl_weight"]
        taken = Answers()
        taken.take(
            "train_step",
            lambda: port.train_step(sketches, inputs["lengths"].copy(), draws, lr, kl_weight),
            required=COSTS,
        )
        lacking = self._lacking(taken.arrays)
        if lacking:
            taken.broken["train_step"] = f"the answer lacks {', '.join(lacking[:3])} ({len(lacking)} in all)"
        if taken.untested:
            self._forward_alone(taken, draws)
        self.answers.broken |= taken.broken
        self.answers.untested |= taken.untested
        # the cost is the sum of the other two, whatever order a port answers in
        forward = sorted((n for n in taken.arrays if not n.startswith(OF_EACH_VARIABLE)), key=lambda n: n == "cost")
        self.answers.arrays |= {f"train/{name}": taken.arrays[name] for name in forward}
        for name, value in taken.arrays.items():
            # in float32 it was not recorded, see official/record_model.py
            unrecorded = name.startswith("after/") and self.precision == "float32"
            if name.startswith(OF_EACH_VARIABLE) and not unrecorded:
                self.answers.arrays[name] = value
        self.answers.arrays |= self._likelihood("train/")

    def _lacking(self, answer: Arrays) -> list[str]:
        """Names that are missing: a port answers a kind such as gradients for every variable or for none."""
        result = []
        for kind in OF_EACH_VARIABLE:
            wanted = [name for name in self.official if name.startswith(kind)]
            if any(name in answer for name in wanted):
                result += [name for name in wanted if name not in answer]
        return result

    def _forward_alone(self, taken: Answers, draws: Arrays) -> None:
        """Forward pass and costs of the training model, for a port that cannot train."""
        decoded, targets, latent = self._forward(taken, "train/", draws, draws, prefix="")
        self._loss(taken, decoded, targets, latent, prefix="", is_training=True)
