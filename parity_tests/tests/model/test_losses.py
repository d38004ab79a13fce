"""The density, the reconstruction cost and the KL cost equal plain formulas, and are finite where those overflow."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pytorch_sketch_rnn.model.losses import DENSITY_EPSILON, kl_cost, reconstruction_cost
from pytorch_sketch_rnn.model.mixture import Mixture

B, T, M = 3, 5, 4
both_types = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def moderate(seed: int = 0) -> tuple[Mixture, Tensor]:
    """A mixture and targets for which the plain formulas are exact, float64; sketches end after 5, 3 and 0 steps."""
    rng = np.random.RandomState(seed)
    mixture = Mixture.from_output(torch.from_numpy(rng.normal(size=(B, T, 3 + 6 * M))))
    targets = np.zeros((B, T, 5))
    targets[..., :2] = rng.normal(size=(B, T, 2))
    targets[np.arange(B)[:, None], np.arange(T), 2 + rng.randint(0, 2, (B, T))] = 1
    for row, length in enumerate((5, 3, 0)):
        targets[row, length:] = (0, 0, 0, 0, 1)
    return mixture, torch.from_numpy(targets)


def plain_density(mixture: Mixture, targets: Tensor) -> np.ndarray:
    """Graves 2013, equations 23-25, without rearrangement."""
    p = {name: value.numpy() for name, value in mixture.parameters().items()}
    d1 = (targets[..., :1].numpy() - p["mu1"]) / p["sigma1"]
    d2 = (targets[..., 1:2].numpy() - p["mu2"]) / p["sigma2"]
    z = d1**2 + d2**2 - 2 * p["corr"] * d1 * d2
    rest = 1 - p["corr"] ** 2
    normal = np.exp(-z / (2 * rest)) / (2 * np.pi * p["sigma1"] * p["sigma2"] * np.sqrt(rest))
    return (p["pi"] * normal).sum(axis=-1)


# ------------------------------------------------------------------------------------------------ plain formulas
def test_the_output_is_split_into_the_pen_and_then_one_block_per_parameter():
    output = torch.arange(3 + 6 * M, dtype=torch.float64).expand(B, T, -1)
    mixture = Mixture.from_output(output)
    raw = (mixture.pi_logits, mixture.mu1, mixture.mu2, mixture.log_sigma1, mixture.log_sigma2, mixture.corr_logits)
    assert torch.equal(torch.cat([mixture.pen_logits, *raw], dim=-1), output)
    assert [value.shape[-1] for value in (mixture.pen_logits, *raw)] == [3, *[M] * 6]


def test_parameters_are_softmax_exp_and_tanh_of_the_output():
    mixture, _ = moderate()
    torch.testing.assert_close(mixture.pi, mixture.pi_logits.exp() / mixture.pi_logits.exp().sum(-1, keepdim=True))
    torch.testing.assert_close(mixture.pen, mixture.pen_logits.exp() / mixture.pen_logits.exp().sum(-1, keepdim=True))
    for name in ("sigma1", "sigma2"):
        assert torch.equal(getattr(mixture, name), getattr(mixture, f"log_{name}").exp())
    assert torch.equal(mixture.corr, mixture.corr_logits.tanh())


def test_log_density_is_the_log_of_the_plain_formula():
    for seed in range(20):
        mixture, targets = moderate(seed)
        ours = mixture.log_density(targets[..., 0], targets[..., 1]).exp().numpy()
        np.testing.assert_allclose(ours, plain_density(mixture, targets), rtol=1e-12)


def test_the_density_integrates_to_one():
    mixture = Mixture.from_output(moderate()[0].log_sigma1.new_tensor(np.random.RandomState(1).normal(size=3 + 6 * M)))
    grid = torch.linspace(-30, 30, 1001, dtype=torch.float64)
    x1, x2 = torch.meshgrid(grid, grid, indexing="ij")
    total = mixture.log_density(x1, x2).exp().sum() * (grid[1] - grid[0]) ** 2
    assert abs(float(total) - 1) < 1e-6


@pytest.mark.parametrize("is_training", [True, False])
def test_reconstruction_cost_is_the_plain_formula_over_all_steps(is_training):
    for seed in range(20):
        mixture, targets = moderate(seed)
        drawn = 1 - targets[..., 4].numpy()
        offset = -np.log(plain_density(mixture, targets) + 1e-6) * drawn
        pen = -(targets[..., 2:].numpy() * np.log(mixture.pen.numpy())).sum(axis=-1)
        if not is_training:
            pen = pen * drawn
        ours = reconstruction_cost(mixture, targets, is_training=is_training)
        np.testing.assert_allclose(float(ours), (offset + pen).sum() / (B * T), rtol=1e-12)


def test_the_padding_counts_for_the_pen_only_and_only_in_training():
    mixture, targets = moderate()
    targets[:] = torch.tensor([0.0, 0, 0, 0, 1])
    assert reconstruction_cost(mixture, targets, is_training=False) == 0
    expected = -mixture.pen_logits.log_softmax(-1)[..., 2].mean()
    torch.testing.assert_close(reconstruction_cost(mixture, targets, is_training=True), expected)


# ------------------------------------------------------------------------------------------------------- extremes
LOG_SIGMAS = (-200.0, -100.0, -61.0, -59.0, -20.0, 0.0, 20.0, 80.0)
CORR_LOGITS = (-1e4, -50.0, -9.0, 0.0, 12.0, 19.5, 22.0, 1e4)
DISTANCES = (0.0, 1e-40, -1e-34, 1e-20, -1e-7, 1.0, -1e6)


def leaves(dtype: torch.dtype, **values: Tensor) -> dict[str, Tensor]:
    return {name: value.to(dtype).requires_grad_() for name, value in values.items()}


def assert_finite_cost_and_gradients(raw: dict[str, Tensor], targets: Tensor, is_training: bool) -> None:
    cost = len(targets[0]) * reconstruction_cost(Mixture(**raw), targets, is_training=is_training)  # the sum
    assert torch.isfinite(cost)
    for gradient, name in zip(torch.autograd.grad(cost, list(raw.values())), raw, strict=True):
        assert torch.isfinite(gradient).all(), name


@both_types
@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("mu", [0.0, 3.0])
@pytest.mark.parametrize("beside", [0, 1])
def test_cost_and_gradients_are_finite_for_every_sigma_corr_and_distance(dtype, is_training, mu, beside):
    """One extreme component, alone or with a harmless one."""
    cases = torch.tensor(
        list(itertools.product(LOG_SIGMAS, LOG_SIGMAS, CORR_LOGITS, DISTANCES, DISTANCES)), dtype=torch.float64
    )
    log_sigma1, log_sigma2, corr_logits, distance1, distance2 = (column.view(1, -1, 1) for column in cases.unbind(1))
    harmless = torch.zeros(1, len(cases), beside)
    raw = leaves(
        dtype,
        pen_logits=torch.zeros(1, len(cases), 3),
        pi_logits=torch.zeros(1, len(cases), 1 + beside),
        mu1=torch.full((1, len(cases), 1 + beside), mu),
        mu2=torch.full((1, len(cases), 1 + beside), mu),
        log_sigma1=torch.cat([log_sigma1, harmless], dim=2),
        log_sigma2=torch.cat([log_sigma2, harmless], dim=2),
        corr_logits=torch.cat([corr_logits, harmless], dim=2),
    )
    pen = torch.tensor([1.0, 0, 0]).expand(1, len(cases), 3)
    targets = torch.cat([mu + distance1, mu + distance2, pen], dim=2).to(dtype)
    assert_finite_cost_and_gradients(raw, targets, is_training)


@both_types
@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_cost_and_gradients_are_finite_for_huge_logits(dtype, is_training, size):
    signs = torch.tensor(list(itertools.product((-1.0, 0.0, 1.0), repeat=5)), dtype=torch.float64)
    count = len(signs)
    raw = leaves(
        dtype,
        pen_logits=size * signs[None, :, :3],
        pi_logits=size * signs[None, :, 3:],
        **{name: torch.zeros(1, count, 2) for name in ("mu1", "mu2", "log_sigma1", "log_sigma2", "corr_logits")},
    )
    for pen in range(3):
        targets = torch.zeros(1, count, 5, dtype=dtype)
        targets[..., 2 + pen] = 1
        assert_finite_cost_and_gradients(raw, targets, is_training)


def single(dtype: torch.dtype, *, log_sigma: float, corr_logit: float = 0.0, mu: float = 0.0) -> dict[str, Tensor]:
    """One component, one step."""
    one = torch.ones(1, 1, 1)
    return leaves(
        dtype, pen_logits=torch.zeros(1, 1, 3), pi_logits=0 * one, mu1=mu * one, mu2=mu * one,
        log_sigma1=log_sigma * one, log_sigma2=log_sigma * one, corr_logits=corr_logit * one,
    )  # fmt: skip


def target(x: float, dtype: torch.dtype) -> Tensor:
    return torch.tensor([[[x, x, 1.0, 0, 0]]], dtype=dtype)


@both_types
def test_the_cost_of_a_tiny_sigma_at_its_mean_is_its_true_log_density(dtype):
    """The density is infinite in float32 here; its log is not."""
    for log_sigma, corr_logit in ((-200.0, 0.0), (-60.0, 0.0), (-30.0, 19.0)):
        raw = single(dtype, log_sigma=log_sigma, corr_logit=corr_logit)
        cost = reconstruction_cost(Mixture(**raw), target(0.0, dtype), is_training=True)
        log_sech2 = 2 * (math.log(2) - corr_logit - math.log1p(math.exp(-2 * corr_logit)))
        expected = math.log(2 * math.pi) + 2 * log_sigma + 0.5 * log_sech2 + math.log(3)
        assert cost.item() == pytest.approx(expected, rel=1e-6)
        gradients = dict(zip(raw, torch.autograd.grad(cost, list(raw.values())), strict=True))
        assert float(gradients["log_sigma1"]) == pytest.approx(1.0)
        assert float(gradients["log_sigma2"]) == pytest.approx(1.0)
        assert float(gradients["corr_logits"]) == pytest.approx(-math.tanh(corr_logit))
        assert (float(gradients["mu1"]), float(gradients["mu2"])) == (0.0, 0.0)


@both_types
def test_the_cost_of_a_far_point_is_the_floor_and_has_no_gradient(dtype):
    raw = single(dtype, log_sigma=0.0)
    cost = reconstruction_cost(Mixture(**raw), target(1e6, dtype), is_training=True)
    assert cost.item() == pytest.approx(-math.log(DENSITY_EPSILON) + math.log(3))
    gradients = dict(zip(raw, torch.autograd.grad(cost, list(raw.values())), strict=True))
    assert not any(gradients[name].any() for name in raw if name != "pen_logits")


@both_types
def test_just_within_the_bounds_the_density_is_the_official_one(dtype):
    """A few deviations away, for a sigma and a corr that the official formula can still represent."""
    for log_sigma, corr_logit in ((-25.0, 0.0), (0.0, 3.0), (-25.0, -3.0), (25.0, 0.0)):
        raw = single(torch.float64, log_sigma=log_sigma, corr_logit=corr_logit)
        x = 1.5 * math.exp(log_sigma)
        at = torch.tensor([[[x, -x / 3]]], dtype=torch.float64)
        with torch.no_grad():
            expected = np.log(plain_density(Mixture(**raw), at))
            narrow = Mixture(**{name: value.to(dtype) for name, value in raw.items()})
            ours = narrow.log_density(at[..., 0].to(dtype), at[..., 1].to(dtype))
        np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-10 if dtype == torch.float64 else 1e-4)


def test_the_gradient_of_the_cost_equals_that_of_the_plain_formula():
    mixture, targets = moderate()
    fields = {name: getattr(mixture, name).clone().requires_grad_() for name in Mixture.__dataclass_fields__}
    ours = torch.autograd.grad(reconstruction_cost(Mixture(**fields), targets, is_training=True), list(fields.values()))
    m = Mixture(**fields)
    d1, d2 = (targets[..., :1] - m.mu1) / m.sigma1, (targets[..., 1:2] - m.mu2) / m.sigma2
    rest = 1 - m.corr**2
    normal = torch.exp(-(d1**2 + d2**2 - 2 * m.corr * d1 * d2) / (2 * rest))
    density = (m.pi * normal / (2 * math.pi * m.sigma1 * m.sigma2 * rest.sqrt())).sum(-1)
    offset = -torch.log(density + 1e-6) * (1 - targets[..., 4])
    cost = (offset - (targets[..., 2:] * m.pen.log()).sum(-1)).mean()
    for name, here, expected in zip(fields, ours, torch.autograd.grad(cost, list(fields.values())), strict=True):
        torch.testing.assert_close(here, expected, rtol=1e-10, atol=1e-14, msg=name)


# ------------------------------------------------------------------------------------------------------------ KL
def test_kl_cost_is_the_divergence_from_the_standard_normal():
    rng = np.random.RandomState(0)
    mu, presig = rng.normal(size=(B, 6)), rng.normal(size=(B, 6))
    expected = np.mean(0.5 * (mu**2 + np.exp(presig) - 1 - presig))
    assert expected > 0.2
    ours = float(kl_cost(torch.from_numpy(mu), torch.from_numpy(presig), 0.2))
    assert ours == pytest.approx(expected, rel=1e-14)


@both_types
def test_below_the_floor_the_kl_cost_is_the_floor_and_has_no_gradient(dtype):
    mu, presig = (torch.full((B, 6), value, dtype=dtype, requires_grad=True) for value in (0.1, -0.1))
    cost = kl_cost(mu, presig, 0.2)
    assert cost.item() == pytest.approx(0.2)
    for gradient in torch.autograd.grad(cost, [mu, presig]):
        assert not gradient.any()


@both_types
def test_above_the_floor_the_gradient_is_the_analytic_one(dtype):
    rng = np.random.RandomState(1)
    mu, presig = (torch.tensor(rng.normal(size=(B, 6)), dtype=dtype, requires_grad=True) for _ in range(2))
    gradients = torch.autograd.grad(kl_cost(mu, presig, 0.2), [mu, presig])
    torch.testing.assert_close(gradients[0], (mu / (B * 6)).detach())
    torch.testing.assert_close(gradients[1], ((presig.exp() - 1) / 2 / (B * 6)).detach())


@both_types
def test_kl_cost_at_extreme_presig(dtype):
    mu = torch.zeros(1, 1, dtype=dtype)
    assert float(kl_cost(mu, torch.full_like(mu, -1e4), 0.2)) == pytest.approx(0.5 * (1e4 - 1))
    assert float(kl_cost(mu, torch.full_like(mu, 80.0), 0.2)) == pytest.approx(0.5 * (math.exp(80) - 81), rel=1e-6)
    # where the variance itself overflows, as it does in the official code, the cost is infinite but not NaN
    assert float(kl_cost(mu, torch.full_like(mu, 1e4), 0.2)) == math.inf
    assert float(kl_cost(torch.full_like(mu, 1e3), mu, 0.2)) == pytest.approx(0.5e6)
