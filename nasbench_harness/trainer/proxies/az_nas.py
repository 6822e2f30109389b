"""The parts of AZ-NAS (Lee and Ham, "AZ-NAS", CVPR 2024); ranks over a set of architectures make one score of them.

Weights are N(0, 2 / fan-in), and the input is N(0, 1) of the batch's shape. Features are the outputs of the stem and of
every cell and reduction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional

from nasbench_harness.arrays import Floats
from nasbench_harness.trainer.proxies.inputs import Batch
from nasbench_harness.trainer.proxies.network import generator_of, initialize, private_copy


def az_expressivity(network: nn.Module, batch: Batch) -> float:
    """Sum over features of the entropy of their PCA spectrum."""
    return sum(_entropies(network, batch))


def az_progressivity(network: nn.Module, batch: Batch) -> float:
    """Smallest growth of that entropy from one feature to the next."""
    entropies = _entropies(network, batch)
    return min(after - before for before, after in pairwise(entropies))


def az_trainability(network: nn.Module, batch: Batch) -> float:
    """Mean over neighboring features of 2 − s − 1 / (s + 1e-6).

    s is the spectral norm of the cross-covariance between a Rademacher cotangent of the later feature and the gradient
    that it gives the earlier one. NaN if both are equal, as for a cell of skip connections.
    """
    features = _features(network, batch)
    scores = []
    for position in reversed(range(1, len(features))):
        before, after = features[position - 1], features[position]
        generator = generator_of(batch.seed, f"az_nas cotangent {position} {tuple(after.shape)}")
        cotangent = torch.empty(after.shape).bernoulli_(0.5, generator=generator).to(after.dtype) * 2 - 1
        (slope,) = torch.autograd.grad(after, before, cotangent, retain_graph=True)
        if slope.shape == cotangent.shape and torch.equal(slope, cotangent):
            return math.nan
        if slope.shape[2] != cotangent.shape[2]:
            slope = functional.pixel_unshuffle(slope, slope.shape[2] // cotangent.shape[2])
        rows, columns = (part.transpose(0, 1).flatten(1).double() for part in (slope, cotangent))
        norm = float(torch.linalg.matrix_norm(rows @ columns.T / columns.shape[1], 2))
        scores.append(2 - norm - 1 / (norm + 1e-6))
    return sum(scores) / len(scores)


def az_nas_scores(parts: Sequence[Floats]) -> Floats:
    """AZ-NAS of a set of architectures: Σ over parts log(rank / n), the best has rank n; NaN ranks last.

    Args:
        parts: Expressivity, progressivity, trainability and FLOPs, shape (num_architectures,) each.
    """
    logs = [np.log(rankdata(np.where(np.isnan(part), -np.inf, part)) / len(part)) for part in parts]
    total: Floats = np.sum(logs, axis=0)
    return total


def _entropies(network: nn.Module, batch: Batch) -> list[float]:
    entropies = []
    for feature in _features(network, batch):
        rows = feature.detach().double().transpose(0, 1).flatten(1)
        rows = rows - rows.mean(1, keepdim=True)
        values = torch.linalg.eigvalsh(rows @ rows.T / rows.shape[1]).clamp(min=0)
        shares = values / values.sum()  # NaN if a feature is constant
        entropies.append(float(-(shares * (shares + 1e-8).log()).sum()))
    return entropies


def _features(network: nn.Module, batch: Batch) -> list[Tensor]:
    """Outputs of the stem and of every block, connected so that gradients flow from one to the one before."""
    copied = private_copy(network)
    initialize(copied, batch.seed, "kaiming")
    features: list[Tensor] = []
    stem, blocks = copied.get_submodule("stem"), copied.get_submodule("cells")
    for module in (stem, *blocks.children()):
        module.register_forward_hook(lambda _, __, output: features.append(output))
    shape = tuple(batch.images.shape)
    images = torch.empty(shape).normal_(generator=generator_of(batch.seed, f"az_nas input {shape}"))
    copied(images.to(batch.images.dtype))
    return features
