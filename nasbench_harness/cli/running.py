"""Planning and running a study for the verbs that do."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from nasbench_harness.cli.base import say
from nasbench_harness.cli.progress import progress_bar
from nasbench_harness.errors import InvalidInputError

if TYPE_CHECKING:
    from nasbench_harness.api import Plan, Study
    from nasbench_harness.engine.batches import Rules
    from nasbench_harness.studies.batches import BatchReport


def run_study(
    strategies: str | None,
    families: str | None,
    tasks: str | None,
    config: Path | None,
    seeds: int | None,
    study_seed: int | None,
    jobs: int,
    run_timeout: float | None,
    out: Path | None,
    keep_stale: bool,
    rerun: tuple[str, ...],
    suite: Path | None,
    paper: bool,
    before: Callable[[Study], None] | None = None,
    **protocol: Any,
) -> tuple[Plan, str]:
    """Plan and run a study; returns the plan and a line that says how fast it went.

    ``before`` is called when all is planned and nothing has changed. The plan has not ended: call its ``end``.
    """
    from nasbench_harness.api import DEFAULT_SEEDS, PAPER_RESAMPLES, PAPER_SEEDS, execute_plan, plan_study
    from nasbench_harness.engine.batches import Rules
    from nasbench_harness.evaluation.protocol import Protocol
    from nasbench_harness.evaluation.task import split_task_names
    from nasbench_harness.store.record import StudyFile, read_study_file
    from nasbench_harness.studies.planning import usable_strategies
    from nasbench_harness.studies.references import Entry, parse_entry, split_list

    file = read_study_file(config) if config is not None else StudyFile()
    given = {name: value for name, value in protocol.items() if value is not None}
    rules = Rules(
        Protocol.from_mapping({**file.protocol, **given}, str(config)),
        _first(study_seed, file.study_seed, 0),
    )
    if strategies is not None and families is not None:
        raise InvalidInputError("--strategies and --families both choose the strategies: give one of them")
    is_open = strategies == "all" or families is not None
    entries: list[Entry] | None = None
    if strategies is not None and not is_open:
        entries = [parse_entry(part) for part in split_list(strategies)]
    elif file.strategies is not None and not is_open:
        entries = [Entry(**entry) for entry in file.strategies]
    names = split_task_names(tasks) if tasks is not None else file.tasks
    if suite is not None:
        if tasks is not None:
            raise InvalidInputError("--suite and --tasks both name the tasks: give one of them")
        names = read_study_file(suite).tasks
        if names is None:
            raise InvalidInputError(f"{suite} names no tasks: a suite is a study file with tasks = […]")
    left_out: list[str] = []
    if is_open:
        chosen = None if families is None else split_list(families)
        entries, left_out = usable_strategies(chosen, names, rules.protocol)
    report = replace(file.report, resamples=PAPER_RESAMPLES) if paper else file.report
    plan = plan_study(
        entries,
        names,
        _first(seeds, PAPER_SEEDS if paper else None, file.seeds, DEFAULT_SEEDS),
        out,
        rules,
        jobs=jobs,
        run_timeout=run_timeout,
        keep_stale=keep_stale,
        rerun=rerun,
        report=report,
        quoted=file.quoted,
    )
    if before is not None:
        before(plan.study)
    for notice in [*left_out, *plan.notices]:
        say(notice)
    elsewhere = [trace.label for trace in file.traces if trace not in plan.study.record.traces]
    if elsewhere:
        say(f"traces of {config} are not in {plan.study.folder.shown}: add-trace {', '.join(elsewhere)}")
    for line in _forecasts(plan, rules.protocol.evaluations):
        say(line)
    start = perf_counter()
    reports = _with_progress(plan, rules, execute_plan)
    failures = [f"failed: {line}" for entry in reports for line in entry.failure.splitlines()]
    known = [f"failed: {entry.label} on {entry.task}: " for entry in reports if entry.failure]
    missing = plan.not_stored()
    failures += [f"failed: {line}" for line in missing if not f"failed: {line}".startswith(tuple(known))]
    if failures:
        for failure in failures:
            say(failure)
        num_missing = sum(count for _, _, count in plan.study.missing())
        stored = max(0, plan.num_runs - num_missing)
        say(f"{stored:,} of {plan.num_runs:,} runs were stored in {plan.study.folder.shown}; the rest failed")
        raise click.exceptions.Exit(1)
    return plan, _speed(plan, sum(entry.num_evaluations for entry in reports), perf_counter() - start)


def _with_progress(
    plan: Plan, rules: Rules, execute: Callable[[Plan, Rules], Generator[BatchReport, None, None]]
) -> list[BatchReport]:
    """Run a plan, showing a bar on a terminal and plain lines elsewhere (both on standard error)."""
    reports = []
    with progress_bar(plan) as advance, closing(execute(plan, rules)) as running:
        for entry in running:
            advance(entry)
            reports.append(entry)
    return reports


def _forecasts(plan: Plan, evaluations: int | None) -> Iterator[str]:
    """A line for each task whose runs train what they ask for."""
    num_runs: dict[str, int] = {}
    for batch in plan.batches:
        num_runs[batch.task.name] = num_runs.get(batch.task.name, 0) + len(batch.run_seeds)
    trained = {batch.task.name: batch.task.trained for batch in plan.batches if batch.task.trained is not None}
    for name, (oracle, _) in trained.items():
        forecast = oracle.forecast(None if evaluations is None else num_runs[name] * evaluations)
        if forecast:
            yield f"{name} {forecast}"


def _speed(plan: Plan, num_evaluations: int, seconds: float) -> str:
    already = f"; {plan.num_done:,} runs were there already" if plan.num_done else ""
    if not plan.batches:
        return f"nothing to run{already}"
    rate = num_evaluations / seconds
    shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    return f"{num_evaluations:,} evaluations in {seconds:.1f} s: {shown} evaluations per second{already}"


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)
