"""The ports of ``docs/ports.md``: with all their departures planted, the reference gives their numbers.

``RFEINMAN_SKETCH_RNN``, ``JACQ_SKETCH_RNN`` and ``LABML_NN`` name the ports' folders; without one, its tests are
skipped.
"""

import contextlib
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import port_plants as plants
import pytest
from shipped import shipped

from parity_tests import ours
from parity_tests.adapter import Adapter, Arrays, load_adapter
from parity_tests.judge.initial_weights import bound, distance
from parity_tests.record.draws import draws_of
from parity_tests.replay.model import replay, replay_data
from parity_tests.replay.training import recorded_draws, state_before, with_step

FIXTURES = shipped()
MATCHED = 1e-10  # of the largest magnitude; seen at most 4.1e-13
VARIABLES = {"rfeinman": "RFEINMAN_SKETCH_RNN", "jacq": "JACQ_SKETCH_RNN", "labml": "LABML_NN"}
ENCODER, DECODER = 4 * 7, 4 * 9  # sizes of the biases of the plain cells in the small models
PARTIAL = ("encode", "train_step")  # what rfeinman's lacks where the encoder is not a plain one
NO_WRAPPED_DROPOUT = {"use_input_dropout": False, "use_output_dropout": False}


def changes(prefix: str, loss: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    return {f"{prefix}{name}": change for name, change in loss.items()}


SAMPLING = {"sigma times sqrt(T)": plants.SIGMA_SQRT_T}
EPSILON = {"epsilon 1e-5": plants.EPSILON}
HYPER = {"inner cell reads x": plants.READS_X, "no bias": plants.NO_BIAS}
RFEINMAN = changes("loss: ", plants.RFEINMAN_LOSS) | SAMPLING
RFEINMAN_PLAIN = RFEINMAN | {
    "no encoder dropout": plants.NO_ENCODER_DROPOUT,
    "torch's Adam, two encoder biases": plants.torch_adam(ENCODER),
}
TORCH_TRAINING = {
    "no dropout": plants.NO_DROPOUT,
    "clips by norm": plants.CLIP_BY_NORM,
    "torch's Adam, two biases a cell": plants.torch_adam(ENCODER, DECODER),
}
JACQ = TORCH_TRAINING | {"encoder reads the padding": plants.READS_PADDING} | SAMPLING
JACQ |= changes("loss: ", plants.JACQ_LOSS)
LABML = TORCH_TRAINING | {"encoder reads start and padding": plants.READS_START_AND_PADDING} | SAMPLING
LABML |= changes("loss: ", plants.LABML_LOSS) | {"no KL floor": plants.NO_FLOOR}

# port, recording -> what it does otherwise
CASES = {
    ("rfeinman", "cell/lstm"): {},
    ("rfeinman", "cell/layer_norm"): EPSILON,
    ("rfeinman", "cell/hyper"): EPSILON | HYPER,
    ("rfeinman", "lstm/as_is"): RFEINMAN_PLAIN,
    ("rfeinman", "lstm/moved"): RFEINMAN_PLAIN,
    ("rfeinman", "layer_norm/as_is"): RFEINMAN | EPSILON,
    ("rfeinman", "layer_norm/moved"): RFEINMAN | EPSILON,
    ("rfeinman", "mix-all-dropout/as_is"): RFEINMAN | EPSILON | HYPER,
    ("rfeinman", "mix-all-dropout/moved"): RFEINMAN | EPSILON | HYPER,
    ("rfeinman", "mix-hyper-encoder/as_is"): RFEINMAN | EPSILON | HYPER,
    ("rfeinman", "mix-hyper-encoder/moved"): RFEINMAN | EPSILON | HYPER,
    ("jacq", "cell/lstm"): {"no dropout": plants.NO_DROPOUT},
    ("jacq", "lstm/as_is"): JACQ,
    ("jacq", "lstm/moved"): JACQ,
    ("labml", "cell/lstm"): {"no dropout": plants.NO_DROPOUT},
    ("labml", "cell/layer_norm"): {"no dropout": plants.NO_DROPOUT} | EPSILON,
    ("labml", "cell/hyper"): {"no dropout": plants.NO_DROPOUT} | EPSILON,
    ("labml", "lstm/as_is"): LABML,
    ("labml", "lstm/moved"): LABML,
}
# where each departure shows: the moved weights are no longer small and the clip cuts; as they are, the KL cost is below
# its floor
SEPARATE = [
    (port, (recording,)) for port, recording in CASES if recording.startswith("cell/") and CASES[port, recording]
]
SEPARATE += [(port, ("lstm/moved", "lstm/as_is")) for port in VARIABLES]


def port_adapter(name: str, class_name: str = "Adapter") -> Adapter:
    if VARIABLES[name] not in os.environ:
        pytest.skip(f"{VARIABLES[name]} is not set: the port {name} is not here")
    pytest.importorskip("labml" if name == "labml" else "torch")
    return load_adapter(f"parity_tests.examples.{name}:{class_name}")


@contextlib.contextmanager
def planted(departures: Mapping[str, Any]):
    """Changes of one function are planted together."""
    of_loss = {name: change for name, change in departures.items() if name.startswith("loss: ")}
    rest = {name: planting for name, planting in departures.items() if name not in of_loss}
    if set(HYPER) <= set(rest):
        rest = {name: planting for name, planting in rest.items() if name not in HYPER}
        rest["hyper cell"] = plants.READS_X_NO_BIAS
    with contextlib.ExitStack() as stack:
        for planting in (*rest.values(), *([plants.loss(of_loss)] if of_loss else [])):
            stack.enter_context(planting.planted())
        yield


class Reference(ours.Adapter):
    """Ours, with other hyperparameters, and offering no more than the port does."""

    def __init__(self, over: Mapping[str, Any], lacks: tuple[str, ...] = (), *, reads_padding: bool = False) -> None:
        super().__init__()
        self.over, self.reads_padding = over, reads_padding
        for name in lacks:
            setattr(self, name, self._lacking)

    @staticmethod
    def _lacking(*_: Any, **__: Any) -> Arrays:
        raise NotImplementedError

    def load(self, hparams: Mapping[str, Any], variables: Mapping[str, np.ndarray]) -> None:
        """The model without some dropout."""
        super().load(dict(hparams) | self.over, variables)

    def encode(self, strokes: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray]) -> Arrays:
        """The model's own cuts off what is beyond the longest sketch before any code that a plant changes."""
        return super().encode(
            strokes, np.full_like(lengths, strokes.shape[1]) if self.reads_padding else lengths, draws
        )


def reference(port: str, recording: str, departures: Mapping[str, Any]) -> Reference:
    if port == "rfeinman":
        return Reference(NO_WRAPPED_DROPOUT, () if recording.startswith("lstm/") else PARTIAL)
    reads_padding = any(name.startswith("encoder reads") for name in departures)
    # without dropout no mask is asked for, whatever its length
    return Reference({"use_recurrent_dropout": False}, reads_padding=reads_padding)


def residuals(theirs: Arrays, planted_ones: Arrays) -> dict[str, float]:
    """Of each quantity that both give, what is left between them."""
    result = {}
    for name in theirs.keys() & planted_ones.keys():
        difference = np.abs(theirs[name] - planted_ones[name]).max()
        result[name] = float(difference / np.abs(planted_ones[name]).max()) if difference else 0.0
    return result


def answered(port: str, recording: str) -> Arrays:
    answers = replay(FIXTURES[recording], "float64", port_adapter(port))
    assert answers.broken == {}
    return answers.arrays


def explained(port: str, recording: str, theirs: Arrays, departures: Mapping[str, Any]) -> dict[str, float]:
    if recording.startswith("cell/"):
        departures = {n: p for n, p in departures.items() if not n.startswith("loss: ")}
    with planted(departures):
        answers = replay(FIXTURES[recording], "float64", reference(port, recording, departures))
    assert answers.broken == {}
    assert theirs.keys() <= answers.arrays.keys()
    return residuals(theirs, answers.arrays)


@pytest.mark.parametrize(("port", "recording"), CASES)
def test_all_departures_of_a_port_can_be_planted_together(port, recording):
    """Also where the port is not here."""
    with planted(CASES[port, recording]):
        pass


def test_the_departures_in_data_and_inner_dropout_can_be_planted():
    of_data = (plants.UNBIASED_SCALE, plants.SCALE_IN_FLOAT32, plants.DRAWS_WHERE_A_POINT_MAY_GO)
    for planting in (*of_data, plants.READS_X_NO_BIAS_INNER_DROPOUT):
        with planting.planted():
            pass


@pytest.mark.parametrize(("port", "recording"), CASES)
def test_the_reference_with_all_departures_gives_the_ports_numbers(port, recording):
    found = explained(port, recording, answered(port, recording), CASES[port, recording])
    assert found
    assert {name: value for name, value in found.items() if not value <= MATCHED} == {}


@pytest.mark.parametrize(("port", "recordings"), SEPARATE)
def test_no_departure_can_be_left_out(port, recordings):
    theirs = {recording: answered(port, recording) for recording in recordings}
    departures = CASES[port, recordings[0]]
    for left_out in departures:
        rest = {name: planting for name, planting in departures.items() if name != left_out}
        found = (max(explained(port, recording, theirs[recording], rest).values()) for recording in recordings)
        assert any(value > 100 * MATCHED for value in found), left_out


def test_rfeinman_inner_dropout_is_that_of_a_mask_in_the_inner_cell():
    adapter = port_adapter("rfeinman", "WithInnerDropout")
    theirs = replay(FIXTURES["cell/hyper"], "float64", adapter).arrays
    with plants.EPSILON.planted(), plants.READS_X_NO_BIAS_INNER_DROPOUT.planted():
        found = residuals(theirs, replay(FIXTURES["cell/hyper"], "float64", ours.Adapter()).arrays)
    assert found.keys() == {"output", "state"}
    assert max(found.values()) <= MATCHED
    without = replay(FIXTURES["cell/hyper"], "float64", port_adapter("rfeinman")).arrays
    assert min(residuals(theirs, without).values()) > 0.1


@pytest.mark.parametrize("step", [0, 3, 5])
def test_rfeinman_steps_of_training_with_a_hyper_decoder(step):
    recording = FIXTURES["training/mix"]
    given = {n.removeprefix("steps/"): v[step] for n, v in recording["float64"].items() if n.startswith("steps/")}
    draws = draws_of(recorded_draws(recording, "draws"), recording.provenance["seed"], step)
    draws = {name: value.astype(np.float64) for name, value in draws.items()}

    def answer(adapter):
        variables = {name: np.array(v) for name, v in with_step(state_before(recording, step), step).items()}
        adapter.load(dict(recording.hparams), variables)
        sketches, lengths = given["sketches"].astype(np.float64), given["lengths"]
        return adapter.train_step(sketches, lengths, draws, float(given["lr"]), float(given["kl_weight"]))

    theirs = answer(port_adapter("rfeinman"))
    assert theirs.pop("keep_prob/decoder/hyper_cell/recurrent") == np.float32(0.9)  # which Magenta does not ask for
    with planted(RFEINMAN_PLAIN | EPSILON | HYPER):
        reference_answer = answer(Reference(NO_WRAPPED_DROPOUT))
    for name in theirs:  # the port has the first rows of the inner cell's W_xh
        reference_answer[name] = reference_answer[name][: len(theirs[name])] if theirs[name].ndim else theirs[name]
    found = residuals(theirs, reference_answer)
    assert len(found) == len(theirs) > 300
    assert max(found.values()) <= MATCHED


@pytest.mark.parametrize("name", ["data", "data/joined"])
def test_rfeinman_batches(name):
    class LastSet(ours.Adapter):
        def data(self, sets, hparams, rng, order):
            if len(sets) > 1:
                longest = max(len(sketch) for split in sets[-1].values() for sketch in split)
                order = {split: np.argsort([len(sketch) for sketch in sets[-1][split]]) for split in order}
                hparams = dict(hparams) | {"max_seq_len": longest}
            return super().data(sets[-1:], hparams, rng, order)

    theirs = replay_data(FIXTURES[name], port_adapter("rfeinman"))
    with (
        plants.UNBIASED_SCALE.planted(),
        plants.SCALE_IN_FLOAT32.planted(),
        plants.DRAWS_WHERE_A_POINT_MAY_GO.planted(),
    ):
        same = replay_data(FIXTURES[name], LastSet())
    assert (theirs.broken, same.broken) == ({}, {})
    assert {n for n, value in theirs.arrays.items() if not np.array_equal(value, same.arrays[n])} == set()


def test_schedules():
    hparams = {
        "learning_rate": 0.02, "min_learning_rate": 0.003, "decay_rate": 0.999,
        "kl_weight": 0.7, "kl_weight_start": 0.05, "kl_decay_rate": 0.9995,
    }  # fmt: skip
    for step in (0, 1, 100, 5000):
        decayed = 0.02 * 0.999**step
        rate, weight = port_adapter("rfeinman").schedules(hparams, step)
        factor = np.float32(1 - 0.05)
        for _ in range(step):
            factor *= np.float32(0.9995)
        assert rate == pytest.approx(decayed, rel=1e-12)
        assert weight == pytest.approx(0.7 * (1 - float(factor)), rel=1e-12)
        rate, weight = port_adapter("jacq").schedules(hparams, step)
        stopped = next((0.02 * 0.999**n for n in range(step) if 0.02 * 0.999**n <= 0.003), decayed)
        assert rate == pytest.approx(stopped, rel=1e-12)
        assert weight == pytest.approx(0.7 * (1 - 0.95 * 0.9995), rel=1e-12)
        assert port_adapter("labml").schedules(hparams, step) == (0.02, 0.7)


@pytest.mark.parametrize("port", VARIABLES)
def test_initial_weights_have_the_limits_of_torchs_defaults(port):
    recording = FIXTURES["initial/lstm"]
    units = {"RNN/output_w": 9, "RNN/output_b": 9}
    if port != "rfeinman":
        units |= {"linear/super_linear_w": 5, "ENC_RNN_mu/super_linear_w": 14, "RNN/LSTMCell/W_hh": 9}
        units |= {"ENC_RNN/fw/LSTMCell/W_xh": 7}
    adapter = port_adapter(port)
    draws = [adapter.initial(dict(recording.hparams), seed) for seed in range(20)]
    for name, size in units.items():
        values = np.stack([draw[f"vector_rnn/{name}"] for draw in draws])
        expected = np.linspace(-1, 1, 100001) / np.sqrt(size)
        assert distance(values, expected) <= bound(values.size, expected.size)
    forget = draws[0]["vector_rnn/ENC_RNN/fw/LSTMCell/bias"][14:21]
    assert np.mean(forget) == pytest.approx(-1, abs=0 if port == "rfeinman" else 0.6)
