"""Verbs on traces: add-trace, export."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from nasbench_harness.cli.base import json_option, main, say
from nasbench_harness.cli.names import LABEL, TASK
from nasbench_harness.errors import InvalidInputError


@main.command("add-trace", short_help="Compare runs of a method that ran elsewhere.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--label", required=True, help="Its name in reports.")
@click.option("--task", type=TASK, metavar="NAME", help="Task of all rows, unless the file has a column task.")
@json_option
def add_trace(folder: Path, file: Path, label: str, task: str | None, as_json: bool) -> None:
    """Add the runs of a method that ran elsewhere, from a CSV, to a study.

    They are replayed under the study's protocol and compared like any other strategy. Columns: seed; one of
    architecture, key, index; optional step, fidelity, extra_cost_s, recommended, task, recorded_under.
    """
    from nasbench_harness.api import open_study

    study = open_study(folder)
    for notice in study.add_trace(file, label, task):
        say(notice)
    trace = next(trace for trace in study.record.traces if trace.label == label)
    if as_json:
        click.echo(json.dumps({"label": label, "sha256": trace.sha256, "tasks": trace.tasks}))
        return
    click.echo(f"added: runs of {label} on {', '.join(trace.tasks)}")
    click.echo(f"compare it: nasbench-harness report {shlex.quote(str(folder))}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--trace", type=LABEL, metavar="LABEL", help="One strategy's proposals, as a CSV that add-trace reads.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(("parquet", "csv")),
    help="Format of the table of all rows; may be repeated.  [default: parquet]",
)
@click.option("--task", type=TASK, metavar="NAME", help="Only this task's rows.")
@json_option
def export(folder: Path, trace: str | None, formats: tuple[str, ...], task: str | None, as_json: bool) -> None:
    """Write every row of a study's runs as one tidy table."""
    from nasbench_harness.api import open_study

    if trace is not None and "parquet" in formats:
        raise InvalidInputError("--trace writes the CSV that add-trace reads: leave --format out")
    study = open_study(folder)
    files = [
        study.folder.show(path) for path in study.export(trace, tuple(dict.fromkeys(formats)) or ("parquet",), task)
    ]
    if as_json:
        click.echo(json.dumps({"files": [str(path) for path in files]}))
        return
    for path in files:
        click.echo(path)
