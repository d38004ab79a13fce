"""reg_covar is added to both variances of a component and leaves the covariance unchanged."""

import numpy as np
import pytest
import torch

from pytorch_sketch_rnn.model.mixture import Mixture


def raw_output(dtype=torch.float64, scale=1.0):
    output = scale * torch.randn(4, 3, 3 + 6 * 5, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return output.requires_grad_()


def mixture(scale=1.0):
    return Mixture.from_output(raw_output(scale=scale))


@pytest.mark.parametrize("reg", [1e-6, 0.3])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_reg_covar_is_added_to_both_variances_and_the_covariance_is_unchanged(reg, scale):
    before = mixture(scale=scale)
    after = before.regularized(reg)
    for name in ("sigma1", "sigma2"):
        grown = getattr(before, name).square() + reg
        torch.testing.assert_close(getattr(after, name).square(), grown, rtol=1e-12, atol=0)
    covariances = [m.corr * m.sigma1 * m.sigma2 for m in (before, after)]
    torch.testing.assert_close(*covariances, rtol=1e-9, atol=1e-14)
    for name in ("pi", "pen", "mu1", "mu2"):
        assert torch.equal(getattr(before, name), getattr(after, name))


def test_reg_covar_zero_changes_nothing():
    before = mixture()
    assert before.regularized(0.0) is before


def test_reg_covar_bounds_the_density_of_a_collapsed_component():
    fields = {name: torch.zeros(1, 1, dtype=torch.float32) for name in ("pi_logits", "mu1", "mu2")}
    collapsed = {"log_sigma1": torch.full((1, 1), -40.0), "log_sigma2": torch.full((1, 1), -40.0)}
    sharp = Mixture(torch.zeros(1, 3), **fields, **collapsed, corr_logits=torch.full((1, 1), 15.0))
    density = sharp.regularized(1e-4).log_density(torch.zeros(1), torch.zeros(1))
    # a normal with variance 1e-4 on both axes, at its mean
    assert float(density) == pytest.approx(-np.log(2 * np.pi * 1e-4), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_gradients_through_reg_covar_are_finite(dtype, scale):
    output = raw_output(dtype, scale)
    x = torch.zeros(4, 3, dtype=dtype)
    Mixture.from_output(output).regularized(1e-6).log_density(x, x).sum().backward()
    assert torch.isfinite(output.grad).all()


def test_gradients_through_reg_covar_equal_numerical_ones():
    torch.manual_seed(0)
    raw = torch.randn(2, 3 + 6 * 3, dtype=torch.float64, requires_grad=True)
    x = torch.randn(2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda r: Mixture.from_output(r).regularized(0.05).log_density(x, x), raw)
