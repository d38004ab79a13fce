"""Recorded runs of the official trainer, and ports that err in them: shared by the tests of trainings."""

import copy

import numpy as np
from shipped import shipped

from parity_tests import ours
from parity_tests.record.quantities import COSTS
from pytorch_sketch_rnn.training.optim import POWERS
from weight_port.names import GLOBAL_STEP

RUNS = {name: recording for name, recording in shipped().items() if recording.kind == "training"}
LAYER_NORM, MIX = RUNS["training/layer_norm"], RUNS["training/mix"]
STEPS, SAVE_EVERY = 6, 3
DRIFT = "free run: drift of the weights"
DRIFTS = [DRIFT, *(f"free run: drift of {name}" for name in COSTS)]
VALIDATION = {f"validation/{name}" for name in COSTS}
OUTPUT_W = "vector_rnn/RNN/output_w"


def begin_of(recording, steps):
    """The first steps of a run, without its validations: enough for what shows at once."""
    short = copy.deepcopy(recording)
    del short.groups["float64"]["validation"]
    for group in ("float64", "float64_ensemble", "official_drift"):
        short.groups[group] = {name: values[:steps] for name, values in short.groups[group].items()}
    return short


SHORT = begin_of(LAYER_NORM, 2)


def fresh_of(recording):
    """The rows of the first step of a run that begins with an optimizer of its own."""
    return {n.replace("steps/", "fresh/", 1) for n in recording["float64"] if n.startswith("steps/after/")}


def one(rows, quantity):
    [row] = [row for row in rows if row.quantity == quantity]
    return row


def changed(method, change):
    """Our port, but for what one method answers."""

    def new(self, *args, **kwargs):
        return change(getattr(ours.Adapter, method)(self, *args, **kwargs))

    return type("Port", (ours.Adapter,), {method: new})()


def raising(error):
    def change(_):
        raise error

    return change


GRADIENT = f"steps/gradient/{OUTPUT_W}"


class LateSchedule(ours.Adapter):
    """The schedules are one step ahead."""

    def schedules(self, hparams, step):
        return super().schedules(hparams, step + 1)


class OtherOrder(ours.Adapter):
    """The rows of a batch come in another order."""

    def data(self, sets, hparams, rng, order):
        data = super().data(sets, hparams, rng, order)

        def random_batch():
            strokes, sketches, lengths = data.random_batch()
            return strokes[::-1], sketches[::-1].copy(), lengths[::-1].copy()

        return data._replace(random_batch=random_batch)


class ForgetsItsSlots(ours.Adapter):
    """Adam starts fresh at each step."""

    def load(self, hparams, variables):
        zeros = {n: np.zeros_like(v) if n.endswith(("/Adam", "/Adam_1")) else v for n, v in variables.items()}
        super().load(hparams, zeros)


class WrongStart(ours.Adapter):
    """A fresh optimizer's power of beta2 is that of beta1; one that is loaded has the powers that it is given."""

    def load(self, hparams, variables):
        super().load(hparams, variables)
        if GLOBAL_STEP not in variables:
            self.optimizer.set_powers(dict.fromkeys(POWERS, self.optimizer.powers()["beta1_power"]))
