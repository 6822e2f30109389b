"""The search view for strategies. Nothing here leads to the values that runs are scored by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.instances import Labels
from nasbench_harness.evaluation.run_files import RunFiles
from nasbench_harness.evaluation.sources import Sources
from nasbench_harness.evaluation.training_data import TrainingData
from nasbench_harness.spaces import SearchSpace
from nasbench_harness.tables.table import Metric


@dataclass(frozen=True)
class Objective:
    """A search metric as strategies see it: a loss, smaller is better, in the metric's unit."""

    metric: Metric

    def loss(self, natural: Floats) -> Floats:
        """Accuracy a becomes 100 − a; other metrics to be maximized change their sign."""
        if self.metric.direction == "minimize":
            return natural
        return 100.0 - natural if self.metric.unit == "%" else -natural

    def natural(self, loss: Floats) -> Floats:
        """Inverse of ``loss``."""
        return self.loss(loss)


@dataclass(frozen=True)
class Constraint:
    """A bound on a metric, in the metric's unit.

    Attributes:
        metric: The metric, a search metric or a free one.
        bound: The bound.
        is_upper: Whether values must be at most the bound, not at least.
    """

    metric: Metric
    bound: float
    is_upper: bool = True

    def is_met(self, values: Floats) -> Bools:
        """Which natural values meet the bound; NaN does not.

        >>> Constraint(Metric("latency_ms", "ms", "minimize", "hardware"), 5.0).is_met(np.array([4.0, 5.0, 6.0]))
        array([ True,  True, False])
        """
        met: Bools = values <= self.bound if self.is_upper else values >= self.bound
        return met

    def __str__(self) -> str:
        """The constraint as it is written, with a number as its bound."""
        return f"{self.metric.name} {'≤' if self.is_upper else '≥'} {self.bound:.6g}"


@dataclass(frozen=True)
class Budget:
    """Budget of a run; None if there is no bound. The first to bind ends the run."""

    evaluations: int | None
    simulated_seconds: float | None = None
    epochs: int | None = None


class Lookups:
    """Counts how many values of free metrics the runs of a batch read."""

    def __init__(self) -> None:
        self._of_all: dict[str, int] = {}  # read for every run
        self._of_run: dict[str, Ints] = {}

    def add(self, metric: str, num_values: int, runs: Ints | None) -> None:
        """Count values: so many for each of these runs, or for every run."""
        if runs is None:
            self._of_all[metric] = self._of_all.get(metric, 0) + num_values
        elif len(runs):
            counts = self._of_run.get(metric, np.zeros(0, dtype=np.int64))
            counts = np.concatenate([counts, np.zeros(max(0, int(runs.max()) + 1 - len(counts)), dtype=np.int64)])
            np.add.at(counts, runs, num_values)
            self._of_run[metric] = counts

    def totals(self) -> dict[str, int]:
        """Values that were read of each metric."""
        names = {**self._of_all, **self._of_run}
        return {name: self._of_all.get(name, 0) + int(np.sum(self._of_run.get(name, 0))) for name in names}

    def counts(self, num_runs: int) -> dict[str, Ints]:
        """Values that each run read of each metric, shape (num_runs,)."""
        found = {}
        for name in self.totals():
            counts = np.full(num_runs, self._of_all.get(name, 0))
            of_run = self._of_run.get(name, np.zeros(0, dtype=np.int64))[:num_runs]
            counts[: len(of_run)] += of_run
            found[name] = counts
        return found


@dataclass(frozen=True)
class Problem:
    """A task as a strategy sees it.

    Attributes:
        space: The search space.
        objectives: Losses to minimize, in the order of ``Results.values``.
        budget: Budget of each run.
        fidelities: Epochs at which an architecture may be evaluated, ascending; proposals name a place on this axis.
            Empty if the table does not say.
        task: Name of the task.
        training_data: Images of a study for strategies that need them; None for all others.
        constraints: Conditions of a feasible architecture; ``Results.feasible`` says which evaluations meet them.
    """

    space: SearchSpace
    objectives: tuple[Objective, ...]
    budget: Budget
    _free: Mapping[str, Floats] = field(default_factory=dict, repr=False)
    fidelities: tuple[int, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    _lookups: Lookups = field(default_factory=Lookups, repr=False, compare=False)
    _run: int | None = field(default=None, repr=False)
    task: str = ""
    training_data: TrainingData | None = field(default=None, repr=False, compare=False)
    _files: Sequence[RunFiles] = field(default=(), repr=False, compare=False)
    sources: Sources = field(default_factory=Sources, repr=False, compare=False)
    _labels: Labels | None = field(default=None, repr=False, compare=False)

    def lookup(self, metric: str, architectures: Ints, runs: Ints | None = None) -> Floats:
        """Values of a free metric (mean over replicates), shape of ``architectures``.

        Every value that is read is counted for the runs that read it, stored with them, and reported.

        Args:
            metric: Name of the metric.
            architectures: Indices; with ``runs`` the first axis is len(runs).
            runs: Runs of the batch that read a row each; None: every run reads all of it. The problem of a generator
                belongs to one run and takes none.

        Raises:
            UnknownNameError: The task has no free metric of this name.
            InvalidInputError: ``runs`` does not fit, or an architecture is negative.
        """
        if metric not in self._free:
            raise UnknownNameError("free metric", metric, self._free)
        indices = np.asarray(architectures)  # a mask or a slice has no negative entries
        if indices.dtype.kind == "i" and np.min(indices, initial=0) < 0:  # NumPy would read the last architecture
            most = self.space.num_architectures - 1
            raise InvalidInputError(f"lookup: an architecture is in 0 … {most:,}, got {np.min(indices)}")
        if self._labels is not None:
            architectures = self._unlabeled(self._labels, architectures, runs)
        values = np.array(self._free[metric][architectures])  # a copy: the table stays as it is
        if runs is None:
            self._lookups.add(metric, values.size, None if self._run is None else np.array([self._run]))
        elif self._run is not None or values.shape[:1] != np.shape(runs):
            raise InvalidInputError(
                f"lookup: runs must have one entry for each row of the architectures, and be left out in a generator; "
                f"got runs of shape {np.shape(runs)} for architectures of shape {values.shape}"
            )
        else:
            self._lookups.add(metric, values.size // max(1, len(runs)), np.asarray(runs))
        return values

    def _unlabeled(self, labels: Labels, architectures: Ints, runs: Ints | None) -> Ints:
        """Architectures behind the labels that a strategy looks up."""
        if self._run is not None:
            own: Ints = labels.own(np.asarray(architectures)[None], np.array([self._run]))[0]
            return own
        if runs is None:
            raise InvalidInputError(
                "instances=relabel: labels differ from run to run, so lookup needs runs=; write the strategy as a "
                "generator, or leave it out"
            )
        return labels.own(architectures, runs)

    @property
    def num_lookups(self) -> dict[str, int]:
        """How many values of each free metric were read, over all runs."""
        return self._lookups.totals()

    def lookup_counts(self, num_runs: int) -> dict[str, Ints]:
        """How many values of each free metric each run of the batch read, shape (num_runs,)."""
        return self._lookups.counts(num_runs)

    @property
    def files(self) -> RunFiles:
        """Files of a generator's run; they keep nothing if the run is not stored."""
        return self._files[self._run] if self._run is not None and self._files else RunFiles()

    def with_training(self, data: TrainingData | None, files: Sequence[RunFiles] = ()) -> Problem:
        """The same problem with images, and with the files of each run of the batch."""
        return replace(self, training_data=data, _files=files)

    def of_run(self, run: int) -> Problem:
        """The same problem for one run of the batch: its reads are counted for this run."""
        space = self.space if self._labels is None else self._labels.of_run(run)
        return replace(self, _run=run, space=space, sources=self.sources.of_run(run))

    def of_group(self) -> Problem:
        """The same problem for a group of runs with counts of its own."""
        return replace(self, _lookups=Lookups())


def labeled_problem(problem: Problem, labels: Labels | None) -> Problem:
    """The same problem for runs with labels of their own; None: they have none."""
    if labels is None:
        return problem
    if problem.sources.reads is not None:
        problem.sources.reads.labels = labels
    return replace(problem, space=labels.space, _labels=labels)
