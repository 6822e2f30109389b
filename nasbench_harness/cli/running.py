"""Planning and running a study for the verbs that do."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from nasbench_harness.cli.base import say
from nasbench_harness.cli.progress import progress_bar
from nasbench_harness.errors import InvalidInputError

if TYPE_CHECKING:
    from nasbench_harness.api import Plan, Study, StudyRequest
    from nasbench_harness.studies.batches import BatchResult


def run_study(before: Callable[[Study], None] | None = None, **given: Any) -> tuple[Plan, str]:
    """Plan and run a study; returns the plan and a line that says how fast it went.

    The plan has not ended: call its ``end``.

    Args:
        before: Called when all is planned and nothing has changed.
        **given: Values of ``study_options``.
    """
    from nasbench_harness.api import RunOptions, execute_plan, plan_study

    how = RunOptions(**{field.name: given.pop(field.name) for field in fields(RunOptions)})
    out = given.pop("out")
    request, left_out = requested(**given)
    plan = plan_study(request, out, how)
    if before is not None:
        before(plan.study)
    for notice in [*left_out, *plan.notices]:
        say(notice)
    elsewhere = [trace.label for trace in request.traces if trace not in plan.study.record.traces]
    if elsewhere:
        say(f"traces of {request.source} are not in {plan.study.folder.shown}: add-trace {', '.join(elsewhere)}")
    for line in _forecasts(plan):
        say(line)
    start = perf_counter()
    reports = _with_progress(plan, execute_plan)
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


def requested(
    config: Path | None,
    strategies: str | None,
    families: str | None,
    tasks: str | None,
    seeds: int | None,
    study_seed: int | None,
    paper: bool,
    data: str | None,
    data_dir: Path | None,
    split: Path | None,
    **protocol: Any,
) -> tuple[StudyRequest, list[str]]:
    """The study that a command line asks for, and a line for each strategy that is left out.

    Flags override the study file. Tables that cannot be read have lines, too, if the study takes all tables.

    Raises:
        InvalidInputError: Two flags choose the strategies, or the study file cannot be read.
    """
    from nasbench_harness.api import StudyRequest, read_study_file
    from nasbench_harness.evaluation.task_names import split_task_names
    from nasbench_harness.studies.choosing import usable_strategies
    from nasbench_harness.studies.planning import training_images
    from nasbench_harness.studies.references import parse_strategy, split_list
    from nasbench_harness.tables.registry import describe_table, table_entry_points

    if strategies is not None and families is not None:
        raise InvalidInputError("--strategies and --families both choose the strategies: give one of them")
    request = StudyRequest() if config is None else read_study_file(config)
    request = request.for_paper() if paper else request
    names = None if tasks is None else tuple(split_task_names(tasks))
    request = request.updated(protocol, tasks=names, seeds=seeds, study_seed=study_seed)
    request = request.updated(data=data, data_dir=data_dir, split=split)
    unreadable = [name for name in table_entry_points() if not describe_table(name)[1]] if request.tasks is None else []
    lines = [f"left out: table {name}: {describe_table(name)[0]}" for name in unreadable]
    if strategies == "all" or families is not None:
        chosen = None if families is None else split_list(families)
        if chosen == []:
            raise InvalidInputError("--families names no family: see strategies list")
        entries, left_out = usable_strategies(chosen, request.tasks, request.rules, training_images(request))
        return request.updated(strategies=tuple(entries)), [*lines, *left_out]
    given = None if strategies is None else tuple(map(parse_strategy, split_list(strategies)))
    return request.updated(strategies=given), lines


def _with_progress(plan: Plan, execute: Callable[[Plan], Generator[BatchResult, None, None]]) -> list[BatchResult]:
    """Run a plan, showing a bar on a terminal and plain lines elsewhere (both on standard error)."""
    reports = []
    with progress_bar(plan) as advance, closing(execute(plan)) as running:
        for entry in running:
            advance(entry)
            reports.append(entry)
    return reports


def _forecasts(plan: Plan) -> Iterator[str]:
    """A line for each task whose runs train on demand."""
    evaluations = plan.study.record.protocol.evaluations
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
