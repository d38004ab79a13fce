"""Records what the official code computes: one training step, one evaluation, some sampling, from given weights."""

import random
from typing import Any

import numpy as np

from parity_tests.official.probe import Probe, attach
from parity_tests.official.provenance import provenance
from parity_tests.official.standin import model as official_model
from parity_tests.official.standin import rnn, tf, utils
from parity_tests.recording import Recording

DTYPES = ("float64", "float32")
MIXTURE = ("pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen", "pen_logits")
SAMPLING_MODES = {"greedy": (1.0, True), "sampled": (0.6, False)}  # temperature, greedy
SAMPLING_SEEDS = {"uniform": 17, "normal": 23}
KEEP_PROB = 0.9  # of the recurrent dropout of a cell on its own
FED_VARIABLES = ("vector_rnn/Variable", "vector_rnn/Variable_1")  # learning rate and KL weight: fed, never stored


def official_hparams(values: dict[str, Any]) -> Any:
    """The official HParams with some values changed."""
    hparams = official_model.get_default_hparams()
    for name, value in values.items():
        hparams.set_hparam(name, value)
    return hparams


class Session:
    """The official graph in one precision: the training model, the evaluation model and the sampling model.

    ``kl_tolerance`` and ``grad_clip`` are placeholders, so that one graph serves several values of them.
    """

    def __init__(self, values: dict[str, Any], hyper: dict[str, int], dtype: str, seed: int) -> None:
        self.dtype = dtype
        self.probe = Probe()
        self.eval_probe = Probe()
        attach(self.probe, dtype)
        set_hyper_sizes(hyper)
        tf.reset_default_graph()
        tf.set_random_seed(seed)
        np.random.seed(seed)
        self.hparams = official_hparams(values)
        number = tf.as_dtype(dtype)
        self.kl_tolerance = tf.placeholder_with_default(tf.constant(self.hparams.kl_tolerance, number), [])
        self.grad_clip = tf.placeholder_with_default(tf.constant(self.hparams.grad_clip, number), [])
        evaluation = official_model.copy_hparams(self.hparams)
        for name in ("use_input_dropout", "use_recurrent_dropout", "use_output_dropout", "is_training"):
            evaluation.set_hparam(name, False)
        sampling = official_model.copy_hparams(evaluation)
        sampling.batch_size = sampling.max_seq_len = 1
        train_hparams = official_model.copy_hparams(self.hparams)
        for hparams in (train_hparams, evaluation, sampling):
            hparams.kl_tolerance, hparams.grad_clip = self.kl_tolerance, self.grad_clip
        self.train = official_model.Model(train_hparams)
        self.variables = {variable.op.name: variable for variable in tf.global_variables()}
        self.trainable = {variable.op.name for variable in tf.trainable_variables()}
        attach(self.eval_probe, dtype)
        self.eval = official_model.Model(evaluation, reuse=True)
        attach(Probe(), dtype)
        self.sampling = official_model.Model(sampling, reuse=True)
        self.sess = tf.Session()
        self.sess.run(tf.global_variables_initializer())

    def assign(self, weights: dict[str, np.ndarray]) -> None:
        """Set variables by their official names; all trainable ones must be given, slots may be left out."""
        missing = self.trainable - set(weights)
        if missing:
            raise ValueError(f"weights missing: {sorted(missing)}")
        for name, variable in self.variables.items():
            if name in weights:
                variable.load(weights[name].astype(variable.dtype.as_numpy_dtype), self.sess)

    def read(self) -> dict[str, np.ndarray]:
        """Every variable by its official name."""
        return dict(zip(self.variables, self.sess.run(list(self.variables.values())), strict=True))

    def feed(self, inputs: dict[str, Any]) -> dict[Any, Any]:
        """What the training model is fed besides its draws."""
        return {
            self.train.input_data: inputs["sketches"],
            self.train.sequence_lengths: inputs["lengths"],
            self.train.lr: inputs["lr"],
            self.train.kl_weight: inputs["kl_weight"],
        }

    def training_step(self, feed: dict[Any, Any], draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Everything that one training step computes."""
        fetches = {f"train/{name}": value for name, value in (self.probe.quantities | _outputs(self.train)).items()}
        fetches |= {f"gradient/{name}": value for name, value in self.probe.raw_gradients.items()}
        fetches |= {f"clipped/{name}": value for name, value in self.probe.clipped_gradients.items()}
        feed = feed | self._fed(self.probe, draws, feed[self.train.sequence_lengths])
        result, _ = self.sess.run([fetches, self.train.train_op], feed)
        return result

    def evaluation(self, feed: dict[Any, Any], draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the evaluation model computes, all dropout off and the pen loss of the padding masked."""
        fetches = {f"eval/{name}": value for name, value in (self.eval_probe.quantities | _outputs(self.eval)).items()}
        layers = ("/output", "_state")  # the training step shows what is inside them
        fetches = {n: value for n, value in fetches.items() if n.count("/") == 1 or n.endswith(layers)}
        return self.sess.run(fetches, feed | self._fed(self.eval_probe, draws, feed[self.eval.sequence_lengths]))

    def draws(self, seed: int) -> dict[str, np.ndarray]:
        """Random numbers for a step: masks [T, B, n] in the order in which a cell takes the steps, noise [B, z]."""
        result = {}
        for index, (name, draw) in enumerate(sorted(self.probe.draws.items())):
            rng = np.random.RandomState([seed, index])
            shape = draw.placeholder.shape.as_list()
            if draw.keep_prob is None:
                result[name] = rng.normal(size=shape).astype(np.float32)
            else:
                batch, steps, width = shape
                result[name] = _mask(rng, (steps, batch, width), draw.keep_prob)
        return result

    @staticmethod
    def _fed(probe: Probe, draws: dict[str, np.ndarray], lengths: np.ndarray) -> dict[Any, np.ndarray]:
        """The draws as the graph wants them: masks [B, T, n], those of the backward encoder in the sketch's order."""
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
        """What official sampling draws, greedy and at a temperature."""
        result = {}
        for mode, (temperature, greedy) in SAMPLING_MODES.items():
            random.seed(SAMPLING_SEEDS["uniform"])
            np.random.seed(SAMPLING_SEEDS["normal"])
            strokes, parameters = official_model.sample(
                self.sess, self.sampling, seq_len=seq_len, temperature=temperature, greedy_mode=greedy
            )
            result[f"sample/{mode}/strokes"] = strokes
            for name, values in zip(MIXTURE, zip(*parameters, strict=True), strict=False):
                result[f"sample/{mode}/{name}"] = np.stack(values)
        return result


def _outputs(model: Any) -> dict[str, Any]:
    batch, steps = model.hps.batch_size, model.hps.max_seq_len
    outputs = {name: tf.reshape(getattr(model, name), [batch, steps, -1]) for name in MIXTURE}
    outputs["r_cost"], outputs["kl_cost"] = model.r_cost, model.kl_cost
    if model.hps.is_training:
        outputs["cost"] = model.cost
    if model.hps.conditional:
        outputs |= {"mu": model.mean, "presig": model.presig, "z": model.batch_z}
        outputs["decoder/initial_state"] = model.initial_state
    return outputs


def _mask(rng: np.random.RandomState, shape: tuple[int, ...], keep_prob: float) -> np.ndarray:
    """0 or 1 / keep probability, as float32 rounds it, which both precisions then share."""
    return ((rng.random_sample(shape) < keep_prob) / keep_prob).astype(np.float32)


def dropout_values(keep_prob: float, seed: int) -> set[float]:
    """What official dropout makes of ones, so that the masks fed in its stead can be held against it."""
    with tf.Graph().as_default(), tf.Session() as sess:
        return set(np.unique(sess.run(tf.nn.dropout(tf.ones([1000]), rate=1 - keep_prob, seed=seed))).tolist())


def set_hyper_sizes(hyper: dict[str, int]) -> None:
    """Give the official HyperLSTMCell other default sizes: its ``model.py`` never names them."""
    names = rnn.HyperLSTMCell.__init__.__code__.co_varnames[1 : rnn.HyperLSTMCell.__init__.__code__.co_argcount]
    defaults = dict(zip(names[1:], rnn.HyperLSTMCell.__init__.__defaults__, strict=True)) | hyper
    rnn.HyperLSTMCell.__init__.__defaults__ = tuple(defaults[name] for name in names[1:])


def moved(weights: dict[str, np.ndarray], trainable: set[str], scale: float, seed: int) -> dict[str, np.ndarray]:
    """Weights with seeded noise on every trainable variable, rounded to float32 so that both precisions share them.

    The noise has the standard deviation ``scale``, for matrices divided by the root of their rows, so that it moves
    what they give by the same amount at any size.
    """
    rng = np.random.RandomState(seed)
    result = dict(weights)
    for name in sorted(trainable):
        value = weights[name]
        deviation = scale / np.sqrt(len(value)) if value.ndim == 2 else scale
        result[name] = (value + rng.normal(0.0, deviation, value.shape)).astype(np.float32)
    return result


def make_batch(strokes: list[np.ndarray], batch: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The beginnings of real sketches as Magenta pads them, of 1 point, of all steps, and of lengths in between."""
    rng = np.random.RandomState(seed)
    lengths = np.concatenate([[1], rng.randint(2, steps, size=batch - 2), [steps]])
    sketches = []
    for length, index in zip(lengths, rng.permutation(len(strokes)), strict=False):
        repeated = np.concatenate([strokes[index]] * (length // len(strokes[index]) + 1))
        sketches.append(repeated[:length])
    return utils.DataLoader([], batch, steps).pad_batch(sketches, steps), lengths


def record_model(job: dict[str, Any]) -> list[Recording]:
    """One model in both precisions: with its weights as they are, and moved by noise; all else is shared.

    Moved, the KL cost lies above its floor and the clip bites.
    """
    values, seed = job["hparams"], job["seed"]
    sketches, lengths = make_batch(job["strokes"], values["batch_size"], values["max_seq_len"], seed)
    inputs = {
        "sketches": sketches, "lengths": lengths, "lr": np.float32(0.01), "kl_weight": np.float32(0.3)
    }  # fmt: skip
    recordings: dict[str, Recording] = {}
    for dtype in DTYPES:
        session = Session(values, job["hyper"], dtype, seed)
        if dtype == DTYPES[0]:
            draws = session.draws(seed)
            as_is = read_weights(job["weights"], session)
            weights = {"as_is": as_is, "moved": moved(as_is, session.trainable, job["noise"], seed)}
            clip = _clip_that_bites(session, weights["moved"], inputs, draws)
            changes = {"as_is": {}, "moved": {"kl_tolerance": 0.0, "grad_clip": clip}}
            for variant in weights:
                recordings[variant] = Recording(
                    kind="model",
                    name=f"{job['name']}/{variant}",
                    hparams=session.hparams.values() | changes[variant] | job["hyper"],
                    provenance=provenance(seed),
                    groups={"weights": weights[variant], "inputs": inputs, "draws": draws},
                )
        for recording in recordings.values():
            session.assign(recording["weights"])
            recording.groups[dtype] = _computed(session, recording, job["sample_len"])
    return list(recordings.values())


def _computed(session: Session, recording: Recording, sample_len: int) -> dict[str, np.ndarray]:
    inputs, draws = recording["inputs"], recording["draws"]
    settings = {
        session.kl_tolerance: recording.hparams["kl_tolerance"],
        session.grad_clip: recording.hparams["grad_clip"],
    }
    result = session.evaluation(
        {session.eval.input_data: inputs["sketches"], session.eval.sequence_lengths: inputs["lengths"]} | settings,
        draws,
    )
    result |= session.samples(sample_len)
    result |= session.training_step(session.feed(inputs) | settings, draws)
    if session.dtype == "float64":  # in float32 a step of Adam turns noise in tiny gradients into whole steps
        result |= {f"after/{name}": value for name, value in session.read().items() if name not in FED_VARIABLES}
    return {name: np.asarray(value) for name, value in result.items()}


def _clip_that_bites(
    session: Session, weights: dict[str, np.ndarray], inputs: dict[str, Any], draws: dict[str, np.ndarray]
) -> float:
    """A tenth of the largest gradient: less would blow up, relative to what is left, the rounding of what is cut."""
    session.assign(weights)
    feed = session.feed(inputs) | {session.kl_tolerance: 0.0}
    feed |= session._fed(session.probe, draws, inputs["lengths"])
    gradients = session.sess.run(list(session.probe.raw_gradients.values()), feed)
    return float(np.float32(0.1 * max(np.abs(gradient).max() for gradient in gradients)))


def read_weights(source: str, session: Session) -> dict[str, np.ndarray]:
    """Variables by their official names, as official code reads them from a checkpoint, or from a recording's group.

    A recording serves models that never were a checkpoint; slots that it lacks keep their initial values.
    """
    if source.endswith(".h5"):
        weights = Recording.load(source)["weights"]
    else:
        reader = tf.train.load_checkpoint(source)
        weights = {name: reader.get_tensor(name) for name in session.variables if reader.has_tensor(name)}
    return session.read() | weights


def record_cell(kind: str, sizes: dict[str, int], hyper: dict[str, int], seed: int) -> Recording:
    """One official cell on its own, step by step from seeded weights far from their initial values.

    Args:
        kind: lstm, layer_norm or hyper.
        sizes: ``input``, ``units``, ``batch`` and ``steps``.
        hyper: sizes of the inner cell, for hyper.
        seed: of the weights, the inputs, the first state and the masks.
    """
    rng = np.random.RandomState(seed)
    batch, steps, units = sizes["batch"], sizes["steps"], sizes["units"]
    x = rng.normal(size=(batch, steps, sizes["input"])).astype(np.float32)
    masks = _mask(rng, (steps, batch, units), KEEP_PROB)
    groups: dict[str, dict[str, np.ndarray]] = {"inputs": {"x": x}, "draws": {"recurrent": masks}}
    for dtype in DTYPES:
        _build_cell_graph(kind, sizes, hyper, dtype, seed, groups)
    return Recording("cell", f"cell/{kind}", {"cell": kind, **sizes, **hyper}, provenance(seed), groups)


def _build_cell_graph(
    kind: str,
    sizes: dict[str, int],
    hyper: dict[str, int],
    dtype: str,
    seed: int,
    groups: dict[str, dict[str, np.ndarray]],
) -> None:
    """Step the cell in one precision and add what it computes, and in the first one its weights and state, to groups."""
    probe = Probe()
    attach(probe, dtype)
    set_hyper_sizes(hyper)
    tf.reset_default_graph()
    tf.set_random_seed(seed)
    np.random.seed(seed)
    number = tf.as_dtype(dtype)
    cell = {"lstm": rnn.LSTMCell, "layer_norm": rnn.LayerNormLSTMCell, "hyper": rnn.HyperLSTMCell}[kind](
        sizes["units"], use_recurrent_dropout=True, dropout_keep_prob=KEEP_PROB
    )
    x = tf.placeholder(number, [sizes["batch"], sizes["input"]])
    state = tf.placeholder(number, [sizes["batch"], cell.state_size])
    mask = tf.placeholder(number, [sizes["batch"], sizes["units"]])
    _, _, values = probe.step(cell, x, state, {"recurrent": mask})
    variables = {variable.op.name: variable for variable in tf.trainable_variables()}
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        if "weights" not in groups:
            initial = dict(zip(variables, sess.run(list(variables.values())), strict=True))
            groups["weights"] = moved(initial, set(variables), 0.5, seed)
            first = np.random.RandomState(seed).normal(0.0, 0.5, size=(sizes["batch"], cell.state_size))
            groups["inputs"]["state"] = first.astype(np.float32)
        for name, variable in variables.items():
            variable.load(groups["weights"][name].astype(dtype), sess)
        current = groups["inputs"]["state"]
        computed = []
        for t in range(sizes["steps"]):
            feed = {x: groups["inputs"]["x"][:, t], state: current, mask: groups["draws"]["recurrent"][t]}
            computed.append(sess.run(values, feed))
            current = computed[-1]["state"]
    groups[dtype] = {name: np.stack([step[name] for step in computed], axis=1) for name in values}


def record_data(strokes: dict[str, list[np.ndarray]], hparams: dict[str, Any], seed: int) -> Recording:
    """Batches of the official loader: random ones with augmentation, and one of the validation set."""
    batch, limit = hparams["batch_size"], hparams["max_seq_len"]
    train = utils.DataLoader(
        strokes["train"],
        batch,
        limit,
        random_scale_factor=hparams["random_scale_factor"],
        augment_stroke_prob=hparams["augment_stroke_prob"],
    )
    valid = utils.DataLoader(strokes["valid"], batch, limit)
    groups: dict[str, dict[str, np.ndarray]] = {"inputs": {}, "exact": {}}
    for split, loader in (("train", train), ("valid", valid)):
        kept = [sketch for sketch in strokes[split] if len(sketch) <= limit]
        groups["inputs"][f"{split}/offsets"] = np.cumsum([0, *map(len, strokes[split])])
        groups["inputs"][f"{split}/points"] = np.concatenate(strokes[split])
        groups["inputs"][f"{split}/order"] = np.argsort([len(sketch) for sketch in kept])
    scale = train.calculate_normalizing_scale_factor()
    groups["exact"]["scale_factor"] = np.asarray(scale)
    for loader in (train, valid):
        loader.normalize(scale)
    np.random.seed(seed)
    batches = {f"train/{i}": train.random_batch for i in range(3)} | {"valid/0": lambda: valid.get_batch(0)}
    for name, draw in batches.items():
        sketches, padded, lengths = draw()
        groups["exact"] |= {
            f"{name}/strokes": np.concatenate(sketches),
            f"{name}/sketches": padded,
            f"{name}/lengths": lengths,
        }
    return Recording("data", "data", hparams, provenance(seed), groups)
