"""MeCo: smallest eigenvalues of feature correlations (Jiang et al., "MeCo", NeurIPS 2023)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nasbench_harness.trainer.proxies.inputs import Batch
from nasbench_harness.trainer.proxies.network import private_copy


@torch.no_grad()
def meco(network: nn.Module, batch: Batch) -> float:
    """Σ over modules of the smallest eigenvalue of the channels' correlations, for the first image of the batch.

    Every module with a feature map counts, containers too: a convolution edge 5 times (block, sequence, ReLU,
    convolution, normalization), a pooling edge twice, a skip connection and a cell once. NaN correlations count 0.
    Everything is double precision, because many of the smallest eigenvalues are 0 up to rounding.
    """
    copied = private_copy(network).double()
    total = 0.0

    def add(_: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal total
        del inputs
        total += float(smallest_eigenvalues(output.detach()[:1])[0])

    for module in copied.modules():
        module.register_forward_hook(add)
    copied(batch.images[:1].double())
    return total


def smallest_eigenvalues(features: Tensor) -> Tensor:
    """Smallest eigenvalue of the correlations between channels.

    Args:
        features: Feature maps of one image per network, shape (num_networks, channels, …).

    Returns:
        float64, shape (num_networks,). Channels that are constant have no correlations, and these count 0.
    """
    rows = features.double().reshape(*features.shape[:2], -1)
    is_constant = (rows == rows[..., :1]).all(2)
    centered = rows - rows.mean(2, keepdim=True)
    norms = centered.norm(dim=2, keepdim=True)
    centered = torch.where(is_constant[..., None] | (norms == 0), 0.0, centered / norms)
    correlations = (centered @ centered.mT).clamp(-1, 1)
    return torch.linalg.eigvalsh(correlations)[:, 0]
