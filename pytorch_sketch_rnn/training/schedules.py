"""Schedules as pure functions of the step, which counts from 0.

Source: Magenta ``sketch_rnn_train.py`` (``train``).
"""

from pytorch_sketch_rnn.hparams import HParams


def learning_rate(hparams: HParams, step: int) -> float:
    """Decays from learning_rate towards min_learning_rate."""
    span = hparams.learning_rate - hparams.min_learning_rate
    return span * hparams.decay_rate**step + hparams.min_learning_rate


def kl_weight(hparams: HParams, step: int) -> float:
    """Grows from kl_weight_start towards kl_weight."""
    return hparams.kl_weight - (hparams.kl_weight - hparams.kl_weight_start) * hparams.kl_decay_rate**step
