"""Many networks at once: one draw of weights for all, one convolution per edge and operation.

Arrays have shape (num_images, num_networks, channels, side, side). The networks whose edge has the same operation go
through one convolution together. Batch normalization over (networks · channels) gives each network its own statistics.
So every network computes the same numbers as alone, and all of them share weights (common random numbers).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.spaces.nasbench201 import EDGES, OPERATIONS
from nasbench_harness.trainer.proxies.activations import SWAP_IMAGES, hamming_kernel, log_determinants
from nasbench_harness.trainer.proxies.inputs import Batch
from nasbench_harness.trainer.proxies.jacobian import covariance_scores
from nasbench_harness.trainer.proxies.macro import Macro
from nasbench_harness.trainer.proxies.meco import smallest_eigenvalues
from nasbench_harness.trainer.proxies.network import KERNELS, Initialization, draw_weight, generator_of
from nasbench_harness.trainer.proxies.zen import zen_inputs

_CONVOLUTIONS = {code: KERNELS[name] for code, name in enumerate(OPERATIONS) if name in KERNELS}
_SKIP, _POOL = OPERATIONS.index("skip_connect"), OPERATIONS.index("avg_pool_3x3")
_MOMENTUM = 0.1
Running = tuple[Tensor | None, Tensor | None]


class Watch:
    """Hooks of a forward pass; a score overrides those it needs. ``rows`` are positions of networks."""

    def rectified(self, maps: Tensor, rows: Tensor, times: Tensor) -> None:
        """Inputs (n, len(rows), C, side, side) of ReLUs; ``times`` ReLU modules of a network read them."""

    def normalized(self, before: Tensor, after: Tensor, rows: Tensor, times: tuple[int, int]) -> None:
        """Inputs and outputs of a batch normalization, and how many modules put out the one and the other."""

    def running(self, num_rows: int, channels: int) -> Running:
        """Running mean and variance of the next batch normalization, shape (num_rows · channels,), or none."""
        del num_rows, channels
        return None, None

    def passed(self, maps: Tensor, rows: Tensor, times: int) -> None:
        """Outputs of ``times`` other modules, ReLUs not among them."""

    def finished(self, maps: Tensor) -> None:
        """Features before the global pooling."""


class BatchedNetworks:
    """Networks of some cells that share their weights.

    Args:
        choices: Operation of each edge, shape (num_networks, 6).
        macro: Depth, width and classes.
        seed: Initialization, as for ``build_network``.
        initialization: ``default`` or ``normal``.
        dtype: Type of all numbers.
    """

    def __init__(
        self,
        choices: Ints,
        macro: Macro,
        seed: int = 0,
        initialization: Initialization = "default",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._macro, self._seed, self._initialization, self._dtype = macro, seed, initialization, dtype
        self.num_networks = len(choices)
        codes = torch.from_numpy(choices.astype("int64"))
        self._rows = [
            {code: rows for code in range(1, len(OPERATIONS)) if len(rows := (codes[:, edge] == code).nonzero()[:, 0])}
            for edge in range(len(EDGES))
        ]
        is_convolution = torch.isin(codes, torch.tensor(list(_CONVOLUTIONS)))
        readers = [
            torch.stack([is_convolution[:, edge] for edge, ends in enumerate(EDGES) if ends[0] == node]).sum(0)
            for node in range(3)
        ]
        self._readers = [(rows := counts.nonzero()[:, 0], counts[rows]) for counts in readers]
        self._all = torch.arange(self.num_networks)

    def forward(self, images: Tensor, watch: Watch) -> Tensor:
        """Logits (n, num_networks, num_classes) of images (n, image_channels, side, side) or (n, num_networks, …)."""
        maps = self._stem(images, watch)
        position, width = 0, self._macro.channels
        for stage in range(3):
            if stage:
                maps = self._reduce(maps, f"cells.{position}", width, watch)
                position, width = position + 1, 2 * width
            for _ in range(self._macro.num_cells):
                maps = self._cell(maps, f"cells.{position}", width, watch)
                position += 1
        normalized = _normalize(maps, watch)
        watch.normalized(maps, normalized, self._all, (0, 1))
        watch.rectified(normalized, self._all, torch.ones_like(self._all))
        features = functional.relu(normalized)
        watch.passed(features, self._all, 1)  # the sequence of normalization and ReLU
        watch.finished(features)
        weight = self._weight("classifier", (self._macro.num_classes, width))
        return features.mean((3, 4)) @ weight.T + self._bias()

    def _stem(self, images: Tensor, watch: Watch) -> Tensor:
        width, per_network = self._macro.channels, images.dim() == 5
        weight = self._weight("stem.0", (width, self._macro.image_channels, 3, 3))
        if not per_network:
            images = images[:, None]
        convolved = _convolve(images, weight)
        maps = _normalize(convolved, watch)
        if not per_network:
            convolved, maps = (part.expand(-1, self.num_networks, -1, -1, -1) for part in (convolved, maps))
        watch.normalized(convolved, maps, self._all, (1, 2))  # convolution; normalization, sequence
        return maps

    def _cell(self, maps: Tensor, name: str, width: int, watch: Watch) -> Tensor:
        nodes = [maps]
        for edge, (source, target) in enumerate(EDGES):
            if source == target - 1:  # all edges into the source came before
                rows, times = self._readers[source]
                if len(rows):
                    watch.rectified(nodes[source].index_select(1, rows), rows, times)
            if target == len(nodes):
                nodes.append(torch.zeros(maps.shape, dtype=maps.dtype))
            groups = self._rows[edge]
            if not groups:
                continue
            # One gather per edge: its gradient fills one array instead of one per operation.
            gathered = nodes[source].index_select(1, torch.cat(list(groups.values())))
            parts = gathered.split([len(rows) for rows in groups.values()], 1)
            for (code, rows), chosen in zip(groups.items(), parts, strict=True):
                if code in _CONVOLUTIONS:
                    kernel = _CONVOLUTIONS[code]
                    weight = self._weight(f"{name}.layers.{edge}.op.1", (width, width, kernel, kernel))
                    term = self._normalized(functional.relu(chosen), weight, rows, watch)
                elif code == _POOL:
                    term = _Pool.apply(chosen)
                    watch.passed(term, rows, 2)
                else:
                    term = chosen
                    watch.passed(term, rows, 1)
                nodes[target].index_add_(1, rows, term)
        watch.passed(nodes[3], self._all, 1)
        return nodes[3]

    def _reduce(self, maps: Tensor, name: str, width: int, watch: Watch) -> Tensor:
        once = torch.ones_like(self._all)
        watch.rectified(maps, self._all, once)
        weight = self._weight(f"{name}.conv_a.op.1", (2 * width, width, 3, 3))
        first = self._normalized(functional.relu(maps), weight, self._all, watch, stride=2)
        watch.rectified(first, self._all, once)
        weight = self._weight(f"{name}.conv_b.op.1", (2 * width, 2 * width, 3, 3))
        residual = self._normalized(functional.relu(first), weight, self._all, watch)
        pooled = functional.avg_pool2d(maps.flatten(0, 1), 2, 2)
        pooled = pooled.view(len(maps), self.num_networks, *pooled.shape[1:])
        watch.passed(pooled, self._all, 1)
        shortcut = _convolve(pooled, self._weight(f"{name}.downsample.1", (2 * width, width, 1, 1)))
        watch.passed(shortcut, self._all, 2)
        total = shortcut + residual
        watch.passed(total, self._all, 1)
        return total

    def _normalized(self, maps: Tensor, weight: Tensor, rows: Tensor, watch: Watch, stride: int = 1) -> Tensor:
        convolved = _convolve(maps, weight, stride)
        normalized = _normalize(convolved, watch)
        watch.normalized(convolved, normalized, rows, (1, 3))  # convolution; normalization, sequence, block
        return normalized

    def _weight(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return draw_weight(self._seed, name, shape, self._initialization).to(self._dtype)

    def _bias(self) -> Tensor:
        if self._initialization == "normal":
            return torch.zeros(self._macro.num_classes, dtype=self._dtype)
        bound = 1 / math.sqrt(4 * self._macro.channels)
        values = torch.empty(self._macro.num_classes)
        values.uniform_(-bound, bound, generator=generator_of(self._seed, "classifier.bias"))
        return values.to(self._dtype)


def _convolve(maps: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    result = functional.conv2d(maps.flatten(0, 1), weight, None, stride, weight.shape[2] // 2)
    return result.view(*maps.shape[:2], *result.shape[1:])


class _Pool(torch.autograd.Function):
    """Mean of the pixels around each pixel inside the image, three times as fast as PyTorch's, to the same bits.

    Sums, and the sums of the gradient, run in PyTorch's order.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        height, width = maps.shape[3:]
        inside = functional.avg_pool2d(maps.new_ones(1, 1, height, width), 3, 1, 1, divisor_override=1)[0, 0]
        ctx.save_for_backward(inside)
        return _box(maps) / inside

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (inside,) = ctx.saved_tensors
        return _box(gradients[0] / inside)


def _box(maps: Tensor) -> Tensor:
    """Sum over the 3 × 3 pixels around each pixel, zeros outside."""
    height, width = maps.shape[3:]
    padded = functional.pad(maps, (1, 1, 1, 1))
    windows = [padded[..., top : top + height, left : left + width] for top in range(3) for left in range(3)]
    total = windows[0] + windows[1]
    for window in windows[2:]:
        total += window
    return total


def _normalize(maps: Tensor, watch: Watch) -> Tensor:
    """Batch normalization with the statistics of each network's batch."""
    mean, variance = watch.running(maps.shape[1], maps.shape[2])
    flat = maps.flatten(1, 2)
    return functional.batch_norm(flat, mean, variance, None, None, True, _MOMENTUM, 1e-5).view(maps.shape)


class _Hamming(Watch):
    def __init__(self, num_networks: int, num_images: int) -> None:
        self.kernels = torch.zeros(num_networks, num_images, num_images, dtype=torch.float64)

    def rectified(self, maps: Tensor, rows: Tensor, times: Tensor) -> None:
        codes = (maps > 0).flatten(2).transpose(0, 1)
        self.kernels.index_add_(0, rows, hamming_kernel(codes) * times[:, None, None])


@torch.no_grad()
def nwot_scores(choices: Ints, macro: Macro, batch: Batch, seed: int, dtype: torch.dtype = torch.float32) -> Floats:
    """Nwot of many cells, shape (num_networks,); see ``activations.nwot``."""
    watch = _Hamming(len(choices), len(batch.images))
    BatchedNetworks(choices, macro, seed, "default", dtype).forward(batch.images.to(dtype), watch)
    return _array(log_determinants(watch.kernels))


class _Patterns(Watch):
    def __init__(self, num_networks: int, num_images: int) -> None:
        self.seen = torch.zeros(num_networks, 2**num_images, dtype=torch.bool)

    def rectified(self, maps: Tensor, rows: Tensor, times: Tensor) -> None:
        del times
        packed = torch.zeros(len(rows), math.prod(maps.shape[2:]), dtype=torch.int32)
        for image, one in enumerate((maps > 0).flatten(2)):
            packed.add_(one, alpha=1 << image)
        flat = packed.long().add_((rows * self.seen.shape[1])[:, None])
        self.seen.view(-1)[flat.view(-1)] = True


@torch.no_grad()
def swap_scores(choices: Ints, macro: Macro, batch: Batch, seed: int, dtype: torch.dtype = torch.float32) -> Floats:
    """SWAP of many cells, shape (num_networks,); see ``activations.swap``. At most 16 images are read."""
    images = batch.first(SWAP_IMAGES).images
    watch = _Patterns(len(choices), len(images))
    BatchedNetworks(choices, macro, seed, "normal", dtype).forward(images.to(dtype), watch)
    return _array(watch.seen.sum(1))


class _Eigenvalues(Watch):
    def __init__(self, num_networks: int) -> None:
        self.totals = torch.zeros(num_networks, dtype=torch.float64)

    def rectified(self, maps: Tensor, rows: Tensor, times: Tensor) -> None:
        self.totals.index_add_(0, rows, smallest_eigenvalues(functional.relu(maps[0])) * times)

    def normalized(self, before: Tensor, after: Tensor, rows: Tensor, times: tuple[int, int]) -> None:
        # A normalization is an affine map per channel and changes no correlation.
        self.passed(before if times[0] else after, rows, sum(times))

    def passed(self, maps: Tensor, rows: Tensor, times: int) -> None:
        self.totals.index_add_(0, rows, times * smallest_eigenvalues(maps[0]))


@torch.no_grad()
def meco_scores(choices: Ints, macro: Macro, batch: Batch, seed: int, dtype: torch.dtype = torch.float64) -> Floats:
    """MeCo of many cells, shape (num_networks,); see ``meco.meco``. One image is read."""
    watch = _Eigenvalues(len(choices))
    BatchedNetworks(choices, macro, seed, "default", dtype).forward(batch.images[:1].to(dtype), watch)
    return _array(watch.totals)


def jacob_cov_scores(
    choices: Ints, macro: Macro, batch: Batch, seed: int, dtype: torch.dtype = torch.float32
) -> Floats:
    """jacob_cov of many cells, shape (num_networks,); see ``jacobian.jacob_cov``."""
    images = batch.images.to(dtype)[:, None].repeat(1, len(choices), 1, 1, 1).requires_grad_(True)
    logits = BatchedNetworks(choices, macro, seed, "default", dtype).forward(images, Watch())
    if not logits.requires_grad:  # every cell is disconnected
        return np.full(len(choices), np.nan)
    (slopes,) = torch.autograd.grad(logits.sum(), images)
    return _array(covariance_scores(slopes.transpose(0, 1).flatten(2)))


class _Zen(Watch):
    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self.features: list[Tensor] = []
        self.rows: list[Tensor] = []
        self.variances: list[Tensor] = []
        self._position = 0

    def normalized(self, before: Tensor, after: Tensor, rows: Tensor, times: tuple[int, int]) -> None:
        del before, after, times
        if not self.features:  # first pass
            self.rows.append(rows)

    def running(self, num_rows: int, channels: int) -> Running:
        if not self.features:
            self.variances.append(torch.ones(num_rows, channels, dtype=self._dtype))
        variance = self.variances[self._position].view(-1)
        self._position += 1
        return torch.zeros_like(variance), variance

    def finished(self, maps: Tensor) -> None:
        self.features.append(maps)
        self._position = 0


@torch.no_grad()
def zen_scores(
    choices: Ints, macro: Macro, batch: Batch, seed: int, dtype: torch.dtype = torch.float32
) -> tuple[Floats, Floats]:
    """The two parts of zen of many cells, shape (num_networks,) each; see ``zen.zen_parts``."""
    watch = _Zen(dtype)
    networks = BatchedNetworks(choices, macro, seed, "normal", dtype)
    for images in zen_inputs(tuple(batch.images.shape), seed, dtype):
        networks.forward(images, watch)
    first, second = watch.features
    distance = (first - second).double().abs().sum((2, 3, 4)).mean(0)
    scale = torch.zeros(len(choices), dtype=torch.float64)
    for rows, variance in zip(watch.rows, watch.variances, strict=True):
        scale.index_add_(0, rows, (variance.double().mean(1).log() / 2).expand(len(rows)))
    return _array(torch.where(distance > 0, distance.log(), math.nan)), _array(scale)


def _array(values: Tensor) -> Floats:
    array: Floats = values.double().numpy()
    return array
