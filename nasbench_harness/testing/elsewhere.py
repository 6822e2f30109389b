"""Plays a strategy in other processes: under other hash seeds, and with its tasks in another order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from nasbench_harness.arrays import AnyArray
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.catalog import strategy_entry_points
from nasbench_harness.studies.references import resolve
from nasbench_harness.testing.contract import fail
from nasbench_harness.testing.traces import SEEDS_ELSEWHERE, digest, trace_digest
from nasbench_harness.testing.watching import watched

_HASH_SEEDS = ("1", "4242")
_MARK = "played: "  # begins the line of the answer; programs print others
_OTHER_PROCESS = f"""
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from nasbench_harness.testing.elsewhere import play_here
print({_MARK!r} + json.dumps(play_here(*json.loads(sys.argv[2]))))
"""


def play_here(
    reference: str, parameters: dict[str, Any], tasks: list[str], protocol: dict[str, Any]
) -> tuple[dict[str, str], dict[str, str]]:
    """Digest of each task's traces, and places of all reads of the strategy on its own, its import included.

    Args:
        reference: The strategy, which this process has not imported.
        parameters: Its hyperparameters.
        tasks: The tasks, in the order in which they are played.
        protocol: Fields of the protocol.
    """
    module = reference.partition(":")[0] if ":" in reference else strategy_entry_points()[reference].module
    with watched(module) as reads:
        return {task: trace_digest(reference, parameters, task, protocol) for task in tasks}, reads


def play_elsewhere(
    spec: ResolvedStrategy, played: Mapping[str, Mapping[int, Mapping[str, AnyArray]]], protocol: Mapping[str, Any]
) -> None:
    """Play runs again in two other processes, which play the last task first: memory of other tasks shows.

    Args:
        spec: The strategy; one that other processes cannot import is left out.
        played: Rows of each seed's run, by task.
        protocol: Fields of the protocol.

    Raises:
        BrokenContractError: A trace is another one there, or the strategy reads scores when it is imported.
    """
    if not _is_importable(spec):
        return
    here = {task: digest([runs[seed] for seed in SEEDS_ELSEWHERE.tolist()]) for task, runs in played.items()}
    arguments = [spec.reference, dict(spec.parameters), list(played)[::-1], protocol]
    for hash_seed in _HASH_SEEDS:
        command = [sys.executable, "-c", _OTHER_PROCESS, json.dumps(sys.path), json.dumps(arguments)]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
        has_answer = done.returncode == 0 and lines
        there, reads = json.loads(lines[-1].removeprefix(_MARK)) if has_answer else ({}, {})
        for task, expected in here.items():
            if there.get(task) != expected:
                problem = (done.stderr.strip().splitlines() or ["nothing"])[-1][:200]
                fail(
                    f"trace {expected} on {task} in a process with PYTHONHASHSEED={hash_seed}",
                    f"trace {there[task]}" if there else problem,
                    "a study must be repeatable, with its tasks in any order",
                    "the order of a set, hash(), id(), time, memory of the tasks before, or a generator without a seed",
                )
        if reads:
            fail_for_reads(reads)


def fail_for_reads(reads: Mapping[str, str]) -> NoReturn:
    """Raise a BrokenContractError that names reads of tables and scores, and the place of the first."""
    fail(
        "a strategy that learns by evaluations and problem.lookup() alone",
        f"it reads {', '.join(reads)}, at {next(iter(reads.values()))}",
        "its results would say nothing: scores are for reports",
        "load_task(…), load_table(…), a file, gc.get_objects() or frames in the strategy's code, or in a module that "
        'its package imports: put this below if __name__ == "__main__", or in another package',
    )


def _is_importable(spec: ResolvedStrategy) -> bool:
    """Whether another process finds the strategy by its reference."""
    if ":" not in spec.reference:
        return True
    module, _, attribute = spec.reference.partition(":")
    if module == "__main__" or "<" in attribute:
        return False
    try:
        return resolve(StrategyRef(spec.reference)).target is spec.target
    except Exception:  # whatever keeps it from being imported
        return False
