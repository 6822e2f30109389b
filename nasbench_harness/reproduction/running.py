"""Runs a preset on a table and compares its numbers with the published ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.errors import InvalidInputError, StrategyError, UnknownNameError
from nasbench_harness.evaluation.choice import final_choices, rows_of
from nasbench_harness.evaluation.scores import TEST, ScoreView, score_view
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import Task, load_task
from nasbench_harness.reproduction.presets import Preset, Published, Search
from nasbench_harness.studies.references import parse_strategy, resolve
from nasbench_harness.tables.registry import task_names

_RUNS_AT_ONCE = 100
# Test accuracy of networks that were trained on all training images of CIFAR-10, as the papers report it.
_TESTS = ("trainval_test_accuracy", "test_accuracy")


@dataclass(frozen=True)
class Measured:
    """A published number beside the measured one.

    Attributes:
        published: The published number.
        num_runs: Number of measured runs with a value.
        mean: Mean over these runs.
        std: Standard deviation over these runs, ddof 1.
        error: Standard error of the difference of the two means; NaN if the paper gives no standard deviation.
        tolerance: Largest accepted difference at this number of runs; None: nothing is decided.
        num_left_out: Number of runs without a value, such as those that never evaluated the optimum.
    """

    published: Published
    num_runs: int
    mean: float
    std: float
    error: float
    tolerance: float | None
    num_left_out: int = 0

    @property
    def difference(self) -> float:
        """Measured mean minus published mean."""
        return self.mean - self.published.mean

    @property
    def passes(self) -> bool | None:
        """Whether every run has a value and the difference is within the tolerance; None if nothing is decided."""
        if self.tolerance is None:
            return None
        return not self.num_left_out and abs(self.difference) <= self.tolerance


def reproduce(
    preset: Preset,
    table: str,
    num_runs: int | None = None,
    study_seed: int = 0,
    on_search: Callable[[str, str], None] | None = None,
) -> list[Measured]:
    """Run the searches of a preset, and measure each published number.

    Args:
        preset: The published comparison.
        table: Name of a table with its data sets (see ``dataset_task``).
        num_runs: Number of runs; None: as many as the paper has.
        study_seed: Seed of the whole study.
        on_search: Called with (strategy, task) before each search.

    Returns:
        One row for each published number but those of a strategy that needs several fidelities, if the table has one.

    Raises:
        InvalidInputError: The table does not have a data set, its training times or its test accuracy.
        UnknownNameError: There is no such table.
    """
    runs = preset.num_runs if num_runs is None else num_runs
    if runs < 2:
        raise InvalidInputError(f"{runs} runs have no standard deviation: reproduce needs at least 2")
    tasks = [dataset_task(table, search.dataset, search.epochs) for search in preset.searches]
    views = {(cell.dataset, cell.split): _score(table, cell, preset.epochs) for cell in preset.published}
    specs = {label: resolve(parse_strategy(reference)) for label, reference in preset.strategies.items()}
    found = {}
    for position, (search, task) in enumerate(zip(preset.searches, tasks, strict=True)):
        for label, spec in specs.items():
            if spec.needs.fidelities and len(task.table.datasets[task.dataset].fidelities) < 2:
                continue
            if on_search is not None:
                on_search(label, task.name)
            found[position, label] = _run(spec, task, search, study_seed, runs)
    cells = [cell for cell in preset.published if (cell.search, cell.strategy) in found]
    return [_measured(cell, views[cell.dataset, cell.split], found, preset, runs) for cell in cells]


def dataset_task(table: str, dataset: str, epochs: int) -> Task:
    """The task of a data set after so many epochs.

    A table names it like the official archives, e.g. ``cifar10-valid-12`` or ``cifar10-12``. After 200 epochs a table
    without another schedule may also call it ``cifar10``.

    Raises:
        UnknownNameError: There is no such table.
        InvalidInputError: The table has no such data set.
    """
    names = [f"{table}-{dataset}{half}-{epochs}" for half in ("-valid", "")]
    if epochs == 200:
        names += [f"{table}-{dataset}-valid", f"{table}-{dataset}"]
    known = task_names()
    tables = {name.partition("-cifar10")[0] for name in known if "-cifar10" in name}
    if not any(name.startswith(f"{table}-") for name in known):
        raise UnknownNameError("table", table, sorted(tables))
    for name in names:
        if name in known:
            return load_task(name)
    raise InvalidInputError(
        f"table {table} has no data set of {dataset} after {epochs} epochs: it is looked for as {', '.join(names)}; "
        "import an official archive, or your file with a data set of that name"
    )


def _score(table: str, cell: Published, epochs: int) -> ScoreView:
    task = dataset_task(table, cell.dataset, epochs)
    if cell.split != TEST:
        return task.scores[cell.split]
    columns = task.table.datasets[task.dataset].columns
    for name in _TESTS:
        if name in columns:
            return score_view(columns[name])
    raise InvalidInputError(f"task {task.name} has no test accuracy, which {cell.dataset} is scored by: import it, too")


def _run(spec: ResolvedStrategy, task: Task, search: Search, study_seed: int, num_runs: int) -> tuple[Ints, Floats]:
    """Choice of each run, and its evaluations up to the first one of the optimum, NaN if never; both (num_runs,)."""
    fidelities = task.table.datasets[task.dataset].fidelities
    protocol = replace(search.protocol, fidelity=search.epochs if len(fidelities) > 1 else None)
    if spec.needs.fidelities:  # the published code trains anew whenever it trains longer
        protocol = replace(protocol, fidelity="all", continuation="restart")
    rules = Rules(protocol, study_seed)
    view = task.under(protocol)
    picks, hits = [], []
    for first in range(0, num_runs, _RUNS_AT_ONCE):
        seeds = np.arange(first, min(first + _RUNS_AT_ONCE, num_runs))
        columns = {name: column.T for name, column in run_seeds(spec, task, rules, seeds).trace.columns().items()}
        picks.append(final_choices(rows_of(columns, view)))
        is_counted = np.isin(columns["status"], (Status.OK, Status.OVERRUN))
        is_hit = is_counted & (columns["architecture"] == task.scores["val"].optimum)
        totals = np.where(is_hit, is_counted.cumsum(axis=1), np.iinfo(np.int64).max).min(axis=1)
        hits.append(np.where(is_hit.any(axis=1), totals, np.nan))
    chosen = np.concatenate(picks)
    if (chosen < 0).any():
        raise StrategyError(f"{spec.label} on {task.name}: {int((chosen < 0).sum())} of {num_runs} runs chose nothing")
    return chosen, np.concatenate(hits)


def _measured(
    cell: Published,
    view: ScoreView,
    found: dict[tuple[int, str], tuple[Ints, Floats]],
    preset: Preset,
    num_runs: int,
) -> Measured:
    choices, hits = found[cell.search, cell.strategy]
    values = view.values[choices] if preset.measure == "value" else hits
    values = values[~np.isnan(values)]
    if len(values) < 2:
        raise InvalidInputError(f"only {len(values)} of {num_runs} runs have a value on {cell.dataset}: use more runs")
    std = float(values.std(ddof=1))
    error = (
        math.nan if cell.std is None else math.hypot(cell.std / math.sqrt(preset.num_runs), std / len(values) ** 0.5)
    )
    # The tolerance is stated for as many runs as the paper has; with fewer runs the difference varies more.
    factor = math.sqrt((1 / preset.num_runs + 1 / num_runs) / (2 / preset.num_runs))
    tolerance = None if cell.tolerance is None else cell.tolerance * factor
    return Measured(cell, len(values), float(values.mean()), std, error, tolerance, num_runs - len(values))
