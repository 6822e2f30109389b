"""The verb that puts published numbers beside measured ones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from nasbench_harness.cli.base import json_option, main
from nasbench_harness.cli.names import TABLE
from nasbench_harness.errors import InvalidInputError

PRESETS = ("nb201-table5", "nats-table4", "local-search-steepest", "naswot")


@main.command("reproduce", short_help="Put published numbers beside measured ones.")
@click.argument("preset", metavar="PRESET", type=click.Choice(PRESETS))
@click.option(
    "--table", "table_name", type=TABLE, required=True, metavar="NAME", help="Table with the data sets of the paper."
)
@click.option("--runs", type=click.IntRange(min=2), help="Number of runs.  [default: as many as the paper has]")
@click.option("--study-seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the study.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Markdown file to write, too.")
@json_option
def reproduce_command(
    preset: str, table_name: str, runs: int | None, study_seed: int, out: Path | None, as_json: bool
) -> None:
    """Run the searches of PRESET on a table, and print published and measured numbers.

    PRESET is nb201-table5, nats-table4, local-search-steepest or naswot.

    A number passes if the two means differ by at most the tolerance. Exit code 1 means that a number fails.
    """
    from rich.console import Console

    from nasbench_harness.files import write_whole
    from nasbench_harness.report.render.terminal import print_table
    from nasbench_harness.report.render.text import markdown_file, to_markdown
    from nasbench_harness.reproduction.presets import PRESETS as ALL
    from nasbench_harness.reproduction.running import reproduce
    from nasbench_harness.reproduction.table import reproduction_json, reproduction_table

    chosen = ALL[preset]
    if out is not None:
        _check_place(out)
    rows = reproduce(chosen, table_name, runs, study_seed, lambda label, task: click.echo(f"{task}  {label}", err=True))
    table = reproduction_table(chosen, rows)
    if as_json:
        click.echo(json.dumps(reproduction_json(chosen, table_name, rows), allow_nan=False))
    else:
        console = Console()
        print_table(console, table, f"{chosen.name} · {table_name}")
        for note in (table.title, *table.notes):
            console.print(note, style="dim", highlight=False, markup=False)
    if out is not None:
        options = (f" --runs {runs}" if runs is not None else "") + (
            f" --study-seed {study_seed}" if study_seed else ""
        )
        command = f"nasbench-harness reproduce {preset} --table {table_name}{options}"
        write_whole(out, markdown_file(command, f"{to_markdown(table)}\n").encode())
    if any(row.passes is False for row in rows):
        raise SystemExit(1)


def _check_place(path: Path) -> None:
    """Refuse a file that cannot be written, before hours of runs."""
    place = next(part for part in path.absolute().parents if part.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise InvalidInputError(f"cannot write {path}: {place} is no folder that you may write")
