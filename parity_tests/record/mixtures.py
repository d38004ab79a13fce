"""Likelihood under a mixture, and divergence between two mixtures, in nats: NumPy alone.

They say how much a difference in the parameters matters. Source: Graves 2013 (arXiv 1308.0850),
equations 23-26, as Magenta parameterises them; the divergence of two normals is the textbook's.
"""

from collections.abc import Mapping

import numpy as np

DENSITY_PARAMETERS = ("pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen")  # what the likelihood is made of
PARAMETERS = (*DENSITY_PARAMETERS, "pen_logits")  # everything Magenta returns for a mixture
Mixture = Mapping[str, np.ndarray]


def nll(mixture: Mixture, targets: np.ndarray) -> np.ndarray:
    """-log density of each target point and its pen state, [B, T].

    Args:
        mixture: Magenta's parameters by name, [B, T, M], ``pen`` [B, T, 3].
        targets: stroke-5 [B, T, 5].
    """
    with np.errstate(all="ignore"):  # a component of weight 0, or whatever a port answered
        return _nll(mixture, targets)


def _nll(mixture: Mixture, targets: np.ndarray) -> np.ndarray:
    pi, mu1, mu2, sigma1, sigma2, corr, pen = (np.asarray(mixture[name], np.float64) for name in DENSITY_PARAMETERS)
    u1 = (targets[..., 0:1] - mu1) / sigma1
    u2 = (targets[..., 1:2] - mu2) / sigma2
    rest = 1 - corr**2
    log_normal = -(u1**2 + u2**2 - 2 * corr * u1 * u2) / (2 * rest) - 0.5 * np.log(rest)
    log_normal = log_normal - np.log(2 * np.pi * sigma1 * sigma2)
    terms = np.log(pi) + log_normal
    largest = terms.max(axis=-1)
    log_density = largest + np.log(np.exp(terms - largest[..., None]).sum(axis=-1))
    return -log_density - np.log((pen * targets[..., 2:]).sum(axis=-1))


def kl(p: Mixture, q: Mixture) -> np.ndarray:
    """An upper bound of the divergence of p from q at each step, [B, T]: of the components and of the pen.

    KL(sum of pi_k p_k, sum of rho_k q_k) <= KL(pi, rho) + sum of pi_k KL(p_k, q_k), by the convexity of the divergence.
    """
    p, q = ({name: np.asarray(side[name], np.float64) for name in DENSITY_PARAMETERS} for side in (p, q))
    with np.errstate(all="ignore"):  # a component of weight 0, or whatever a port answered
        components = (p["pi"] * _kl_of_normals(p, q)).sum(axis=-1)
        return _kl_of_weights(p["pi"], q["pi"]) + components + _kl_of_weights(p["pen"], q["pen"])


def _kl_of_weights(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return np.where(p > 0, p * np.log(p / q), 0.0).sum(axis=-1)


def _kl_of_normals(p: Mixture, q: Mixture) -> np.ndarray:
    """Of two-dimensional normals, each [B, T, M]."""
    d1, d2 = (p["mu1"] - q["mu1"]) / q["sigma1"], (p["mu2"] - q["mu2"]) / q["sigma2"]
    s1, s2 = p["sigma1"] / q["sigma1"], p["sigma2"] / q["sigma2"]
    rest = 1 - q["corr"] ** 2
    trace = (s1**2 + s2**2 - 2 * p["corr"] * q["corr"] * s1 * s2) / rest
    distance = (d1**2 + d2**2 - 2 * q["corr"] * d1 * d2) / rest
    log_ratio = np.log(rest / (1 - p["corr"] ** 2)) - 2 * np.log(s1 * s2)
    return 0.5 * (trace + distance - 2 + log_ratio)
