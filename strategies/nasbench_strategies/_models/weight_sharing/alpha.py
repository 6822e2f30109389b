"""Architecture parameters: one number for each operation on each edge, shared by all cells of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasbench_harness.trainer.supernet import Adam, SharedWeights
from nasbench_strategies._models.weight_sharing.method import Cell, Method


class AlphaMethod(Method):
    """A method with α, moved by Adam; its cell has the operation with the largest α on each edge.

    Attributes:
        logits: α, shape (6, 5).
        optimizer: Moves α.
    """

    def __init__(self, shared: SharedWeights) -> None:
        super().__init__(shared)
        self.logits = shared.initial_alpha()
        self.optimizer = Adam.of({"alpha": self.logits}, self.settings)

    def derive(self, epoch: int) -> Cell:  # noqa: ARG002 - methods that judge need it
        """The operation with the largest α on each edge."""
        return tuple(self.logits.argmax(1).tolist())

    def alpha(self) -> list[list[float]]:
        """softmax(α)."""
        probabilities: list[list[float]] = self.logits.detach().softmax(1).tolist()
        return probabilities

    def state(self) -> dict[str, Any]:
        """α and its moments."""
        return {"alpha": self.logits.detach(), "adam": self.optimizer.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.logits.data.copy_(state["alpha"])
        self.optimizer.restore(state["adam"])
