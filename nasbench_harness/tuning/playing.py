"""Runs of a strategy under different hyperparameters, kept in a journal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nasbench_harness.analysis.across import reference_value
from nasbench_harness.arrays import Floats
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import Task
from nasbench_harness.journal import LineJournal
from nasbench_harness.regression.traces import run_choices
from nasbench_harness.studies.batches import plan_batches

_IDENTITY = ("parameters", "task", "table", "first", "end")
_COUNTED = (Status.OK, Status.OVERRUN, Status.FAILED, Status.MISSING)


@dataclass(frozen=True)
class Played:
    """Runs of one setting on one task.

    Attributes:
        regrets: Final regret of each run, in the task's unit, shape (num_runs,).
        evaluations: Evaluations of all runs.
        failure: Why the setting cannot be run; empty if it can.
    """

    regrets: Floats
    evaluations: int
    failure: str = ""


class Player:
    """Plays settings of a strategy on tasks; runs that are in the journal are not done again.

    Args:
        spec: The strategy.
        tasks: The tasks, by name.
        rules: Protocol and study seed.
        journal: An open journal of these.
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
        on_runs: Callable[[int, int | None], None] | None = None,
    ) -> None:
        self._spec, self._tasks, self._rules, self._journal, self._on_runs = spec, tasks, rules, journal, on_runs
        self._views = {name: task.under(rules.protocol).scores["val"] for name, task in tasks.items()}
        self._known: dict[str, dict[str, Any]] = {}
        self._asked: set[str] = set()
        self._num_runs = 0
        try:
            for entry in journal.entries:
                regrets, counted = entry["regrets"], entry["evaluations"]
                is_whole = all(type(regret) is int and regret >= 0 for regret in regrets) and type(counted) is int
                if not is_whole or len(regrets) != (0 if entry["failure"] else entry["end"] - entry["first"]):
                    raise journal.damaged()
                self._known[_key(*(entry[name] for name in _IDENTITY))] = entry
        except (KeyError, TypeError) as error:
            raise journal.damaged() from error

    def play(self, setting: Mapping[str, Any], task: str, first: int, end: int) -> Played:
        """The runs with the seeds first … end − 1.

        Args:
            setting: Hyperparameters that differ from those of the strategy, or are equal.
            task: Name of the task.
            first: First seed.
            end: Seed after the last one.
        """
        parameters, table = {**self._spec.parameters, **setting}, self._tasks[task].table.digest
        key = _key(parameters, task, table, first, end)
        if key not in self._known:
            entry: dict[str, Any] = {"parameters": parameters, "task": task, "table": table, "first": first, "end": end}
            entry |= self._run(parameters, task, first, end)
            self._journal.add(entry)
            self._known[key] = entry
        entry = self._known[key]
        self._num_runs += 0 if key in self._asked else end - first
        self._asked.add(key)
        if self._on_runs is not None:
            self._on_runs(self._num_runs, None)
        regrets = np.array(entry["regrets"], dtype=np.float64) * self._views[task].resolution
        return Played(regrets, entry["evaluations"], entry["failure"])

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

    def _run(self, parameters: Mapping[str, Any], task: str, first: int, end: int) -> dict[str, Any]:
        spec = replace(self._spec, parameters=parameters)
        regrets: list[int] = []
        evaluations = 0
        try:
            for plan in plan_batches(spec, self._tasks[task], [(first, end - 1)], self._rules.protocol):
                columns = run_seeds(spec, self._tasks[task], self._rules, plan.run_seeds).trace.columns()
                picks = run_choices(columns, self._tasks[task], self._rules)
                if (picks < 0).any():
                    raise InvalidInputError("a run returned nothing")
                regrets += self._views[task].grid_regrets(picks).tolist()
                evaluations += int(np.isin(columns["status"], _COUNTED).sum())
        except Exception as error:  # the strategy's own code may raise anything for a setting that it cannot use
            return {"regrets": [], "evaluations": 0, "failure": f"{type(error).__name__}: {error}"}
        return {"regrets": regrets, "evaluations": evaluations, "failure": ""}


def _key(parameters: Mapping[str, Any], task: str, table: str, first: int, end: int) -> str:
    return json.dumps([parameters, task, table, first, end], sort_keys=True)
