"""The gate: first the exact trace, then statistics.

If the runs with seeds 0 … 99 propose and return the same as before, nothing has changed. Only if they differ, the
statistical gate decides, in looks (see ``nasbench_harness.statistics.non_inferiority``).
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal

import numpy as np

from nasbench_harness.arrays import Ints
from nasbench_harness.engine.batches import Rules
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import check_task_name, load_task
from nasbench_harness.regression.baselines import Subject, save_command, this_platform
from nasbench_harness.regression.traces import grid_regrets, traced
from nasbench_harness.statistics import Case, Difference, NonInferiority, count_grid_values, non_inferiority_family
from nasbench_harness.statistics.non_inferiority import ALPHA, LOOKS, Verdict
from nasbench_harness.tables.table import Metric

ACCURACY_MARGIN_PP = 0.05
MAX_FIRST_SEED = 10**9


@dataclass(frozen=True)
class Gate:
    """How changes are judged.

    Attributes:
        margin: Difference that matters, in the unit of regret; None: .05 pp for metrics in percent.
        alpha: Chance of any false "inferior" among everything that is checked together.
        looks: Numbers of new runs at which to decide, ascending; declared before the first run.
        first_seed: First seed of the new runs. A look that is declared after an inconclusive check needs fresh seeds.
        trace: Whether an equal trace settles the matter without statistics.

    Raises:
        InvalidInputError: A value outside its range.
    """

    margin: float | None = None
    alpha: float = ALPHA
    looks: tuple[int, ...] = LOOKS
    trace: bool = True
    first_seed: int = 0

    def __post_init__(self) -> None:
        if self.margin is not None and not self.margin > 0:
            raise InvalidInputError(f"margin must be above 0, not {self.margin!r}")
        if not 0 < self.alpha < 0.5:
            raise InvalidInputError(f"alpha must be between 0 and .5, not {self.alpha!r}")
        if not self.looks or list(self.looks) != sorted(set(self.looks)) or self.looks[0] < 2:
            raise InvalidInputError(f"looks must be ascending numbers of seeds, each at least 2, not {self.looks!r}")
        if type(self.first_seed) is not int or not 0 <= self.first_seed <= MAX_FIRST_SEED:
            raise InvalidInputError(
                f"first_seed must be a whole number in 0 … {MAX_FIRST_SEED:,}, not {self.first_seed!r}"
            )


@dataclass(frozen=True)
class TaskCheck:
    """The verdict on one strategy on one task.

    Attributes:
        label: Name of the strategy and its baseline.
        task: Name of the task.
        verdict: inferior, superior, equivalent, non-inferior or inconclusive.
        by: ``trace`` if the runs are the same, else ``statistics``.
        difference: Mean regret new − old with one-sided bounds; positive is worse.
        margin: Difference that matters.
        unit: Unit of difference and margin.
        num_seeds: New runs that were used.
        num_more: If inconclusive, about how many more would decide; None: no number would.
        first_seed: First seed of the new runs.
        seconds: Real seconds spent.
        notes: Further notes for the reader.
        accept: The command that makes the strategy as it is now the baseline.
        old: Accepted runs, how many at each grid value of regret.
        new: The new runs, the same.
        step: Size of a grid step in the unit.
        p_permutation: Permutation p-value of "the new runs are not worse", before Holm's correction, if it is larger
            than Welch's; None otherwise.
    """

    label: str
    task: str
    verdict: Verdict
    by: Literal["trace", "statistics"]
    difference: Difference
    margin: float
    unit: str
    num_seeds: int
    num_more: int | None
    first_seed: int
    seconds: float
    notes: tuple[str, ...]
    accept: str
    old: Mapping[int, int] = field(repr=False)
    new: Mapping[int, int] = field(repr=False)
    step: float = field(repr=False)
    p_permutation: float | None = None

    @property
    def is_fine(self) -> bool:
        """Whether nobody has to act."""
        return self.verdict not in ("inferior", "inconclusive")

    def record(self) -> dict[str, Any]:
        """Everything but the runs, as JSON values."""
        hidden = ("old", "new", "step", "difference")
        return {name: value for name, value in vars(self).items() if name not in hidden} | vars(self.difference)

    def describe(self) -> str:
        """The verdict in one line."""
        seeds = f"{self.num_seeds:,} seeds"
        if self.by == "trace":
            return f"{self.verdict}, same trace, {seeds}"
        found = self.difference
        effect = (
            f"{self.verdict}: regret {found.value:+.3f} {self.unit} [{found.low:+.3f}, {found.high:+.3f}] "
            f"(one-sided bounds at {found.level:.2g}, margin {self.margin:g}), {seeds}"
        )
        if self.verdict != "inconclusive":
            return effect
        if self.num_more is None:
            return f"{effect}; no number of seeds decides: widen the margin or save a baseline of more seeds"
        fresh = f"--first-seed {self.next_seed} --looks {self.next_look}"
        used = "all declared looks are used, and another look at these seeds would be no test"
        if self.p_permutation is not None:
            reason = f"a permutation p of {self.p_permutation:.2g} (before Holm) keeps it from inferior"
            return f"{effect}; {reason}; {used}: take at least {self.next_look:,} fresh seeds: {fresh}"
        return f"{effect}; {used}: about {self.next_look:,} fresh seeds would decide: {fresh}"

    @property
    def next_seed(self) -> int:
        """First seed after those of this check."""
        return self.first_seed + self.num_seeds

    @property
    def next_look(self) -> int:
        """If inconclusive, about how many fresh runs would decide in one look; else the number of runs."""
        return self.num_seeds + (self.num_more or 0)


def check_baselines(
    subjects: Sequence[Subject],
    tasks: Sequence[str] | None = None,
    gate: Gate = Gate(),
    protocol: Protocol | None = None,
) -> list[TaskCheck]:
    """Compare strategies with their baselines: first traces, then all differing cases together, in looks.

    Holm runs over the strategies × tasks whose traces differ: the others cannot be false alarms.

    Args:
        subjects: Strategies with their baselines.
        tasks: Names; None: all that each baseline holds.
        gate: How changes are judged.
        protocol: Refuse baselines that were saved under another one; None: whatever each was saved under.

    Raises:
        InvalidInputError: A baseline does not have a task, or was saved under another protocol or table.
        StrategyError: A strategy broke its contract, or a run returned nothing.
    """
    candidates = [
        _Candidate(subject, name, gate, protocol)
        for subject in subjects
        for name in (subject.baseline.tasks if tasks is None else tasks)
    ]
    changed = [candidate for candidate in candidates if not (gate.trace and candidate.has_same_trace())]
    cases = [
        Case(candidate.old.counts, candidate.grid_regrets, candidate.old.step, candidate.margin)
        for candidate in changed
    ]
    found = dict(zip(map(id, changed), non_inferiority_family(cases, gate.alpha, gate.looks), strict=True))
    return [candidate.outcome(found.get(id(candidate))) for candidate in candidates]


class _Candidate:
    """One strategy on one task while it is being checked; everything a user could have wrong is refused first."""

    def __init__(self, subject: Subject, task: str, gate: Gate, protocol: Protocol | None) -> None:
        baseline = subject.baseline
        saved = Protocol.from_mapping(baseline.protocol, str(subject.path))
        if protocol is not None and protocol != saved:
            raise InvalidInputError(
                f"{subject.path} was saved under another protocol ({saved.describe()}): save it again, or leave the "
                "protocol to the baseline"
            )
        check_task_name(task)
        if task not in baseline.tasks:
            raise InvalidInputError(
                f"{subject.path} has no baseline for {task}, only for {', '.join(baseline.tasks)}: save it again"
            )
        self.subject, self.old = subject, baseline.tasks[task]
        self.task = load_task(task)
        view = self.task.under(saved)  # refuses a fidelity that the table does not have
        self.rules = Rules(saved, baseline.study_seed)
        metric = view.scores["val"].metric
        if (self.old.table, self.old.metric) != (self.task.table.digest, metric.name):
            raise InvalidInputError(
                f"{subject.path} was saved on another table of {task} (digest {self.old.table[:8]}, now "
                f"{self.task.table.digest[:8]}): save it again"
            )
        step = view.scores["val"].resolution
        if not math.isclose(self.old.step, step, rel_tol=1e-9):
            raise InvalidInputError(
                f"{subject.path} counts the regrets on {task} in steps of {self.old.step:.6g}, and this version in "
                f"steps of {step:.6g} {self.old.unit}: save it again"
            )
        self.margin = _margin(gate, metric, task)
        self.notes = _changed_parameters(subject)
        self.seconds, self.first_seed = 0.0, gate.first_seed
        self._regrets: Ints = np.zeros(0, dtype=np.int64)
        self._num_traced = 0

    def has_same_trace(self) -> bool:
        """Whether the first runs propose and return the same as before; not asked if platforms may differ."""
        differing = _platform_differences(self.subject)
        if differing:
            self.notes += (f"the trace may depend on the platform and is not compared: {differing}",)
            return False
        start = perf_counter()
        trace, regrets = traced(self.subject.spec, self.task, self.rules)
        self._num_traced = len(regrets)
        if self.first_seed == 0:  # the traced runs are the first of the new ones
            self._regrets = regrets
        self.seconds += perf_counter() - start
        return trace == self.old.trace

    def grid_regrets(self, num_runs: int) -> Ints:
        """Final regrets of the new runs as grid values, shape (num_runs,)."""
        start = perf_counter()
        if num_runs > len(self._regrets):
            first, end = self.first_seed + len(self._regrets), self.first_seed + num_runs
            more = grid_regrets(self.subject.spec, self.task, self.rules, first, end)
            self._regrets = np.concatenate([self._regrets, more])
        self.seconds += perf_counter() - start
        return self._regrets[:num_runs]

    def outcome(self, found: NonInferiority | None) -> TaskCheck:
        """The verdict; ``found`` is None if the trace is the same."""
        num_seeds = self._num_traced if found is None else found.difference.num_new
        same = Difference(0.0, 0.0, 0.0, 1.0, 0.0, self.old.num_seeds, num_seeds)
        return TaskCheck(
            label=self.subject.spec.label,
            task=self.task.name,
            verdict="equivalent" if found is None else found.verdict,
            by="trace" if found is None else "statistics",
            difference=same if found is None else found.difference,
            margin=self.margin,
            unit=self.old.unit,
            num_seeds=num_seeds,
            num_more=0 if found is None else found.num_more,
            first_seed=self.first_seed,
            seconds=self.seconds,
            notes=self.notes,
            accept=self._accept(),
            old=self.old.counts,
            new=count_grid_values(self._regrets[:num_seeds]),
            step=self.old.step,
            p_permutation=None if found is None else found.p_permutation,
        )

    def _accept(self) -> str:
        """Command that makes the present strategy the baseline."""
        subject, tasks = self.subject, self.subject.baseline.tasks
        num_seeds = max(runs.num_seeds for runs in tasks.values())
        command = save_command(subject.spec, subject.given, list(tasks), self.rules, num_seeds)
        return f"{command} --out {shlex.quote(str(subject.path.parent))}"


def _margin(gate: Gate, metric: Metric, task: str) -> float:
    if gate.margin is not None:
        return gate.margin
    if metric.unit == "%":
        return ACCURACY_MARGIN_PP
    raise InvalidInputError(f"task {task}: {metric.name} is no accuracy in percent: give a margin in {metric.unit}")


def _platform_differences(subject: Subject) -> str:
    """How this platform differs from the baseline's, for strategies whose traces depend on it; else empty."""
    if getattr(subject.spec.target, "reproducible", "exact") == "exact":
        return ""
    saved = subject.baseline.platform
    return ", ".join(
        f"{name} {here}, saved on {saved.get(name, 'an unknown one')}"
        for name, here in this_platform().items()
        if saved.get(name) != here
    )


def _changed_parameters(subject: Subject) -> tuple[str, ...]:
    old, new = subject.baseline.parameters, subject.spec.parameters
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    notes = [f"{name} was {old.get(name)!r}, is {new.get(name)!r}" for name in changed]
    if subject.baseline.reference != subject.spec.reference:
        notes.append(f"the baseline is of {subject.baseline.reference}")
    return tuple(notes)
