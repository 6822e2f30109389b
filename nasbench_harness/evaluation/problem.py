"""The search view: what a strategy may see. Nothing here leads to the values that runs are scored by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import UnknownNameError
from nasbench_harness.spaces import SearchSpace
from nasbench_harness.tables.table import Metric


@dataclass(frozen=True)
class Objective:
    """A search metric as strategies see it: a loss, smaller is better, in the metric's unit."""

    metric: Metric

    def loss(self, natural: Floats) -> Floats:
        """Accuracy a becomes 100 − a; other metrics to be maximized change their sign."""
        if self.metric.direction == "minimize":
            return natural
        return 100.0 - natural if self.metric.unit == "%" else -natural

    def natural(self, loss: Floats) -> Floats:
        """Inverse of ``loss``."""
        return self.loss(loss)


@dataclass(frozen=True)
class Budget:
    """What a run may spend; None where there is no bound. The first to bind ends the run."""

    evaluations: int | None
    simulated_seconds: float | None = None


@dataclass(frozen=True)
class Problem:
    """What a strategy sees of a task.

    Attributes:
        space: The search space.
        objectives: What to minimize, in the order of ``Results.values``.
        budget: What each run may spend.
        num_lookups: How many values of each free metric were read.
    """

    space: SearchSpace
    objectives: tuple[Objective, ...]
    budget: Budget
    _free: Mapping[str, Floats] = field(default_factory=dict, repr=False)
    num_lookups: dict[str, int] = field(default_factory=dict, repr=False)

    def lookup(self, metric: str, architectures: Ints) -> Floats:
        """Values of a free metric (mean over replicates), shape of ``architectures``; every read is counted.

        Raises:
            UnknownNameError: The task has no free metric of this name.
        """
        if metric not in self._free:
            raise UnknownNameError("free metric", metric, self._free)
        values = np.array(self._free[metric][architectures])  # a copy: the table stays as it is
        self.num_lookups[metric] = self.num_lookups.get(metric, 0) + values.size
        return values
