"""The Zen score (Lin et al., "Zen-NAS", ICCV 2021) and its two parts."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nasbench_harness.trainer.proxies.inputs import Batch
from nasbench_harness.trainer.proxies.network import generator_of, initialize, private_copy
from nasbench_harness.trainer.proxies.synaptic import log_or_nan

MIXTURE = 0.01


def zen(network: nn.Module, batch: Batch) -> float:
    """Sum of ``zen_features`` and ``zen_norm``."""
    return sum(zen_parts(network, batch))


def zen_features(network: nn.Module, batch: Batch) -> float:
    """Log mean_n Σ |f(x) − f(x')|, f = features before the global pooling; NaN if they do not differ."""
    return zen_parts(network, batch)[0]


def zen_norm(network: nn.Module, batch: Batch) -> float:
    """Σ over batch normalizations of ½ log mean(running variance). This part dominates the sum."""
    return zen_parts(network, batch)[1]


@torch.no_grad()
def zen_parts(network: nn.Module, batch: Batch) -> tuple[float, float]:
    """(``zen_features``, ``zen_norm``).

    Weights and x are N(0, 1), and x' = x + .01 · x₂ with another N(0, 1) draw x₂. Only the shape of the batch's images
    is used. The running variances start at 1 and follow both passes in training mode with the network's own momentum.
    """
    copied = private_copy(network)
    initialize(copied, batch.seed, "normal")
    norms = [module for module in copied.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
    seen: list[Tensor] = []
    for module in copied.modules():
        if isinstance(module, nn.AdaptiveAvgPool2d):
            module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    plain, mixed = zen_inputs(tuple(batch.images.shape), batch.seed, batch.images.dtype)
    copied(plain)
    copied(mixed)
    distance = float((seen[0] - seen[1]).double().abs().flatten(1).sum(1).mean())
    scale = sum(0.5 * math.log(float(norm.running_var.double().mean())) for norm in norms)
    return log_or_nan(distance), scale


def zen_inputs(shape: tuple[int, ...], seed: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(x, x') of this shape."""
    plain, other = torch.empty((2, *shape)).normal_(generator=generator_of(seed, f"zen {shape}")).to(dtype)
    return plain, plain + MIXTURE * other
