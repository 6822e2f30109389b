"""Verbs on baselines of strategies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from nasbench_harness.cli.base import Group, json_option, main, only_json
from nasbench_harness.cli.names import FOLDER
from nasbench_harness.cli.options import baseline_options
from nasbench_harness.errors import InvalidInputError


@main.group(cls=Group, short_help="Regression tests of strategies.")
def baseline() -> None:
    """Regression tests: accept the present runs of strategies, and check later versions against them."""


@baseline.command("save")
@baseline_options
@click.option("--out", "folder", type=FOLDER, default="baselines", show_default=True, help="Folder to write.")
@click.option("--seeds", type=int, default=3_000, show_default=True, help="Runs of each strategy on each task.")
@click.option("--study-seed", type=int, default=0, show_default=True, help="Seed of the runs.")
@json_option
def save_baseline(
    strategies: str | None, tasks: str | None, folder: Path, seeds: int, study_seed: int, as_json: bool, **fields: Any
) -> None:
    """Run strategies and write their runs as baselines, one JSON file each.

    Default: the strategies of the default study on all tasks. A file that is there is replaced: review it as a diff.
    """
    from nasbench_harness import api
    from nasbench_harness.evaluation.task_names import split_task_names
    from nasbench_harness.studies.references import split_list

    with only_json(as_json):
        paths = api.save_baseline(
            None if strategies is None else split_list(strategies),
            None if tasks is None else split_task_names(tasks),
            folder,
            seeds=seeds,
            study_seed=study_seed,
            **{name: value for name, value in fields.items() if value is not None},
        )
    if as_json:
        click.echo(json.dumps({"files": [str(path) for path in paths]}))
        return
    for path in paths:
        click.echo(f"saved: {path}")


@baseline.command("check")
@click.argument("folder", type=FOLDER, default="baselines")
@baseline_options
@click.option("--margin", type=float, help="Difference of mean regret that matters.  [default: 0.05 pp for accuracies]")
@click.option("--alpha", type=float, default=0.01, show_default=True, help='Chance of any false "inferior".')
@click.option("--looks", metavar="N1,N2,…", help="Seeds at which to decide.  [default: 100,300,1000,3000]")
@click.option("--first-seed", type=int, default=0, help="First seed of the new runs.  [default: 0]")
@click.option("--no-trace", is_flag=True, help="Use statistics even if the runs are the same.")
@json_option
def check_baseline(
    strategies: str | None,
    tasks: str | None,
    folder: Path,
    looks: str | None,
    first_seed: int,
    no_trace: bool,
    as_json: bool,
    margin: float | None,
    alpha: float,
    **fields: Any,
) -> None:
    """Compare strategies as they are now with the baselines in FOLDER (default: baselines).

    Default: every baseline of the folder, on all its tasks, under its protocol. Exit codes: 0 all fine, 1 some became
    inferior, 3 none did but some are inconclusive, 2 a mistake.
    """
    from nasbench_harness import api
    from nasbench_harness.evaluation.task_names import split_task_names
    from nasbench_harness.studies.references import split_list

    with only_json(as_json):
        checks = api.check_baseline(
            None if strategies is None else split_list(strategies),
            None if tasks is None else split_task_names(tasks),
            folder,
            margin=margin,
            alpha=alpha,
            looks=None if looks is None else _numbers("--looks", looks),
            trace=not no_trace,
            first_seed=first_seed,
            **{name: value for name, value in fields.items() if value is not None},
        )
    if as_json:
        click.echo(json.dumps([check.record() for check in checks]))
    else:
        for check in checks:
            click.echo(f"{check.task}  {check.label}: {check.describe()}, {check.seconds:.2f} s")
            for note in check.notes:
                click.echo(f"    {note}")
    verdicts = {check.verdict for check in checks}
    if "inferior" in verdicts or "inconclusive" in verdicts:
        raise click.exceptions.Exit(1 if "inferior" in verdicts else 3)


def _numbers(option: str, text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InvalidInputError(f"{option} must be whole numbers with commas between them, not {text!r}")
    return [int(part) for part in parts]
