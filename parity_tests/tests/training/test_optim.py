"""TF1Adam is TensorFlow 1's Adam, not torch's, and its state can be saved and loaded."""

import copy

import numpy as np
import pytest
import torch
from official_script import run_script
from torch import Tensor

from pytorch_sketch_rnn.training.optim import TF1Adam, clip_by_value, flat_gradient

RATES = (0.01, 0.003, 0.02, 0.001, 0.01)
STEPS = len(RATES)
SHAPES = ((3,), (4, 5))
both_types = pytest.mark.parametrize("dtype", ["float32", "float64"])
# Each step is fed its own learning rate, as Magenta's trainer does.
ORACLE = """
from parity_tests.official.magenta import tf
for dtype in ("float32", "float64"):
    tf.reset_default_graph()
    rate = tf.Variable(0.001, trainable=False, dtype=dtype)
    variables = [tf.Variable(inputs[f"start/{i}"].astype(dtype), name=f"v{i}") for i in range(2)]
    fed = [tf.placeholder(dtype, v.shape) for v in variables]
    optimizer = tf.train.AdamOptimizer(rate)
    train = optimizer.apply_gradients(zip(fed, variables))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step, value in enumerate(inputs["rates"]):
            feed = {p: inputs[f"gradient/{step}/{i}"].astype(dtype) for i, p in enumerate(fed)}
            session.run(train, feed | {rate: value})
            for i, v in enumerate(variables):
                result[f"{dtype}/{step}/{i}"] = session.run(v)
        powers = {v.op.name: v for v in tf.global_variables() if "power" in v.op.name}
        for i, v in enumerate(variables):
            result[f"{dtype}/m/{i}"] = session.run(optimizer.get_slot(v, "m"))
            result[f"{dtype}/v/{i}"] = session.run(optimizer.get_slot(v, "v"))
        for name, variable in powers.items():
            result[f"{dtype}/{name}"] = session.run(variable)
"""


def problem() -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """Start values and the gradients of each step, float64, some so small that epsilon matters."""
    rng = np.random.RandomState(0)
    starts = [rng.normal(size=shape) for shape in SHAPES]
    scales = 10.0 ** rng.uniform(-9, 1, size=(4, 5))
    gradients = [[rng.normal(size=(3,)), rng.normal(size=(4, 5)) * scales] for _ in range(STEPS)]
    gradients[2][0][1] = 0.0
    return starts, gradients


def parameters(dtype: str) -> list[Tensor]:
    return [torch.nn.Parameter(torch.from_numpy(value.astype(dtype))) for value in problem()[0]]


def advance(optimizer: torch.optim.Optimizer, steps: range) -> None:
    gradients = problem()[1]
    for step in steps:
        for group in optimizer.param_groups:
            group["lr"] = RATES[step]
            for parameter, gradient in zip(group["params"], gradients[step], strict=True):
                parameter.grad = torch.from_numpy(gradient).to(parameter.dtype)
        optimizer.step()


def run(dtype: str, steps: int = STEPS) -> tuple[TF1Adam, list[Tensor]]:
    values = parameters(dtype)
    optimizer = TF1Adam(values, lr=RATES[0])
    advance(optimizer, range(steps))
    return optimizer, values


def transcription(dtype: str) -> list[np.ndarray]:
    """The formula of ``tf.train.AdamOptimizer``'s documentation in NumPy; constants and powers are float32 values."""
    number = np.dtype(dtype).type
    beta1, beta2, epsilon = (np.float32(value) for value in (0.9, 0.999, 1e-8))
    power1, power2 = beta1, beta2
    starts, gradients = problem()
    values = [start.astype(dtype) for start in starts]
    m = [np.zeros_like(value) for value in values]
    v = [np.zeros_like(value) for value in values]
    for rate, step in zip(RATES, gradients, strict=True):
        lr = number(rate) * np.sqrt(1 - number(power2)) / (1 - number(power1))
        for i, gradient in enumerate(step):
            g = gradient.astype(dtype)
            m[i] = m[i] + (g - m[i]) * (1 - number(beta1))
            v[i] = v[i] + (g * g - v[i]) * (1 - number(beta2))
            values[i] = values[i] - m[i] * lr / (np.sqrt(v[i]) + number(epsilon))
        power1, power2 = power1 * beta1, power2 * beta2
    return values


@both_types
def test_steps_follow_the_formula(dtype):
    _, ours = run(dtype)
    tolerance = {"float32": 1e-6, "float64": 1e-14}[dtype]
    for value, expected in zip(ours, transcription(dtype), strict=True):
        np.testing.assert_allclose(value.detach().numpy(), expected, rtol=tolerance, atol=tolerance / 10)


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> dict[str, np.ndarray]:
    starts, gradients = problem()
    inputs = {f"start/{i}": value for i, value in enumerate(starts)} | {"rates": np.array(RATES)}
    inputs |= {f"gradient/{step}/{i}": g for step, both in enumerate(gradients) for i, g in enumerate(both)}
    return run_script(ORACLE, tmp_path_factory.mktemp("official"), inputs)


@pytest.mark.oracle
@both_types
def test_every_step_and_slot_equals_tensorflows(official, dtype):
    """To the last bits: TensorFlow's kernel may fuse a product and a sum."""
    values = parameters(dtype)
    optimizer = TF1Adam(values, lr=RATES[0])
    tolerance = {"float32": 2e-7, "float64": 1e-15}[dtype]
    for step in range(STEPS):
        advance(optimizer, range(step, step + 1))
        for i, value in enumerate(values):
            expected = official[f"{dtype}/{step}/{i}"]
            np.testing.assert_allclose(value.detach().numpy(), expected, rtol=tolerance, atol=tolerance)
    for i, value in enumerate(values):
        for slot in ("m", "v"):
            np.testing.assert_allclose(optimizer.state[value][slot].numpy(), official[f"{dtype}/{slot}/{i}"], 1e-6)
    for name in ("beta1_power", "beta2_power"):
        stored = official[f"{dtype}/{name}"]
        assert stored.dtype == np.float32
        assert np.float32(optimizer.param_groups[0][name]) == stored


def test_epsilon_is_added_where_tensorflow_adds_it_unlike_torch():
    """A gradient of the size of epsilon: after one step TF1 moves by lr g' / (g' + eps) with g' = g sqrt(1 - beta2)."""
    gradient, rate = 1e-7, 0.01
    moved = {}
    for name, make in (("ours", TF1Adam), ("torch", torch.optim.Adam)):
        parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
        parameter.grad = torch.full_like(parameter, gradient)
        make([parameter], lr=rate).step()
        moved[name] = -parameter.item()
    root = gradient * np.sqrt(1e-3)
    assert moved["ours"] == pytest.approx(rate * root / (root + 1e-8), rel=1e-4)
    assert moved["torch"] == pytest.approx(rate * gradient / (gradient + 1e-8), rel=1e-4)
    assert moved["ours"] < 0.9 * moved["torch"]


@both_types
def test_after_n_steps_the_powers_are_float32_products_of_n_plus_1_betas(dtype):
    optimizer, _ = run(dtype)
    for name, beta in (("beta1_power", np.float32(0.9)), ("beta2_power", np.float32(0.999))):
        expected = beta
        for _ in range(STEPS):
            expected = expected * beta
        assert expected.dtype == np.float32
        assert optimizer.param_groups[0][name] == float(expected)
        assert float(expected) == pytest.approx(float(beta) ** (STEPS + 1), rel=1e-6)


def test_slots_exist_from_the_start():
    optimizer, values = run("float32", steps=0)
    for value in values:
        assert set(optimizer.state[value]) == {"m", "v"}
        assert all(torch.equal(slot, torch.zeros_like(value)) for slot in optimizer.state[value].values())


def test_a_missing_gradient_is_an_error_and_changes_nothing():
    optimizer, values = run("float64", steps=2)
    before = copy.deepcopy((optimizer.state_dict(), values))
    values[1].grad = None
    with pytest.raises(ValueError, match=r"a parameter of shape \[4, 5\] has no gradient"):
        optimizer.step()
    assert all(torch.equal(value, old) for value, old in zip(values, before[1], strict=True))
    assert str(optimizer.state_dict()) == str(before[0])


def test_a_closure_is_called_with_gradients_enabled_and_its_loss_is_returned():
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = TF1Adam([parameter], lr=0.1)

    def closure() -> Tensor:
        loss = parameter.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 2
    assert (parameter < 1).all()


@both_types
@pytest.mark.parametrize("through_a_file", [True, False])
@pytest.mark.parametrize("steps", [0, 2])
def test_a_saved_optimizer_continues_bit_for_bit(tmp_path, dtype, through_a_file, steps):
    uninterrupted, expected = run(dtype)
    first, values = run(dtype, steps)
    state = first.state_dict()
    if through_a_file:
        torch.save(state, tmp_path / "optimizer.pt")
        state = torch.load(tmp_path / "optimizer.pt", weights_only=True)
    values = [torch.nn.Parameter(value.detach().clone()) for value in values]
    second = TF1Adam(values, lr=1.0)
    second.load_state_dict(state)
    advance(second, range(steps, STEPS))
    for ours, other in zip(values, expected, strict=True):
        assert torch.equal(ours, other)
        for slot in ("m", "v"):
            assert torch.equal(second.state[ours][slot], uninterrupted.state[other][slot])
    for name in ("lr", "beta1_power", "beta2_power"):
        assert second.param_groups[0][name] == uninterrupted.param_groups[0][name]


def test_powers_may_be_set_from_a_checkpoint_as_float32():
    """This is how a converted model is resumed."""
    _, expected = run("float64")
    first, values = run("float64", steps=2)
    for name in ("beta1_power", "beta2_power"):
        assert np.float32(first.powers()[name]) == first.powers()[name]
    first.set_powers({name: np.float32(power) for name, power in first.powers().items()})
    advance(first, range(2, STEPS))
    assert all(torch.equal(ours, other) for ours, other in zip(values, expected, strict=True))


def test_clipping_bounds_each_element_and_keeps_nan():
    """NaN stays NaN, so that a failed run is noticed."""
    gradient = torch.tensor([-3.0, -0.5, 0.25, 0.75, torch.inf, torch.nan])
    np.testing.assert_array_equal(clip_by_value(gradient, 0.5).numpy(), [-0.5, -0.5, 0.25, 0.5, 0.5, np.nan])


@both_types
def test_a_step_that_is_not_applied_changes_no_bit_of_weights_and_state(dtype):
    optimizer, values = run(dtype, steps=3)
    before = copy.deepcopy((optimizer.state_dict(), values))
    optimizer.step_by(torch.ones_like(optimizer.m), torch.tensor(False))
    assert all(torch.equal(value, old) for value, old in zip(values, before[1], strict=True))
    assert str(optimizer.state_dict()) == str(before[0])


@both_types
def test_a_step_that_is_applied_is_the_plain_step_bit_for_bit(dtype):
    (plain, expected), (applied, values) = run(dtype, steps=2), run(dtype, steps=2)
    gradients = problem()[1][2]
    for optimizer in (plain, applied):
        for parameter, gradient in zip(optimizer.parameters, gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient).to(parameter.dtype)
    plain.step()
    applied.step_by(flat_gradient(values), torch.tensor(True))
    assert all(torch.equal(ours, other) for ours, other in zip(values, expected, strict=True))
    assert str(applied.state_dict()["state"]) == str(plain.state_dict()["state"])
    assert applied.powers() == plain.powers()


def test_slots_are_still_views_of_one_vector_after_loading_a_state():
    first, _ = run("float64", steps=2)
    second, values = run("float64", steps=0)
    second.load_state_dict(first.state_dict())
    assert all(second.state[value]["m"].untyped_storage().data_ptr() == second.m.data_ptr() for value in values)
    assert torch.equal(second.m, first.m)
    assert torch.equal(second.v, first.v)
