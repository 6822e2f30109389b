"""The supernet: the skeleton of NAS-Bench-201 whose cells hold all five operations on each of their six edges.

A cell computes one operation per edge (``choices``), the weighted sum of all operations (``weights``), or one operation
per edge whose weight passes the gradient on (both).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench_harness.spaces.nasbench201 import EDGES, OPERATIONS, cell_string
from nasbench_harness.trainer.networks.network import (
    Classifier,
    Convolution,
    Normalization,
    NormalizedConvolution,
    Reduction,
)
from nasbench_harness.trainer.networks.structure import structure_of

Choices = Sequence[int]
NUM_EDGES, NUM_OPERATIONS = len(EDGES), len(OPERATIONS)
NONE, SKIP, ONE, THREE, POOL = range(5)
_KERNELS = {ONE: 1, THREE: 3}
_ANY_CELL = cell_string(["none"] * len(EDGES))


class PlainNormalization(nn.Module):
    """Batch normalization without scale and bias.

    Args:
        channels: Number of channels.
        is_running: Keep running statistics for evaluation; else a batch is always normalized by itself.
    """

    def __init__(self, channels: int, is_running: bool) -> None:
        super().__init__()
        self.is_running = is_running
        if is_running:
            self.register_buffer("running_mean", torch.zeros(channels))
            self.register_buffer("running_var", torch.ones(channels))

    def forward(self, images: Tensor) -> Tensor:
        """Normalize by the batch in training or without running statistics, else by the running statistics."""
        if not self.is_running:
            return functional.batch_norm(images, None, None, None, None, True, 0.1, 1e-5)
        mean, variance = self.running_mean, self.running_var
        return functional.batch_norm(images, mean, variance, None, None, self.training, 0.1, 1e-5)


class EdgeConvolution(nn.Module):
    """Convolution and plain normalization of one edge, without the ReLU before them."""

    def __init__(self, channels: int, kernel: int, is_running: bool) -> None:
        super().__init__()
        self.convolution = Convolution(1, channels, channels, kernel)
        self.normalization = PlainNormalization(channels, is_running)

    def forward(self, images: Tensor) -> Tensor:
        """Convolve and normalize."""
        return self.normalization(self.convolution(images))


class _Node:
    """A node's images with the results that its outgoing edges share."""

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self._rectified: Tensor | None = None
        self._pooled: Tensor | None = None

    @property
    def rectified(self) -> Tensor:
        """Input of the convolutions."""
        if self._rectified is None:
            self._rectified = functional.relu(self.images)
        return self._rectified

    @property
    def pooled(self) -> Tensor:
        """Mean of the 3 × 3 pixels around each pixel that are inside the image."""
        if self._pooled is None:
            self._pooled = functional.avg_pool2d(self.images, 3, 1, 1, count_include_pad=False)
        return self._pooled


class SuperCell(nn.Module):
    """Four nodes; each is the sum over its incoming edges, and each edge holds all five operations."""

    def __init__(self, channels: int, is_running: bool) -> None:
        super().__init__()
        self.convolutions = nn.ModuleDict(
            {
                f"{edge}{operation}": EdgeConvolution(channels, kernel, is_running)
                for edge in range(len(EDGES))
                for operation, kernel in _KERNELS.items()
            }
        )

    def forward(self, images: Tensor, choices: Choices | None = None, weights: Tensor | None = None) -> Tensor:
        """Output of the cell, shape (n, channels, side, side).

        Args:
            images: The same shape.
            choices: Operation of each edge; None: all operations are computed.
            weights: Factor of each operation on each edge, shape (6, 5). With ``choices`` the factors of the other
                operations are added as plain numbers: the published GDAS code does so, for their gradient.
        """
        nodes = [_Node(images)]
        for target in (1, 2, 3):
            total: Tensor | None = None
            for edge, (source, end) in enumerate(EDGES):
                if end != target:
                    continue
                for term in self._terms(edge, nodes[source], choices, weights):
                    total = term if total is None else total + term
            total = torch.zeros_like(images) if total is None else total
            if choices is not None and weights is not None:
                total = total + _others(choices, weights, target)
            nodes.append(_Node(total))
        return nodes[3].images

    def _terms(self, edge: int, node: _Node, choices: Choices | None, weights: Tensor | None) -> Iterator[Tensor]:
        if weights is None:
            if choices is None:
                raise ValueError("a cell needs choices, weights, or both")
            if choices[edge] != NONE:
                yield self._operation(edge, choices[edge], node)
        elif choices is None:
            for operation in (SKIP, ONE, THREE, POOL):  # none adds nothing
                yield weights[edge, operation] * self._operation(edge, operation, node)
        else:
            chosen = choices[edge]
            if chosen != NONE:
                yield weights[edge, chosen] * self._operation(edge, chosen, node)

    def _operation(self, edge: int, operation: int, node: _Node) -> Tensor:
        if operation == SKIP:
            return node.images
        if operation == POOL:
            return node.pooled
        return self.convolutions[f"{edge}{operation}"](node.rectified)


def _others(choices: Choices, weights: Tensor, target: int) -> Tensor:
    """Sum of the factors of all operations on the edges into a node that were not chosen: one number."""
    edges = [edge for edge, (_, end) in enumerate(EDGES) if end == target]
    is_other = torch.ones(len(edges), NUM_OPERATIONS, dtype=torch.bool, device=weights.device)
    for row, edge in enumerate(edges):
        is_other[row, choices[edge]] = False
    return weights[edges][is_other].sum()


class Supernet(nn.Module):
    """Stem, cells and reductions, normalization, ReLU, global average and classifier.

    Args:
        num_cells: Number of cells per stage.
        channels: Channels of the first stage.
        image_channels: Channels of an image.
        num_classes: Number of classes.
        is_running: Keep running statistics for evaluation; else every normalization uses its batch.
        seed: Seed of the initial weights; each draw depends on seed and name of the parameter only.
    """

    def __init__(
        self, num_cells: int, channels: int, image_channels: int, num_classes: int, is_running: bool, seed: int
    ) -> None:
        super().__init__()
        structure = structure_of(_ANY_CELL, num_cells, channels, image_channels, num_classes)
        self.stem = NormalizedConvolution(1, image_channels, channels, 3)
        self.blocks = nn.ModuleList(
            Reduction(1, block) if block.kind == "reduction" else SuperCell(block.channels_in, is_running)
            for block in structure.blocks
        )
        self.last = Normalization(structure.head_channels)
        self.classifier = Classifier(1, structure.head_channels, num_classes)
        self.is_running = is_running
        for name, layer in self.named_modules():
            if isinstance(layer, Normalization) and not is_running:
                layer.running_mean = layer.running_var = None
            if isinstance(layer, Convolution):
                _fill(layer.weight, 1 / math.sqrt(layer.weight[0].numel()), f"{name}.weight", seed)
            elif isinstance(layer, Classifier):
                bound = 1 / math.sqrt(layer.weight.shape[2])
                _fill(layer.weight, bound, f"{name}.weight", seed)
                _fill(layer.bias, bound, f"{name}.bias", seed)

    def train(self, mode: bool = True) -> Supernet:
        """Switch between training and evaluation; without running statistics they are the same."""
        super().train(mode or not self.is_running)
        return self

    @property
    def num_super_cells(self) -> int:
        """Number of cells in the network."""
        return sum(isinstance(block, SuperCell) for block in self.blocks)

    def forward(
        self, images: Tensor, choices: Choices | Sequence[Choices] | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Logits (n, num_classes) of normalized images (n, image_channels, side, side).

        Args:
            images: The images.
            choices: Operation of each of the six edges, or a list of them with one entry per cell of the network.
            weights: See ``SuperCell.forward``.
        """
        features = self.stem(images)
        per_cell = iter(choices) if choices is not None and not isinstance(choices[0], int) else None
        for block in self.blocks:
            if isinstance(block, SuperCell):
                features = block(features, choices if per_cell is None else next(per_cell), weights)
            else:
                features = block(features)
        features = functional.relu(self.last(features))
        return self.classifier(features.mean((2, 3)))[0]


def _fill(parameter: Tensor, bound: float, name: str, seed: int) -> None:
    """PyTorch's default for this bound, from a generator of its own: the global one stays untouched."""
    key = hashlib.sha256(f"{seed} {name}".encode()).digest()[:8]
    generator = torch.Generator().manual_seed(int.from_bytes(key, "big", signed=True))
    with torch.no_grad():
        drawn = torch.empty(parameter.numel()).uniform_(-bound, bound, generator=generator)
        parameter.copy_(drawn.view_as(parameter))
