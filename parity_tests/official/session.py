"""The official graph of one model in one precision."""

import random
from typing import Any

import numpy as np

from parity_tests.official.magenta import CONFIG, rnn, tf
from parity_tests.official.magenta import model as official_model
from parity_tests.official.probe import Probe, attach
from parity_tests.record.configurations import SAMPLING_MODES, SAMPLING_SEEDS
from parity_tests.record.draws import PREFIXES, Wanted, draws_of
from parity_tests.record.mixtures import PARAMETERS
from weight_port.names import CONSTANTS, GLOBAL_STEP

# learning rate and KL weight are fed, not stored; the step is counted by the caller of a port
NOT_COMPUTED = (*CONSTANTS, GLOBAL_STEP)


def official_hparams(values: dict[str, Any]) -> Any:
    """The official HParams, with some values changed."""
    hparams = official_model.get_default_hparams()
    for name, value in values.items():
        hparams.set_hparam(name, value)
    return hparams


def set_hyper_sizes(hyper: dict[str, int]) -> None:
    """Change the default sizes of the official HyperLSTMCell; the official ``model.py`` does not pass any."""
    names = rnn.HyperLSTMCell.__init__.__code__.co_varnames[1 : rnn.HyperLSTMCell.__init__.__code__.co_argcount]
    defaults = dict(zip(names[1:], rnn.HyperLSTMCell.__init__.__defaults__, strict=True)) | hyper
    rnn.HyperLSTMCell.__init__.__defaults__ = tuple(defaults[name] for name in names[1:])


def load(sess: Any, values: dict[Any, np.ndarray]) -> None:
    """Set variables in a single run: TensorFlow walks the whole graph for every new set of fetches."""
    feed = {
        variable.initializer.inputs[1]: value.astype(variable.dtype.as_numpy_dtype)
        for variable, value in values.items()
    }
    sess.run([variable.initializer for variable in values], feed)


class Session:
    """The official graph in one precision: the training model, the evaluation model and the sampling model.

    ``kl_tolerance`` and ``grad_clip`` are placeholders, so one graph serves several values.

    Args:
        values: hyperparameters that differ from their defaults.
        hyper: sizes of the inner cell of HyperLSTMs.
        dtype: the precision.
        seed: of the initial weights.
        evaluate_as_trainer: the official trainer evaluates with ``is_training`` on, its notebook with it off.
        sess: class of the TensorFlow session; None: the ordinary one.
    """

    def __init__(
        self,
        values: dict[str, Any],
        hyper: dict[str, int],
        dtype: str,
        seed: int,
        *,
        evaluate_as_trainer: bool = False,
        sess: Any = None,
    ) -> None:
        self.dtype, self.hyper = dtype, hyper
        self.probe = Probe()
        self.eval_probe = Probe()
        attach(self.probe, dtype)
        set_hyper_sizes(hyper)
        tf.set_random_seed(seed)
        np.random.seed(seed)
        self.hparams = official_hparams(values)
        number = tf.as_dtype(dtype)
        self.kl_tolerance = tf.placeholder_with_default(tf.constant(self.hparams.kl_tolerance, number), [])
        self.grad_clip = tf.placeholder_with_default(tf.constant(self.hparams.grad_clip, number), [])
        self._build_models(evaluate_as_trainer)
        # built once: operations added at each call would make TensorFlow prepare the whole graph again each time
        self.outputs = {
            "train": self.probe.quantities | _outputs(self.train, self.probe),
            "eval": self.eval_probe.quantities | _outputs(self.eval, self.eval_probe),
        }
        self.sess = (tf.Session if sess is None else sess)(config=CONFIG)
        self.initializer = tf.global_variables_initializer()
        self.sess.run(self.initializer)

    def _build_models(self, evaluate_as_trainer: bool) -> None:
        """The training model, whose probe is attached already, then the other two, which share its variables."""
        evaluation = official_model.copy_hparams(self.hparams)
        for name in ("use_input_dropout", "use_recurrent_dropout", "use_output_dropout"):
            evaluation.set_hparam(name, False)
        evaluation.is_training = evaluate_as_trainer
        sampling = official_model.copy_hparams(evaluation)
        sampling.batch_size = sampling.max_seq_len = 1
        training = official_model.copy_hparams(self.hparams)
        for hparams in (training, evaluation, sampling):
            hparams.kl_tolerance, hparams.grad_clip = self.kl_tolerance, self.grad_clip
        self.train = official_model.Model(training)
        self.variables = {variable.op.name: variable for variable in tf.global_variables()}
        self.trainable = {variable.op.name for variable in tf.trainable_variables()}
        attach(self.eval_probe, self.dtype)
        self.eval = official_model.Model(evaluation, reuse=True)
        attach(Probe(), self.dtype)
        self.sampling = official_model.Model(sampling, reuse=True)

    def assign(self, weights: dict[str, np.ndarray]) -> None:
        """Set variables by their official names; every trainable one is required, slots may be left out."""
        missing = self.trainable - set(weights)
        if missing:
            raise ValueError(f"weights missing: {sorted(missing)}")
        load(self.sess, {self.variables[name]: value for name, value in weights.items() if name in self.variables})

    def read(self) -> dict[str, np.ndarray]:
        """Every variable by its official name."""
        return dict(zip(self.variables, self.sess.run(list(self.variables.values())), strict=True))

    def feed(self, inputs: dict[str, Any]) -> dict[Any, Any]:
        """The feed of the training model, without its draws."""
        return {
            self.train.input_data: inputs["sketches"],
            self.train.sequence_lengths: inputs["lengths"],
            self.train.lr: inputs["lr"],
            self.train.kl_weight: inputs["kl_weight"],
        }

    def training_step(
        self, feed: dict[Any, Any], draws: dict[str, np.ndarray], *, apply: bool = True
    ) -> dict[str, np.ndarray]:
        """Everything that one training step computes; ``apply``: whether the weights take the step."""
        fetches = {f"train/{name}": value for name, value in self.outputs["train"].items()}
        fetches |= {f"gradient/{name}": value for name, value in self.probe.raw_gradients.items()}
        fetches |= {f"clipped/{name}": value for name, value in self.probe.clipped_gradients.items()}
        feed = feed | self.fed(self.probe, draws, feed[self.train.sequence_lengths])
        result, _ = self.sess.run([fetches, self.train.train_op if apply else []], feed)
        keep = {name: draw.keep_prob for name, draw in self.probe.draws.items() if draw.keep_prob is not None}
        return result | {f"train/keep_prob/{name}": np.asarray(value, np.float32) for name, value in keep.items()}

    def evaluation(self, feed: dict[Any, Any], draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the evaluation model computes, all dropout off and the pen loss of the padding masked."""
        fetches = {f"eval/{name}": value for name, value in self.outputs["eval"].items()}
        layers = ("/output", "_state")  # the training step shows their intermediates
        fetches = {n: value for n, value in fetches.items() if n.count("/") == 1 or n.endswith(layers)}
        return self.sess.run(fetches, feed | self.fed(self.eval_probe, draws, feed[self.eval.sequence_lengths]))

    def prefixes(self, feed: dict[Any, Any], draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """mu and presig of the first few points alone, which are nearly local even in a chaotic model."""
        result: dict[str, np.ndarray] = {}
        for length in PREFIXES if self.hparams.conditional else ():
            lengths = np.minimum(feed[self.eval.sequence_lengths], length)
            short = feed | {self.eval.sequence_lengths: lengths}
            wanted = {f"prefix/{length}/mu": self.eval.mean, f"prefix/{length}/presig": self.eval.presig}
            result |= self.sess.run(wanted, short | self.fed(self.eval_probe, draws, lengths))
        return result

    def wanted(self, probe: Probe) -> dict[str, Wanted]:
        """The random inputs of a model: masks [T, B, n] in the order in which a cell takes the steps."""
        result = {}
        for name, draw in probe.draws.items():
            shape = tuple(draw.placeholder.shape.as_list())
            if draw.keep_prob is not None:
                shape = (shape[1], shape[0], shape[2])
            result[name] = Wanted(shape, draw.keep_prob)
        return result

    def draws(self, seed: int, step: int = 0) -> dict[str, np.ndarray]:
        """The random inputs of a training step."""
        return draws_of(self.wanted(self.probe), seed, step)

    @staticmethod
    def fed(probe: Probe, draws: dict[str, np.ndarray], lengths: np.ndarray) -> dict[Any, np.ndarray]:
        """The feed of the draws: masks [B, T, n], those of the backward encoder in the order of the sketch."""
        feed = {}
        for name, draw in probe.draws.items():
            value = draws[name]
            if draw.keep_prob is not None:
                value = value.transpose(1, 0, 2)
            if name.startswith("encoder/bw/"):
                value = np.stack([np.concatenate([m[:n][::-1], m[n:]]) for m, n in zip(value, lengths, strict=True)])
            feed[draw.placeholder] = value
        return feed

    def samples(self, seq_len: int) -> dict[str, np.ndarray]:
        """Official samples, greedy and at a temperature.

        A mode in which the official code itself fails is left out: a diverging model draws points so far apart that
        NumPy cannot draw normal numbers with their covariance.
        """
        result = {}
        for mode, options in SAMPLING_MODES.items():
            random.seed(SAMPLING_SEEDS["uniform"])
            np.random.seed(SAMPLING_SEEDS["normal"])
            try:
                strokes, parameters = official_model.sample(self.sess, self.sampling, seq_len=seq_len, **options)
            except np.linalg.LinAlgError:
                continue
            result[f"sample/{mode}/strokes"] = strokes
            # the next number of either generator tells how many were drawn
            result[f"sample/{mode}/next_uniform"] = np.asarray(random.random())
            result[f"sample/{mode}/next_normal"] = np.asarray(np.random.random())
            for name, values in zip(PARAMETERS, zip(*parameters, strict=True), strict=False):
                result[f"sample/{mode}/{name}"] = np.stack(values)
        return result

    def drawn(self, seq_len: int, seed: int) -> np.ndarray:
        """A sketch drawn by official sampling, stroke-3 [n, 3], up to its end or ``seq_len`` points."""
        random.seed(seed)
        np.random.seed(seed)
        strokes, _ = official_model.sample(self.sess, self.sampling, seq_len=seq_len)
        ends = np.flatnonzero(strokes[:, 4])
        points = max(1, int(ends[0])) if ends.size else seq_len
        return np.stack([strokes[:points, 0], strokes[:points, 1], strokes[:points, 3]], axis=1)


def _outputs(model: Any, probe: Probe) -> dict[str, Any]:
    batch, steps = model.hps.batch_size, model.hps.max_seq_len
    outputs = {"head": tf.reshape(probe.head, [batch, steps, -1])}
    outputs |= {name: tf.reshape(getattr(model, name), [batch, steps, -1]) for name in PARAMETERS}
    outputs["r_cost"], outputs["kl_cost"] = model.r_cost, model.kl_cost
    if model.hps.is_training:
        outputs["cost"] = model.cost
    if model.hps.conditional:
        outputs |= {"mu": model.mean, "presig": model.presig, "z": model.batch_z}
        outputs["decoder/initial_state"] = model.initial_state
    return outputs
