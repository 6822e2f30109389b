"""Regression tests of strategies: baselines of accepted runs, and what a changed strategy does to them.

First the exact trace: where the runs with seeds 0 … 99 propose and return what they did, nothing has changed. Only
where they differ, the statistical gate decides, in looks (see ``nasbench_harness.statistics.regression``). Runs advance
in lockstep, in batches of constant memory; nothing is stored.
"""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np

from nasbench_harness.arrays import AnyArray, Ints
from nasbench_harness.engine.commands import rule_flags, written
from nasbench_harness.engine.execution import Rules, plan_batches, run_seeds
from nasbench_harness.engine.references import Entry, Spec, resolve
from nasbench_harness.errors import InvalidInputError, StrategyError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import Task, all_task_names, load_task
from nasbench_harness.statistics import Case, Difference, Regression, count_codes, regress_family
from nasbench_harness.statistics.regression import ALPHA, LOOKS, Verdict
from nasbench_harness.store.baselines import Baseline, TaskBaseline, baseline_path, read_baseline, write_baseline
from nasbench_harness.store.record import StrategyRecord, StudyRecord
from nasbench_harness.tables.table import Metric

TRACE_SEEDS = 100
BASELINE_SEEDS = 3_000
ACCURACY_MARGIN_PP = 0.05


@dataclass(frozen=True)
class Gate:
    """How changes are judged.

    Attributes:
        margin: Difference that matters, in the unit of regret; None: .05 pp for metrics in percent.
        alpha: Chance of any false "inferior" among everything that is checked together.
        looks: Numbers of new runs at which to decide, ascending.
        trace: Whether an equal trace settles the matter without statistics.

    Raises:
        InvalidInputError: A value outside its range.
    """

    margin: float | None = None
    alpha: float = ALPHA
    looks: tuple[int, ...] = LOOKS
    trace: bool = True

    def __post_init__(self) -> None:
        if self.margin is not None and not self.margin > 0:
            raise InvalidInputError(f"margin must be above 0, not {self.margin!r}")
        if not 0 < self.alpha < 0.5:
            raise InvalidInputError(f"alpha must lie between 0 and .5, not {self.alpha!r}")
        if not self.looks or list(self.looks) != sorted(set(self.looks)) or self.looks[0] < 2:
            raise InvalidInputError(f"looks must be ascending numbers of seeds, each at least 2, not {self.looks!r}")


@dataclass(frozen=True)
class Subject:
    """A strategy as it is now, beside its baseline."""

    spec: Spec
    given: Mapping[str, Any]
    baseline: Baseline
    path: Path


@dataclass(frozen=True)
class TaskCheck:
    """What became of one strategy on one task.

    Attributes:
        label: Name of the strategy and its baseline.
        task: Name of the task.
        verdict: inferior, superior, equivalent, non-inferior or inconclusive.
        by: ``trace`` where the runs are the same, else ``statistics``.
        difference: Mean regret new − old with one-sided bounds; positive is worse.
        margin: Difference that matters.
        unit: Unit of difference and margin.
        num_seeds: New runs that were used.
        num_more: Where inconclusive, about how many more would decide; None: no number would.
        seconds: Real seconds spent.
        notes: What else the reader should know.
        accept: The command that makes the strategy as it is now the baseline.
        old: Accepted runs, how many at each grid code of regret.
        new: The new runs, the same.
        step: Size of a grid step in the unit.
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
    seconds: float
    notes: tuple[str, ...]
    accept: str
    old: Mapping[int, int] = field(repr=False)
    new: Mapping[int, int] = field(repr=False)
    step: float = field(repr=False)

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
        one_look = f"declare one look at {self.num_seeds + self.num_more:,}"
        return f"{effect}; about {self.num_more:,} more seeds would decide: {one_look}"


def save_baseline(
    spec: Spec,
    given: Mapping[str, Any],
    tasks: Sequence[Task],
    rules: Rules,
    folder: Path,
    num_seeds: int = BASELINE_SEEDS,
) -> Path:
    """Run a strategy and write its baseline; what its file held before is replaced.

    Args:
        spec: The strategy.
        given: Hyperparameters that were given; the others follow the code's defaults from now on.
        tasks: The file will hold exactly these.
        rules: Protocol and study seed.
        folder: Folder of the baselines.
        num_seeds: Runs on each task.

    Raises:
        InvalidInputError: Fewer seeds than the trace needs, a study seed below 0, or the folder cannot be written.
        StrategyError: The strategy broke its contract, or a run returned nothing.
    """
    if num_seeds < TRACE_SEEDS:
        raise InvalidInputError(f"a baseline needs at least {TRACE_SEEDS} seeds, not {num_seeds}")
    if rules.study_seed < 0:
        raise InvalidInputError(f"study_seed must be a whole number of at least 0, not {rules.study_seed}")
    baseline = Baseline(
        label=spec.label,
        reference=spec.reference,
        given=dict(given),
        parameters=dict(spec.parameters),
        protocol=protocol_fields(rules.protocol),
        study_seed=rules.study_seed,
        tasks={task.name: _accepted(spec, task, rules, num_seeds) for task in tasks},
        platform=_platform(),
        harness=version("nasbench-harness"),
        command=_save_command(spec, given, [task.name for task in tasks], rules, num_seeds),
    )
    return write_baseline(folder, baseline)


def find_subjects(folder: Path) -> list[Subject]:
    """Every baseline of a folder with its strategy as it is now.

    Raises:
        InvalidInputError: There is no baseline, or one is damaged, or its strategy is gone.
    """
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not paths:
        raise InvalidInputError(f"{folder} holds no baselines: nasbench-harness baseline save --dir {folder}")
    subjects = []
    for path in paths:
        baseline = read_baseline(path)
        try:
            spec = resolve(Entry(baseline.reference, None, baseline.given))
        except InvalidInputError as error:
            raise InvalidInputError(f"{path} is an orphan ({error}): delete it, or save it again") from error
        subjects.append(Subject(replace(spec, label=baseline.label), baseline.given, baseline, path))
    return subjects


def subject_of(spec: Spec, given: Mapping[str, Any], folder: Path) -> Subject:
    """A strategy with the baseline of its label.

    Args:
        spec: The strategy.
        given: Hyperparameters that were given.
        folder: Folder of the baselines.

    Raises:
        InvalidInputError: There is none (the message names the command that makes one), or it is damaged.
    """
    path = baseline_path(folder, spec.label)
    if not path.is_file():
        command = _save_command(spec, given, (), Rules(Protocol(), 0), BASELINE_SEEDS)
        raise InvalidInputError(f"there is no baseline {path}; to make it: {command} --dir {shlex.quote(str(folder))}")
    return Subject(spec, given, read_baseline(path), path)


def check_baselines(
    subjects: Sequence[Subject],
    tasks: Sequence[str] | None = None,
    gate: Gate = Gate(),
    protocol: Protocol | None = None,
) -> list[TaskCheck]:
    """Compare strategies with their baselines: first traces, then what differs, together, in looks.

    Holm runs over the strategies × tasks whose traces differ: the others cannot be false alarms.

    Args:
        subjects: Strategies with their baselines.
        tasks: Names; None: all that each baseline holds.
        gate: How changes are judged.
        protocol: Refuse baselines that were saved under another one; None: whatever each was saved under.

    Raises:
        InvalidInputError: A baseline lacks a task, or was saved under another protocol or table.
        StrategyError: A strategy broke its contract, or a run returned nothing.
    """
    candidates = [
        _Candidate(subject, name, gate, protocol)
        for subject in subjects
        for name in (subject.baseline.tasks if tasks is None else tasks)
    ]
    changed = [candidate for candidate in candidates if not (gate.trace and candidate.has_same_trace())]
    cases = [Case(candidate.old.counts, candidate.codes, candidate.old.step, candidate.margin) for candidate in changed]
    found = dict(zip(map(id, changed), regress_family(cases, gate.alpha, gate.looks), strict=True))
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
        if task not in all_task_names():
            raise UnknownNameError("task", task, all_task_names())
        if task not in baseline.tasks:
            raise InvalidInputError(
                f"{subject.path} has no baseline for {task}, only for {', '.join(baseline.tasks)}: save it again"
            )
        self.subject, self.old = subject, baseline.tasks[task]
        self.task = load_task(task, saved.fidelity)
        self.rules = Rules(saved, baseline.study_seed)
        metric = self.task.report.metric
        if (self.old.table, self.old.metric) != (self.task.table.digest, metric.name):
            raise InvalidInputError(
                f"{subject.path} was saved on another table of {task} (digest {self.old.table[:8]}, now "
                f"{self.task.table.digest[:8]}): save it again"
            )
        self.margin = _margin(gate, metric, task)
        self.notes = _changed_parameters(subject)
        self.seconds = 0.0
        self._codes: Ints = np.zeros(0, dtype=np.int64)

    def has_same_trace(self) -> bool:
        """Whether the first runs propose and return what they did; not asked where platforms decide that."""
        differing = _platform_differences(self.subject)
        if differing:
            self.notes += (f"the trace may depend on the platform and is not compared: {differing}",)
            return False
        start = perf_counter()
        trace, self._codes = _traced(self.subject.spec, self.task, self.rules)
        self.seconds += perf_counter() - start
        return trace == self.old.trace

    def codes(self, num_runs: int) -> Ints:
        """Final regrets of the first runs as grid codes, shape (num_runs,)."""
        start = perf_counter()
        if num_runs > len(self._codes):
            more = regret_codes(self.subject.spec, self.task, self.rules, len(self._codes), num_runs)
            self._codes = np.concatenate([self._codes, more])
        self.seconds += perf_counter() - start
        return self._codes[:num_runs]

    def outcome(self, found: Regression | None) -> TaskCheck:
        """The verdict; ``found`` is None where the trace is the same."""
        num_seeds = len(self._codes) if found is None else found.difference.num_new
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
            seconds=self.seconds,
            notes=self.notes,
            accept=self._accept(),
            old=self.old.counts,
            new=count_codes(self._codes[:num_seeds]),
            step=self.old.step,
        )

    def _accept(self) -> str:
        """What makes the strategy as it is now the baseline."""
        subject, tasks = self.subject, self.subject.baseline.tasks
        num_seeds = max(runs.num_seeds for runs in tasks.values())
        command = _save_command(subject.spec, subject.given, list(tasks), self.rules, num_seeds)
        return f"{command} --dir {shlex.quote(str(subject.path.parent))}"


def _save_command(spec: Spec, given: Mapping[str, Any], tasks: Sequence[str], rules: Rules, num_seeds: int) -> str:
    """``nasbench-harness baseline save …`` of one strategy, without the folder; no tasks: the default, all."""
    strategy = StrategyRecord(spec.label, spec.reference, given)
    record = StudyRecord((strategy,), tuple(tasks), num_seeds, rules.protocol, rules.study_seed)
    parts = ["nasbench-harness", "baseline", "save", "--strategies", shlex.quote(written(strategy))]
    if tasks:
        parts += ["--tasks", ",".join(tasks)]
    return " ".join([*parts, *rule_flags(record, BASELINE_SEEDS)])


def protocol_fields(protocol: Protocol) -> dict[str, Any]:
    """The evaluations, and every field that differs from its default."""
    defaults = vars(Protocol())
    changed = {name: value for name, value in vars(protocol).items() if value != defaults[name]}
    return {"evaluations": protocol.evaluations, **changed}


def final_picks(columns: Mapping[str, AnyArray], task: Task, protocol: Protocol) -> Ints:
    """What each run of a batch returned, −1 where nothing; shape (num_runs,).

    Args:
        columns: Of its trace, shape (num_rows, num_runs).
        task: The task.
        protocol: Its ``selection`` decides whether recommendations count.
    """
    status, runs = columns["status"], np.arange(columns["status"].shape[1])
    if not len(status):
        return np.full(len(runs), -1)
    has_value = (status == Status.OK) | (status == Status.DUPLICATE)
    objective = task.objectives[0]
    losses = np.where(has_value, objective.loss(columns[f"value_{objective.metric.name}"]), np.inf)
    first_best = losses.argmin(axis=0)
    picks: Ints = np.where(has_value.any(axis=0), columns["architecture"][first_best, runs], -1).astype(np.int64)
    if "recommended" in columns and protocol.selection == "own":
        last = len(status) - 1 - (status != Status.NONE)[::-1].argmax(axis=0)
        recommended = columns["recommended"][last, runs]
        picks = np.where(recommended >= 0, recommended, picks)
    return picks


def trace_hash(columns: Mapping[str, AnyArray], picks: Ints) -> str:
    """Hash of what runs proposed, recommended and returned, in order.

    Args:
        columns: Of a batch's trace, shape (num_rows, num_runs).
        picks: What each run returned, shape (num_runs,).
    """
    digest = sha256()
    is_row = columns["status"] != Status.NONE
    names = [name for name in ("architecture", "recommended") if name in columns]
    for run, pick in enumerate(picks.tolist()):
        for name in names:
            rows = columns[name][is_row[:, run], run].astype("<i8")
            # Whether a strategy recommends at all is known by its class; a run that did not is as if it could not.
            if name == "architecture" or rows.max(initial=-1) >= 0:
                digest.update(f"{name} {len(rows)}\n".encode() + rows.tobytes())
        digest.update(f"pick {pick}\n".encode())
    return digest.hexdigest()


def _accepted(spec: Spec, task: Task, rules: Rules, num_seeds: int) -> TaskBaseline:
    trace, first = _traced(spec, task, rules)
    report = task.report
    counts = count_codes(np.concatenate([first, regret_codes(spec, task, rules, TRACE_SEEDS, num_seeds)]))
    return TaskBaseline(task.table.digest, report.metric.name, _unit(report.metric), report.step, trace, counts)


def _run(spec: Spec, task: Task, rules: Rules, seeds: Ints) -> tuple[dict[str, AnyArray], Ints]:
    """Trace and picks of a batch."""
    columns = run_seeds(spec, task, rules, seeds).trace.columns()
    picks = final_picks(columns, task, rules.protocol)
    if (picks < 0).any():
        num_empty = int((picks < 0).sum())
        raise StrategyError(f"{spec.label} on {task.name}: {num_empty} of {len(seeds)} runs returned nothing")
    task.oracle.prepare(picks)
    return columns, picks


def _traced(spec: Spec, task: Task, rules: Rules) -> tuple[str, Ints]:
    """Hash of the first runs, and their final regrets as grid codes."""
    columns, picks = _run(spec, task, rules, np.arange(TRACE_SEEDS))
    return trace_hash(columns, picks), task.report.regret_codes(picks)


def regret_codes(spec: Spec, task: Task, rules: Rules, first: int, end: int) -> Ints:
    """Final regrets of the seeds first … end − 1 as grid codes, run in batches of bounded memory."""
    parts = [task.report.regret_codes(_run(spec, task, rules, s)[1]) for s in _batches(spec, task, rules, first, end)]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _batches(spec: Spec, task: Task, rules: Rules, first: int, end: int) -> Iterator[Ints]:
    """Seeds of batches whose memory is bounded."""
    ranges = [(start, min(start + TRACE_SEEDS, end) - 1) for start in range(first, end, TRACE_SEEDS)]
    for plan in plan_batches(spec, task, ranges, rules.protocol):
        yield plan.run_seeds


def _unit(metric: Metric) -> str:
    return "pp" if metric.unit == "%" else metric.unit


def _margin(gate: Gate, metric: Metric, task: str) -> float:
    if gate.margin is not None:
        return gate.margin
    if metric.unit == "%":
        return ACCURACY_MARGIN_PP
    raise InvalidInputError(f"task {task}: {metric.name} is no accuracy in percent: give a margin in {metric.unit}")


def _platform() -> dict[str, str]:
    return {
        "machine": platform.machine(),
        "numpy": version("numpy"),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def _platform_differences(subject: Subject) -> str:
    """How this platform differs from the baseline's, for strategies whose traces depend on it; else empty."""
    if getattr(subject.spec.target, "reproducible", "exact") == "exact":
        return ""
    saved = subject.baseline.platform
    return ", ".join(
        f"{name} {here}, saved on {saved.get(name, 'an unknown one')}"
        for name, here in _platform().items()
        if saved.get(name) != here
    )


def _changed_parameters(subject: Subject) -> tuple[str, ...]:
    old, new = subject.baseline.parameters, subject.spec.parameters
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    notes = [f"{name} was {old.get(name)!r}, is {new.get(name)!r}" for name in changed]
    if subject.baseline.reference != subject.spec.reference:
        notes.append(f"the baseline is of {subject.baseline.reference}")
    return tuple(notes)
