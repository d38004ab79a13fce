import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from shipped import shipped

from parity_tests.ours import Adapter
from parity_tests.record import shuffle as shuffle_module
from parity_tests.record.quantities import FED, VARIABLES
from parity_tests.record.shuffle import Shuffle
from parity_tests.replay.model import replay
from pytorch_sketch_rnn.hparams import HParams
from weight_port.names import weight_names

MODELS = {name: recording for name, recording in shipped().items() if recording.kind == "model"}
SAMPLED = "sample/"


def shuffle_of(recording, seed=0, **options):
    return Shuffle(recording.hparams, batch=len(recording["inputs"]["lengths"]), seed=seed, **options)


def shuffled(recording, shuffle):
    """What a port is given of the recording, in another numbering; the official results stay as they are."""
    inputs = recording["inputs"] | {name: shuffle.rows(recording["inputs"][name]) for name in ("sketches", "lengths")}
    given = {"weights": shuffle.weights(recording["weights"]), "draws": shuffle.draws(recording["draws"])}
    official = dict(recording["float64"])
    if "eval/z" in official:  # the first points are decoded from it; its axes are those of the noise
        official["eval/z"] = shuffle.draws({"latent": official["eval/z"]})["latent"]
    return dataclasses.replace(recording, groups=recording.groups | given | {"inputs": inputs, "float64": official})


def departures(recording, shuffle):
    """Largest difference of each quantity from the official one, relative to its largest element."""
    answers = replay(shuffled(recording, shuffle), "float64", Adapter())
    assert not answers.broken
    free = {name: value for name, value in answers.arrays.items() if not name.startswith((FED, VARIABLES))}
    official = recording["float64"]
    if shuffle.changes_samples:
        free, official = ({n: v for n, v in side.items() if not n.startswith(SAMPLED)} for side in (free, official))
    back = shuffle.back(free)
    assert set(back) == set(official)
    return {name: np.abs(back[name] - value).max() / (np.abs(value).max() or 1.0) for name, value in official.items()}


# The largest departure seen is 8e-14, over all recordings, both options and two seeds; a wrong layout gives over 1e-3.
@pytest.mark.parametrize("options", [{}, {"mixtures": True, "latent": True}], ids=["default", "all"])
@pytest.mark.parametrize("name", MODELS)
def test_a_shuffled_model_computes_the_official_numbers(name, options):
    found = departures(MODELS[name], shuffle_of(MODELS[name], **options))
    assert {quantity: error for quantity, error in found.items() if not error <= 1e-9} == {}


# Each of these keeps every shape, so that only the numbers can tell.
WRONG_LAYOUTS = {
    "state of a hyper cell": ("STATES", {"hyper": "units units inner inner"}, "mix-all-dropout/moved"),
    "input of an inner cell": ("INNER_CELL", {"input": "units input"}, "mix-hyper-encoder/moved"),
    "head": ("HEAD_WEIGHTS", {"vector_rnn/RNN/output_w": ("decoder/units", "mixture " * 6 + "pen")}, "lstm/moved"),
    "sides of the encoder": (
        "LATENT_WEIGHTS",
        {"vector_rnn/ENC_RNN_mu/super_linear_w": ("encoder/bw/units encoder/fw/units", "z")},
        "layer_norm/moved",
    ),
    "slot of another numbering": (
        "HYPER_NORM_H",
        {"beta/super_linear_w": ("zw", "units")},
        "mix-all-dropout/moved",
    ),
}


@pytest.mark.parametrize("case", WRONG_LAYOUTS)
def test_a_wrong_layout_is_seen(case, monkeypatch):
    table, wrong, name = WRONG_LAYOUTS[case]
    for key, value in wrong.items():
        monkeypatch.setitem(getattr(shuffle_module, table), key, value)
    found = departures(MODELS[name], shuffle_of(MODELS[name], mixtures=True, latent=True))
    assert max(found.values()) > 1e-3


@pytest.mark.parametrize("options", [{}, {"mixtures": True, "latent": True}], ids=["default", "all"])
@pytest.mark.parametrize("name", [name for name in MODELS if name.endswith("/moved")])
def test_every_variable_moves_and_comes_back_to_the_bit(name, options):
    # no two elements alike: in a hyper norm's embedding, which begins constant, two recorded ones may be
    weights = {
        name: np.arange(value.size, dtype=value.dtype).reshape(value.shape)
        for name, value in MODELS[name]["weights"].items()
    }
    shuffle = shuffle_of(MODELS[name], **options)
    moved = shuffle.weights(weights)
    assert list(moved) == list(weights)
    still = {name for name, value in moved.items() if value.ndim and np.array_equal(value, weights[name])}
    in_order = ("RNN/output_b", "ENC_RNN_mu/super_linear_b", "ENC_RNN_sigma/super_linear_b")
    expected = set() if options else {name for name in weights if any(bias in name for bias in in_order)}
    assert still == expected
    back = shuffle.back({f"after/{name}": value for name, value in moved.items()})
    for name, value in weights.items():
        assert back[f"after/{name}"].dtype == value.dtype
        np.testing.assert_array_equal(back[f"after/{name}"], value, err_msg=name)
        assert not np.shares_memory(moved[name], value)


def test_scalars_stay_as_they_are():
    weights = MODELS["lstm/moved"]["weights"]
    stray = {"vector_rnn_1/beta1_power": np.float32(0.5), "vector_rnn_2/Variable_1": np.float32(0.1)}
    scalars = {name: value for name, value in weights.items() if np.ndim(value) == 0} | stray
    assert len(scalars) == 7
    assert shuffle_of(MODELS["lstm/moved"]).weights(scalars) == scalars


HPARAMS = MODELS["lstm/moved"].hparams


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("decoder", ["lstm", "layer_norm", "hyper"])
@pytest.mark.parametrize("encoder", ["lstm", "layer_norm", "hyper"])
def test_the_table_holds_the_variables_of_every_model(encoder, decoder, conditional):
    hparams = HPARAMS | {"enc_model": encoder, "dec_model": decoder, "conditional": conditional}
    known = Shuffle(hparams, batch=4, seed=0).weight_axes
    official = set(weight_names(HParams.from_dict(hparams)))
    scalars = {"vector_rnn/beta1_power", "vector_rnn/beta2_power", "vector_rnn/global_step"}
    assert {name for name in known if not name.startswith("vector_rnn/vector_rnn/")} == official | scalars
    assert len(known) == 3 * len(official) + len(scalars)


def test_each_block_has_a_permutation_of_its_own():
    hparams = HPARAMS | {"enc_model": "hyper", "dec_model": "hyper", "enc_rnn_size": 30, "dec_rnn_size": 30}
    hparams |= {"hyper_num_units": 30, "hyper_embedding_size": 30, "z_size": 30, "num_mixture": 30}
    orders = Shuffle(hparams, batch=30, seed=0, mixtures=True, latent=True).orders
    assert len({tuple(order) for order in orders.values()}) == len(orders) == 2 + 3 + 3 * (2 + 16)
    for block, order in orders.items():
        np.testing.assert_array_equal(np.sort(order), np.arange(len(order)))
        assert block in ("stroke", "pen") or not np.array_equal(order, np.arange(30))


def test_a_seed_tells_the_permutations():
    one, same, other = (Shuffle(HPARAMS, batch=4, seed=seed).orders["decoder/units"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("seed", range(20))
def test_two_rows_are_exchanged_and_one_stays(seed):
    assert Shuffle(HPARAMS, batch=2, seed=seed).rows(np.array([3, 4])).tolist() == [4, 3]
    assert Shuffle(HPARAMS, batch=1, seed=seed).rows(np.array([3])).tolist() == [3]


@pytest.mark.parametrize(
    "name",
    [
        "owl",
        "train/owl",
        "train/decoder/normal_c",  # of another cell
        "train/encoder/fw/hyper_cell/c",
        "train/encoder/fw/initial_state",
        "mu",
        "fed/train/mu",
        "after/vector_rnn/owl",
        "gradient/vector_rnn/RNN/LayerNormLSTMCell/W_hh",
        "sample/greedy/owl",
        "sample/owl/pi",
        "sample/strokes",
    ],
)
def test_an_unknown_quantity_is_refused_by_its_name(name):
    with pytest.raises(KeyError, match=f"^'{name}'$"):
        Shuffle(HPARAMS, batch=4, seed=0).back({"train/cost": np.float64(1), name: np.zeros(())})


def test_an_encoder_without_a_latent_is_unknown():
    shuffle = shuffle_of(MODELS["layer_norm-unconditional/moved"])
    for name in (
        "train/mu",
        "train/encoder/fw/h",
        "train/decoder/initial_state",
        "train/keep_prob/encoder/fw/recurrent",
    ):
        with pytest.raises(KeyError, match=name):
            shuffle.back({name: np.zeros(())})
    with pytest.raises(KeyError, match="latent"):
        shuffle.draws({"latent": np.zeros((4, 5))})


def test_unknown_weights_and_draws_are_refused_by_their_names():
    shuffle = Shuffle(HPARAMS, batch=4, seed=0)
    with pytest.raises(KeyError, match="vector_rnn/RNN/LSTMCell/W_hx"):
        shuffle.weights({"vector_rnn/RNN/LSTMCell/W_hx": np.zeros((9, 36))})
    with pytest.raises(KeyError, match="encoder/input"):
        shuffle.draws({"encoder/input": np.zeros((9, 4, 5))})


def test_another_shape_is_refused():
    shuffle = Shuffle(HPARAMS, batch=4, seed=0)
    with pytest.raises(ValueError, match=r"RNN/LSTMCell/W_hh: expected the shape \[9, 36\], found \[9, 40\]"):
        shuffle.weights({"vector_rnn/RNN/LSTMCell/W_hh": np.zeros((9, 40))})
    with pytest.raises(ValueError, match=r"train/nll: expected the shape \[4, None\], found \[5, 9\]"):
        shuffle.back({"train/nll": np.zeros((5, 9))})
    with pytest.raises(ValueError, match="expected"):
        shuffle.rows(np.zeros(()))
    with pytest.raises(ValueError, match="expected"):
        shuffle.rows(np.zeros((3, 10, 5)))


@pytest.mark.parametrize("options", [{"mixtures": True}, {"latent": True}])
def test_samples_of_a_permutation_that_changes_them_are_refused(options):
    samples = {"sample/greedy/pi": MODELS["lstm/moved"]["float64"]["sample/greedy/pi"]}
    with pytest.raises(ValueError, match="sample/greedy/pi: samples are different once"):
        Shuffle(HPARAMS, batch=4, seed=0, **options).back(samples)


def test_the_official_process_needs_numpy_alone():
    code = "import sys, parity_tests.record.shuffle; print({'torch', 'tensorflow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"
