"""The NAS-Bench-201 network as its authors nest its modules, for scores that read modules.

Several scores count modules: one term per ReLU (nwot), one per module of any kind (MeCo), one per convolution or linear
layer (snip, grad_norm). The trainer's own network shares ReLUs and drops dead work, so its scores would be others.

Every weight is drawn from a generator keyed by seed, module name and shape. So two architectures share the weights of
the layers that they have in common, and the global generators are not read.
"""

from __future__ import annotations

import copy
import hashlib
import math
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn

from nasbench_harness.trainer.networks.structure import Block, Structure, structure_of
from nasbench_harness.trainer.proxies.macro import Macro

Initialization = Literal["default", "normal", "kaiming"]


class ReLUConvBN(nn.Module):
    """ReLU, convolution without bias, batch normalization."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(channels_out),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels_in, side, side) to (n, channels_out, side / stride, side / stride)."""
        return self.op(images)


class Pooling(nn.Module):
    """Mean of the 3 × 3 pixels around each pixel that are inside the image."""

    def __init__(self) -> None:
        super().__init__()
        self.op = nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def forward(self, images: Tensor) -> Tensor:
        """Pool; the shape stays."""
        return self.op(images)


class Zero(nn.Module):
    """Zeros that gradients flow through."""

    def forward(self, images: Tensor) -> Tensor:
        """Zeros of the same shape."""
        return images * 0.0


class ProxyCell(nn.Module):
    """Four nodes, each the sum of operations on the nodes before it; the last is the output."""

    def __init__(self, structure: Structure, channels: int) -> None:
        super().__init__()
        self.ends = [(edge.source, edge.target) for edge in structure.edges]
        self.layers = nn.ModuleList(_operation(edge.operation, channels) for edge in structure.edges)

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels, side, side) to the same shape."""
        nodes: dict[int, Tensor] = {0: images}
        for (source, target), layer in zip(self.ends, self.layers, strict=True):
            term = layer(nodes[source])
            nodes[target] = nodes[target] + term if target in nodes else term
        return nodes[3]


def _operation(operation: str, channels: int) -> nn.Module:
    if operation in KERNELS:
        return ReLUConvBN(channels, channels, KERNELS[operation])
    return {"none": Zero, "skip_connect": nn.Identity, "avg_pool_3x3": Pooling}[operation]()


KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


class ProxyReduction(nn.Module):
    """Residual block that halves the side and doubles the channels."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.conv_a = ReLUConvBN(block.channels_in, block.channels_out, 3, 2)
        self.conv_b = ReLUConvBN(block.channels_out, block.channels_out, 3)
        self.downsample = nn.Sequential(
            nn.AvgPool2d(2, 2), nn.Conv2d(block.channels_in, block.channels_out, 1, bias=False)
        )

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels_in, side, side) to (n, channels_out, side / 2, side / 2)."""
        residual = self.conv_b(self.conv_a(images))
        return self.downsample(images) + residual


class ProxyNetwork(nn.Module):
    """Stem, cells and reductions, normalization with ReLU, global average, classifier.

    Args:
        structure: Operations, widths, image channels and classes.
        seed: Initialization; see ``initialize``.
        initialization: ``default`` is PyTorch's, ``normal`` draws all weights from N(0, 1).
    """

    def __init__(self, structure: Structure, seed: int = 0, initialization: Initialization = "default") -> None:
        super().__init__()
        with torch.device("meta"):  # no draw from the global generator
            self.stem = nn.Sequential(
                nn.Conv2d(structure.image_channels, structure.stem_channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(structure.stem_channels),
            )
            self.cells = nn.ModuleList(
                ProxyReduction(block) if block.kind == "reduction" else ProxyCell(structure, block.channels_out)
                for block in structure.blocks
            )
            self.lastact = nn.Sequential(nn.BatchNorm2d(structure.head_channels), nn.ReLU())
            self.global_pooling = nn.AdaptiveAvgPool2d(1)
            self.classifier = nn.Linear(structure.head_channels, structure.num_classes)
        self.to_empty(device="cpu")
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()  # ones and zeros, no draw
        initialize(self, seed, initialization)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, num_classes) of normalized images (n, image_channels, side, side)."""
        features = self.stem(images)
        for cell in self.cells:
            features = cell(features)
        pooled = self.global_pooling(self.lastact(features))
        return self.classifier(pooled.view(len(images), -1))


def build_network(
    architecture: str, macro: Macro, seed: int = 0, initialization: Initialization = "default"
) -> ProxyNetwork:
    """The network of an official NAS-Bench-201 string.

    Args:
        architecture: E.g. ``|nor_conv_3x3~0|+|…``.
        macro: Depth, width, image side and classes.
        seed: Initialization.
        initialization: ``default`` or ``normal``.

    Raises:
        InvalidInputError: The text is no architecture.

    Example:
        >>> cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|none~2|"
        >>> sum(weight.numel() for weight in build_network(cell, Macro(1, 4, 8)).parameters())
        11054
    """
    structure = structure_of(architecture, macro.num_cells, macro.channels, macro.image_channels, macro.num_classes)
    return ProxyNetwork(structure, seed, initialization)


@torch.no_grad()
def initialize(network: nn.Module, seed: int, initialization: Initialization = "default") -> None:
    """Draw the weights of every convolution and linear layer again.

    ``default``: weights and biases uniform within ± 1 / √fan-in (PyTorch's rule). ``normal``: weights N(0, 1), biases
    0. ``kaiming``: weights N(0, 2 / fan-in), biases 0. Batch normalizations stay as they are.
    """
    for name, layer in scored_layers(network):
        layer.weight.copy_(draw_weight(seed, name, tuple(layer.weight.shape), initialization))
        if layer.bias is not None and initialization != "default":
            layer.bias.zero_()
        elif layer.bias is not None:
            bound = 1 / math.sqrt(layer.weight[0].numel())
            layer.bias.copy_(_uniform(generator_of(seed, f"{name}.bias"), tuple(layer.bias.shape), bound))


@lru_cache(maxsize=2048)
def draw_weight(seed: int, name: str, shape: tuple[int, ...], initialization: Initialization) -> Tensor:
    """Weight of one layer, float32; the same for the same arguments, whatever else the network holds.

    The tensor is kept and returned again, so callers must not change it.
    """
    generator = generator_of(seed, f"{name}.weight {shape} {initialization}")
    if initialization != "default":
        deviation = 1.0 if initialization == "normal" else math.sqrt(2 / math.prod(shape[1:]))
        return torch.empty(shape).normal_(std=deviation, generator=generator)
    return _uniform(generator, shape, 1 / math.sqrt(math.prod(shape[1:])))


def generator_of(seed: int, name: str) -> torch.Generator:
    """Generator keyed by seed and name."""
    key = hashlib.sha256(f"{seed} {name}".encode()).digest()[:8]
    return torch.Generator().manual_seed(int.from_bytes(key, "big", signed=True))


def _uniform(generator: torch.Generator, shape: tuple[int, ...], bound: float) -> Tensor:
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def scored_layers(network: nn.Module) -> list[tuple[str, nn.Conv2d | nn.Linear]]:
    """(name, module) of the layer set: every Conv2d and Linear, in the order of ``named_modules``."""
    return [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def private_copy(network: nn.Module) -> nn.Module:
    """A copy in training mode without gradients, which a score may change."""
    copied = copy.deepcopy(network).train().requires_grad_(True)
    copied.zero_grad(set_to_none=True)
    return copied
