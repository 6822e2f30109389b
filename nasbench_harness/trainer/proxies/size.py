"""Size of a network, the baseline of every score, and the norms of its weights; counted for many cells at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.spaces.nasbench201 import EDGES, OPERATIONS, cell_string
from nasbench_harness.trainer.networks.structure import Structure, structure_of
from nasbench_harness.trainer.proxies.inputs import Batch
from nasbench_harness.trainer.proxies.macro import Macro
from nasbench_harness.trainer.proxies.network import KERNELS, draw_weight, private_copy, scored_layers


def params(network: nn.Module, batch: Batch) -> float:
    """Number of trained weights."""
    del batch
    return float(sum(parameter.numel() for parameter in network.parameters()))


@torch.no_grad()
def flops(network: nn.Module, batch: Batch) -> float:
    """Multiply-accumulates of one image in convolutions and linear layers; a bias counts as one more input."""
    copied = private_copy(network)
    counts = []
    for _, layer in scored_layers(copied):
        inputs = layer.weight[0].numel() + (layer.bias is not None)
        layer.register_forward_hook(lambda _, __, output, inputs=inputs: counts.append(inputs * output[0].numel()))
    copied(batch.images[:1])
    return float(sum(counts))


def count_params(choices: Ints, macro: Macro) -> Floats:
    """Trained weights of cells (num_networks, 6), shape (num_networks,)."""
    return _linear(choices, [structure.num_params() for structure in _representatives(macro)])


def count_flops(choices: Ints, macro: Macro) -> Floats:
    """Multiply-accumulates of one image of cells (num_networks, 6), shape (num_networks,)."""
    return _linear(choices, [structure.flops(macro.side) for structure in _representatives(macro)])


def l2_norms(choices: Ints, macro: Macro, seed: int) -> Floats:
    """l2_norm of cells (num_networks, 6), shape (num_networks,), from the norms of the layers that can occur."""

    def norm(name: str, *shape: int) -> float:
        return float(draw_weight(seed, name, shape, "default").double().norm())

    width, position = macro.channels, 0
    shared = norm("stem.0", width, macro.image_channels, 3, 3)
    edges = np.zeros((len(EDGES), len(OPERATIONS)))
    for stage in range(3):
        if stage:
            name = f"cells.{position}"
            shared += norm(f"{name}.conv_a.op.1", 2 * width, width, 3, 3)
            shared += norm(f"{name}.conv_b.op.1", 2 * width, 2 * width, 3, 3)
            shared += norm(f"{name}.downsample.1", 2 * width, width, 1, 1)
            position, width = position + 1, 2 * width
        for _ in range(macro.num_cells):
            for edge in range(len(EDGES)):
                for operation, kernel in KERNELS.items():
                    name = f"cells.{position}.layers.{edge}.op.1"
                    edges[edge, OPERATIONS.index(operation)] += norm(name, width, width, kernel, kernel)
            position += 1
    shared += norm("classifier", macro.num_classes, width)
    totals: Floats = shared + edges[np.arange(len(EDGES)), choices].sum(1)
    return totals


def _representatives(macro: Macro) -> list[Structure]:
    """Networks with no convolution, with one of 1 × 1, and with one of 3 × 3."""
    cells = [cell_string([operation] + ["none"] * (len(EDGES) - 1)) for operation in ("none", *KERNELS)]
    arguments = (macro.num_cells, macro.channels, macro.image_channels, macro.num_classes)
    return [structure_of(cell, *arguments) for cell in cells]


def _linear(choices: Ints, counts: list[int]) -> Floats:
    base, *with_one = counts
    totals = np.full(len(choices), base, dtype=np.int64)
    for operation, count in zip(KERNELS, with_one, strict=True):
        totals += (choices == OPERATIONS.index(operation)).sum(1) * (count - base)
    return totals.astype(float)
