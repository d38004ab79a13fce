"""Runs single steps and single functions of the official model on recorded values.

TensorFlow 1 can feed any tensor of a graph. So the official functions between two recorded tensors can run on recorded
values of either precision: the float64 graph, fed with float32 values, gives the truth of a float32 step.
"""

from typing import Any

import numpy as np

from parity_tests.official.magenta import rnn, tf
from parity_tests.official.probe import Probe, attach
from parity_tests.official.session import NOT_COMPUTED, Session
from parity_tests.record.layers import Layer, as_recorded, cell_scope, cotangents, layers_of, steps_of
from parity_tests.record.mixtures import PARAMETERS

Arrays = dict[str, np.ndarray]
CELL_CLASSES = {"lstm": rnn.LSTMCell, "layer_norm": rnn.LayerNormLSTMCell, "hyper": rnn.HyperLSTMCell}


class LocalGraph:
    """The local functions of one session's model, added to its graph."""

    def __init__(self, session: Session) -> None:
        self.session = session
        hparams = session.hparams.values()
        rows = session.train.hps.batch_size * session.train.hps.max_seq_len
        self.layers = {layer: StepGraph(session, layer, rows) for layer in layers_of(hparams)}
        train, probe = session.train, session.probe
        ends = {"head": probe.head} | ({"mu": train.mean, "presig": train.presig} if hparams["conditional"] else {})
        found = tf.gradients(train.cost, list(ends.values()), stop_gradients=list(ends.values()))
        self.loss_gradients = {f"loss/gradient/{name}": value for name, value in zip(ends, found, strict=True)}

    def computed(self, values: Arrays, inputs: Arrays, draws: Arrays, weights: Arrays, settings: dict) -> Arrays:
        """All local quantities.

        Args:
            values: recorded quantities to feed, in their precision.
            inputs: of the recording.
            draws: of the recording.
            weights: of the session; the optimizer's step starts from them.
            settings: the feed of the KL floor and the clip.
        """
        session = self.session
        session.assign(weights)
        result: Arrays = {}
        for layer, graph in self.layers.items():
            result |= graph.computed(layer, values, inputs, draws)
        if session.hparams.conditional:
            result |= self._latent(values, draws, settings)
        result |= self._output(values, inputs, draws, settings)
        result |= self._optimizer(values, inputs, weights, settings)
        return result

    def _latent(self, values: Arrays, draws: Arrays, settings: dict) -> Arrays:
        """mu and presig from the last states; z from them and the noise; the initial state from z; the KL costs."""
        run, train, probe = self.session.sess.run, self.session.train, self.session.probe
        states = {
            probe.quantities[f"encoder/{s}/final_state"]: values[f"train/encoder/{s}/final_state"] for s in _SIDES
        }
        mu, presig = run([train.mean, train.presig], states)
        noise = {probe.draws["latent"].placeholder: draws["latent"]}
        z = run(train.batch_z, noise | {train.mean: values["train/mu"], train.presig: values["train/presig"]})
        start = run(train.initial_state, {train.batch_z: values["train/z"]})
        result = {"train/mu": mu, "train/presig": presig, "train/z": z, "train/decoder/initial_state": start}
        for name, model in (("train", train), ("eval", self.session.eval)):
            fed = {model.mean: values[f"{name}/mu"], model.presig: values[f"{name}/presig"]}
            result[f"{name}/kl_cost"] = run(model.kl_cost, fed | settings)
        return result

    def _output(self, values: Arrays, inputs: Arrays, draws: Arrays, settings: dict) -> Arrays:
        """The output layer on hidden states; mixture, costs and their gradients from its official values."""
        session, train = self.session, self.session.train
        shape = values["train/head"].shape[:2]
        hidden = {session.probe.hidden: _rows(values["train/decoder/output"])}
        result = {"train/head": session.sess.run(session.probe.head, hidden)}
        fed = {
            session.probe.head: _rows(values["train/head"]),
            train.input_data: inputs["sketches"],
            train.kl_weight: inputs["kl_weight"],
        } | settings
        if session.hparams.conditional:
            fed |= {train.mean: values["train/mu"], train.presig: values["train/presig"]}
        mixture = {f"train/{name}": getattr(train, name) for name in PARAMETERS}
        costs = {"train/r_cost": train.r_cost, "train/cost": train.cost}
        result |= session.sess.run(mixture | costs | self.loss_gradients, fed)
        fed = {session.eval_probe.head: _rows(values["eval/head"]), session.eval.input_data: inputs["sketches"]}
        result["eval/r_cost"] = session.sess.run(session.eval.r_cost, fed)
        by_step = ("train/head", "loss/gradient/head", *mixture)
        return {n: v.reshape(*shape, -1) if n in by_step else np.asarray(v) for n, v in result.items()}

    def _optimizer(self, values: Arrays, inputs: Arrays, weights: Arrays, settings: dict) -> Arrays:
        """Clipping and Adam on the recorded gradients."""
        session = self.session
        gradients = {t: values[f"gradient/{name}"] for name, t in session.probe.raw_gradients.items()}
        fed = gradients | {session.train.lr: inputs["lr"]} | settings
        clipped = {f"optimizer/clipped/{name}": t for name, t in session.probe.clipped_gradients.items()}
        result, _ = session.sess.run([clipped, session.train.train_op], fed)
        after = {f"optimizer/after/{name}": value for name, value in session.read().items() if name not in NOT_COMPUTED}
        session.assign(weights)
        return result | {name: np.asarray(value) for name, value in after.items()}


class StepGraph:
    """One step of a layer's cell on a batch of rows, and its vector-Jacobian product."""

    def __init__(self, session: Session, layer: Layer, rows: int) -> None:
        self.sess = session.sess
        hparams = session.hparams.values()
        cell = CELL_CLASSES[hparams[layer.model]](
            hparams[layer.size],
            use_recurrent_dropout=hparams["use_recurrent_dropout"],
            dropout_keep_prob=hparams["recurrent_dropout_prob"],
        )
        scope = cell_scope(layer, hparams)
        variables = {n.removeprefix(scope): v for n, v in session.variables.items() if n.startswith(scope)}
        self._build(cell, layer.scope, tf.as_dtype(session.dtype), rows, variables)

    @classmethod
    def alone(cls, sess: Any, cell: Any, dtype: str, rows: int, width: int) -> "StepGraph":
        """The same for a cell that belongs to no model, with new variables."""
        graph = cls.__new__(cls)
        graph.sess = sess
        graph._build(cell, "", tf.as_dtype(dtype), rows, None, width)
        return graph

    def _build(
        self, cell: Any, scope: str, number: Any, rows: int, variables: dict[str, Any] | None, width: int | None = None
    ) -> None:
        probe = Probe()
        attach(probe, number.name)
        if variables is not None:
            width = variables["W_xh"].shape.as_list()[0]
        self.x = tf.placeholder(number, [rows, width])
        self.state = tf.placeholder(number, [rows, cell.state_size])
        self.mask = tf.placeholder(number, [rows, cell.num_units])
        masks = {"recurrent": self.mask} if cell.use_recurrent_dropout else {}
        if variables is None:
            _, _, self.values = probe.step(cell, self.x, self.state, masks)
            prefix = f"{type(cell).__name__}/"
            variables = {v.op.name.removeprefix(prefix): v for v in tf.trainable_variables()}
        else:
            with tf.variable_scope(scope, reuse=True):
                _, _, self.values = probe.step(cell, self.x, self.state, masks)
        self.variables = variables
        ends = {"x": self.x, "state": self.state} | variables
        self.cotangents = {n: tf.placeholder(number, self.values[n].shape) for n in ("output", "state")}
        found = tf.gradients(
            [self.values[n] for n in self.cotangents], list(ends.values()), list(self.cotangents.values())
        )
        self.vjp = dict(zip(ends, found, strict=True))

    def computed(self, layer: Layer, values: Arrays, inputs: Arrays, draws: Arrays) -> Arrays:
        """Every step of the layer, each from the recorded state before it, and its vector-Jacobian product."""
        steps = steps_of(layer, values, inputs, draws, np.float64)
        shape = steps.x.shape[:2]
        stepped, vjp = self.run(layer.name, *steps.flat())
        result = {}
        for name, value in stepped.items():
            shaped = value.reshape(*shape, -1)
            result[f"train/{layer.name}/{name}"] = as_recorded(layer, name, shaped, inputs, draws)
        for name, value in vjp.items():
            shaped = value.reshape(*shape, -1) if name in ("x", "state") else value
            result[f"vjp/{layer.name}/{name}"] = shaped
        return result

    def run(self, name: str, x: np.ndarray, state: np.ndarray, mask: np.ndarray | None) -> tuple[Arrays, Arrays]:
        """The steps' values, and their vector-Jacobian product with the cotangents of that name."""
        fed = {self.x: x, self.state: state} | ({} if mask is None else {self.mask: mask})
        for end, placeholder in self.cotangents.items():
            fed[placeholder] = cotangents(f"{name}/{end}", tuple(placeholder.shape.as_list()))
        return self.sess.run([self.values, self.vjp], fed)


_SIDES = ("fw", "bw")


def _rows(value: np.ndarray) -> np.ndarray:
    return value.reshape(-1, value.shape[-1])
