"""Batches on the device: whole sets of uint8 images, augmented by one gather with an own draw for every image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nasbench_harness.trainer.data.images import ImageData
from nasbench_harness.trainer.recipe import Recipe

EVALUATION_BATCH = 256  # larger ones leave the cache of a core


class Draws(NamedTuple):
    """Order and augmentation of some training images for each seed.

    Attributes:
        order: Positions of the training images, int64, shape (num_images, stack).
        top: First row of each crop in the padded image, int64, shape (num_images, stack).
        left: First column, the same.
        is_flipped: Mirrored or not, the same shape.
    """

    order: Tensor
    top: Tensor
    left: Tensor
    is_flipped: Tensor


def draw_epoch(seeds: Sequence[int], epoch: int, num_images: int, padding: int, flip: bool) -> Draws:
    """Draw an epoch on the CPU; the draws of a seed depend on seed and epoch, not on device or other seeds."""
    drawn = [_draw(seed, epoch, num_images, padding, flip) for seed in seeds]
    order, top, left, is_flipped = (torch.from_numpy(np.stack(parts, axis=1)) for parts in zip(*drawn, strict=True))
    return Draws(order, top, left, is_flipped)


def _draw(seed: int, epoch: int, num_images: int, padding: int, flip: bool) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(num_images)
    top, left = generator.integers(0, 2 * padding + 1, (2, num_images))
    return order, top, left, (generator.random(num_images) < 0.5) & flip


class DeviceImages:
    """Training and validation images on the device, normalized as they are read."""

    def __init__(self, data: ImageData, recipe: Recipe, device: torch.device, dtype: torch.dtype) -> None:
        self.padding = data.side // recipe.padding_divisor
        self.flip = recipe.flip and data.can_flip
        self.num_train, self.side = len(data.train_labels), data.side
        self.mean = torch.tensor(data.mean, dtype=dtype, device=device)
        self.std = torch.tensor(data.std, dtype=dtype, device=device)
        # Padded with black pixels, before normalizing; channels last, so that a gather reads whole pixels.
        padded = functional.pad(data.train_images, [self.padding] * 4)
        self.padded_side = padded.shape[-1]
        self.pixels = padded.permute(0, 2, 3, 1).reshape(-1, data.channels).to(device)
        self.labels = data.train_labels.to(device)
        self.valid_images = data.valid_images.permute(0, 2, 3, 1).contiguous().to(device)
        self.valid_labels = data.valid_labels.to(device)
        self.range = torch.arange(data.side, device=device)

    def batch_draws(self, draws: Draws, batch_size: int) -> Iterator[Draws]:
        """An epoch's draws by batches, on the device; the last may be smaller."""
        parts = [part.to(self.labels.device) for part in draws]
        for start in range(0, self.num_train, batch_size):
            yield Draws(*(part[start : start + batch_size] for part in parts))

    def train_batch(self, order: Tensor, top: Tensor, left: Tensor, is_flipped: Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, stack · channels, side, side) and labels (stack, n) of a batch's draws, on the device."""
        return self.crops(order, top, left, is_flipped), self.labels[order].T

    def crops(self, order: Tensor, top: Tensor, left: Tensor, is_flipped: Tensor) -> Tensor:
        """Normalized crops (n, stack · channels, side, side), channels last in memory, of draws (n, stack)."""
        rows = top[:, None, None, :] + self.range[:, None, None]
        forward = self.range[:, None]
        columns = torch.where(is_flipped[:, None, None, :], self.side - 1 - forward, forward) + left[:, None, None, :]
        pixels = (order[:, None, None, :] * self.padded_side + rows) * self.padded_side + columns
        crops = self._normalized(self.pixels[pixels])  # (n, side, side, stack, channels)
        return crops.flatten(3).permute(0, 3, 1, 2)

    def valid_batches(self, stack: int, batch_size: int = EVALUATION_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """Validation images (n, stack · channels, side, side) and labels (n,), as ``plain_batches`` gives them."""
        return plain_batches(self.valid_images, self.valid_labels, self.mean, self.std, stack, batch_size)

    def _normalized(self, pixels: Tensor) -> Tensor:
        return normalized(pixels, self.mean, self.std)


def plain_batches(
    images: Tensor, labels: Tensor, mean: Tensor, std: Tensor, stack: int, batch_size: int = EVALUATION_BATCH
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (n, stack · channels, side, side), the same for all seeds and not augmented, and labels (n,).

    Args:
        images: uint8, channels last, shape (num_images, side, side, channels).
        labels: Shape (num_images,).
        mean: Mean of each channel.
        std: The same.
        stack: Number of seeds.
        batch_size: Images of a batch; the last may be smaller.
    """
    for start in range(0, len(labels), batch_size):
        batch = normalized(images[start : start + batch_size], mean, std)
        yield batch.repeat(1, 1, 1, stack).permute(0, 3, 1, 2), labels[start : start + batch_size]


def normalized(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Pixels (…, channels) of 0 … 255, less the mean, in standard deviations; floating point before any arithmetic."""
    return (pixels.to(mean.dtype) - mean) / std
