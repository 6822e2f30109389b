"""Parts of a network, without torch: its blocks and cells, and their numbers of parameters and operations.

Dong and Yang, "NAS-Bench-201", ICLR 2020 (the skeleton and the cell); Dong et al., "NATS-Bench", TPAMI 2021 (the space
of widths).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces.nasbench201 import EDGES, cell_operations

_WIDTHS = re.compile(r"\d{1,3}(:\d{1,3}){4}")
_OFFICIAL_CHANNELS = 16
# The one cell of the space of widths, key 333133.
WIDTHS_CELL = ("nor_conv_3x3",) * 3 + ("skip_connect",) + ("nor_conv_3x3",) * 2


@dataclass(frozen=True)
class Edge:
    """One operation of a cell, and its treatment in a network that skips useless work.

    Attributes:
        source: Node that is read.
        target: Node that the result is added to.
        operation: Name of the operation.
        is_useful: The result reaches the cell's output.
        is_constant: A convolution of a node that is always zero: its result is the bias of its normalization.
    """

    source: int
    target: int
    operation: str
    is_useful: bool
    is_constant: bool

    @property
    def kernel(self) -> int:
        """Side of the convolution's kernel; 0 if the operation is none."""
        return {"nor_conv_1x1": 1, "nor_conv_3x3": 3}.get(self.operation, 0)


@dataclass(frozen=True)
class Block:
    """A cell or a reduction (half the side) of the skeleton, with its widths."""

    kind: str
    channels_in: int
    channels_out: int


@dataclass(frozen=True)
class Convolution:
    """One convolution with its batch normalization, or without, for counting."""

    channels_in: int
    channels_out: int
    kernel: int
    side_out: int
    is_normalized: bool = True

    @property
    def num_params(self) -> int:
        """Weights, and scale and bias of the normalization."""
        weights = self.kernel**2 * self.channels_in * self.channels_out
        return weights + 2 * self.channels_out * self.is_normalized

    @property
    def flops(self) -> int:
        """Multiply-accumulates for one image."""
        return self.kernel**2 * self.channels_in * self.channels_out * self.side_out**2


@dataclass(frozen=True)
class Structure:
    """Everything that fixes a network's shape.

    Attributes:
        operations: Operation of each of the cell's six edges, in the order of ``EDGES``.
        blocks: Cells and reductions from the stem to the head.
        image_channels: Channels of an image.
        num_classes: Outputs.
    """

    operations: tuple[str, ...]
    blocks: tuple[Block, ...]
    image_channels: int
    num_classes: int
    edges: tuple[Edge, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges", cell_edges(self.operations))

    @property
    def stem_channels(self) -> int:
        """Channels after the first convolution."""
        return self.blocks[0].channels_in

    @property
    def head_channels(self) -> int:
        """Channels that the classifier reads."""
        return self.blocks[-1].channels_out

    def convolutions(self, side: int, *, trained_only: bool = False) -> Iterator[Convolution]:
        """Every convolution of the network.

        Args:
            side: Height and width of an image in pixels.
            trained_only: Leave out the convolutions that a network in training leaves out (see ``Edge``).
        """
        yield Convolution(self.image_channels, self.stem_channels, 3, side)
        for block in self.blocks:
            if block.kind == "reduction":
                side //= 2
                yield Convolution(block.channels_in, block.channels_out, 3, side)
                yield Convolution(block.channels_out, block.channels_out, 3, side)
                yield Convolution(block.channels_in, block.channels_out, 1, side, is_normalized=False)
                continue
            for edge in self.edges:
                if trained_only and (not edge.is_useful or edge.is_constant):
                    continue
                source = block.channels_in if edge.source == 0 else block.channels_out
                if edge.kernel:
                    yield Convolution(source, block.channels_out, edge.kernel, side)
                elif edge.operation == "skip_connect" and source != block.channels_out:
                    yield Convolution(source, block.channels_out, 1, side)

    def num_params(self) -> int:
        """Parameters of the published network of one seed, useless operations included."""
        return sum(layer.num_params for layer in self.convolutions(4)) + self._num_head_params

    def num_trained_params(self) -> int:
        """Parameters of the network of one seed that is trained: useless operations are left out."""
        layers = sum(layer.num_params for layer in self.convolutions(4, trained_only=True))
        num_constant = sum(edge.is_useful and edge.is_constant for edge in self.edges)
        biases = num_constant * sum(block.channels_out for block in self.blocks if block.kind == "cell")
        return layers + biases + self._num_head_params

    def flops(self, side: int, *, trained_only: bool = False) -> int:
        """Multiply-accumulates of convolutions and classifier for one image (arguments: see ``convolutions``)."""
        classifier = (self.head_channels + 1) * self.num_classes
        return sum(layer.flops for layer in self.convolutions(side, trained_only=trained_only)) + classifier

    @property
    def _num_head_params(self) -> int:
        return 2 * self.head_channels + (self.head_channels + 1) * self.num_classes


def structure_of(architecture: str, num_cells: int, channels: int, image_channels: int, num_classes: int) -> Structure:
    """The network of an official NAS-Bench-201 string, or of five widths such as ``8:8:8:16:32``.

    Args:
        architecture: The cell, or the widths (which have one cell a stage and the fixed cell 333133).
        num_cells: Cells of each of the three stages.
        channels: Channels of the first stage; each reduction doubles them. Widths are scaled by channels / 16.
        image_channels: Channels of an image.
        num_classes: Classes.

    Raises:
        InvalidInputError: The text is neither.
    """
    if is_widths(architecture):
        return Structure(WIDTHS_CELL, _width_blocks(architecture, channels), image_channels, num_classes)
    operations = cell_operations(architecture)
    if operations is None:
        raise InvalidInputError(
            f"{architecture!r} is no architecture that can be trained: expected a NAS-Bench-201 cell "
            "|op~0|+|op~0|op~1|+|op~0|op~1|op~2| or five widths such as 8:16:24:32:64"
        )
    return Structure(operations, _doubling_blocks(num_cells, channels), image_channels, num_classes)


def is_widths(architecture: str) -> bool:
    """Whether the text has the form of the space of widths."""
    return _WIDTHS.fullmatch(architecture) is not None


@cache
def _doubling_blocks(num_cells: int, channels: int) -> tuple[Block, ...]:
    blocks = [Block("cell", channels, channels)] * num_cells
    for width in (channels, 2 * channels):
        blocks += [Block("reduction", width, 2 * width), *[Block("cell", 2 * width, 2 * width)] * num_cells]
    return tuple(blocks)


def _width_blocks(architecture: str, channels: int) -> tuple[Block, ...]:
    widths = [int(width) * channels // _OFFICIAL_CHANNELS for width in architecture.split(":")]
    if min(widths) < 1:
        raise InvalidInputError(f"{architecture!r} has a stage without channels: every width must be at least 1")
    kinds = ("cell", "reduction", "cell", "reduction", "cell")
    sources = (widths[0], *widths[:-1])
    return tuple(Block(*block) for block in zip(kinds, sources, widths, strict=True))


@cache
def cell_edges(operations: tuple[str, ...]) -> tuple[Edge, ...]:
    """The six edges and their useless operations.

    A node is dead if it is zero for every image; a convolution of a dead node is not zero but the bias of its
    normalization, so the node it is added to lives.
    """
    lives = [True, False, False, False]
    for (source, target), operation in zip(EDGES, operations, strict=True):
        lives[target] |= operation.startswith("nor_conv") or (operation != "none" and lives[source])
    reaches = [False, False, False, True]
    for (source, target), operation in reversed(list(zip(EDGES, operations, strict=True))):
        reaches[source] |= operation != "none" and reaches[target]
    return tuple(
        Edge(
            source,
            target,
            operation,
            is_useful=operation != "none" and reaches[target] and (lives[source] or operation.startswith("nor_conv")),
            is_constant=operation.startswith("nor_conv") and not lives[source],
        )
        for (source, target), operation in zip(EDGES, operations, strict=True)
    )
