"""Predicts the latencies of a device that was measured on a few architectures, from the columns of other devices.

The latencies of devices differ in scale and shift, and to a lesser degree in the time of single choices. The logarithm
of a latency is a Gaussian process with these parts: a shift, a slope on the mean of the other devices, weights on each
of the other devices, weights on the number of each operation and on the choice of each decision, and a smooth function
of the choices. Without the last part it is a ridge regression.

Lee et al., "HELP: Hardware-Adaptive Efficient Latency Prediction for NAS via Meta-Learning", NeurIPS 2021, learn the
start of a neural network from other devices. This is a closed form with the same inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces import SearchSpace

MIN_MEASURED = 3
_NUM_CANDIDATES = 1_000
_SMALLEST = 1e-9


@dataclass(frozen=True)
class DevicePrior:
    """Variances of the parts of a standardized log latency.

    Attributes:
        shift: Variance of the constant.
        scale: Variance of the slope on the mean of the other devices.
        device: Variance of the weights on single devices, all together.
        count: Variance of the weights on the numbers of equal choices, e.g. of convolutions, all together.
        choice: Variance of the weights on the choice of each decision, all together.
        cell: Variance of the smooth function of the choices.
        noise: Variance of the measurement.
    """

    shift: float = 1.0
    scale: float = 1.0
    device: float = 0.5
    count: float = 1.0
    choice: float = 0.1
    cell: float = 0.05
    noise: float = 0.02


@dataclass(frozen=True, eq=False)
class DeviceFeatures:
    """Known facts about every architecture.

    Attributes:
        devices: Standardized log latencies on other devices, shape (num_architectures, num_devices).
        choices: Indicators of the choices, shape (num_architectures, num_indicators).
        counts: Standardized numbers of decisions with the same choice, shape (num_architectures, num_names).
        num_decisions: Decisions of an architecture.
    """

    devices: Floats
    choices: Floats
    counts: Floats
    num_decisions: int

    @classmethod
    def of(cls, space: SearchSpace, latencies: Floats) -> DeviceFeatures:
        """Features of a space's architectures.

        Args:
            space: The space.
            latencies: Positive latencies on other devices, shape (num_architectures, num_devices); NaN is filled by a
                regression on the choices and the other devices.

        Raises:
            InvalidInputError: A device has fewer than three latencies, or one that is not positive.
        """
        choices = space.one_hot(np.arange(space.num_architectures)).astype(np.float64)
        columns = [_standardized_log(latencies[:, k]) for k in range(latencies.shape[1])]
        devices = np.stack(columns, axis=1) if columns else np.zeros((len(choices), 0))
        known = ~np.isnan(devices)
        complete = devices[:, known.all(axis=0)]
        for column in np.flatnonzero(~known.all(axis=0)):
            devices[:, column] = _filled(devices[:, column], np.concatenate([choices, complete], axis=1))
        return cls(devices, choices, _counts(space, choices), len(space.num_choices))

    def covariance(self, rows: Ints, others: Ints, prior: DevicePrior) -> Floats:
        """Prior covariance of the log latencies of two sets of architectures, without noise, shape (n, m)."""
        shared = self.choices[rows] @ self.choices[others].T
        different = self.num_decisions - shared
        found = prior.shift + prior.choice * shared / self.num_decisions + prior.cell * np.exp(-different / 2)
        found += prior.count * (self.counts[rows] @ self.counts[others].T) / self.counts.shape[1]
        if self.devices.shape[1]:
            one, other = self.devices[rows], self.devices[others]
            found += prior.scale * np.outer(one.mean(axis=1), other.mean(axis=1))
            found += prior.device * (one @ other.T) / self.devices.shape[1]
        return np.asarray(found)


def choose_diverse(
    features: DeviceFeatures, count: int, candidates: Ints, seed: int = 0, prior: DevicePrior = DevicePrior()
) -> Ints:
    """Architectures whose measurement tells most about all others.

    Each next one lowers the sum of the prior variances of the candidates most. Latencies of the new device are not
    needed for it.

    Args:
        features: Known facts.
        count: Number of architectures.
        candidates: Architectures that can be measured, shape (n,). A thousand of them are drawn if there are more.
        seed: Seed of this draw.
        prior: The prior.

    Returns:
        Indices in the order of the choice, shape (count,).

    Raises:
        InvalidInputError: There are fewer candidates.
    """
    if not 1 <= count <= len(candidates):
        raise InvalidInputError(f"the number of architectures must lie in 1 … {len(candidates):,}, not {count}")
    drawn = np.random.default_rng(seed).permutation(candidates)[: max(_NUM_CANDIDATES, 2 * count)]
    covariance = features.covariance(drawn, drawn, prior)
    chosen: list[int] = []
    for _ in range(count):
        variance = np.diag(covariance) + prior.noise
        gain = np.einsum("ij,ij->j", covariance, covariance) / variance
        gain[chosen] = -1.0
        best = int(gain.argmax())
        chosen.append(best)
        covariance = covariance - np.outer(covariance[:, best], covariance[best]) / variance[best]
    return np.asarray(drawn[chosen])


def predict_latencies(
    features: DeviceFeatures, rows: Ints, latencies: Floats, prior: DevicePrior = DevicePrior()
) -> Floats:
    """Latencies of all architectures on a device that was measured on some.

    Args:
        features: Known facts.
        rows: Measured architectures, shape (num_measured,).
        latencies: Their latencies on the new device, positive, in any unit, shape (num_measured,).
        prior: The prior.

    Returns:
        Predictions in the same unit, shape (num_architectures,).

    Raises:
        InvalidInputError: Fewer than three architectures, a latency that is not positive, or all latencies are equal.
    """
    if len(rows) < MIN_MEASURED or len(rows) != len(latencies):
        raise InvalidInputError(f"a prediction needs {MIN_MEASURED} measured architectures or more, not {len(rows)}")
    if not (np.isfinite(latencies).all() and (latencies > 0).all()):
        raise InvalidInputError("measured latencies must be finite and above 0")
    logs = np.log(latencies)
    mean, std = float(logs.mean()), float(logs.std())
    if std < _SMALLEST:
        raise InvalidInputError("all measured latencies are equal: nothing can be predicted from them")
    covariance = features.covariance(rows, rows, prior) + prior.noise * np.eye(len(rows))
    weights = cho_solve(cho_factor(covariance), (logs - mean) / std)
    everything = np.arange(len(features.choices))
    return np.exp(features.covariance(everything, rows, prior) @ weights * std + mean)


def _counts(space: SearchSpace, choices: Floats) -> Floats:
    """Standardized number of decisions with each choice, by its name."""
    names = [name for decision in space.decisions for name in decision]
    counts = np.stack([choices[:, [other == name for other in names]].sum(axis=1) for name in dict.fromkeys(names)])
    return np.asarray((counts.T - counts.mean(axis=1)) / np.maximum(counts.std(axis=1), _SMALLEST))


def _standardized_log(latencies: Floats) -> Floats:
    known = ~np.isnan(latencies)
    if known.sum() < MIN_MEASURED or not (latencies[known] > 0).all() or not np.isfinite(latencies[known]).all():
        raise InvalidInputError(f"a device's column needs {MIN_MEASURED} or more latencies, all finite and above 0")
    logs = np.log(latencies)
    spread = float(np.nanstd(logs))
    return np.asarray((logs - np.nanmean(logs)) / max(spread, _SMALLEST))


def _filled(column: Floats, others: Floats) -> Floats:
    """A column whose missing values follow from the others by ridge regression."""
    known = ~np.isnan(column)
    inputs = np.concatenate([others, np.ones((len(others), 1))], axis=1)
    products = inputs[known].T @ inputs[known]
    weights = np.linalg.solve(products + np.eye(len(products)), inputs[known].T @ column[known])
    return np.where(known, column, inputs @ weights)
