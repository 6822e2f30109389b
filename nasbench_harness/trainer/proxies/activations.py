"""Scores from which ReLUs are active: nwot and SWAP. Neither needs labels or gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nasbench_harness.trainer.proxies.inputs import Batch
from nasbench_harness.trainer.proxies.network import initialize, private_copy

SWAP_IMAGES = 16


def nwot(network: nn.Module, batch: Batch) -> float:
    """Log |det K|, K = Σ over ReLU modules of C·Cᵀ + (1 − C)(1 − C)ᵀ, C = (ReLU input > 0); NaN if K is singular.

    Mellor et al., "Neural Architecture Search without Training", ICML 2021. Every ReLU module adds a term, so a node
    that m convolutions read counts m times. The paper counts each rectified unit once, and so does this function. The
    authors' program hooks every module whose class has ReLU in its name, so that a ReLU and the ``ReLUConvBN`` around
    it add the same term. That adds about n·log 2 for n images and hardly changes a rank.
    """
    kernel = torch.zeros(len(batch.images), len(batch.images), dtype=torch.float64)
    for codes in _relu_codes(network, batch.images):
        kernel += hamming_kernel(codes[None])[0]
    return float(log_determinants(kernel[None])[0])


def swap(network: nn.Module, batch: Batch) -> float:
    """Number of distinct patterns over 16 images among all ReLU outputs, with N(0, 1) weights.

    Peng et al., "SWAP-NAS", ICLR 2024. A pattern says in which of the images a neuron is active. The first 16 images
    of the batch are read, or all if there are fewer.
    """
    copied = private_copy(network)
    initialize(copied, batch.seed, "normal")
    seen: set[int] = set()
    for codes in _relu_codes(copied, batch.images[:SWAP_IMAGES]):
        seen.update(pack_patterns(codes[None])[0].unique().tolist())
    return float(len(seen))


def hamming_kernel(codes: Tensor) -> Tensor:
    """C·Cᵀ + (1 − C)(1 − C)ᵀ: number of neurons on which two images agree.

    Args:
        codes: Active or not, shape (num_networks, num_images, num_neurons).

    Returns:
        Whole numbers as float64, shape (num_networks, num_images, num_images).
    """
    active = codes.to(torch.float32)  # counts are exact in float32 up to 2²⁴ neurons
    both = (active @ active.mT).double()
    counts = both.diagonal(dim1=1, dim2=2)
    return 2 * both - counts[:, :, None] - counts[:, None] + codes.shape[2]


def log_determinants(kernels: Tensor) -> Tensor:
    """Log |det| of symmetric positive semidefinite matrices (num_networks, n, n); NaN if one is singular."""
    values = torch.linalg.eigvalsh(kernels)
    smallest = values[:, -1:].abs() * kernels.shape[1] * torch.finfo(torch.float64).eps
    is_regular = (values > smallest).all(1)
    return torch.where(is_regular, values.clamp(min=1e-300).log().sum(1), math.nan)


def pack_patterns(codes: Tensor) -> Tensor:
    """Pattern of each neuron as a whole number, one bit per image.

    Args:
        codes: Active or not, shape (num_networks, num_images, num_neurons), at most 62 images.

    Returns:
        int64, shape (num_networks, num_neurons).
    """
    packed = torch.zeros(codes.shape[0], codes.shape[2], dtype=torch.int64)
    for image in range(codes.shape[1]):
        packed |= codes[:, image].long() << image
    return packed


@torch.no_grad()
def _relu_codes(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Which inputs of every call of a ReLU module are positive, each (num_images, num_neurons)."""
    copied = private_copy(network)
    codes: list[Tensor] = []
    for module in copied.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(lambda _, inputs: codes.append((inputs[0] > 0).flatten(1)))
    copied(images)
    return codes
