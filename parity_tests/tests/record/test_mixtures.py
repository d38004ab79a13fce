"""Likelihoods and divergences of mixtures are the true ones, and a port that diverges from the official is caught."""

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, kl_divergence

from parity_tests import adapter
from parity_tests.judge.proof import Findings, prove
from parity_tests.record.mixtures import DENSITY_PARAMETERS, kl, nll
from parity_tests.record.recording import FOLDER, Recording


def mixture(seed: int, components: int = 4, batch: int = 2, steps: int = 3) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shape = (batch, steps, components)
    weights = {"pi": random.random(shape) + 0.1, "pen": random.random((batch, steps, 3)) + 0.1}
    weights = {name: value / value.sum(axis=-1, keepdims=True) for name, value in weights.items()}
    means = {name: random.standard_normal(shape) for name in ("mu1", "mu2")}
    spreads = {name: random.uniform(0.3, 2.0, shape) for name in ("sigma1", "sigma2")}
    return means | spreads | weights | {"corr": random.uniform(-0.9, 0.9, shape)}


def normals(values: dict[str, np.ndarray]) -> MultivariateNormal:
    """The components, as PyTorch has them."""
    s1, s2 = values["sigma1"], values["sigma2"]
    covariance = values["corr"] * s1 * s2
    matrix = np.stack([np.stack([s1**2, covariance], -1), np.stack([covariance, s2**2], -1)], -2)
    means = np.stack([values["mu1"], values["mu2"]], -1)
    return MultivariateNormal(torch.from_numpy(means), torch.from_numpy(matrix))


def targets_of(seed: int, batch: int = 2, steps: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    pens = np.eye(3)[random.integers(0, 3, (batch, steps))]
    return np.concatenate([random.standard_normal((batch, steps, 2)), pens], axis=-1)


# Likelihood ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("far", [1.0, 100.0])  # far away each density alone is zero in float64
def test_the_likelihood_is_that_of_the_mixture_and_of_the_pen(far):
    values, targets = mixture(1), targets_of(2)
    targets[..., :2] *= far
    density = MixtureSameFamily(Categorical(torch.from_numpy(values["pi"])), normals(values))
    points = density.log_prob(torch.from_numpy(targets[..., :2])).numpy()
    pens = np.log(np.take_along_axis(values["pen"], targets[..., 2:].argmax(axis=-1)[..., None], axis=-1)[..., 0])
    found = nll(values, targets)
    assert found.shape == (2, 3)
    assert found == pytest.approx(-points - pens, rel=1e-12)


def test_the_likelihood_of_all_points_and_pens_is_one():
    values = mixture(3, batch=1, steps=1)
    line = np.linspace(-12, 12, 601)
    x, y = (side.ravel() for side in np.meshgrid(line, line))
    total = 0.0
    for pen in np.eye(3):
        targets = np.concatenate([np.stack([x, y], -1), np.tile(pen, (len(x), 1))], axis=-1)[None]
        total += np.exp(-nll(values, targets)).sum() * (line[1] - line[0]) ** 2
    assert total == pytest.approx(1, abs=1e-6)


def test_a_component_of_no_weight_counts_for_nothing():
    values, targets = mixture(4, components=3), targets_of(5)
    values["pi"][..., 1] = 0
    kept = {name: value if name == "pen" else value[..., [0, 2]] for name, value in values.items()}
    assert nll(values, targets) == pytest.approx(nll(kept, targets), rel=1e-14)
    other = mixture(6, components=3)
    others = {name: value if name == "pen" else value[..., [0, 2]] for name, value in other.items()}
    assert kl(values, other) == pytest.approx(kl(kept, others), rel=1e-12)


# Divergence ----------------------------------------------------------------------------------------------------------


def test_a_mixture_does_not_diverge_from_itself():
    assert np.abs(kl(mixture(7), mixture(7))).max() < 1e-14


def test_of_one_component_the_divergence_is_that_of_two_normals_and_of_the_pens():
    p, q = mixture(8, components=1), mixture(9, components=1)
    points = kl_divergence(normals(p), normals(q)).numpy()[..., 0]
    pens = (p["pen"] * np.log(p["pen"] / q["pen"])).sum(axis=-1)
    assert kl(p, q) == pytest.approx(points + pens, rel=1e-12)
    assert np.abs(kl(p, q) - kl(q, p)).min() > 1e-3  # it has a direction


def test_of_many_components_each_counts_by_its_weight():
    p, q = mixture(10), mixture(11)
    points = (p["pi"] * kl_divergence(normals(p), normals(q)).numpy()).sum(axis=-1)
    weights = sum((p[name] * np.log(p[name] / q[name])).sum(axis=-1) for name in ("pi", "pen"))
    assert kl(p, q) == pytest.approx(points + weights, rel=1e-12)


def test_the_true_divergence_is_not_larger():
    p, q = mixture(12, batch=1, steps=1), mixture(13, batch=1, steps=1)
    q["pen"] = p["pen"]
    line = np.linspace(-12, 12, 301)
    x, y = (side.ravel() for side in np.meshgrid(line, line))
    targets = np.stack([x, y, np.ones_like(x), np.zeros_like(x), np.zeros_like(x)], -1)[None]
    log_p, log_q = -nll(p, targets) - np.log(p["pen"][0, 0, 0]), -nll(q, targets) - np.log(p["pen"][0, 0, 0])
    true = (np.exp(log_p) * (log_p - log_q)).sum() * (line[1] - line[0]) ** 2
    assert 0 < true < kl(p, q).item()


@pytest.mark.parametrize("name", ["pi", "pen"])
def test_a_weight_that_only_the_other_side_has_not_diverges_without_bound(name):
    p, q = mixture(14), mixture(14)
    q[name][1, 2, 0] = 0
    found = kl(p, q)
    assert found[1, 2] == np.inf
    assert np.abs(np.delete(found.ravel(), 5)).max() < 1e-14
    assert np.isfinite(kl(q, p)).all()


@pytest.mark.parametrize("name", DENSITY_PARAMETERS)
def test_every_parameter_counts_in_both_and_in_float64(name):
    values, targets = mixture(15), targets_of(16)
    values = {n: value.astype(np.float32) for n, value in values.items()}
    changed = values | {name: values[name] * np.float32(1.001)}
    assert np.abs(nll(changed, targets) - nll(values, targets)).min() > 1e-6
    assert np.abs(kl(values, changed)).min() > 1e-9
    assert np.abs(kl(values, values)).max() < 1e-14
    assert nll(values, targets).dtype == kl(values, changed).dtype == np.float64


# What is made of them ------------------------------------------------------------------------------------------------


class Echo(adapter.Adapter):
    """A port that knows of a training step only what the official run gave, with a change."""

    def __init__(self, recording: Recording, precision: str, change: dict[str, np.ndarray]) -> None:
        self.precisions = (precision,)
        self.official = {name.removeprefix("train/"): value for name, value in recording[precision].items()}
        self.change = change

    def load(self, hparams, variables):
        pass

    def train_step(self, sketches, lengths, draws, lr, kl_weight):
        return {n: self.official[n] for n in (*DENSITY_PARAMETERS, "cost", "r_cost", "kl_cost")} | self.change


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording.load(FOLDER / "layer_norm-unconditional-moved.h5")


def found_for(recording: Recording, precision: str, change: dict[str, np.ndarray] | None = None) -> Findings:
    return prove(recording, Echo(recording, precision, change or {}))


def parameters(recording: Recording, precision: str) -> dict[str, np.ndarray]:
    return {name: recording[precision][f"train/{name}"] for name in DENSITY_PARAMETERS}


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_of_the_official_mixtures_themselves_likelihood_and_divergence_are_told(recording, precision):
    findings = found_for(recording, precision)
    (told,) = findings.mixtures
    truth, theirs = parameters(recording, "float64"), parameters(recording, precision)
    official = float(kl(truth, theirs).max())
    assert (told["recording"], told["precision"], told["kl_ours"]) == (recording.name, precision, official)
    assert told["kl_official"] == (official if precision == "float32" else None)
    likelihood = nll(theirs, recording["inputs"]["sketches"][:, 1:])
    assert told["nll_ours"] == pytest.approx(likelihood.mean(), rel=1e-12)
    assert told["nll_official"] == pytest.approx(recording["float64"]["train/nll"].mean(), rel=1e-12)
    gap = np.abs(likelihood - recording["float64"]["train/nll"]).max()
    assert told["largest_nll_difference"] == pytest.approx(gap, rel=1e-6, abs=1e-12)
    verdicts = {row.quantity: row.verdict for row in findings.rows if row.precision == precision}
    assert {verdicts[f"train/{name}"] for name in (*DENSITY_PARAMETERS, "nll")} == {"equal"}


@pytest.mark.parametrize("name", DENSITY_PARAMETERS)
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_mixture_that_is_off_in_one_step_is_told_with_its_divergence_and_departs_in_its_parameter(
    recording, precision, name
):
    changed = parameters(recording, precision)[name].copy()
    changed[2, 3] *= np.asarray(0.99, precision)  # weights that sum to less diverge as well
    findings = found_for(recording, precision, {name: changed})
    sound = found_for(recording, precision).mixtures[0]
    (told,) = findings.mixtures
    expected = kl(parameters(recording, "float64"), parameters(recording, precision) | {name: changed}).max()
    assert told["kl_ours"] == pytest.approx(expected, rel=1e-9)
    assert abs(told["kl_ours"]) > 100 * abs(sound["kl_ours"])
    assert told["largest_nll_difference"] > 100 * sound["largest_nll_difference"]
    (row,) = [row for row in findings.rows if (row.quantity, row.precision) == (f"train/{name}", precision)]
    assert (row.verdict, row.where["row"], row.where["step"]) == ("different", 2, 3)


BAD = {
    "infinity": lambda pi: np.where(pi == pi.max(), np.inf, pi),
    "NaN": lambda pi: pi * np.nan,
    "another order of the axes": lambda pi: pi.swapaxes(0, 1),
    "one step, for all": lambda pi: pi[:, :1],
    "one number, for all": lambda _: np.zeros((1, 1, 1)),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_mixtures_that_cannot_be_measured_are_told_by_the_rows_of_their_parameters(recording, bad):
    findings = found_for(recording, "float64", {"pi": bad(recording["float64"]["train/pi"])})
    assert not findings.mixtures
    rows = [row for row in findings.rows if row.quantity == "train/pi" and row.precision == "float64"]
    assert [row.verdict for row in rows] == ["different"]


@pytest.mark.parametrize("factor", [-1.0, 0.0])
def test_parameters_that_make_no_density_depart(recording, factor):
    findings = found_for(recording, "float64", {"sigma1": factor * recording["float64"]["train/sigma1"]})
    different = {row.quantity for row in findings.rows if row.verdict == "different"}
    assert {"train/sigma1", "train/nll"} <= different
