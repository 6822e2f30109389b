"""Checks of a strategy's answers, with messages that explain."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasbench_harness.arrays import AnyArray, Bools, Ints
from nasbench_harness.engine.strategy import HIGHEST, Proposals
from nasbench_harness.errors import StrategyError


def checked_proposals(
    name: str, answer: Any, idle: Bools, size: int, task: str = "", num_fidelities: int = 1
) -> Proposals:
    """The answer of ``ask``, with −1 for runs that are not idle.

    Args:
        name: The strategy, for messages.
        answer: Its answer.
        idle: Which runs were asked, shape (num_runs,).
        size: Number of architectures.
        task: The task, for messages.
        num_fidelities: Length of the task's fidelity axis.

    Raises:
        StrategyError: Wrong type, shape or range.
    """
    if not isinstance(answer, Proposals):
        raise StrategyError(f"{name}: ask() must return Proposals(architectures), not {type(answer).__name__}")
    num_runs = len(idle)
    architectures = checked_architectures(name, "ask()", answer.architectures, num_runs, size, idle)
    fidelities, extra_cost_s = answer.fidelities, answer.extra_cost_s
    if fidelities is not None:
        fidelities = _of_shape(f"{name}: ask() must return integer fidelities", fidelities, num_runs, "iu")
        fidelities = np.where(idle, resolved_fidelities(fidelities, num_fidelities), 0)
        if ((fidelities < 0) | (fidelities >= num_fidelities)).any():
            raise StrategyError(f"{name}: {fidelity_refusal(f'task {task}', num_fidelities, 'ask() named another')}")
    if extra_cost_s is not None:
        seconds = _of_shape(f"{name}: ask() must return numbers as extra_cost_s", extra_cost_s, num_runs, "iuf")
        extra_cost_s = np.where(idle, seconds, 0.0)
        if not (np.isfinite(extra_cost_s) & (extra_cost_s >= 0)).all():
            raise StrategyError(f"{name}: extra_cost_s must be finite and not negative")
    return Proposals(architectures, fidelities, extra_cost_s)


def resolved_fidelities(fidelities: Ints, num_fidelities: int) -> Ints:
    """Indices on the fidelity axis, with the highest in place of HIGHEST; nothing else decides this index."""
    resolved: Ints = np.where(fidelities == HIGHEST, num_fidelities - 1, fidelities)
    return resolved


def fidelity_refusal(task: str, num_fidelities: int, did: str) -> str:
    """A strategy's mistake about fidelities, and the allowed values."""
    if num_fidelities == 1:
        return f"{task} has one fidelity, but {did}: use 0 or None"
    return f"{task} has the fidelities 0 … {num_fidelities - 1}, places in problem.fidelities, but {did}"


def checked_architectures(
    name: str, call: str, values: Any, num_runs: int, size: int, used: Bools | None = None
) -> Ints:
    """Indices −1 … size − 1, shape (num_runs,); −1 if a run is not ``used``.

    Raises:
        StrategyError: Wrong type, shape or range.
    """
    start = f"{name}: {call} must return integer architectures"
    architectures = _of_shape(start, values, num_runs, "iu").astype(np.int64, copy=False)
    if used is not None and np.count_nonzero(used) < num_runs:
        architectures = np.where(used, architectures, -1)
    # Seen as unsigned, a negative number is huge: one comparison covers both ends.
    if (architectures + 1).view(np.uint64).max(initial=0) > size:
        raise StrategyError(
            f"{name}: {call} must return one architecture per run, −1 … {size - 1}: "
            f"got {architectures.min()} … {architectures.max()} in shape {architectures.shape}"
        )
    return architectures


def checked_generation(name: str, values: Any, num_runs: int, generation_size: int, size: int) -> Ints:
    """The answer of a generational strategy's ``propose``: indices 0 … size − 1, shape (num_runs, generation_size).

    Raises:
        StrategyError: Wrong type, shape or range.
    """
    start, shape = f"{name}: propose(runs) must return", (num_runs, generation_size)
    array = np.asarray(values)
    if array.shape != shape or array.dtype.kind not in "iu":
        raise StrategyError(
            f"{start} integer architectures of shape {shape} (len(runs), generation_size), "
            f"not {array.dtype} of shape {array.shape}"
        )
    if ((array < 0) | (array >= size)).any():
        raise StrategyError(f"{start} architectures 0 … {size - 1}: got {array.min()} … {array.max()}")
    return array.astype(np.int64)


def _of_shape(start: str, values: Any, num_runs: int, kinds: str) -> AnyArray:
    array = np.asarray(values)
    if array.shape != (num_runs,) or array.dtype.kind not in kinds:
        raise StrategyError(f"{start} of shape ({num_runs},) (num_runs), not {array.dtype} of shape {array.shape}")
    return array
