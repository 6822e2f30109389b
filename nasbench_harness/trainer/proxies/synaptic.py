"""Synaptic flow: scores of a network without data (Tanaka et al., "SynFlow", NeurIPS 2020; logsynflow: Cavagnero 2022).

Everything is double precision: products over all layers leave the range of float32. Batch normalizations are removed,
all parameters are replaced by their absolute values, and the input is one image of ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nasbench_harness.trainer.proxies.inputs import Batch
from nasbench_harness.trainer.proxies.network import private_copy, scored_layers


def synflow(network: nn.Module, batch: Batch) -> float:
    """Log Σ w · ∂R/∂w with R = Σ logits; NaN if nothing flows."""
    return log_or_nan(sum(float((weight * slope).sum()) for weight, slope in _flow(network, batch)))


def logsynflow(network: nn.Module, batch: Batch) -> float:
    """Σ |w · log(1 + ∂R/∂w)|, which is not the logarithm of synflow."""
    return sum(float((weight * slope.log1p()).abs().sum()) for weight, slope in _flow(network, batch))


def log_or_nan(value: float) -> float:
    """Logarithm; NaN of 0 and of numbers that are not finite."""
    return math.log(value) if 0 < value < math.inf else math.nan


def _flow(network: nn.Module, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    """(|w|, ∂R/∂w) of every layer."""
    copied = without_normalization(private_copy(network).double())
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.abs_()
    weights = [layer.weight for _, layer in scored_layers(copied)]
    ones = torch.ones((1, *batch.images.shape[1:]), dtype=torch.float64)
    slopes = torch.autograd.grad(copied(ones).sum(), weights, allow_unused=True)
    return [
        (weight.detach(), torch.zeros_like(weight) if slope is None else slope)
        for weight, slope in zip(weights, slopes, strict=True)
    ]


def without_normalization(network: nn.Module) -> nn.Module:
    """The network with identities in place of its batch normalizations; changes ``network``."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    return network
