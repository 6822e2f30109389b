"""A table that fills itself: architectures are trained when they are first asked for, and kept for all runs.

From then on the oracle answers as a table's row would, so noise, duplicates, budgets, store and scoring are those of
any table. Unknown is only the optimum.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_harness import trainer
from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.errors import HarnessError, InvalidInputError, TableError
from nasbench_harness.evaluation.grid import exact_means
from nasbench_harness.evaluation.hashing import name_hash
from nasbench_harness.evaluation.oracle import Answers, Oracle, check_indices
from nasbench_harness.evaluation.scores import ScoreView
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import Task, Trained
from nasbench_harness.files import write_whole
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.tables.location import cache_folder
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table
from nasbench_harness.trainer.networks.structure import structure_of

if TYPE_CHECKING:
    from nasbench_harness.trainer import ImageData, Recipe, TrainingResult

_TABLE = "trained"


class TrainerOracle(Oracle):
    """Trains all replicates of an architecture in one go when it is first asked for, and keeps the results.

    Results are in a folder that runs, studies and processes share, one small file an architecture; the first
    that is written stands. Nothing is ever missing.

    Args:
        space: The cells.
        recipe: All rules; its ``num_replicates`` trainings make a row.
        data: Images with a test part, which is opened after training.
        folder: Folder of results; it must hold nothing of other recipes, data, devices or versions of torch.
        device: As for ``train``.
        num_processes: Processes on a CPU; None: one for each core.
        known: Results of the same rules; their whole rows answer, and only gaps are trained.

    Attributes:
        valid: Validation accuracy in percent, shape (num_architectures, num_replicates, 1); NaN if nothing was
            trained yet. Filled as architectures are asked for, like all arrays of this object.
        test: The same on the test images.
        valid_view: Means over the replicates of ``valid``.
        test_view: Means over the replicates of ``test``.
        num_params: Trained numbers of each network, shape (num_architectures,).
        flops: Multiply-accumulates of one image, shape (num_architectures,).
        cost_s: Simulated seconds of one training, shape (num_architectures,), from the number of operations.
    """

    def __init__(
        self,
        space: NASBench201Space,
        recipe: Recipe,
        data: ImageData,
        folder: Path,
        device: str = "cpu",
        num_processes: int | None = None,
        known: Dataset | None = None,
    ) -> None:
        self._space, self._recipe, self._data, self._folder = space, recipe, data, folder
        self._execution, self._num_processes = trainer.Execution(device), num_processes
        num_test = len(data.sealed.open()[1])
        self.valid = _column("val_accuracy", "search", len(data.valid_labels), space, recipe)
        self.test = _column("test_accuracy", "test", num_test, space, recipe)
        self.valid_view, self.test_view = _view(self.valid), _view(self.test)
        self.num_params, self.flops = self._counts()
        self._num_trained = 0
        self.cost_s = np.array([recipe.cost_s(int(flops), len(data.train_labels)) for flops in self.flops])
        if known is not None:
            names = (column.metric.name for column in (self.valid, self.test))
            self._adopt(*(known.columns[name].values[:, :, -1:] for name in names))  # after the recipe's last epoch

    def evaluate(self, architectures: Ints, fidelities: Ints, replicates: Ints) -> Answers:
        """Answer n queries (see Oracle); train the architectures that were not trained before.

        Raises:
            InvalidInputError: An index is outside its axis.
            TableError: A kept result is damaged.
        """
        check_indices("architecture", architectures, self._space.num_architectures)
        check_indices("fidelity", fidelities, 1)
        check_indices("replicate", replicates + 1, self._recipe.num_replicates + 1, offset=1)
        self.prepare(architectures)
        drawn = self.valid.values[architectures, np.maximum(replicates, 0), 0]
        values = np.where(replicates < 0, self.valid_view.values[architectures], drawn)
        status = np.full(len(values), Status.OK, dtype=np.int8)
        return Answers(values[:, None], self.cost_s[architectures], status)

    def num_replicates(self, architectures: Ints) -> Ints:
        """Number of replicates of each architecture, shape (n,)."""
        return np.full(len(architectures), self._recipe.num_replicates)

    def prepare(self, architectures: Ints) -> None:
        """Make sure that these architectures are trained and in the arrays, shape (n,)."""
        unseen = np.unique(architectures[~self._is_known[architectures]]).tolist()
        lacking = [index for index in unseen if not self._path(index).exists()]
        for index in set(unseen) - set(lacking):
            self._load(index)
        if lacking:
            index_of = {self._space.to_string(index): index for index in lacking}
            trainer.train_many(
                [(text, self._seeds(text)) for text in index_of],
                self._recipe,
                self._data,
                self._execution,
                self._num_processes,
                keep_networks=True,
                on_result=lambda results: self._keep(index_of[results[0].architecture], results),
            )

    def forecast(self, num_queries: int | None) -> str:
        """How much so many queries train at most, and how long about, measured on this machine.

        Raises:
            HarnessError: The device's memory is too small for one architecture.
        """
        names = [path.name for path in self._folder.glob("*.json")] if self._folder.is_dir() else []
        num_kept, is_known = len(names), self._is_known.copy()
        is_known[[self._space.from_key(name.partition("-")[0]) for name in names]] = True
        most = int((~is_known).sum())
        most = most if num_queries is None else min(most, num_queries)
        median = int(np.argsort(self.cost_s, kind="stable")[len(self.cost_s) // 2])
        seconds = trainer.estimate_seconds(self._space.to_string(median), self._recipe, self._data, self._execution)
        return (
            f"trains at most {most:,} architectures, {self._recipe.num_replicates} times each: about {seconds:,.1f} s "
            f"of computing for each, {_duration(most * seconds)} for all; {num_kept:,} are kept from before"
        )

    def read_kept(self) -> None:
        """Bring everything that the folder holds into the arrays."""
        for path in sorted(self._folder.glob("*.json")):
            index = self._space.from_key(path.name.partition("-")[0])
            if not self._is_known[index]:
                self._load(index)

    @property
    def _is_known(self) -> Bools:
        return self.valid_view.exists

    def _counts(self) -> tuple[Ints, Ints]:
        """Trained numbers and multiply-accumulates of one image, shape (num_architectures,) each.

        Cells with as many convolutions of each kernel have the same counts, so that one of them is counted.
        """
        recipe, data = self._recipe, self._data
        _, first, kinds = np.unique(self._space.num_convolutions(), axis=0, return_index=True, return_inverse=True)
        counted = [
            structure_of(
                self._space.to_string(int(one)), recipe.num_cells, recipe.channels, data.channels, data.num_classes
            )
            for one in first
        ]
        params = np.array([structure.num_params() for structure in counted])
        flops = np.array([structure.flops(data.side) for structure in counted])
        return params[kinds], flops[kinds]

    def _seeds(self, text: str) -> list[int]:
        """Training seeds of an architecture's replicates, used for nothing else."""
        return [name_hash(f"oracle {text} {number}") % 2**31 for number in range(self._recipe.num_replicates)]

    def _keys(self, index: int) -> list[str]:
        text = self._space.to_string(index)
        return [trainer.cache_key(text, seed, self._recipe, self._data, self._execution) for seed in self._seeds(text)]

    def _path(self, index: int) -> Path:
        return self._folder / f"{self._space.to_key(index)}-{self._keys(index)[0][:16]}.json"

    def _keep(self, index: int, results: Sequence[TrainingResult]) -> None:
        """Measure on the test part, write whole, unless another process was faster, and read the result."""
        if results[0].stack != self._recipe.stack:
            raise HarnessError(f"{results[0].notice}, and a table must not mix both: free memory and start again")
        names = ("seed", "accuracy", "curve", "diverged", "seconds")
        tests = trainer.evaluate_sealed(results, self._data.sealed, self._execution.device)
        rows = [
            {"key": key, "test_accuracy": test, **{name: getattr(result, name) for name in names}}
            for key, test, result in zip(self._keys(index), tests, results, strict=True)
        ]
        path = self._path(index)
        try:
            text = json.dumps({"architecture": self._space.to_string(index), "trainings": rows}, indent=1)
            write_whole(path, f"{text}\n".encode(), first_stands=True)
        except OSError as error:
            raise InvalidInputError(
                f"cannot write {path}: {error.strerror}: set NASBENCH_HARNESS_CACHE to another folder"
            ) from error
        self._load(index)
        self._num_trained += 1
        if self.on_learned is not None:
            self.on_learned(self._num_trained)

    def _load(self, index: int) -> None:
        path = self._path(index)
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["trainings"]
            is_ours = [row["key"] for row in rows] == self._keys(index)
            valid, test = ([float(row[name]) for row in rows] for name in ("accuracy", "test_accuracy"))
        except (ValueError, KeyError, TypeError) as error:
            raise TableError(f"{path} is damaged: delete it, its trainings are repeated") from error
        if not is_ours:
            raise TableError(f"{path} holds other trainings than its name says: delete it, they are repeated")
        self._fill([index], np.array(valid), np.array(test))

    def _adopt(self, valid: Floats, test: Floats) -> None:
        """Take over rows that hold every replicate; shapes as ``valid``."""
        if not valid.shape == test.shape == self.valid.values.shape:
            raise InvalidInputError(
                f"a table of shape {valid.shape} does not fit a recipe whose tables have {self.valid.values.shape}"
            )
        rows = np.flatnonzero(~(np.isnan(valid) | np.isnan(test)).any(axis=(1, 2)))
        if len(rows):
            self._fill(rows.tolist(), valid[rows, :, 0], test[rows, :, 0])

    def _fill(self, rows: list[int], valid: Floats, test: Floats) -> None:
        """Enter accuracies (n, num_replicates) of n architectures."""
        for column, view, values in ((self.test, self.test_view, test), (self.valid, self.valid_view, valid)):
            column.values[rows, :, 0] = values
            means = exact_means(MetricArray(column.metric, column.values[rows]))
            view.values[rows], view.grid_values[rows], view.exists[rows] = means.values, means.grid_values, True


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds >= 7200 else f"{math.ceil(seconds / 60)} min"


def trained_task(
    recipe: Recipe,
    data: ImageData,
    device: str = "cpu",
    num_processes: int | None = None,
    table: str | None = None,
) -> Task:
    """The task ``trained-<data>``: cells of NAS-Bench-201, trained with a recipe when they are first asked for.

    Args:
        recipe: All rules.
        data: Images with a test part.
        device: As for ``train``. Only a CPU trains to the same bits every time.
        num_processes: Processes on a CPU; None: one for each core.
        table: Name of a table of the same recipe, images and split, such as ``trained_table`` makes: its rows answer,
            and only its gaps are trained.

    Raises:
        InvalidInputError: The recipe trains no cells, or the table's rows come from other rules: they are never mixed.
        UnknownNameError: There is no such table.
    """
    from nasbench_harness.trainer.loop.keys import origin_digest

    if recipe.space != "cells":
        raise InvalidInputError(f"recipe {recipe.name} trains {recipe.space}, a trained task has cells: use another")
    digest = origin_digest(recipe, data, trainer.Execution(device))
    space = NASBench201Space()
    folder = cache_folder() / _TABLE / f"{recipe.name}-{data.name}-{digest[:16]}"
    marks = {"data": data.digest, "split": data.split_digest, "recipe": recipe.digest}
    known = None if table is None else load_table(table)
    if known is not None:
        _check_same_rules(known, marks, recipe, data)
        digest = hashlib.sha256(f"{digest} {known.digest}".encode()).hexdigest()
    rows = None if known is None else known.datasets[data.name]
    oracle = TrainerOracle(space, recipe, data, folder, device, num_processes, rows)
    cost = np.repeat(oracle.cost_s[:, None, None], recipe.num_replicates, axis=1)
    columns = [
        oracle.valid,
        oracle.test,
        MetricArray(Metric("train_cost_s", "s", "minimize", "cost"), cost),
        _size("params_m", oracle.num_params),
        _size("flops_m", oracle.flops),
    ]
    dataset = Dataset(
        f"{data.name} (trained)", space, {column.metric.name: column for column in columns}, (recipe.epochs,)
    )
    source = f"{recipe.num_replicates} trainings of each architecture that was asked for, on {data.name}"
    provenance = Provenance(source, f"recipe {recipe.name}", "", marks)
    return Task(
        name=f"{_TABLE}-{data.name}",
        title=dataset.title,
        table=Table(_TABLE, {data.name: dataset}, provenance, digest, folder),
        dataset=data.name,
        trained=Trained(oracle, {"val": oracle.valid_view, "test": oracle.test_view}),
    )


def trained_table(task: Task, name: str) -> Table:
    """The trainings of a task so far, as a table with gaps that ``register_table`` keeps.

    Args:
        task: Made by ``trained_task``.
        name: Name of the table.

    Raises:
        InvalidInputError: The task has a table.
    """
    if task.trained is None or not isinstance(task.trained.oracle, TrainerOracle):
        raise InvalidInputError(f"task {task.name} has a table: nothing is trained for it")
    task.trained.oracle.read_kept()
    return dataclasses.replace(task.table, name=name, digest="", folder=None)


def animals8() -> Task:
    """The task ``trained-animals8``: 8 × 8 pixel images of ten kinds of animals, ten epochs."""
    return trained_task(trainer.recipe_of("animals8-10"), trainer.load_data("animals8"))


def _check_same_rules(table: Table, marks: Mapping[str, str], recipe: Recipe, data: ImageData) -> None:
    theirs = table.provenance.sha256
    different = [mark for mark, digest in marks.items() if theirs.get(mark) != digest]
    if different or data.name not in table.datasets:
        raise InvalidInputError(
            f"table {table.name} was not trained by recipe {recipe.name} on {data.name} "
            f"(different: {', '.join(different) or 'data set'}): rows of different rules are never mixed"
        )


def _column(name: str, role: Any, num_images: int, space: NASBench201Space, recipe: Recipe) -> MetricArray:
    values = np.full((space.num_architectures, recipe.num_replicates, 1), np.nan)
    return MetricArray(Metric(name, "%", "maximize", role, 100 / num_images), values)


def _size(name: str, counts: Ints) -> MetricArray:
    return MetricArray(Metric(name, "million", "minimize", "hardware", free=True), counts[:, None, None] / 1e6)


def _view(column: MetricArray) -> ScoreView:
    """A view of nothing yet, on the grid that its means will have."""
    blank: Floats = np.zeros((1, *column.values.shape[1:]))
    resolution, num_architectures = exact_means(MetricArray(column.metric, blank)).resolution, len(column.values)
    return ScoreView(
        column.metric,
        values=np.full(num_architectures, np.nan),
        grid_values=np.zeros(num_architectures, dtype=np.int64),
        resolution=resolution,
        exists=np.zeros(num_architectures, dtype=bool),
        perfect=round(100 / resolution),
    )
