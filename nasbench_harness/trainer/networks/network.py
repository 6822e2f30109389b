"""The networks: any number of seeds of one architecture as a single network of grouped convolutions.

Stacking S seeds multiplies every width by S and gives each seed its own group, so that nothing flows between them: the
network is exactly S independent ones. Group s of every parameter belongs to seed s.

Skipping the work that cannot matter leaves outputs and gradients as they are: convolutions that never reach a cell's
output are dropped, and convolutions of a node that is always zero become the bias of their normalization.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench_harness.trainer.networks.structure import Block, Edge, Structure


class Convolution(nn.Module):
    """Convolution without bias; each seed is one group of the channels of (n, stack · channels, side, side)."""

    def __init__(self, stack: int, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(stack * channels_out, channels_in, kernel, kernel))
        self.stack, self.stride, self.padding = stack, stride, kernel // 2

    def forward(self, images: Tensor) -> Tensor:
        """Convolve."""
        return functional.conv2d(images, self.weight, None, self.stride, self.padding, groups=self.stack)


class Normalization(nn.Module):
    """Batch normalization with epsilon 1e-5 and momentum .1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, images: Tensor) -> Tensor:
        """Normalize by the batch while training, else by the running statistics."""
        mean, variance = self.running_mean, self.running_var
        return functional.batch_norm(images, mean, variance, self.weight, self.bias, self.training, 0.1, 1e-5)


class NormalizedConvolution(nn.Module):
    """Convolution and batch normalization, without the ReLU before them."""

    def __init__(self, stack: int, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = Convolution(stack, channels_in, channels_out, kernel, stride)
        self.normalization = Normalization(stack * channels_out)

    def forward(self, images: Tensor) -> Tensor:
        """Convolve and normalize."""
        return self.normalization(self.convolution(images))


class _Bias(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))


class ConstantConvolution(nn.Module):
    """Output of a normalized convolution for zeros: the bias of its normalization."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.normalization = _Bias(channels)

    def forward(self, images: Tensor) -> Tensor:
        """The bias at every pixel of images of this shape."""
        number, _, height, width = images.shape
        return self.normalization.bias.view(1, -1, 1, 1).expand(number, -1, height, width)


class Zeros(nn.Module):
    """Nothing, in a given width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        """Zeros for images of this shape."""
        return images.new_zeros(len(images), self.channels, *images.shape[2:])


class AveragePool(nn.Module):
    """Mean of the 3 × 3 pixels around each pixel that are inside the image."""

    def forward(self, images: Tensor) -> Tensor:
        """Pool."""
        return functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)


class Cell(nn.Module):
    """Four nodes, each the sum of operations on the nodes before it; the last is the output."""

    def __init__(self, stack: int, block: Block, edges: Sequence[Edge], is_literal: bool) -> None:
        super().__init__()
        self.edges = [edge for edge in edges if is_literal or edge.is_useful]
        self.operations = nn.ModuleDict()
        for edge in self.edges:
            channels_in = block.channels_in if edge.source == 0 else block.channels_out
            self.operations[f"{edge.source}{edge.target}"] = _operation(
                edge, stack, channels_in, block.channels_out, is_literal
            )
        self.nothing = Zeros(stack * block.channels_out)

    def forward(self, images: Tensor) -> Tensor:
        """(n, stack · channels_in, side, side) to (n, stack · channels_out, side, side)."""
        nodes: dict[int, Tensor] = {0: images}
        rectified: dict[int, Tensor] = {}  # shared by the convolutions of a node
        for edge, operation in zip(self.edges, self.operations.values(), strict=True):
            source = nodes.get(edge.source, images)  # a dropped node is read for its shape only
            if isinstance(operation, NormalizedConvolution) and edge.kernel:
                if edge.source not in rectified:
                    rectified[edge.source] = functional.relu(source)
                source = rectified[edge.source]
            term = operation(source)
            nodes[edge.target] = nodes[edge.target] + term if edge.target in nodes else term
        return nodes[3] if 3 in nodes else self.nothing(images)


def _operation(edge: Edge, stack: int, channels_in: int, channels_out: int, is_literal: bool) -> nn.Module:
    if edge.is_constant and not is_literal:
        return ConstantConvolution(stack * channels_out)
    if edge.kernel:
        return NormalizedConvolution(stack, channels_in, channels_out, edge.kernel)
    if edge.operation == "none":
        return Zeros(stack * channels_out)
    if edge.operation == "avg_pool_3x3":
        return AveragePool()
    # A skip connection between different widths is a 1 × 1 convolution without ReLU.
    return nn.Identity() if channels_in == channels_out else NormalizedConvolution(stack, channels_in, channels_out, 1)


class Reduction(nn.Module):
    """Residual block that halves the side."""

    def __init__(self, stack: int, block: Block) -> None:
        super().__init__()
        self.first = NormalizedConvolution(stack, block.channels_in, block.channels_out, 3, stride=2)
        self.second = NormalizedConvolution(stack, block.channels_out, block.channels_out, 3)
        self.shortcut = Convolution(stack, block.channels_in, block.channels_out, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(n, stack · channels_in, side, side) to (n, stack · channels_out, side / 2, side / 2)."""
        residual = self.second(functional.relu(self.first(functional.relu(images))))
        return self.shortcut(functional.avg_pool2d(images, 2, 2)) + residual


class Classifier(nn.Module):
    """One linear layer a seed."""

    def __init__(self, stack: int, channels: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(stack, num_classes, channels))
        self.bias = nn.Parameter(torch.empty(stack, num_classes))

    def forward(self, features: Tensor) -> Tensor:
        """(n, stack · channels) to logits (stack, n, num_classes)."""
        by_seed = features.view(len(features), *self.weight.shape[::2])
        return torch.einsum("nsc,skc->snk", by_seed, self.weight) + self.bias[:, None]


class Network(nn.Module):
    """Stem, cells and reductions, normalization, ReLU, global average, classifier.

    Args:
        structure: Parts of one seed's network.
        seeds: Training seed of each group.
        is_literal: Also do the work that cannot matter.
    """

    def __init__(self, structure: Structure, seeds: Sequence[int], is_literal: bool = False) -> None:
        super().__init__()
        stack = len(seeds)
        self.stem = NormalizedConvolution(stack, structure.image_channels, structure.stem_channels, 3)
        self.blocks = nn.Sequential(
            *(
                Reduction(stack, block)
                if block.kind == "reduction"
                else Cell(stack, block, structure.edges, is_literal)
                for block in structure.blocks
            )
        )
        self.last = Normalization(stack * structure.head_channels)
        self.classifier = Classifier(stack, structure.head_channels, structure.num_classes)
        self._initialize(seeds)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (stack, n, num_classes) of normalized images (n, stack · image_channels, side, side)."""
        features = functional.relu(self.last(self.blocks(self.stem(images))))
        return self.classifier(features.mean((2, 3)))

    def _initialize(self, seeds: Sequence[int]) -> None:
        """PyTorch's defaults: uniform within ± 1 / √fan-in; normalizations keep their ones and zeros.

        Every draw is keyed by seed and name of the parameter, so it depends on nothing else in the network or stack.
        """
        for name, layer in self.named_modules():
            if isinstance(layer, Convolution):
                _fill(layer.weight, 1 / math.sqrt(layer.weight[0].numel()), f"{name}.weight", seeds)
            elif isinstance(layer, Classifier):
                bound = 1 / math.sqrt(layer.weight.shape[2])
                _fill(layer.weight, bound, f"{name}.weight", seeds)
                _fill(layer.bias, bound, f"{name}.bias", seeds)


@torch.no_grad()
def count_correct(network: Network, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Correct images, and whether all logits are finite, of each seed, shapes (stack,); in evaluation mode."""
    network.eval()
    correct, is_finite = [], []
    for images, labels in batches:
        logits = network(images)
        correct.append((logits.argmax(2) == labels).sum(1))
        is_finite.append(logits.isfinite().all(2).all(1))
    return torch.stack(correct).sum(0), torch.stack(is_finite).all(0)


def _fill(parameter: Any, bound: float, name: str, seeds: Sequence[int]) -> None:
    with torch.no_grad():
        for values, seed in zip(parameter.view(len(seeds), -1), seeds, strict=True):
            key = hashlib.sha256(f"{seed} {name}".encode()).digest()[:8]
            generator = torch.Generator().manual_seed(int.from_bytes(key, "big", signed=True))
            values.copy_(torch.empty(len(values)).uniform_(-bound, bound, generator=generator))
