"""One half of the training data on a device: augmented batches to train on, plain ones to measure with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nasbench_harness.arrays import AnyArray
from nasbench_harness.evaluation.training_data import TrainingData
from nasbench_harness.trainer.data.batches import normalized
from nasbench_harness.trainer.supernet.settings import Settings


class Batch(NamedTuple):
    """Normalized images (n, channels, side, side) and labels (n,)."""

    images: Tensor
    labels: Tensor


class Half:
    """Images of one half.

    Args:
        images: uint8, shape (num_images, channels, side, side).
        labels: Shape (num_images,).
        data: Gives mean, deviation and whether images may be mirrored.
        settings: Crops and mirroring.
        device: Where batches are made.
        dtype: Of normalized images.
    """

    def __init__(
        self,
        images: AnyArray,
        labels: AnyArray,
        data: TrainingData,
        settings: Settings,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.num_images, self.side = len(labels), data.side
        self.padding = data.side // settings.padding_divisor
        self.flip = settings.flip and data.can_flip
        self.mean = torch.tensor(data.mean, dtype=dtype, device=device)
        self.std = torch.tensor(data.std, dtype=dtype, device=device)
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        self.plain = pixels.permute(0, 2, 3, 1).contiguous()
        # Black pixels are added before normalizing; channels last, so that one gather reads whole pixels.
        padded = functional.pad(pixels, [self.padding] * 4)
        self.padded_side = padded.shape[-1]
        self.pixels = padded.permute(0, 2, 3, 1).reshape(-1, data.channels)
        self.labels = torch.from_numpy(np.ascontiguousarray(labels)).to(device)
        self.range = torch.arange(self.side, device=device)

    def batch(self, positions: AnyArray, rng: np.random.Generator) -> Batch:
        """A batch with an own crop and flip for each image.

        Args:
            positions: Positions of the images, shape (n,).
            rng: Source of the crops and flips.
        """
        top, left = rng.integers(0, 2 * self.padding + 1, (2, len(positions)))
        is_flipped = (rng.random(len(positions)) < 0.5) & self.flip
        device = self.labels.device
        order, top_, left_, flipped = (
            torch.from_numpy(np.asarray(part)).to(device)[:, None, None] for part in (positions, top, left, is_flipped)
        )
        rows = top_ + self.range[:, None]
        columns = torch.where(flipped, self.side - 1 - self.range, self.range) + left_
        pixels = self.pixels[(order * self.padded_side + rows) * self.padded_side + columns]
        return Batch(normalized(pixels, self.mean, self.std).permute(0, 3, 1, 2), self.labels[order[:, 0, 0]])

    def plain_batches(self, positions: AnyArray, batch_size: int) -> Iterator[Batch]:
        """Batches without augmentation; the last may be smaller."""
        chosen = torch.from_numpy(np.asarray(positions)).to(self.labels.device)
        for start in range(0, len(chosen), batch_size):
            part = chosen[start : start + batch_size]
            images = normalized(self.plain[part], self.mean, self.std)
            yield Batch(images.permute(0, 3, 1, 2), self.labels[part])
