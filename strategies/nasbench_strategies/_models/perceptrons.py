"""An ensemble of small perceptrons, trained together by Adam on all results at once.

Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015; He et al., "Delving Deep into Rectifiers", ICCV
2015, for the initial weights. NumPy is faster than torch for networks of this size, and starts faster.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from nasbench_harness import Floats, RunStream

_BETAS, _EPSILON = (0.9, 0.999), 1e-8


class Perceptrons:
    """Networks of two hidden layers with rectifiers that predict one number.

    Args:
        num_features: Inputs.
        num_networks: Members of the ensemble.
        width: Units of each hidden layer.
        rng: The run's stream, for the initial weights.
    """

    def __init__(self, num_features: int, num_networks: int, width: int, rng: RunStream) -> None:
        sizes = [num_features, width, width, 1]
        self._shapes = [(num_networks, inputs, outputs) for inputs, outputs in pairwise(sizes)]
        num_weights = sum(int(np.prod(shape)) for shape in self._shapes)
        num_biases = num_networks * sum(sizes[1:])
        self._parameters = np.zeros(num_weights + num_biases)
        self._gradient = np.zeros_like(self._parameters)
        self._weights, self._biases = self._views(self._parameters)
        self._weight_gradients, self._bias_gradients = self._views(self._gradient)
        normal = rng.numpy_generator().standard_normal
        for weights in self._weights:
            weights[:] = normal(weights.shape) * np.sqrt(2 / weights.shape[1])

    def _views(self, flat: Floats) -> tuple[list[Floats], list[Floats]]:
        """Weights and biases of each layer as parts of one array."""
        weights, biases, start = [], [], 0
        for networks, inputs, outputs in self._shapes:
            middle = start + networks * inputs * outputs
            end = middle + networks * outputs
            weights.append(flat[start:middle].reshape(networks, inputs, outputs))
            biases.append(flat[middle:end].reshape(networks, 1, outputs))
            start = end
        return weights, biases

    def predict(self, features: Floats) -> Floats:
        """Prediction of each network, shape (num_networks, n).

        Args:
            features: Shape (n, num_features).
        """
        return self._forward(features)[-1][:, :, 0]

    def slopes(self, features: Floats) -> Floats:
        """Gradient of each network's prediction by the features, shape (num_networks, n, num_features).

        Args:
            features: Shape (n, num_features).
        """
        layers = self._forward(features)
        slopes = np.ones_like(layers[-1])
        for inputs, weights in zip(reversed(layers[:-1]), reversed(self._weights), strict=True):
            slopes = slopes @ weights.swapaxes(1, 2)
            if inputs is not features:
                slopes *= inputs > 0
        return slopes

    def _forward(self, features: Floats) -> list[Floats]:
        layers = [features]
        for position, (weights, biases) in enumerate(zip(self._weights, self._biases, strict=True)):
            values = layers[-1] @ weights
            values += biases
            if position < len(self._weights) - 1:
                np.maximum(values, 0.0, out=values)
            layers.append(values)
        return layers

    def train(self, features: Floats, targets: Floats, num_updates: int, learning_rate: float) -> None:
        """Minimize the mean squared error by Adam; the learning rate falls linearly to zero.

        Args:
            features: Shape (n, num_features).
            targets: Shape (n,).
            num_updates: Number of updates, each on all n results.
            learning_rate: Of the first update.
        """
        first, second = np.zeros_like(self._parameters), np.zeros_like(self._parameters)
        for update in range(1, num_updates + 1):
            self._backward(self._forward(features), targets)
            first += (1 - _BETAS[0]) * (self._gradient - first)
            second += (1 - _BETAS[1]) * (self._gradient**2 - second)
            rate = learning_rate * (1 - (update - 1) / num_updates) / (1 - _BETAS[0] ** update)
            self._parameters -= rate * first / (np.sqrt(second / (1 - _BETAS[1] ** update)) + _EPSILON)

    def _backward(self, layers: list[Floats], targets: Floats) -> None:
        """Write the gradient of half the mean squared error of every network."""
        error = (layers[-1] - targets[:, None]) / len(targets)
        for position in reversed(range(len(self._weights))):
            inputs = layers[position]
            np.matmul(inputs.swapaxes(-1, -2), error, out=self._weight_gradients[position])
            error.sum(axis=1, keepdims=True, out=self._bias_gradients[position])
            if position:
                error = (error @ self._weights[position].swapaxes(1, 2)) * (inputs > 0)
