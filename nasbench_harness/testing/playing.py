"""Plays strategies in ways that the engine may come to use: evaluations that end late, and several at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasbench_harness.arrays import AnyArray, Bools, Ints
from nasbench_harness.engine.checks import checked_proposals
from nasbench_harness.engine.strategy import Results, Strategy
from nasbench_harness.errors import StrategyError
from nasbench_harness.evaluation.ledger import Ledger
from nasbench_harness.evaluation.status import Status

_MAX_PENDING = 4  # evaluations of a run that are under way at once


def play_at_random_times(
    strategy: Strategy, ledger: Ledger, evaluations: int, num_fidelities: int = 1
) -> list[list[tuple[int, int]]]:
    """Ask random subsets of the runs until all have spent their budget.

    Returns:
        The proposals of each run: architecture, and place on the fidelity axis.
    """
    rng = np.random.default_rng(0)
    num_runs, size = len(ledger.counted), ledger.num_architectures
    proposals: list[list[tuple[int, int]]] = [[] for _ in range(num_runs)]
    tickets, has_ended = np.zeros(num_runs, dtype=np.int64), np.zeros(num_runs, dtype=bool)
    for _ in range(100 * evaluations):
        idle = (rng.random(num_runs) < 0.5) & ledger.has_budget() & ~has_ended
        if not idle.any():
            if not (ledger.has_budget() & ~has_ended).any():
                break
            continue
        asked = checked_proposals(strategy.name, strategy.ask(idle), idle, size, num_fidelities=num_fidelities)
        started = idle & (asked.architectures >= 0)
        progressed = np.zeros(num_runs) if asked.extra_cost_s is None else np.where(idle, asked.extra_cost_s, 0.0)
        has_ended |= idle & ~started & (progressed == 0)
        architectures = np.where(started, asked.architectures, 0).astype(np.int64)
        fidelities = _on_axis(asked.fidelities, num_fidelities, started)
        entries = ledger.evaluate(architectures, started, fidelities)
        strategy.tell(
            Results(
                ticket=np.where(started, tickets, -1),
                architectures=np.where(started, architectures, -1),
                fidelities=fidelities,
                values=entries.losses,
                cost_s=entries.cost_s,
                finished_s=entries.finished_s,
                status=entries.status,
                feasible=started,
            )
        )
        tickets += started
        for run in np.flatnonzero(started).tolist():
            proposals[run].append((int(architectures[run]), int(fidelities[run])))
    strategy.close()
    for error in getattr(strategy, "failures", {}).values():
        raise error
    return proposals


_MAX_PROGRESS = 10_000  # answers in a row without an evaluation: a strategy that never ends


def play_with_pending(strategy: Strategy, ledger: Ledger, seeds: Ints, num_fidelities: int = 1) -> dict[int, list[int]]:
    """Play with up to 4 evaluations of each run pending, of which a random one finishes at each step.

    The choice depends on the run's seed only. Returns the proposals of each seed's run.
    """
    num_runs, size = len(seeds), ledger.num_architectures
    orders = [np.random.default_rng(seed) for seed in seeds]
    pending: list[list[dict[str, Any]]] = [[] for _ in range(num_runs)]
    proposals: dict[int, list[int]] = {int(seed): [] for seed in seeds}
    waits = np.zeros(num_runs, dtype=bool)  # runs that had nothing to propose until a result comes
    rests = np.zeros(num_runs, dtype=bool)  # runs of which another evaluation finishes before they are asked
    num_progress = 0  # in a row, of all runs
    while num_progress < _MAX_PROGRESS:
        has_room = np.array([len(of_run) < _MAX_PENDING for of_run in pending])
        idle = ledger.has_budget() & ~waits & ~rests & has_room
        if idle.any():
            asked = checked_proposals(
                strategy.name, strategy.ask(idle.copy()), idle, size, num_fidelities=num_fidelities
            )
            started = idle & (asked.architectures >= 0)
            progressed = np.zeros(num_runs) if asked.extra_cost_s is None else np.where(idle, asked.extra_cost_s, 0.0)
            waits |= idle & ~started & (progressed == 0)
            num_progress = 0 if started.any() else num_progress + bool((progressed > 0).any())
            if not started.any():
                continue
            architectures = np.where(started, asked.architectures, 0).astype(np.int64)
            fidelities = _on_axis(asked.fidelities, num_fidelities, started)
            entries = ledger.evaluate(architectures, started, fidelities)
            for run in np.flatnonzero(started).tolist():
                proposed = proposals[int(seeds[run])]
                pending[run].append(
                    {
                        "ticket": len(proposed),
                        "architectures": architectures[run],
                        "fidelities": fidelities[run],
                        "values": entries.losses[run],
                        "cost_s": entries.cost_s[run],
                        "finished_s": entries.finished_s[run],
                        "status": entries.status[run],
                    }
                )
                proposed.append(int(architectures[run]))
        elif not any(pending):
            strategy.close()
            return proposals
        else:
            had_result = [bool(of_run) for of_run in pending]
            strategy.tell(_finish_one_each(pending, orders, ledger))
            waits &= ~np.array(had_result)
            for run in np.flatnonzero(had_result).tolist():
                rests[run] = orders[run].random() < 0.5 and len(pending[run]) > 0
    raise StrategyError(f"{strategy.name} made progress {_MAX_PROGRESS:,} times in a row without an evaluation")


def _finish_one_each(pending: list[list[dict[str, Any]]], orders: list[np.random.Generator], ledger: Ledger) -> Results:
    """Results of one pending evaluation of each run that has any."""
    num_runs, num_objectives = len(pending), ledger.num_objectives
    columns: dict[str, AnyArray] = {
        "ticket": np.full(num_runs, -1),
        "architectures": np.full(num_runs, -1),
        "fidelities": np.zeros(num_runs, dtype=np.int64),
        "values": np.full((num_runs, num_objectives), np.inf),
        "cost_s": np.zeros(num_runs),
        "finished_s": ledger.clock_s.copy(),
        "status": np.full(num_runs, int(Status.NONE), dtype=np.int8),
        "feasible": np.array([bool(of_run) for of_run in pending]),
    }
    for run, (of_run, order) in enumerate(zip(pending, orders, strict=True)):
        if of_run:
            for name, value in of_run.pop(int(order.integers(len(of_run)))).items():
                columns[name][run] = value
    for column in columns.values():
        column.flags.writeable = False
    return Results(**columns)


def _on_axis(fidelities: Ints | None, num_fidelities: int, started: Bools) -> Ints:
    """Place of each run's evaluation on the fidelity axis, shape (num_runs,); the highest if none is named."""
    if fidelities is None:
        fidelities = np.full(len(started), num_fidelities - 1)
    return np.where(started, fidelities, 0)
