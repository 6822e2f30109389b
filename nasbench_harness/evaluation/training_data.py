"""Images that a study offers to strategies that train: two disjoint halves, and nothing of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nasbench_harness.arrays import Ints


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Two disjoint halves of labeled images.

    Attributes:
        name: Name of the data, e.g. ``animals16``.
        weight_images: Images that train weights, uint8, shape (num_images, channels, side, side).
        weight_labels: Their classes, shape (num_images,).
        selection_images: Images that choose architectures, the same form.
        selection_labels: Their classes.
        num_classes: Number of classes.
        mean: Mean of each channel, in 0 … 255.
        std: Standard deviation of each channel.
        can_flip: A mirrored image keeps its class.
        digest: sha256 over images, labels and halves.
        halves: Origin of the halves: the ``source`` of the data, a ``file``, or ``drawn``; empty if unknown.
    """

    name: str
    weight_images: npt.NDArray[np.uint8]
    weight_labels: Ints
    selection_images: npt.NDArray[np.uint8]
    selection_labels: Ints
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    can_flip: bool
    digest: str
    halves: str = ""

    @property
    def side(self) -> int:
        """Pixels of an image's side."""
        return int(self.weight_images.shape[-1])

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.weight_images.shape[1])


class ImageSource(Protocol):
    """Source of training data; it can be pickled and holds no images."""

    @property
    def name(self) -> str:
        """Name of the data."""

    @property
    def digest(self) -> str:
        """Digest of the data when the study was planned; part of the identity of the runs that train on them."""

    def load(self) -> TrainingData:
        """Read the images.

        Raises:
            HarnessError: They are missing, damaged, or others than those of the digest.
        """

    def refusal(self, task: str) -> str:
        """Reason why these images cannot be used on a task; empty if they can."""
