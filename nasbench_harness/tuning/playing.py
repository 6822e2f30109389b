"""Runs of a strategy under different hyperparameters, kept in a journal.

Failures are kept in memory alone: an error of the moment, such as a full disk, must not decide the next command.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from nasbench_harness.analysis.across import reference_value
from nasbench_harness.arrays import Floats
from nasbench_harness.engine.batches import Rules, run_together
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.errors import HarnessError, InvalidInputError
from nasbench_harness.evaluation.task import Task, open_task
from nasbench_harness.journal import LineJournal
from nasbench_harness.regression.traces import run_choices
from nasbench_harness.studies.batches import plan_batches
from nasbench_harness.untrusted import first_line
from nasbench_harness.workers import stop_workers, submit

_IDENTITY = ("parameters", "task", "table", "step", "first", "end")  # regrets are counted in steps


class Piece(NamedTuple):
    """Runs of one setting on one task.

    Attributes:
        setting: Hyperparameters that differ from those of the strategy, or are equal.
        task: Name of the task.
        first: First seed.
        end: Seed after the last one.
    """

    setting: Mapping[str, Any]
    task: str
    first: int
    end: int


@dataclass(frozen=True)
class Played:
    """Outcome of a piece.

    Attributes:
        regrets: Final regret of each run, in the task's unit, shape (num_runs,).
        evaluations: Evaluations that were charged to all runs; after a failure those up to it.
        failure: Why the setting cannot be run; empty if it can.
        source_evaluations: Evaluations of sources that they read, charged or not.
        source_seconds: Training time of these; NaN if a source has no training times.
    """

    regrets: Floats
    evaluations: int
    failure: str = ""
    source_evaluations: int = 0
    source_seconds: float = 0.0


class Player:
    """Plays settings of a strategy on tasks; runs that are in the journal are not done again.

    Args:
        spec: The strategy.
        tasks: The tasks, by name.
        rules: Protocol and study seed.
        journal: An open journal of these.
        jobs: Worker processes; 1: none. The journal has the same bytes for any number.
        on_runs: Called with (runs done, None) after each piece.

    Raises:
        InvalidInputError: The journal holds something else.
    """

    def __init__(
        self,
        spec: ResolvedStrategy,
        tasks: Mapping[str, Task],
        rules: Rules,
        journal: LineJournal,
        jobs: int = 1,
        on_runs: Callable[[int, int | None], None] | None = None,
    ) -> None:
        self._spec, self._tasks, self._rules, self._journal = spec, tasks, rules, journal
        self._jobs, self._on_runs = jobs, on_runs
        self._views = {name: task.under(rules.protocol).scores["val"] for name, task in tasks.items()}
        self._known: dict[str, dict[str, Any]] = {}
        self._asked: set[str] = set()
        self._num_runs = 0
        try:
            for entry in journal.entries:
                regrets, counts = entry["regrets"], (entry["evaluations"], entry["source_evaluations"])
                is_whole = all(type(number) is int and number >= 0 for number in (*regrets, *counts))
                is_whole &= entry["source_seconds"] is None or entry["source_seconds"] >= 0
                if not is_whole or len(regrets) != (0 if entry["failure"] else entry["end"] - entry["first"]):
                    raise journal.damaged()
                if not entry["failure"]:  # journals of earlier versions hold failures
                    self._known[_key(*(entry[name] for name in _IDENTITY))] = entry
        except (KeyError, TypeError) as error:
            raise journal.damaged() from error

    def play(self, pieces: Sequence[Piece]) -> Generator[Played, None, None]:
        """Play pieces, and yield their outcomes in the same order.

        Args:
            pieces: Runs; those of the journal are not done again. Those that fail are done once by a command.

        Raises:
            HarnessError: A worker process ended.
        """
        keys = [self._key_of(piece) for piece in pieces]
        missing = {key: piece for key, piece in zip(keys, pieces, strict=True) if key not in self._known}
        entries = self._in_workers(missing) if self._jobs > 1 and len(missing) > 1 else self._here(missing)
        try:
            for key, piece in zip(keys, pieces, strict=True):
                if key not in self._known:
                    entry = next(entries)
                    if not entry["failure"]:
                        self._journal.add(entry)
                    self._known[key] = entry
                yield self._played(key, piece)
        finally:
            entries.close()

    def _played(self, key: str, piece: Piece) -> Played:
        """A piece that is known, counted if it was not asked for before."""
        entry = self._known[key]
        self._num_runs += 0 if key in self._asked else piece.end - piece.first
        self._asked.add(key)
        if self._on_runs is not None:
            self._on_runs(self._num_runs, None)
        regrets = np.array(entry["regrets"], dtype=np.float64) * self._views[piece.task].resolution
        seconds = entry["source_seconds"]
        counts = entry["evaluations"], entry["failure"], entry["source_evaluations"]
        return Played(regrets, *counts, float("nan") if seconds is None else seconds)

    def score(self, played: Played, task: str) -> float:
        """Mean regret over the distance from the median of the table to its optimum; infinite after a failure."""
        return float("inf") if played.failure else float(played.regrets.mean()) / self._width(task)

    def evaluations_from(self, first: int) -> int:
        """Evaluations of all runs that were asked for whose seeds are at least ``first``, each once."""
        return sum(self._known[key]["evaluations"] for key in self._asked if self._known[key]["first"] >= first)

    def _width(self, task: str) -> float:
        view = self._views[task]
        width = 1.0 if view.is_of_sets else abs(view.best_value - reference_value(view))
        return width or 1.0

    def _here(self, pieces: Mapping[str, Piece]) -> Generator[dict[str, Any], None, None]:
        """Entries of the journal, each made when it is asked for."""
        for piece in pieces.values():
            yield self._head(piece) | play_one(self._spec_of(piece), self._tasks[piece.task], self._rules, piece)

    def _in_workers(self, pieces: Mapping[str, Piece]) -> Generator[dict[str, Any], None, None]:
        """The same entries in the same order, made by workers; these are killed if the caller stops early."""
        from loky.process_executor import BrokenProcessPool

        num_workers = min(self._jobs, len(pieces))
        pending = [
            submit(num_workers, play_there, self._spec_of(piece), self._digest(piece.task), self._rules, piece)
            for piece in pieces.values()
        ]
        try:
            for piece, future in zip(pieces.values(), pending, strict=True):
                try:
                    yield self._head(piece) | future.result()
                except BrokenProcessPool as error:
                    raise HarnessError(
                        f"a worker process ended while {self._spec.label} was tuned on {piece.task}: repeat the "
                        "command; with --jobs 1 it stops at the runs that end it"
                    ) from error
        finally:
            if not all(future.done() for future in pending):
                stop_workers()

    def _spec_of(self, piece: Piece) -> ResolvedStrategy:
        return replace(self._spec, parameters={**self._spec.parameters, **piece.setting})

    def _digest(self, task: str) -> str:
        return self._tasks[task].table.digest

    def _head(self, piece: Piece) -> dict[str, Any]:
        """The part of an entry that says which runs it holds."""
        parameters = {**self._spec.parameters, **piece.setting}
        step = self._views[piece.task].resolution
        values = (parameters, piece.task, self._digest(piece.task), step, piece.first, piece.end)
        return dict(zip(_IDENTITY, values, strict=True))

    def _key_of(self, piece: Piece) -> str:
        return _key(*self._head(piece).values())


def play_one(spec: ResolvedStrategy, task: Task, rules: Rules, piece: Piece) -> dict[str, Any]:
    """Regrets (in steps of the task's grid), counts and failure of a piece.

    Args:
        spec: The strategy with the hyperparameters of the piece.
        task: The task.
        rules: Protocol and study seed.
        piece: The runs.
    """
    regrets: list[int] = []
    evaluations, source_evaluations, source_seconds = 0, 0, 0.0
    failure = ""
    scores = task.under(rules.protocol).scores["val"]
    try:
        for plan in plan_batches(spec, task, [(piece.first, piece.end - 1)], rules.protocol):
            part = run_together(spec, task, rules, plan.run_seeds)
            evaluations += part.num_evaluations
            if part.sources is not None:
                source_evaluations += int(np.sum(list(part.sources.counts.values())))
                source_seconds += float(part.sources.seconds.sum())
            if part.batch is None or part.failures:
                raise next(iter(part.failures.values()))
            picks = run_choices(part.batch.trace.columns(), task, rules)
            if (picks < 0).any():
                raise InvalidInputError("a run returned nothing")
            regrets += scores.grid_regrets(picks).tolist()
    except Exception as error:  # the strategy's own code may raise anything for a setting that it cannot use
        regrets, failure = [], f"{type(error).__name__}: {first_line(error)}"
    return {
        "regrets": regrets,
        "evaluations": evaluations,
        "source_evaluations": source_evaluations,
        "source_seconds": None if np.isnan(source_seconds) else source_seconds,  # JSON has no NaN
        "failure": failure,
    }


def play_there(spec: ResolvedStrategy, digest: str, rules: Rules, piece: Piece) -> dict[str, Any]:
    """Play a piece in a worker, which opens the task itself (arguments: see ``play_one``).

    Raises:
        HarnessError: The task is not here, or its table has another digest.
    """
    return play_one(spec, open_task(piece.task, digest), rules, piece)


def _key(parameters: Mapping[str, Any], task: str, table: str, step: float, first: int, end: int) -> str:
    return json.dumps([parameters, task, table, step, first, end], sort_keys=True)
