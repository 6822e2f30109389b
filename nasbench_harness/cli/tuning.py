"""The verb that tunes hyperparameters."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nasbench_harness.cli.base import json_option, only_json
from nasbench_harness.cli.names import FOLDER, STRATEGIES, TASKS
from nasbench_harness.cli.options import protocol_options
from nasbench_harness.cli.progress import counted
from nasbench_harness.cli.strategies import strategies

if TYPE_CHECKING:
    from nasbench_harness.store.tuning import TuningRecord
    from nasbench_harness.tuning.tune import TuningPlan


@strategies.command("tune", short_help="Tune hyperparameters on other tasks.")
@click.argument("names", metavar="A,B,…", type=STRATEGIES)
@click.option("--on", "development", type=TASKS, required=True, metavar="T1,T2,…", help="Development tasks.")
@click.option("--held-out", type=TASKS, metavar="T1,T2,…", help="Tasks to compare on.  [default: each of --on in turn]")
@click.option("--trials", type=int, default=16, show_default=True, help="Settings that each split may try.")
@click.option(
    "--budget", type=int, help="Evaluations that each split may use.  [default: enough for ten runs per setting]"
)
@click.option("--seeds", type=int, default=200, show_default=True, help="Runs on the tasks held out.")
@click.option("--study-seed", type=int, default=0, show_default=True, help="Seed of draws and runs.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Worker processes.")
@click.option("--out", "folder", type=FOLDER, default="tuning", show_default=True, help="Folder of the records.")
@protocol_options
@json_option
def tune_command(
    names: str,
    development: str,
    held_out: str | None,
    trials: int,
    budget: int | None,
    seeds: int,
    study_seed: int,
    jobs: int,
    folder: Path,
    as_json: bool,
    **fields: Any,
) -> None:
    """Tune hyperparameters of strategies within their declared ranges, and compare on tasks that were held out.

    Successive halving over seeds, with the same budget for each strategy; hyperparameters that are given keep their
    value. The record of each strategy, e.g. local-search.toml, holds the tasks of each split and the cost. The
    same command continues after an interruption.
    """
    from nasbench_harness.evaluation.protocol import Protocol
    from nasbench_harness.evaluation.task_names import split_task_names
    from nasbench_harness.studies.planning import RunOptions
    from nasbench_harness.studies.references import parse_strategy, split_list
    from nasbench_harness.tuning.tune import check_records, plan_tuning, tune

    given = {name: value for name, value in fields.items() if value is not None}
    with only_json(as_json):
        RunOptions(jobs=jobs)
        plans = [
            plan_tuning(
                parse_strategy(strategy),
                split_task_names(development),
                split_task_names(held_out or ""),
                trials=trials,
                budget=budget,
                seeds=seeds,
                study_seed=study_seed,
                protocol=Protocol.from_mapping(given, "the options"),
                command=_command(strategy, development, held_out, given, trials, budget, seeds, study_seed),
            )
            for strategy in split_list(names)
        ]
        check_records(plans)
    for plan in plans:
        with only_json(as_json), counted("runs", every=10_000) as progress:
            record = tune(plan, folder, jobs, progress)
        if as_json:
            click.echo(json.dumps(asdict(record)))
        else:
            _print(plan, record, folder)


def _print(plan: TuningPlan, record: TuningRecord, folder: Path) -> None:
    from nasbench_harness.store.tuning import tuning_path

    click.echo(f"{record.strategy}: {_ranges(record.ranges)}")
    for split in record.splits:
        changed = {name: value for name, value in split.parameters.items() if value != plan.spec.parameters[name]}
        shown = ", ".join(f"{name}={json.dumps(value)}" for name, value in changed.items()) or "as given"
        cost = f"{split.evaluations:,} of {record.budget:,} evaluations"
        cost += f", {split.source_evaluations:,} of sources" if split.source_evaluations else ""
        failed = f", {len(split.failed)} of which failed" if split.failed else ""
        click.echo(f"tuned on {', '.join(split.development)} ({split.trials} settings{failed}, {cost}): {shown}")
        if split.failed:
            click.echo(f"  failed, and lost: {split.failed[0]}{' (the record names all)' if split.failed[1:] else ''}")
        for result in split.results:
            effect = f"{result.difference:+.3f} [{result.low:+.3f}, {result.high:+.3f}] {result.unit}"
            click.echo(f"  {result.task}: regret {result.untuned:.3f} → {result.tuned:.3f}, {effect}")
    click.echo(f"record: {tuning_path(folder, record.strategy)}; {record.evaluations:,} evaluations were run to tune")


def _ranges(ranges: Any) -> str:
    return "; ".join(f"{name} {values}" for name, values in ranges.items()) or "no hyperparameter to tune"


def _command(
    strategy: str,
    development: str,
    held_out: str | None,
    given: dict[str, Any],
    trials: int,
    budget: int | None,
    seeds: int,
    study_seed: int,
) -> str:
    options: dict[str, Any] = {"on": development, "held_out": held_out, "trials": trials, "budget": budget}
    options |= {"seeds": seeds, "study_seed": study_seed, **given}
    defaults = {"seeds": 200, "study_seed": 0}
    parts = ["nasbench-harness strategies tune", shlex.quote(strategy)]
    for name, value in options.items():
        if value is not None and defaults.get(name) != value:
            parts.append(f"--{name.replace('_', '-')} {shlex.quote(str(value))}")
    return " ".join(parts)
