"""Proposals and choices of a strategy's runs, in lockstep, in batches of constant memory; nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256

import numpy as np

from nasbench_harness.analysis.fronts import picks_of
from nasbench_harness.arrays import AnyArray, Ints
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.errors import HarnessError, StrategyError
from nasbench_harness.evaluation.choice import rows_of
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import Task
from nasbench_harness.places import place_in
from nasbench_harness.studies.batches import plan_batches

TRACE_SEEDS = 100


def trace_hash(columns: Mapping[str, AnyArray], picks: Ints) -> str:
    """Hash of the proposals, recommendations and choices of runs, in order.

    Args:
        columns: Columns of a batch's trace, shape (num_rows, num_runs).
        picks: Choice of each run, shape (num_runs,).
    """
    digest = sha256()
    is_row = columns["status"] != Status.NONE
    names = [name for name in ("architecture", "recommended") if name in columns]
    names += ["fidelity"] if columns["fidelity"].any() else []  # all are 0 unless the strategy chooses
    for run, pick in enumerate(picks.tolist()):
        for name in names:
            rows = columns[name][is_row[:, run], run].astype("<i8")
            # Whether a strategy recommends at all is known by its class; a run that did not is as if it could not.
            if name == "architecture" or rows.max(initial=-1) >= 0:
                digest.update(f"{name} {len(rows)}\n".encode() + rows.tobytes())
        digest.update(f"pick {pick}\n".encode())
    return digest.hexdigest()


def run_choices(columns: Mapping[str, AnyArray], task: Task, rules: Rules) -> Ints:
    """Choice of each run of a batch, −1 if there is none; shape (num_runs,).

    Args:
        columns: Of its trace, shape (num_rows, num_runs).
        task: The task.
        rules: Protocol and study seed.

    Returns:
        Positions in the score ``val`` (see ``picks_of``).
    """
    by_run = {name: column.T for name, column in columns.items()}
    view = task.under(rules.protocol)
    picks = picks_of(rows_of(by_run, view), view)
    return picks[:, -1] if picks.shape[1] else np.full(len(picks), -1)


def _run(spec: ResolvedStrategy, task: Task, rules: Rules, seeds: Ints) -> tuple[dict[str, AnyArray], Ints]:
    """Trace and picks of a batch."""
    try:
        columns = run_seeds(spec, task, rules, seeds).trace.columns()
    except HarnessError:
        raise
    except Exception as error:
        raise StrategyError(
            f"{spec.label} on {task.name} failed: {type(error).__name__}: {error}{place_in(error)}"
        ) from error
    picks = run_choices(columns, task, rules)
    if (picks < 0).any():
        num_empty = int((picks < 0).sum())
        raise StrategyError(f"{spec.label} on {task.name}: {num_empty} of {len(seeds)} runs returned nothing")
    task.under(rules.protocol).oracle.prepare(picks)
    return columns, picks


def traced(spec: ResolvedStrategy, task: Task, rules: Rules) -> tuple[str, Ints]:
    """Hash of the first runs, and their final regrets as grid values."""
    columns, picks = _run(spec, task, rules, np.arange(TRACE_SEEDS))
    return trace_hash(columns, picks), task.under(rules.protocol).scores["val"].grid_regrets(picks)


def grid_regrets(spec: ResolvedStrategy, task: Task, rules: Rules, first: int, end: int) -> Ints:
    """Final regrets of the seeds first … end − 1 as grid values, run in batches of bounded memory."""
    val = task.under(rules.protocol).scores["val"]
    parts = [val.grid_regrets(_run(spec, task, rules, s)[1]) for s in _batches(spec, task, rules, first, end)]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _batches(spec: ResolvedStrategy, task: Task, rules: Rules, first: int, end: int) -> Iterator[Ints]:
    """Seeds of batches whose memory is bounded."""
    ranges = [(start, min(start + TRACE_SEEDS, end) - 1) for start in range(first, end, TRACE_SEEDS)]
    for plan in plan_batches(spec, task, ranges, rules.protocol):
        yield plan.run_seeds
