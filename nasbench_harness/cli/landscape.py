"""The verb that explains a search space."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nasbench_harness.cli.base import json_option
from nasbench_harness.cli.names import TASK
from nasbench_harness.cli.tables import tables


@tables.command("landscape", short_help="Explain the search space of a task.")
@click.argument("task", type=TASK)
@click.option("--fidelity", type=int, help="Epochs to look at.  [default: the last]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the random walks.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for tables, JSON and figures.")
@json_option
def landscape_command(task: str, fidelity: int | None, seed: int, out: Path | None, as_json: bool) -> None:
    """Explain the search space of TASK by its table.

    The output shows local optima and their basins, random walks, distance to the optimum, noise of replicates and
    agreement of rankings. It also shows effects of decisions, quality by choice, and choices that can be left out.
    TASK@without=choice,… is a task, too.
    """
    from rich.console import Console

    from nasbench_harness.evaluation.task import load_table_task
    from nasbench_harness.landscape.analysis import landscape_of
    from nasbench_harness.landscape.files import landscape_json, write_landscape
    from nasbench_harness.landscape.tables import landscape_tables
    from nasbench_harness.report.render.terminal import print_table

    landscape = landscape_of(load_table_task(task, fidelity), seed)
    options = (f" --fidelity {fidelity}" if fidelity is not None else "") + (f" --seed {seed}" if seed else "")
    command = f"nasbench-harness tables landscape {task}{options}"
    names = [] if out is None else write_landscape(landscape, out, command)
    if as_json:
        click.echo(json.dumps(landscape_json(landscape, command), allow_nan=False))
    else:
        console = Console()
        for table in landscape_tables(landscape):
            print_table(console, table, table.name)
            console.print(table.caption, style="dim", highlight=False, markup=False)
    if out is not None:
        click.echo(f"{out}: {', '.join(names)}", err=as_json)
