"""Scores from the Jacobian of the logits with respect to the images: jacob_cov and epe_nas."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nasbench_harness.trainer.proxies.inputs import Batch
from nasbench_harness.trainer.proxies.network import private_copy

_OFFSET = 1e-5
_MANY_CLASSES = 100


def jacob_cov(network: nn.Module, batch: Batch) -> float:
    """−Σ [log(v + 1e-5) + 1 / (v + 1e-5)], v = eigenvalues of the images' correlations; NaN if a row is constant.

    Mellor et al., "Neural Architecture Search without Training", first version, 2020.
    """
    return float(covariance_scores(_jacobian(network, batch.images)[0][None])[0])


def epe_nas(network: nn.Module, batch: Batch) -> float:
    """Correlations within classes (Lopes et al., "EPE-NAS", ICANN 2021); NaN if a row is constant.

    s_c = Σ log(|corrcoef| + 1e-5) over the rows of class c. Up to 100 classes: Σ |s_c|. Above: each s_c over the number
    of its images, and Σ_ij |s_i − s_j| over the number of classes that count. As in the authors' program, a class with
    one image in the batch does not count there; NaN if no class has more.
    """
    labels = batch.need_labels("epe_nas")
    jacobian, num_classes = _jacobian(network, batch.images)
    sums = []
    for one in labels.unique().tolist():
        rows = jacobian[labels == one]
        if num_classes > _MANY_CLASSES and len(rows) == 1:
            continue
        total = (_correlations(rows[None])[0].abs() + _OFFSET).log().sum()
        sums.append(total / len(rows) if num_classes > _MANY_CLASSES else total)
    if not sums:
        return math.nan
    scores = torch.stack(sums)
    if num_classes > _MANY_CLASSES:
        return float((scores[:, None] - scores).abs().sum() / len(scores))
    return float(scores.abs().sum())


def covariance_scores(jacobians: Tensor) -> Tensor:
    """jacob_cov of Jacobians (num_networks, num_images, num_pixels), shape (num_networks,)."""
    correlations = _correlations(jacobians)
    is_missing = correlations.isnan().flatten(1).any(1)
    values = torch.linalg.eigvalsh(torch.where(is_missing[:, None, None], 0.0, correlations)) + _OFFSET
    return torch.where(is_missing, math.nan, -(values.log() + 1 / values).sum(1))


def _correlations(rows: Tensor) -> Tensor:
    """Pearson correlations of rows (num_networks, n, num_pixels), float64; NaN for rows that are constant."""
    rows = rows.double()
    is_constant = (rows == rows[..., :1]).all(2)
    centered = rows - rows.mean(2, keepdim=True)
    centered = centered / centered.norm(dim=2, keepdim=True)
    correlations = (centered @ centered.mT).clamp(-1, 1)
    missing = is_constant[:, :, None] | is_constant[:, None]
    return torch.where(missing, math.nan, correlations)


def _jacobian(network: nn.Module, images: Tensor) -> tuple[Tensor, int]:
    """(∂ Σ logits / ∂ image of each image, shape (num_images, num_pixels); number of logits)."""
    copied = private_copy(network).requires_grad_(False)
    watched = images.detach().clone().requires_grad_(True)
    logits = copied(watched)
    (slopes,) = torch.autograd.grad(logits.sum(), watched)
    return slopes.flatten(1), logits.shape[1]
