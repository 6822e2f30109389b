"""Gaussian process over architectures, with noise, and hyperparameters by marginal likelihood.

Rasmussen and Williams, "Gaussian Processes for Machine Learning", MIT Press 2006, chapters 2 and 5.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from nasbench_harness import Floats
from nasbench_strategies._models.encoding import Blocks

# Logarithms of the inverse length of each block, the variance of each trend's weight, the deviation of an architecture
# and the noise, before any result.
_PRIOR_INVERSE_LENGTH, _PRIOR_WEIGHT, _PRIOR_OWN, _PRIOR_NOISE = 1.0, 0.0, -3.0, -4.0
_PRIOR_PRECISION = 0.1
_SMALLEST, _LARGEST = -14.0, 4.0
_STEP = np.log(2.0)


class GaussianProcess:
    """Posterior of the noiseless losses of architectures.

    The covariance of two losses is exp(−Σ length⁻¹ · d²) over the blocks, where d² is half the squared distance of the
    features of a block. Each architecture has an independent deviation of its own, and each evaluation has noise.
    Only repeated evaluations tell the two apart: without noise, the posterior mean of an architecture is its value.

    The prior mean is a weighted sum of the trends of an architecture, 0 without trends. Each weight is normal around 0,
    which adds a linear kernel to the covariance (section 2.7): the losses decide about size and sign of the weights.

    Args:
        num_blocks: Number of blocks of features.
        num_trends: Number of trends.

    Attributes:
        parameters: Logarithms of the inverse lengths (num_blocks,), the variances of the weights (num_trends,), the own
            variance and the noise variance, all variances as multiples of the variance that the blocks explain.
    """

    def __init__(self, num_blocks: int, num_trends: int = 0) -> None:
        self._num_blocks = num_blocks
        first = [_PRIOR_INVERSE_LENGTH] * num_blocks + [_PRIOR_WEIGHT] * num_trends
        self._prior = np.array([*first, _PRIOR_OWN, _PRIOR_NOISE])
        self.parameters = self._prior.copy()

    def fit(self, evaluated: Blocks, losses: Floats, sweeps: int) -> None:
        """Condition on losses, and improve the hyperparameters.

        Args:
            evaluated: The architectures, one for each evaluation, shape (n,).
            losses: Standardized losses, shape (n,).
            sweeps: Passes over the hyperparameters; each is doubled or halved if the likelihood rises.
        """
        self._evaluated, self._losses = evaluated, losses
        self._distances, self._products = _distances(evaluated, evaluated), _products(evaluated, evaluated)
        self._is_same = evaluated.architectures[:, None] == evaluated.architectures
        likelihood = self._condition(self.parameters)
        for _ in range(sweeps):
            before = likelihood
            for position in range(len(self.parameters)):
                likelihood = self._improve(position, likelihood)
            if likelihood == before:
                break
        if sweeps:
            self._condition(self.parameters)  # the last trial may have been worse

    def _improve(self, position: int, likelihood: float) -> float:
        for step in (_STEP, -_STEP):
            trial = self.parameters.copy()
            trial[position] = np.clip(trial[position] + step, _SMALLEST, _LARGEST)
            found = self._condition(trial)
            if found > likelihood:
                self.parameters = trial
                return found
        return likelihood

    def _condition(self, parameters: Floats) -> float:
        """Logarithm of the marginal likelihood times the prior, the amplitude being the most likely one."""
        size = len(self._losses)
        covariance = self._shared(parameters, self._distances, self._products)
        covariance += np.exp(parameters[-2]) * self._is_same
        covariance.flat[:: size + 1] += np.exp(parameters[-1])
        self._lower = np.linalg.cholesky(covariance)
        self._whitened = solve_triangular(self._lower, self._losses, lower=True, check_finite=False)
        self._amplitude = max(float(self._whitened @ self._whitened) / size, 1e-12)
        penalty = _PRIOR_PRECISION / 2 * ((parameters - self._prior) ** 2).sum()
        return float(-size / 2 * np.log(self._amplitude) - np.log(self._lower.diagonal()).sum() - penalty)

    @property
    def noise_variance(self) -> float:
        """Variance of one evaluation around the noiseless loss."""
        return float(self._amplitude * np.exp(self.parameters[-1]))

    def fitted_mean(self) -> Floats:
        """Posterior mean of the noiseless loss of each evaluated architecture, shape (n,)."""
        mean: Floats = self._losses - np.exp(self.parameters[-1]) * self._weights()
        return mean

    def left_out_mean(self) -> Floats:
        """Posterior mean of each evaluation without its own loss, shape (n,)."""
        inverse = solve_triangular(self._lower, np.eye(len(self._losses)), lower=True, check_finite=False)
        mean: Floats = self._losses - self._weights() / (inverse**2).sum(axis=0)
        return mean

    def predict(self, candidates: Blocks) -> tuple[Floats, Floats]:
        """Posterior mean and standard deviation of the noiseless losses of candidates, both (n,)."""
        own, pair = np.exp(self.parameters[-2]), (candidates, self._evaluated)
        covariance = self._shared(self.parameters, _distances(*pair), _products(*pair))
        covariance += own * (candidates.architectures[:, None] == self._evaluated.architectures)
        explained = solve_triangular(self._lower, covariance.T, lower=True, check_finite=False)
        trend = candidates.trends**2 @ np.exp(self.parameters[self._num_blocks : -2])
        variance = self._amplitude * np.maximum(1 + own + trend - (explained**2).sum(axis=0), 1e-12)
        return covariance @ self._weights(), np.sqrt(variance)

    def _shared(self, parameters: Floats, distances: Floats, products: Floats) -> Floats:
        """Covariance by the blocks and the trends, (n, m)."""
        covariance: Floats = np.exp(-np.tensordot(np.exp(parameters[: self._num_blocks]), distances, 1))
        return covariance + np.tensordot(np.exp(parameters[self._num_blocks : -2]), products, 1)

    def _weights(self) -> Floats:
        weights: Floats = solve_triangular(self._lower, self._whitened, lower=True, trans=1, check_finite=False)
        return weights


def _distances(first: Blocks, second: Blocks) -> Floats:
    """Half the squared distance of each block: (num_blocks, n, m)."""
    found = []
    for one, other in zip(first.features, second.features, strict=True):
        squares = (one * one).sum(axis=1)[:, None] / 2 + (other * other).sum(axis=1) / 2
        shared = min(one.shape[1], other.shape[1])  # features that only later architectures have
        found.append(np.maximum(squares - one[:, :shared] @ other[:, :shared].T, 0.0))
    return np.array(found, dtype=np.float64)


def _products(first: Blocks, second: Blocks) -> Floats:
    """Products of each trend: (num_trends, n, m)."""
    found: Floats = first.trends.T[:, :, None] * second.trends.T[:, None]
    return found
