"""A new SketchRNN has the initial weights of Magenta's initialisers."""

import json
import math

import numpy as np
import pytest
import torch
from official_script import run_script

from pytorch_sketch_rnn.hparams import CELL_TYPES, EPSILON, HParams
from pytorch_sketch_rnn.model.initializers import gaussian_, glorot_uniform_, lstm_ortho_, orthogonal
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from weight_port.names import weight_names

SEED = 11
SHAPES = {"square": (8, 32), "large": (64, 256), "wide": (4, 24), "tall": (6, 16)}  # of W_hh; real ones are square
VECTOR, MATRIX = 4000, (60, 400)
ORACLE = """
import json
from parity_tests.official.session import official_hparams, set_hyper_sizes
from parity_tests.official.magenta import model, rnn, tf
seed = int(inputs["seed"])
with tf.Session() as session:
    np.random.seed(seed)
    for name, shape in json.loads(str(inputs["shapes"])).items():
        drawn = rnn.lstm_ortho_initializer(1.0)(shape, tf.float32)
        result["ortho/" + name] = session.run(drawn)
    tf.set_random_seed(seed)
    default = {n: tf.get_variable(n, inputs[n].tolist()) for n in ("vector", "matrix")}
    session.run(tf.global_variables_initializer())
    result |= {"default/" + name: value for name, value in session.run(default).items()}
for name, values in json.loads(str(inputs["models"])).items():
    tf.reset_default_graph()
    np.random.seed(seed)
    tf.set_random_seed(seed)
    set_hyper_sizes({n: values.pop(n) for n in ("hyper_num_units", "hyper_embedding_size")})
    model.Model(official_hparams(values))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        weights = session.run({v.op.name: v for v in tf.trainable_variables()})
    result |= {f"model/{name}/{n}": value for n, value in weights.items()}
"""


def hparams(kind: str, *, conditional: bool = True) -> HParams:
    return HParams(
        enc_model=kind, dec_model=kind, enc_rnn_size=24, dec_rnn_size=32, z_size=40, num_mixture=5, max_seq_len=3,
        batch_size=2, hyper_num_units=20, hyper_embedding_size=16, conditional=conditional,
    )  # fmt: skip


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> dict[str, np.ndarray]:
    models = {}
    for kind in CELL_TYPES:
        models[kind] = hparams(kind).to_dict() | {"is_training": False}  # builds faster without an optimizer
        for name in ("data_set", EPSILON):  # a list, and what is no hyperparameter there
            models[kind].pop(name)
    inputs = {
        "seed": np.array(SEED),
        "shapes": np.array(json.dumps(SHAPES)),
        "vector": np.array([VECTOR]),
        "matrix": np.array(MATRIX),
        "models": np.array(json.dumps(models)),
    }
    return run_script(ORACLE, tmp_path_factory.mktemp("official"), inputs)


def expected_class(name: str) -> str:
    """The initialiser of a parameter, by the parameter's name."""
    kind = name.rpartition(".")[2]
    if kind == "w":
        return "gaussian 0.001"
    if kind in ("b", "bias", "beta", "zw_w", "beta_w"):
        return "zeros"
    return {
        "W_xh": "glorot", "W_hh": "orthogonal", "gamma": "ones", "zw_b": "ones", "alpha_w": "0.1 / e",
        "zb_w": "gaussian 0.01", "output_w": "glorot", "output_b": "glorot",
    }[kind]  # fmt: skip


def assert_uniform(values: np.ndarray, limit: float) -> None:
    """Uniform within +-limit: a Kolmogorov-Smirnov test that fails by chance once in 10,000."""
    values = np.sort(values.ravel().astype(np.float64))
    count = len(values)
    assert np.abs(values).max() <= limit * (1 + 1e-6)
    assert np.abs(values).max() > limit * (1 - 10 / count)
    ideal = (values / limit + 1) / 2
    steps = np.arange(count + 1) / count
    distance = max(np.abs(ideal - steps[1:]).max(), np.abs(ideal - steps[:-1]).max())
    assert distance < math.sqrt(math.log(2 / 1e-4) / 2 / count)


def assert_normal(values: np.ndarray, std: float) -> None:
    """Mean 0, the given deviation, and tails beyond two deviations, unlike a truncated normal's."""
    values = values.ravel().astype(np.float64)
    count = len(values)
    assert abs(values.mean()) < 5 * std / math.sqrt(count)
    assert abs(values.std() - std) < 5 * std / math.sqrt(2 * count)
    assert np.abs(values).max() > 2.2 * std
    assert np.abs(values).max() < 6 * std


def assert_filled(value: np.ndarray, how: str) -> None:
    if how == "glorot":
        assert_uniform(value, math.sqrt(6 / (value.shape[0] + value.shape[-1])))
    elif how == "orthogonal":
        for block in np.split(value.astype(np.float64), 4, axis=1):
            np.testing.assert_allclose(block @ block.T, np.eye(len(block)), atol=1e-5)
    elif how.startswith("gaussian"):
        assert_normal(value, float(how.removeprefix("gaussian ")))
    else:
        constant = {"zeros": 0.0, "ones": 1.0, "0.1 / e": 0.1 / len(value)}[how]
        np.testing.assert_array_equal(value, np.full_like(value, constant))


# ---------------------------------------------------------------------------------------------------- one weight
@pytest.mark.parametrize("shape", [(8, 8), (64, 64), (4, 6), (6, 4)])
def test_an_orthogonal_matrix_is_orthonormal_along_its_shorter_side(shape):
    matrix = orthogonal(np.random.RandomState(SEED), *shape)
    assert (matrix.shape, matrix.dtype) == (shape, np.float64)
    product = matrix @ matrix.T if shape[0] <= shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-12)


def test_the_blocks_of_the_gates_are_orthonormal_and_drawn_in_the_order_i_j_f_o():
    weight = lstm_ortho_(torch.empty(16, 64, dtype=torch.float64), np.random.RandomState(SEED)).numpy()
    rng = np.random.RandomState(SEED)
    for block in np.split(weight, 4, axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(16), atol=1e-12)
        np.testing.assert_allclose(block.T @ block, np.eye(16), atol=1e-12)
        np.testing.assert_array_equal(block, orthogonal(rng, 16, 16))


@pytest.mark.oracle
def test_orthogonal_weights_equal_the_official_ones_bit_for_bit(official):
    rng = np.random.RandomState(SEED)
    for name, shape in SHAPES.items():
        ours = lstm_ortho_(torch.empty(shape), rng).numpy()
        np.testing.assert_array_equal(ours, official[f"ortho/{name}"], err_msg=name)


@pytest.mark.oracle
def test_tensorflows_default_initialiser_is_glorot_uniform_like_ours(official):
    """For a vector both fans are its length, which applies to output_b."""
    generator = torch.Generator().manual_seed(SEED)
    for name, shape in (("vector", (VECTOR,)), ("matrix", MATRIX)):
        limit = math.sqrt(6 / (shape[0] + shape[-1]))
        for drawn in (official[f"default/{name}"], glorot_uniform_(torch.empty(shape), generator).numpy()):
            assert drawn.shape == shape
            assert_uniform(drawn, limit)


def test_gaussian_weights_have_the_requested_deviation():
    for std in (0.001, 0.01):
        weight = gaussian_(torch.empty(100, 100), std, torch.Generator().manual_seed(SEED))
        assert_normal(weight.numpy(), std)


# ---------------------------------------------------------------------------------------------------- whole models
@pytest.mark.oracle
@pytest.mark.parametrize("kind", CELL_TYPES)
def test_a_new_model_has_the_initial_weights_of_the_official_one(official, kind):
    """Constants and orthogonal weights, which NumPy draws, bit for bit; the rest in distribution."""
    ours = SketchRNN(hparams(kind), seed=SEED).state_dict()
    prefix = f"model/{kind}/"
    theirs = {name.removeprefix(prefix): value for name, value in official.items() if name.startswith(prefix)}
    table = weight_names(hparams(kind))
    assert theirs.keys() == table.keys()
    for official_name, our_name in table.items():
        how = expected_class(our_name)
        assert_filled(theirs[official_name], how)
        if how == "glorot" or how.startswith("gaussian"):
            continue
        np.testing.assert_array_equal(ours[our_name].numpy(), theirs[official_name], err_msg=our_name)


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("kind", CELL_TYPES)
def test_every_parameter_has_its_documented_initial_values(kind, conditional):
    parameters = dict(SketchRNN(hparams(kind, conditional=conditional), seed=SEED).named_parameters())
    assert sorted(parameters) == sorted(weight_names(hparams(kind, conditional=conditional)).values())
    for name, parameter in parameters.items():
        assert parameter.dtype == torch.float32
        assert_filled(parameter.detach().numpy(), expected_class(name))


@pytest.mark.parametrize("kind", CELL_TYPES)
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(kind):
    first, again, other = (SketchRNN(hparams(kind), seed=seed).state_dict() for seed in (1, 1, 2))
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
        constant = expected_class(name) in ("zeros", "ones", "0.1 / e")
        assert torch.equal(value, other[name]) == constant, name


def test_no_two_weights_of_a_model_have_the_same_draws():
    weights = SketchRNN(hparams("hyper"), seed=1).state_dict()
    for left, right in (("encoder.fw", "encoder.bw"), ("decoder.cell.hyper_ih", "decoder.cell.hyper_fh")):
        for name, value in weights.items():
            if name.startswith(left + ".") and expected_class(name) not in ("zeros", "ones", "0.1 / e"):
                assert not torch.equal(value, weights[right + name.removeprefix(left)]), name
    assert not torch.equal(weights["encoder.mu.w"], weights["encoder.presig.w"])


def test_torchs_seed_makes_a_model_without_a_seed_reproducible():
    models = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        models.append(SketchRNN(hparams("layer_norm")).decoder.cell.W_hh)
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


def test_a_seeded_model_leaves_the_global_streams_alone():
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(3), np.random.random(3)
    torch.manual_seed(5)
    np.random.seed(5)
    SketchRNN(hparams("hyper"), seed=1)
    assert torch.equal(torch.rand(3), expected[0])
    np.testing.assert_array_equal(np.random.random(3), expected[1])


def test_reset_parameters_draws_the_weights_of_a_new_model():
    model = SketchRNN(hparams("hyper"), seed=1)
    model.reset_parameters(2)
    fresh = SketchRNN(hparams("hyper"), seed=2).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in model.state_dict().items())
