"""Traces of a strategy's runs, and one number for them that other processes can compute."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nasbench_harness.arrays import AnyArray, Ints
from nasbench_harness.engine.batches import Rules, run_together
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.evaluation.hashing import name_hash
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import Task, load_task
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve

LOOKUPS = "number of lookups of "  # begins the name of a column with one entry
SEEDS_ELSEWHERE = np.arange(4)  # whose runs are repeated in other processes
_ALGORITHM_VALUES = (  # the last two are columns of some traces only
    *("architecture", "replicate", "training", "cost_s", "finished_s", "status"),
    *("fidelity", "recommended"),
)


def trace_of(
    spec: ResolvedStrategy, task: Task, seeds: Ints, protocol: dict[str, Any]
) -> dict[int, dict[str, AnyArray]]:
    """Rows of every seed's run under a protocol, and numbers of values that it looked up.

    Raises:
        Exception: The first error of the strategy, as it is.
    """
    found = {}
    size = spec.max_runs or len(seeds)
    for part in (seeds[start : start + size] for start in range(0, len(seeds), size)):
        played = run_together(spec, task, Rules(Protocol(**protocol), 0), part)
        failures = played.failures if played.batch is None else played.batch.failures
        for error in failures.values():
            raise error
        if played.batch is not None:
            for position, seed in enumerate(part.tolist()):
                rows = played.batch.trace.rows(slice(position, position + 1))
                counts = {name: count[position : position + 1] for name, count in played.lookups.items()}
                found[seed] = rows | {f"{LOOKUPS}{name}": count for name, count in counts.items() if count.any()}
    return found


def trace_digest(reference: str, parameters: dict[str, Any], task: str, protocol: dict[str, Any]) -> str:
    """One number for the traces of the contract's first seeds."""
    spec = resolve(StrategyRef(reference, None, parameters))
    traces = trace_of(spec, load_task(task), SEEDS_ELSEWHERE, protocol)
    return digest(list(traces.values()))


def digest(traces: Sequence[Mapping[str, AnyArray]]) -> str:
    """One number for the rows of some runs."""
    text = json.dumps([[rows[name].tolist() for name in _ALGORITHM_VALUES if name in rows] for rows in traces])
    return f"{name_hash(text):016x}"
