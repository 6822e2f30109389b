"""Functions for the command line and for Python users: run and compare strategies on tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from nasbench_harness.analysis.unscored import unscored_lines
from nasbench_harness.engine.batches import Rules
from nasbench_harness.errors import InvalidInputError, RunsFailedError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol, ProtocolFields
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.regression.baselines import BASELINE_SEEDS, find_subjects, subject_of
from nasbench_harness.regression.baselines import save_baseline as save_one_baseline
from nasbench_harness.regression.gate import Gate, TaskCheck, check_baselines
from nasbench_harness.store.record import Quoted, ReportOptions
from nasbench_harness.store.study_file import (
    DEFAULT_SEEDS,
    PAPER_RESAMPLES,
    PAPER_SEEDS,
    StudyRequest,
    check_layout,
    read_study_file,
    tuning_rule,
)
from nasbench_harness.studies.choosing import StrategyLike, listed, strategy_refs, task_list
from nasbench_harness.studies.notebook import shown
from nasbench_harness.studies.planning import Plan, RunOptions, execute_plan, plan_study, write_report
from nasbench_harness.studies.references import resolve_all
from nasbench_harness.studies.study import Study, damaged_files, open_study

if TYPE_CHECKING:
    from nasbench_harness.verification.running import Trainer
    from nasbench_harness.verification.verify import Verification

__all__ = [
    "DEFAULT_SEEDS",
    "PAPER_RESAMPLES",
    "PAPER_SEEDS",
    "Plan",
    "RunOptions",
    "Study",
    "StudyOptions",
    "StudyRequest",
    "check_baseline",
    "compare",
    "damaged_files",
    "execute_plan",
    "load_task",
    "open_study",
    "plan_study",
    "read_study_file",
    "run",
    "save_baseline",
    "unscored_lines",
    "verify",
    "write_report",
]

BASELINES = "baselines"


class StudyOptions(ProtocolFields, total=False):
    """Keyword arguments of ``compare`` and ``run``, for editors and type checkers (see ``compare``)."""

    study_seed: int
    jobs: int
    run_timeout: float | None
    keep_stale: bool
    rerun: Iterable[str]
    paper: bool
    report: ReportOptions | None
    quoted: Iterable[Quoted]
    data: str | None
    data_dir: str | Path | None
    split: str | Path | None
    tuning: Literal["equal"] | None
    tuning_records: str | Path | None


def compare(
    strategies: Iterable[StrategyLike] | None = None,
    tasks: Iterable[str] | None = None,
    seeds: int | None = None,
    out: str | Path | None = None,
    **options: Unpack[StudyOptions],
) -> Study:
    """Do the missing runs, analyze, and write the report.

    Args:
        strategies: Registered names, ``[label=]reference[(key=value, …)]``, classes or generator functions; default:
            five that finish in seconds.
        tasks: Task names; default: all on the tables of installed packages but tiny201. ``trained-animals8`` trains
            what is asked for.
        seeds: Runs of each strategy on each task, seeds 0 … seeds − 1; default 200, with ``paper`` 500.
        out: Folder of the study; default ``nasbench-results/<study id>``.
        study_seed: Seed of the whole study.
        jobs: Worker processes.
        run_timeout: Real seconds that a strategy may use for one run; a run that uses more fails. None: any number.
        keep_stale: Report runs of an older version of a strategy's code instead of running them again.
        rerun: Labels whose runs are to be done again.
        paper: 500 seeds and 10,000 resamples.
        report: Order of the rows, highlighted labels, kind of cells, number of resamples.
        quoted: Rows from papers, shown in a block of their own.
        data: Images for strategies that train, e.g. ``animals16``; default: what ``data_dir`` holds.
        data_dir: Folder or file of images that no package brings.
        split: File with the official halves of the images.
        tuning: ``"equal"`` refuses strategies that were not tuned alike on other tasks.
        tuning_records: Folder of the records of ``strategies tune``; default ``tuning``.
        **protocol: Fields of Protocol, e.g. ``evaluations=300, noise="mean"``.

    Raises:
        HarnessError: Something is wrong with the input; nothing was run.
        RunsFailedError: Some batches failed; the others are stored. Or strategies have runs without a result on a task,
            and are not scored there; the report of the others is written.

    Example:
        >>> study = compare(["random-search", "local-search"], ["nb201-cifar10"], seeds=20, out="mine", evaluations=50)
        >>> study.frame().groupby("strategy")["regret_pp"].mean().round(2).to_dict()
        {'local-search': 0.31, 'random-search': 0.69}
    """
    plan = _run(strategies, tasks, seeds, out, options)
    try:
        shown, _ = write_report(plan.study, plan.options.jobs)
    finally:
        plan.end()
    if lines := unscored_lines(shown.analysis.unscored, shown.record.protocol):
        raise RunsFailedError(lines)
    return plan.study


def verify(
    study: Study | str | Path,
    task: str | None = None,
    strategies: Iterable[str] | None = None,
    trainer: Trainer | None = None,
    **options: Any,
) -> Verification:
    """Train the architectures that a study's runs ended with, beside controls, and judge them.

    Args:
        study: A study, or its folder.
        task: The task; may be left out if only one can be trained.
        strategies: Labels whose runs count; default: all.
        trainer: The trainer; default: the package's own (needs torch).
        **options: Fields of VerifyOptions, e.g. ``top=5, controls="matched", training_seeds=2``.

    Raises:
        InvalidInputError: Something is missing or no verdict could be reached; nothing was trained.

    Example: ``verify("mine", "nb201-cifar10", top=3)`` trains three winners and their controls.
    """
    from nasbench_harness.verification.verify import VerifyOptions
    from nasbench_harness.verification.winners import prepare_verification

    opened = study if isinstance(study, Study) else open_study(study)
    return prepare_verification(opened, task, strategies, VerifyOptions(**options), trainer).run()


def run(
    strategies: Iterable[StrategyLike] | None = None,
    tasks: Iterable[str] | None = None,
    seeds: int | None = None,
    out: str | Path | None = None,
    **options: Unpack[StudyOptions],
) -> Study:
    """Do the missing runs and store them, without a report (arguments as in ``compare``).

    Example:
        >>> study = run(["random-search"], ["nb201-cifar10"], seeds=5, out="runs", evaluations=50)
        >>> len(study.frame())
        5
    """
    plan = _run(strategies, tasks, seeds, out, options)
    plan.end()
    return plan.study


def _run(
    strategies: Iterable[StrategyLike] | None,
    tasks: Iterable[str] | None,
    seeds: int | None,
    out: str | Path | None,
    options: StudyOptions,
) -> Plan:
    """Do the missing runs; the returned plan has begun and not ended."""
    known = {"strategies", "tasks", "seeds", "out", *StudyOptions.__annotations__}
    for name in options:
        if name not in known:
            raise UnknownNameError("argument", name, known)
    protocol: dict[str, Any] = {**options}
    names = {field.name for field in fields(RunOptions)} & protocol.keys()
    how = RunOptions(**{name: protocol.pop(name) for name in names})
    study_seed, is_paper = protocol.pop("study_seed", 0), protocol.pop("paper", False)
    report, quoted = protocol.pop("report", None), protocol.pop("quoted", ())
    data, data_dir, split = (protocol.pop(name, None) for name in ("data", "data_dir", "split"))
    tuning, records = (protocol.pop(name, None) for name in ("tuning", "tuning_records"))
    request = StudyRequest(
        None if strategies is None else tuple(strategy_refs(strategies)),
        None if tasks is None else tuple(listed("tasks", tasks)),
        study_seed=study_seed,
        protocol=protocol,
        report=report or ReportOptions(),
        quoted=tuple(quoted),
        data=data,
        data_dir=None if data_dir is None else Path(data_dir),
        split=None if split is None else Path(split),
        tuning=tuning_rule(tuning, records, "the arguments"),
    )
    check_layout(request)
    request = (request.for_paper() if is_paper else request).updated(seeds=seeds)
    plan = plan_study(request, out, how)
    try:
        results = shown(execute_plan(plan), plan.num_runs)
        failures = [line for result in results for line in result.failure.splitlines()]
        failures = failures or plan.not_stored()
        if failures:
            raise RunsFailedError(failures)
    except BaseException:
        plan.end()
        raise
    return plan


def save_baseline(
    strategies: Iterable[StrategyLike] | None = None,
    tasks: Iterable[str] | None = None,
    folder: str | Path = BASELINES,
    *,
    seeds: int = BASELINE_SEEDS,
    study_seed: int = 0,
    **protocol: Unpack[ProtocolFields],
) -> list[Path]:
    """Accept the present runs of strategies: write one baseline for each, replacing the one before.

    Args:
        strategies: As in ``compare``; a label names the file.
        tasks: Task names; default: all.
        folder: Folder of the baselines.
        seeds: Runs on each task.
        study_seed: Seed of the runs.
        **protocol: Fields of Protocol.

    Raises:
        HarnessError: Something is wrong with the input, or a strategy broke its contract.

    Example:
        >>> save_baseline(["random-search"], ["nb201-cifar10"], "saved", seeds=100, evaluations=50)[0].name
        'random-search.json'
    """
    entries, names = strategy_refs(strategies), task_list(tasks)
    rules = Rules(Protocol.from_mapping(protocol, "the arguments"), study_seed)
    if rules.protocol.fidelity_by_task:
        raise InvalidInputError("a baseline has one fidelity for all its tasks: save those of each fidelity apart")
    loaded = [load_task(name) for name in names]
    for task in loaded:
        task.under(rules.protocol)  # refuses a fidelity that it does not have
    return [
        save_one_baseline(spec, entry.parameters, loaded, rules, Path(folder), seeds)
        for spec, entry in zip(resolve_all(entries), entries, strict=True)
    ]


def check_baseline(
    strategies: Iterable[StrategyLike] | None = None,
    tasks: Iterable[str] | None = None,
    folder: str | Path = BASELINES,
    *,
    margin: float | None = None,
    alpha: float = 0.01,
    looks: Sequence[int] | None = None,
    trace: bool = True,
    first_seed: int = 0,
    **protocol: Unpack[ProtocolFields],
) -> list[TaskCheck]:
    """Compare strategies as they are now with their baselines.

    Args:
        strategies: As in ``compare``; a label names the baseline. Default: every baseline of the folder.
        tasks: Task names; default: all that a baseline holds.
        folder: Folder of the baselines.
        margin: Difference of mean regret that matters; default .05 pp for accuracies.
        alpha: Chance of any false "inferior" among everything that is checked here.
        looks: Numbers of seeds at which to decide; default 100, 300, 1,000, 3,000.
        trace: Whether an equal trace settles the matter without statistics.
        first_seed: First seed of the new runs; fresh seeds for a look that was not declared before an earlier check.
        **protocol: Fields of Protocol; baselines that were saved under another protocol are then refused.

    Raises:
        HarnessError: A baseline is missing, damaged or of another protocol or table, or something else is wrong.

    Example:
        >>> files = save_baseline(["random-search"], ["nb201-cifar10"], "kept", seeds=100, evaluations=50)
        >>> [(check.label, check.task, check.verdict) for check in check_baseline(folder="kept")]
        [('random-search', 'nb201-cifar10', 'equivalent')]
    """
    gate = Gate(margin, alpha, Gate.looks if looks is None else tuple(looks), trace, first_seed)
    if strategies is None:
        subjects = find_subjects(Path(folder))
    else:
        entries = strategy_refs(strategies)
        specs = resolve_all(entries)
        subjects = [subject_of(spec, item.parameters, Path(folder)) for spec, item in zip(specs, entries, strict=True)]
    names = None if tasks is None else task_list(tasks)
    return check_baselines(subjects, names, gate, Protocol.from_mapping(protocol, "") if protocol else None)
