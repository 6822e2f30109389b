"""The common form of the weight-sharing methods: one supernet, trained epoch by epoch, and a cell derived from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from nasbench_harness.trainer.supernet import SharedWeights

Cell = tuple[int, ...]


class Method(ABC):
    """A method on one supernet.

    Args:
        shared: The shared weights.

    Attributes:
        name: Name of the method in the settings.
    """

    name: ClassVar[str]

    def __init__(self, shared: SharedWeights) -> None:
        self.shared, self.settings = shared, shared.settings

    @abstractmethod
    def train_epoch(self, epoch: int) -> None:
        """Train one epoch, counted from 0."""

    @abstractmethod
    def derive(self, epoch: int) -> Cell:
        """The cell that the method would return after this epoch."""

    def alpha(self) -> list[list[float]] | None:
        """Probability of each operation on each edge, shape (6, 5); None if the method has none."""
        return None

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything that the next epoch depends on, besides the shared weights."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""


class Judging(Method):
    """A method that derives its cell by judging candidates with the shared weights."""

    def derive(self, epoch: int) -> Cell:
        """The candidate with the highest accuracy; the first of equal ones."""
        candidates = self.candidates(epoch)
        return candidates[int(self.shared.judged(candidates, epoch).argmax())]

    @abstractmethod
    def candidates(self, epoch: int) -> list[Cell]:
        """Cells that are judged after an epoch."""
