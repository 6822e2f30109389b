"""Sources: other tasks whose search values a strategy may read, for a declared number of evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.instances import Labels
from nasbench_harness.evaluation.noise import Noise
from nasbench_harness.evaluation.oracle import Oracle, check_indices
from nasbench_harness.evaluation.status import Status

if TYPE_CHECKING:
    from nasbench_harness.evaluation.measures import Measures


@dataclass(frozen=True)
class SourceTask:
    """A source as the harness reads it; nothing of it leads to test values or scores.

    Attributes:
        name: Name of the task.
        oracle: Answers queries.
        measures: Metrics that an evaluation measures, and the losses that follow from them.
        noise: Chooses the replicates of this batch of runs, with the source's name in the hash.
        fidelity: Index on the source's fidelity axis at which it is read: the highest of the protocol's.
    """

    name: str
    oracle: Oracle
    measures: Measures
    noise: Noise
    fidelity: int


class SourceReads:
    """Reads sources for a batch of runs, and counts every evaluation.

    Args:
        tasks: The sources.
        limit: Most evaluations of a run, all sources together.
        num_runs: Runs of the batch.
        num_architectures: Size of the space that the sources share with the task.
        end_s: Simulated time at which the runs end, if evaluations of sources take time of theirs; else None.
        answers_last: Whether the evaluation that finishes after this time is answered.

    Attributes:
        counts: Evaluations that each run read of each source, shape (num_runs,), by name.
        labels: Labels under which the runs see sources, as they see the task; None: there are none.
        seconds: Training time that the runs spent on these, all sources together, shape (num_runs,); NaN if a source
            that was read has no cost.
    """

    def __init__(
        self,
        tasks: Sequence[SourceTask],
        limit: int,
        num_runs: int,
        num_architectures: int,
        end_s: float | None = None,
        answers_last: bool = False,
    ) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._end_s, self._answers_last = end_s, answers_last
        self._clock_s: Floats = np.zeros(num_runs)
        self._limit, self._num_architectures = limit, num_architectures
        self._trainings: dict[str, Ints] = {}  # of each run and architecture, flat; made when a source is first read
        self._bound = np.full(num_runs, limit)
        self._is_open = True
        self.labels: Labels | None = None
        self._unclaimed: list[tuple[Ints, Floats]] = []
        self.counts = {task.name: np.zeros(num_runs, dtype=np.int64) for task in tasks}
        self.seconds = np.zeros(num_runs)

    @property
    def num_runs(self) -> int:
        """Runs of the batch."""
        return len(self.seconds)

    def left(self) -> Ints:
        """Evaluations that each run may still read, shape (num_runs,)."""
        left = self._not_read()
        return left if self._end_s is None else np.where(self._clock_s < self._end_s, left, 0)

    def bound(self, most: Ints, clock_s: Floats) -> None:
        """Let each run read at most so many more before the next call, from this time on, both (num_runs,)."""
        self._bound, self._clock_s = most, clock_s

    def open(self, is_open: bool) -> None:
        """Allow or refuse reads from now on."""
        self._is_open = is_open

    def claim(self) -> tuple[Ints, Floats]:
        """Run and training time of every evaluation since the last call, in order, both (n,)."""
        claimed, self._unclaimed = self._unclaimed, []
        none = np.zeros(0)
        return (
            np.concatenate([none.astype(np.int64), *(runs for runs, _ in claimed)]),
            np.concatenate([none, *(cost_s for _, cost_s in claimed)]),
        )

    def read(self, name: str, architectures: Ints, runs: Ints) -> Floats:
        """Evaluate architectures on a source.

        If evaluations take time of their runs, those of a run follow each other. One that finishes after the run's end
        spends the rest, and those behind it do not start.

        Args:
            name: The source.
            architectures: Indices, shape (n,).
            runs: Position of the run that reads each of them, shape (n,).

        Returns:
            Losses of the first objective, shape (n,); +inf if there is no value, or no time for it.

        Raises:
            InvalidInputError: A run reads more evaluations than it has left, or reads elsewhere than in its constructor
                and in ``ask``, or an index lies outside the space.
        """
        if not self._is_open:
            raise InvalidInputError(f"source {name}: sources are read in the constructor or in ask(), nowhere else")
        check_indices("architecture", architectures, self._num_architectures)
        asked = np.bincount(runs, minlength=self.num_runs)
        left = self._not_read()
        if (asked > left).any():
            run = int((asked > left).argmax())
            raise InvalidInputError(
                f"source {name}: a run asks for {asked[run]:,} evaluations, and {left[run]:,} of its "
                f"{self._limit:,} source evaluations are left: read problem.sources.left first"
            )
        if self.labels is not None:
            architectures = self.labels.own(architectures, runs)
        task = self._tasks[name]
        replicates = task.noise.replicates(architectures, self._next_trainings(name, architectures, runs), runs)
        answers = task.oracle.evaluate(architectures, np.full(len(runs), task.fidelity), replicates)
        cost_s = np.where(answers.status == Status.MISSING, 0.0, answers.cost_s)  # no training, no time
        losses = np.where(answers.status == Status.OK, task.measures.losses(answers.values)[:, 0], np.inf)
        spent_s = cost_s
        if self._end_s is not None:
            before_s = self._clocks(runs, cost_s)
            is_late = before_s + cost_s > self._end_s
            if not self._answers_last:
                losses[is_late] = np.inf
                spent_s = np.where(is_late, self._end_s - before_s, cost_s)
            starts = before_s < self._end_s
            losses[~starts] = np.inf
            runs, cost_s, spent_s = runs[starts], cost_s[starts], spent_s[starts]
            asked = np.bincount(runs, minlength=self.num_runs)
        self.counts[name] += asked
        np.add.at(self.seconds, runs, spent_s)
        self._bound = self._bound - asked
        self._unclaimed.append((runs.astype(np.int64), cost_s))
        return losses

    def _not_read(self) -> Ints:
        """Evaluations that each run may still read if it has the time, shape (num_runs,)."""
        used = np.sum(list(self.counts.values()), axis=0)
        left: Ints = np.maximum(np.minimum(self._limit - used, self._bound), 0)
        return left

    def _clocks(self, runs: Ints, cost_s: Floats) -> Floats:
        """Time at which each evaluation would start, shape (n,); moves the clocks behind the last ones."""
        before_s, clock_s = [], self._clock_s.tolist()
        for run, seconds in zip(runs.tolist(), cost_s.tolist(), strict=True):
            before_s.append(clock_s[run])
            clock_s[run] += seconds
        self._clock_s = np.array(clock_s)
        return np.array(before_s)

    def _next_trainings(self, name: str, architectures: Ints, runs: Ints) -> Ints:
        """Number of earlier trainings of each architecture in its run, which are counted, shape (n,)."""
        if name not in self._trainings:
            size = self.num_runs * self._num_architectures
            self._trainings[name] = np.zeros(size, dtype=np.min_scalar_type(self._limit))
        counts, slots = self._trainings[name], runs * self._num_architectures + architectures
        order = np.argsort(slots, kind="stable")
        ordered = slots[order]
        is_first = np.ones(len(slots), dtype=bool)
        is_first[1:] = ordered[1:] != ordered[:-1]
        place = np.arange(len(slots))
        repeats = np.empty_like(place)
        repeats[order] = place - np.maximum.accumulate(np.where(is_first, place, 0))
        trainings: Ints = counts[slots].astype(np.int64) + repeats
        np.add.at(counts, slots, 1)
        return trainings


class Source:
    """A task whose search values a strategy may read.

    Attributes:
        name: Name of the task.
    """

    def __init__(self, name: str, reads: SourceReads, run: int | None) -> None:
        self.name = name
        self._reads, self._run = reads, run

    def evaluate(self, architectures: Any, runs: Ints | None = None) -> Floats:
        """Losses of architectures on this task, one evaluation each, shape of ``architectures``.

        A loss is that of the first objective; smaller is better; +inf if there is no value, or no time for it. Each
        evaluation draws a replicate of the source under the protocol's noise. It is counted, and charged as the
        protocol says.

        Args:
            architectures: Indices; with ``runs`` the first axis is len(runs).
            runs: Runs of the batch that read a row each; None: every run, so that the first axis is num_runs. The
                problem of a generator belongs to one run and takes none.

        Raises:
            InvalidInputError: A run reads more than ``problem.sources.left``, or ``runs`` or an index does not fit.
        """
        given = np.asarray(architectures)
        if given.size and given.dtype.kind not in "iu":
            raise InvalidInputError(f"source {self.name}: architectures are whole numbers, not {given.dtype}")
        indices = given.astype(np.int64)
        if self._run is not None:
            if runs is not None:
                raise InvalidInputError(f"source {self.name}: the problem of a generator is one run: leave runs out")
            of_each = np.full(indices.size, self._run)
        else:
            rows = np.arange(self._reads.num_runs) if runs is None else np.asarray(runs, dtype=np.int64)
            if indices.shape[:1] != rows.shape:
                raise InvalidInputError(
                    f"source {self.name}: the first axis of architectures must be the runs; got runs of shape "
                    f"{rows.shape} for architectures of shape {indices.shape}"
                )
            check_indices("run", rows, self._reads.num_runs)
            of_each = np.repeat(rows, indices.size // max(1, len(rows)))
        return self._reads.read(self.name, indices.ravel(), of_each).reshape(indices.shape)


class Sources(Mapping[str, Source]):
    """Sources of a problem by name, in alphabetical order; empty for a strategy that declares no need of them.

    Args:
        reads: Reads them; None: there are none.
        run: Position of the run that reads, for a generator; None: the whole batch.

    Attributes:
        reads: For the harness: strategies evaluate sources, and do not look at it.
    """

    def __init__(self, reads: SourceReads | None = None, run: int | None = None) -> None:
        self.reads, self._run = reads, run
        self._sources = {} if reads is None else {name: Source(name, reads, run) for name in reads.counts}

    def __getitem__(self, name: str) -> Source:
        return self._sources[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    @property
    def left(self) -> Any:
        """Evaluations that may still be read, all sources together: an integer for a generator, else (num_runs,)."""
        if self.reads is None:
            return 0
        left = self.reads.left()
        return left if self._run is None else int(left[self._run])

    def of_run(self, run: int) -> Sources:
        """The same sources for one run of the batch.

        Raises:
            InvalidInputError: These are the sources of another run.
        """
        if self._run not in (None, run):
            raise InvalidInputError("sources belong to one run here: no run reads in the place of another")
        return Sources(self.reads, run)
