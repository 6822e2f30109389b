"""Results as a strategy is told them: copies that share no memory with the clock or the record."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nasbench_harness.arrays import AnyArray, Bools, Floats
from nasbench_harness.engine.strategy import Results


def results_of(columns: Mapping[str, AnyArray], finished: Bools, feasible: Bools, clock_s: Floats) -> Results:
    """The results of the runs whose evaluation finished; the others get no ticket, no architecture and no value.

    Args:
        columns: Ticket, architectures, fidelities, losses, cost and status of every run.
        finished: Runs whose evaluation finished, shape (num_runs,).
        feasible: Runs whose evaluation meets the constraints, shape (num_runs,).
        clock_s: Simulated time of every run, shape (num_runs,).
    """
    if np.count_nonzero(finished) < len(finished):
        columns = {
            **columns,
            "ticket": np.where(finished, columns["ticket"], -1),
            "architectures": np.where(finished, columns["architectures"], -1),
            "losses": np.where(finished[:, None], columns["losses"], np.inf),
            "cost_s": np.where(finished, columns["cost_s"], 0.0),
        }
    return Results(
        ticket=own_copy(columns["ticket"]),
        architectures=own_copy(columns["architectures"]),
        fidelities=own_copy(columns["fidelities"]),
        values=own_copy(columns["losses"]),
        cost_s=own_copy(columns["cost_s"]),
        finished_s=own_copy(clock_s),
        status=own_copy(columns["status"]),
        feasible=own_copy(feasible),
    )


def own_copy(array: AnyArray) -> AnyArray:
    """A read-only copy for the strategy: it shares no memory with the clock or the record, not even its base."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy
