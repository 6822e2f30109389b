"""Synaptic flow of many cells at once, without drawing a weight: every |w| is replaced by its expectation.

With absolute values, ones as input and no normalization, all channels of a feature map have the same expectation, so
one scalar map stands for a node. A convolution is a gain times a sum over 3 × 3 pixels, a pooling is a mean. synflow is
the derivative of R(t · w) at t = 1, so value and derivative run through the cells together (dual numbers); logsynflow
needs the gradient of every weight, so maps are kept and gradients run back.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.spaces.nasbench201 import EDGES
from nasbench_harness.trainer.proxies.macro import Macro

_SKIP, _CONV1, _CONV3, _POOL = 1, 2, 3, 4


def synflow_scores(choices: Ints, macro: Macro) -> Floats:
    """Synflow of cells under expected weights.

    Args:
        choices: Operation of each edge, shape (num_networks, 6).
        macro: Depth, width, side and classes.

    Returns:
        log Σ w · ∂R/∂w, shape (num_networks,); NaN if nothing flows.
    """
    flow = _Flow(choices, macro)
    value, slope = flow.stem()
    for stage, width in enumerate(_widths(macro)):
        if stage:
            value, slope = _reduce(value, slope, width // 2)
        for _ in range(macro.num_cells):
            value, slope = flow.cell(value, slope, width)
    width = 4 * macro.channels
    total = macro.num_classes * _gain(width, 1) * (value.mean((1, 2)) + slope.mean((1, 2)))
    scores: Floats = torch.where(total > 0, total.log(), math.nan).numpy()
    return scores


def logsynflow_scores(choices: Ints, macro: Macro) -> Floats:
    """Logsynflow of cells under expected weights; as ``synflow_scores``."""
    flow = _Flow(choices, macro)
    value = flow.stem()[0]
    tape: list[tuple[str, int, list[Tensor]]] = []  # kind, width of the input, values of the nodes
    for stage, width in enumerate(_widths(macro)):
        if stage:
            first = _gain(width // 2, 3) * _box(value)[:, ::2, ::2]
            pooled = _halve(value)
            tape.append(("reduction", width // 2, [value, first, pooled]))
            value = _gain(width, 3) * _box(first) + _gain(width // 2, 1) * pooled
        for _ in range(macro.num_cells):
            nodes = flow.nodes(value, width)
            tape.append(("cell", width, nodes))
            value = nodes[3]
    width = 4 * macro.channels
    mean = value.mean((1, 2))
    total = _layer(width, macro.num_classes, 1, mean)
    back = torch.full_like(value, macro.num_classes * _expected(width, 1) / (value.shape[1] * value.shape[2]))
    for kind, width, nodes in reversed(tape):
        if kind == "reduction":
            added, back = _reduction_back(width, nodes, back)
        else:
            added, back = flow.cell_back(width, nodes, back)
        total = total + added
    ones = torch.ones_like(value.new_empty(len(back), macro.side, macro.side))
    total = total + _conv3(macro.image_channels, macro.channels, ones, back)
    scores: Floats = total.numpy()
    return scores


class _Flow:
    """Coefficients of the edges of some cells."""

    def __init__(self, choices: Ints, macro: Macro) -> None:
        self._macro = macro
        self._choices = torch.from_numpy(choices.astype("int64"))
        self._masks = [
            {
                operation: (self._choices[:, edge] == operation).double()[:, None, None]
                for operation in (_SKIP, _CONV1, _CONV3, _POOL)
            }
            for edge in range(len(EDGES))
        ]

    def stem(self) -> tuple[Tensor, Tensor]:
        """Value and derivative after the first convolution, (num_networks, side, side) each."""
        ones = torch.ones(len(self._choices), self._macro.side, self._macro.side, dtype=torch.float64)
        value = _gain(self._macro.image_channels, 3) * _box(ones)
        return value, value.clone()

    def cell(self, value: Tensor, slope: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """Value and derivative of a cell's output."""
        one, three, share = _gain(width, 1), _gain(width, 3), _share(value)
        values: list[Tensor | None] = [value, None, None, None]
        slopes: list[Tensor | None] = [slope, None, None, None]
        boxes: dict[int, tuple[Tensor, Tensor]] = {}
        for (source, target), masks in zip(EDGES, self._masks, strict=True):
            v, d = values[source], slopes[source]
            if v is None or d is None:
                raise RuntimeError("edges must come in the order of their targets")
            if source not in boxes:
                boxes[source] = _box(v), _box(d)
            box_v, box_d = boxes[source]
            conv1, conv3 = one * masks[_CONV1], three * masks[_CONV3]
            near, far = masks[_SKIP] + conv1, conv3 + masks[_POOL] * share
            new_v = near * v + far * box_v
            new_d = near * d + far * box_d + conv1 * v + conv3 * box_v
            old_v, old_d = values[target], slopes[target]
            values[target] = new_v if old_v is None else old_v + new_v
            slopes[target] = new_d if old_d is None else old_d + new_d
        if values[3] is None or slopes[3] is None:
            raise RuntimeError("a cell has edges into its output")
        return values[3], slopes[3]

    def nodes(self, value: Tensor, width: int) -> list[Tensor]:
        """Values of a cell's four nodes."""
        one, three, share = _gain(width, 1), _gain(width, 3), _share(value)
        nodes = [value, *(torch.zeros_like(value) for _ in range(3))]
        boxes: dict[int, Tensor] = {}
        for (source, target), masks in zip(EDGES, self._masks, strict=True):
            if source not in boxes:
                boxes[source] = _box(nodes[source])
            near = masks[_SKIP] + one * masks[_CONV1]
            far = three * masks[_CONV3] + masks[_POOL] * share
            nodes[target] = nodes[target] + near * nodes[source] + far * boxes[source]
        return nodes

    def cell_back(self, width: int, nodes: list[Tensor], back: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over a cell's weights, and the gradient of its input."""
        one, three, share = _gain(width, 1), _gain(width, 3), _share(back)
        gradients = [*(torch.zeros_like(back) for _ in range(3)), back]
        total = back.new_zeros(len(back))
        for edge in reversed(range(len(EDGES))):
            (source, target), masks = EDGES[edge], self._masks[edge]
            gradient = gradients[target]
            near = masks[_SKIP] + one * masks[_CONV1]
            far = three * masks[_CONV3] + masks[_POOL] * share
            gradients[source] = gradients[source] + near * gradient + _box(far * gradient)
            rows = (self._choices[:, edge] == _CONV1).nonzero()[:, 0]
            dots = (nodes[source][rows] * gradient[rows]).sum((1, 2))
            total.index_add_(0, rows, _layer(width, width, 1, dots))
            rows = (self._choices[:, edge] == _CONV3).nonzero()[:, 0]
            total.index_add_(0, rows, _conv3(width, width, nodes[source][rows], gradient[rows]))
        return total, gradients[0]


def _reduce(value: Tensor, slope: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Value and derivative after a reduction that reads ``width`` channels."""
    first, second, shortcut = _gain(width, 3), _gain(2 * width, 3), _gain(width, 1)
    halved, halved_slope = first * _box(value)[:, ::2, ::2], first * _box(slope + value)[:, ::2, ::2]
    pooled, pooled_slope = _halve(value), _halve(slope)
    new_value = second * _box(halved) + shortcut * pooled
    return new_value, second * _box(halved_slope + halved) + shortcut * (pooled_slope + pooled)


def _reduction_back(width: int, nodes: list[Tensor], back: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over a reduction's weights, and the gradient of its input, which has ``width`` channels."""
    value, first, pooled = nodes
    total = _conv3(2 * width, 2 * width, first, back)
    total = total + _layer(width, 2 * width, 1, (pooled * back).sum((1, 2)))
    inner = _gain(2 * width, 3) * _box(back)
    total = total + _conv3(width, 2 * width, value, inner, stride=2)
    spread = torch.zeros_like(value)
    spread[:, ::2, ::2] = inner
    doubled = 2 * width * _expected(width, 3) * _box(spread)
    shortcut = 2 * width * _expected(width, 1) / 4 * back
    return total, doubled + shortcut.repeat_interleave(2, 1).repeat_interleave(2, 2)


def _conv3(channels_in: int, channels_out: int, values: Tensor, back: Tensor, stride: int = 1) -> Tensor:
    """Σ |w| log(1 + ∂R/∂w) of a 3 × 3 convolution, shape (n,), from its input and the gradient of its output."""
    padded = torch.nn.functional.pad(values, (1, 1, 1, 1))
    height, width = values.shape[1:]
    total = back.new_zeros(len(back))
    for top in range(3):
        for left in range(3):
            window = padded[:, top : top + height : stride, left : left + width : stride]
            total = total + _layer(channels_in, channels_out, 3, (window * back).sum((1, 2)))
    return total


def _layer(channels_in: int, channels_out: int, kernel: int, slopes: Tensor) -> Tensor:
    """Σ |w| log(1 + slope) over channels_in · channels_out weights that have the same slope."""
    return channels_in * channels_out * _expected(channels_in, kernel) * slopes.log1p()


def _expected(channels_in: int, kernel: int) -> float:
    """Expectation of |w| under PyTorch's default: uniform within ± 1 / √fan-in."""
    return 0.5 / math.sqrt(channels_in * kernel**2)


def _gain(channels_in: int, kernel: int) -> float:
    return channels_in * _expected(channels_in, kernel)


def _widths(macro: Macro) -> tuple[int, int, int]:
    return macro.channels, 2 * macro.channels, 4 * macro.channels


def _box(maps: Tensor) -> Tensor:
    """Sum over the 3 × 3 pixels around each pixel, zeros outside."""
    rows = maps.clone()
    rows[:, 1:] += maps[:, :-1]
    rows[:, :-1] += maps[:, 1:]
    sums = rows.clone()
    sums[:, :, 1:] += rows[:, :, :-1]
    sums[:, :, :-1] += rows[:, :, 1:]
    return sums


def _share(maps: Tensor) -> Tensor:
    """One over the number of pixels inside the image around each pixel."""
    return 1 / _box(torch.ones_like(maps[:1]))


def _halve(maps: Tensor) -> Tensor:
    return (maps[:, ::2, ::2] + maps[:, 1::2, ::2] + maps[:, ::2, 1::2] + maps[:, 1::2, 1::2]) / 4
