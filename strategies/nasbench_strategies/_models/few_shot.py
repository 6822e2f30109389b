"""A predictor of losses from a few evaluations and from models of other tasks."""

from __future__ import annotations

import numpy as np

from nasbench_harness import Floats, Ints
from nasbench_strategies._models.encoding import Encoding
from nasbench_strategies._models.gaussian_process import GaussianProcess
from nasbench_strategies._models.sources import SourceSample, normal_scores

_SWEEPS = 3


def source_models(encode: Encoding, sample: SourceSample) -> list[GaussianProcess]:
    """A Gaussian process of the normal scores of every source."""
    evaluated, models = encode(sample.architectures), []
    for losses in sample.losses:
        model = GaussianProcess(encode.num_blocks)
        model.fit(evaluated, normal_scores(losses), _SWEEPS)
        models.append(model)
    return models


class FewShotPredictor:
    """Weights of source models by ridge regression, and a Gaussian process of the rest.

    The weights shrink towards equal ones: without evaluations the prediction is the mean of the sources.

    Args:
        encode: Makes features.
        models: Models of the sources; empty: the Gaussian process alone predicts.
        shrinkage: Evaluations that equal weights count as.
    """

    def __init__(self, encode: Encoding, models: list[GaussianProcess], shrinkage: float) -> None:
        self._encode, self._models, self._shrinkage = encode, models, shrinkage
        self.weights = np.full(len(models), 1 / max(1, len(models)))
        self._rest: GaussianProcess | None = None

    def fit(self, architectures: Ints, losses: Floats) -> None:
        """Learn from the evaluations of the target so far.

        Args:
            architectures: Indices, shape (n,).
            losses: Observed losses, shape (n,).
        """
        targets, equal = normal_scores(losses), np.full(len(self._models), 1 / max(1, len(self._models)))
        known = self._of_sources(architectures)
        if len(self._models):
            products = known.T @ known + self._shrinkage * np.eye(len(equal))
            self.weights = equal + np.linalg.solve(products, known.T @ (targets - known @ equal))
        self._rest = GaussianProcess(self._encode.num_blocks)
        self._rest.fit(self._encode(architectures), targets - known @ self.weights, _SWEEPS)

    def predict(self, architectures: Ints) -> Floats:
        """Predicted normal scores of the losses, shape (n,); smaller is better."""
        found = self._of_sources(architectures) @ self.weights
        if self._rest is not None:
            found = found + self._rest.predict(self._encode(architectures))[0]
        return np.asarray(found)

    def _of_sources(self, architectures: Ints) -> Floats:
        """Prediction of each source, shape (n, num_sources)."""
        features = self._encode(architectures)
        found = [model.predict(features)[0] for model in self._models]
        return np.array(found).reshape(len(found), len(architectures)).T
