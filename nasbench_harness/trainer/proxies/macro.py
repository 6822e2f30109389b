"""The macro of a score: the skeleton that an architecture's cell is put in, and the images it reads."""

from __future__ import annotations

from dataclasses import dataclass

from nasbench_harness.errors import InvalidInputError

_MOST = {"num_cells": 100, "channels": 1_024, "side": 512, "batch_size": 10_000}
_MOST_OTHERWISE = 100_000


@dataclass(frozen=True)
class Macro:
    """Skeleton and batch of a score. Scores at two depths are two scores, so the macro belongs to a score's name.

    Attributes:
        num_cells: Cells per stage (N).
        channels: Channels of the first stage (C).
        side: Pixels of an image's side.
        num_classes: Outputs of the classifier.
        batch_size: Number of images.
        image_channels: Channels of an image.
    """

    num_cells: int = 5
    channels: int = 16
    side: int = 32
    num_classes: int = 10
    batch_size: int = 64
    image_channels: int = 3

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            most = _MOST.get(name, _MOST_OTHERWISE)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise InvalidInputError(f"{name} of a macro must be a whole number in 1 … {most:,}, not {value!r}")
        if self.side % 4 or self.side < 8:
            raise InvalidInputError(f"the side of a macro's images must be 8, 12, 16, … pixels, not {self.side}")

    @property
    def label(self) -> str:
        """E.g. ``N=3, C=8, 16 px, 16 images``."""
        images = "1 image" if self.batch_size == 1 else f"{self.batch_size} images"
        return f"N={self.num_cells}, C={self.channels}, {self.side} px, {images}"


FULL_SIZE = Macro()
