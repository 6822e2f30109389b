"""The command line: one verb a command, heavy imports inside the verbs.

Exit codes: 0 done · 1 some runs failed, a strategy became inferior, ``doctor`` or ``tables verify`` found something
broken, or a fault of the harness · 2 a mistake in the input, explained in one line · 3 ``baseline check`` was
inconclusive.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from nasbench_harness.errors import HarnessError, InvalidInputError

if TYPE_CHECKING:
    from nasbench_harness.api import Plan, Study
    from nasbench_harness.doctor import Check
    from nasbench_harness.engine.execution import BatchReport, Rules
    from nasbench_harness.tables.table import Table

_FIRST_FILES = ("report.md", "overview.tex", "main.tex", "anytime.pdf", "report.json")
_FORMATS = ("markdown", "latex", "csv", "json", "pdf", "png")
_COLORS = {"ok": "green", "note": "cyan", "missing": "yellow", "broken": "red"}


class _Group(click.Group):
    """Turns the harness's own errors, and wrong arguments, into one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HarnessError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(2)
        except click.UsageError as error:
            if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # not in every click
                raise
            message = error.format_message().rstrip(".")
            click.echo(
                f"error: {message[:1].lower()}{message[1:]} (see {(error.ctx or ctx).command_path} --help)", err=True
            )
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("\nstopped; the same command goes on where it stopped", err=True)
            ctx.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="nasbench-harness")
def main() -> None:
    """Compare neural architecture search strategies fairly, on real tables, over hundreds of seeds.

    \b
    nasbench-harness compare              all strategies on all tasks, 200 seeds
    nasbench-harness compare --strategies random-search,mine=my_file:my_search
    nasbench-harness tables list          what can be searched
    nasbench-harness doctor               what is installed and usable here
    """  # noqa: D301 - click reads the backspace as "do not wrap"


def _protocol_options() -> list[Callable[..., Any]]:
    """One option for each field of the protocol."""
    return [
        click.option("--evaluations", type=int, help="Budget of a run.  [default: 200]"),
        click.option(
            "--simulated-seconds",
            type=float,
            help="Budget of a run by the table's training times; with --evaluations the first to bind ends the run.",
        ),
        click.option("--overrun", help="What would finish after the seconds: discard or count.  [default: discard]"),
        click.option("--noise", help="per_query, per_run, replicate=k or mean.  [default: per_query]"),
        click.option("--duplicates", help="charge, free or forbid.  [default: charge]"),
        click.option("--duplicates-by", help="index, or isomorphism class.  [default: index]"),
        click.option("--fidelity", type=int, help="Epochs to search at; for tables that have several."),
        click.option("--selection", help="own or incumbent.  [default: own]"),
    ]


def _study_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of the verbs that run a study."""
    options = [
        click.option(
            "--strategies",
            metavar="A,B,…",
            help="Strategies, each written [label=]reference[(key=value, …)]; a reference is a registered name or "
            "module:attribute. Default: all registered ones.",
        ),
        click.option("--tasks", metavar="T1,T2,…", help="Tasks. Default: all of installed packages."),
        click.option("--config", type=click.Path(path_type=Path), help="Study file (TOML); flags override it."),
        click.option("--seeds", type=int, help="Runs of each strategy on each task.  [default: 200]"),
        click.option("--study-seed", type=int, help="Seed of the whole study.  [default: 0]"),
        click.option("--suite", type=click.Path(path_type=Path), help="Study file that only names the tasks."),
        click.option("--paper", is_flag=True, help="500 seeds and 10,000 resamples."),
        *_protocol_options(),
        click.option("--jobs", type=int, default=1, help="Worker processes.  [default: 1]"),
        click.option("--out", type=click.Path(path_type=Path), help="Folder.  [default: nasbench-results/<study id>]"),
        click.option("--keep-stale", is_flag=True, help="Keep runs of older versions of a strategy's code."),
        click.option("--rerun", metavar="LABEL", multiple=True, help="Run a strategy again; may be repeated."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@main.command()
@_study_options
@click.option("--verify", "top", type=int, metavar="K", help="Train the best K architectures beside controls.")
@_json_option
def compare(as_json: bool, top: int | None, **options: Any) -> None:
    """Run what is missing, compare, and write the report.

    The same command again does nothing that is done already; with more seeds, tasks or strategies it runs only those.
    """
    plan, speed = _run(**options)
    study = plan.study
    names = study.write_report()
    if as_json:
        click.echo((study.folder.report_folder / "report.json").read_text(encoding="utf-8"), nl=False)
    else:
        _print_report(study)
    click.echo(speed, err=as_json)
    click.echo(_place(study, names), err=as_json)
    if top is not None:
        _verify(study, None, None, {"top": top}, as_json=False)
    elif study.verify_command:
        click.echo(study.verify_command, err=as_json)


@main.command()
@_study_options
@_json_option
def run(as_json: bool, **options: Any) -> None:
    """Run what is missing, without a report."""
    plan, speed = _run(**options)
    if as_json:
        record = {"folder": str(plan.study.path), "runs": plan.num_runs, "already_done": plan.num_done}
        click.echo(json.dumps(record))
    click.echo(speed, err=as_json)
    click.echo(f"study: {plan.study.path}", err=as_json)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--watch", "is_watched", is_flag=True, help="Go on showing it until nothing is missing; Ctrl-C ends it.")
@click.option("--interval", type=float, help="Seconds between two looks of --watch.  [default: 1]")
@_json_option
def status(folder: Path, is_watched: bool, interval: float | None, as_json: bool) -> None:
    """Show what the study in FOLDER has and what it lacks.

    With --watch it follows a study that another process runs: bars on a terminal, elsewhere a line (with --json an
    object) whenever something changed.
    """
    from nasbench_harness.api import open_study

    if interval is not None and not is_watched:
        raise InvalidInputError("--interval belongs to --watch: give both")
    if is_watched:
        _watch(folder, 1.0 if interval is None else interval, as_json)
        return
    study = open_study(folder)
    record, missing = study.record, study.missing()
    total = study.num_runs
    lacking = sum(count for _, _, count in missing)
    # Logs of runs that were done later say nothing any more.
    failures = sorted(str(path) for path in (study.path / "failures").glob("*.log")) if missing else []
    if as_json:
        rows = [{"strategy": label, "task": task, "missing": count} for label, task, count in missing]
        click.echo(json.dumps({"runs": total, "done": total - lacking, "missing": rows, "failures": failures}))
        return
    click.echo(
        f"{total - lacking:,} of {total:,} runs done: {len(record.strategies)} strategies × "
        f"{len(record.tasks)} tasks × {record.num_seeds} seeds, {record.protocol.describe()}"
        + (f"; replayed: {', '.join(study.replayed)}" if study.replayed else "")
    )
    for label, task, count in missing:
        click.echo(f"  {task}  {label}: {count} of {record.num_seeds} missing")
    for failure in failures:
        click.echo(f"  failed before: {failure}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--task", help="Task to verify.  [default: the only one that can be trained]")
@click.option("--strategies", metavar="A,B,…", help="Labels whose runs count.  [default: all]")
@click.option("--top", type=int, help="Candidates.  [default: 5]")
@click.option("--controls", help="matched (as many convolutions of each size) or random.  [default: matched]")
@click.option("--num-controls", type=int, help="Controls of each candidate.  [default: 3]")
@click.option("--training-seeds", type=int, help="Trainings of each architecture.  [default: 2]")
@click.option("--quick", is_flag=True, help="3 candidates, 3 random controls, 3 seeds.")
@click.option("--recipe", help="animals8-10, animals8-1, nb201-200 or nb201-12.  [default: animals8-10]")
@click.option("--data", help="animals8, digits8, cifar10, cifar100, imagenet16-120 or npz.  [default: animals8]")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder or file of data that no package brings.")
@click.option("--split", type=click.Path(path_type=Path), help="File with the official halves of the data.")
@click.option("--device", help="auto, cpu, cuda or mps.  [default: auto]")
@click.option("--jobs", type=int, help="Processes on a CPU.  [default: one for each core]")
@click.option("--max-seconds", type=float, help="Begin no block of a candidate and its controls after so long.")
@click.option("--timings", is_flag=True, help="Show real seconds in the table.")
@_json_option
def verify(
    folder: Path, task: str | None, strategies: str | None, quick: bool, timings: bool, as_json: bool, **given: Any
) -> None:
    """Train the architectures that a study's runs ended with, beside controls, and judge them.

    The verdict is confirmed, contradicted or inconclusive. The same command again trains nothing twice.
    """
    from nasbench_harness.api import open_study

    options = {name: value for name, value in given.items() if value is not None} | {"timings": timings}
    _verify(open_study(folder), task, strategies, options, as_json, quick)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--format", "formats", multiple=True, type=click.Choice(_FORMATS), help="May be repeated. Default: all.")
@_json_option
def report(folder: Path, formats: tuple[str, ...], as_json: bool) -> None:
    """Write the report of a study again, from its stored runs."""
    from nasbench_harness.api import open_study

    study = open_study(folder)
    missing = study.missing()
    if missing:
        label, task, count = missing[0]
        raise InvalidInputError(
            f"{folder} is not complete ({label} on {task} lacks {count} of {study.record.num_seeds} runs): "
            "repeat the command that runs it"
        )
    names = study.write_report(formats or None)
    if as_json:
        click.echo(json.dumps({"folder": str(study.folder.report_folder), "files": names}))
        return
    _print_report(study)
    click.echo(_place(study, names))


@main.command("add-trace", short_help="Compare runs of a method that ran elsewhere.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--label", required=True, help="Its name in reports.")
@click.option("--task", metavar="NAME", help="Task of all rows, unless the file has a column task.")
@_json_option
def add_trace(folder: Path, file: Path, label: str, task: str | None, as_json: bool) -> None:
    """Add the runs of a method that ran elsewhere, from a CSV, to a study.

    They are replayed under the study's protocol and compared like any other strategy. Columns: seed; one of
    architecture, key, index; optional step, fidelity, extra_cost_s, task.
    """
    from nasbench_harness.api import open_study

    study = open_study(folder)
    for notice in study.add_trace(file, label, task):
        click.echo(notice, err=True)
    trace = study.record.traces[-1]
    if as_json:
        click.echo(json.dumps({"label": label, "sha256": trace.sha256, "tasks": trace.tasks}))
        return
    click.echo(f"{label}: replayed on {', '.join(trace.tasks)}")
    click.echo(f"compare it: nasbench-harness report {folder}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--trace", metavar="LABEL", help="One strategy's proposals, as a CSV that add-trace reads.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(("parquet", "csv")),
    help="Of the table of all rows; may be repeated.  [default: parquet]",
)
@click.option("--task", metavar="NAME", help="Only this task's rows.")
@_json_option
def export(folder: Path, trace: str | None, formats: tuple[str, ...], task: str | None, as_json: bool) -> None:
    """Write every row of a study's runs as one tidy table."""
    from nasbench_harness.api import open_study

    if trace is not None and "parquet" in formats:
        raise InvalidInputError("--trace writes the CSV that add-trace reads: leave --format out")
    files = open_study(folder).export(trace, formats or ("parquet",), task)
    if as_json:
        click.echo(json.dumps({"files": [str(path) for path in files]}))
        return
    for path in files:
        click.echo(path)


@main.command(short_help="Say what is installed and usable, and what to mend.")
@_json_option
def doctor(as_json: bool) -> None:
    """Say what is installed, which tables and devices are usable, and what to mend.

    Exit code 1 when something is broken that compare needs.
    """
    from nasbench_harness.doctor import examine

    checks = examine()
    obstacles = [check.name for check in checks if check.is_obstacle]
    if as_json:
        click.echo(json.dumps({"ready": not obstacles, "checks": [vars(check) for check in checks]}))
    else:
        _print_checks(checks)
        click.echo(f"not ready, mend: {', '.join(obstacles)}" if obstacles else "ready: nasbench-harness compare")
    if obstacles:
        raise click.exceptions.Exit(1)


@main.group(cls=_Group)
def tables() -> None:
    """Tables and the tasks they offer."""


@tables.command("list")
@_json_option
def list_tables(as_json: bool) -> None:
    """List tables and tasks."""
    from nasbench_harness.tables.registry import describe_table, table_names

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


@tables.command("info", short_help="Describe a table.")
@click.argument("name")
@_json_option
def table_info(name: str, as_json: bool) -> None:
    """Describe a table: space, metrics with roles and units, optima, provenance."""
    from nasbench_harness.evaluation.task import make_task
    from nasbench_harness.tables.registry import load_table

    table = load_table(name)
    rows: dict[str, Any] = {}
    for dataset, entry in table.datasets.items():
        task = make_task(table, dataset, entry.fidelities[-1] if entry.fidelities else None)
        best = task.report.optimum
        rows[task.name] = {
            "title": entry.title,
            "space": entry.space.name,
            "architectures": entry.space.num_architectures,
            "evaluated": int(task.report.exists.sum()),
            "fidelities": list(entry.fidelities),
            "optimum": round(float(task.report.values[best]), 6),
            "optimum_architecture": entry.space.to_string(best),
            "metrics": [
                {**vars(column.metric), "shape": list(column.values.shape)} for column in entry.columns.values()
            ],
        }
    provenance = {key: value for key, value in vars(table.provenance).items() if value}
    if as_json:
        record = {"name": name, "sha256": table.digest, "tasks": rows}
        click.echo(json.dumps(record | {"provenance": provenance}))
        return
    click.echo(f"{name}: {len(rows)} task{'s' if len(rows) > 1 else ''}")
    for key, value in {**provenance, "sha256": table.digest, "cache": table.folder}.items():
        click.echo(f"  {key}: {value}")
    for task_name, row in rows.items():
        missing = row["architectures"] - row["evaluated"]
        without = f", {missing:,} of them without results" if missing else ""
        click.echo(
            f"{task_name} ({row['title']}): {row['architectures']:,} architectures of the space {row['space']}{without}"
        )
        epochs = row["fidelities"]
        if len(epochs) > 1:
            click.echo(f"  {len(epochs)} fidelities: epochs {epochs[0]} … {epochs[-1]}")
        click.echo(f"  optimum {row['optimum']} at {row['optimum_architecture']}")
        for metric in row["metrics"]:
            replicates = f", {metric['shape'][1]} replicates" if metric["shape"][1] > 1 else ""
            grid = f", grid {metric['resolution']:.4g}" if metric["resolution"] else ""
            free = ", free" if metric["free"] else ""
            kind = f"{metric['role']}, {metric['direction']}"
            click.echo(f"  {metric['name']} ({metric['unit']}): {kind}{replicates}{grid}{free}")


@tables.command("import", short_help="Import a table from a file or an official archive.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--spec", type=click.Path(path_type=Path), help="Specification (TOML) of a CSV or Parquet; see init-spec."
)
@click.option("--name", help="Name of the table.  [default: the specification's, or the official archive's]")
@click.option(
    "--schedules", metavar="S1,S2,…", help="Training schedules of an official archive, e.g. 200. Default: all."
)
@click.option("--replace", is_flag=True, help="Take the place of another table of this name.")
@_json_option
def import_command(
    file: Path, spec: Path | None, name: str | None, schedules: str | None, replace: bool, as_json: bool
) -> None:
    """Import a CSV or Parquet file, or without --spec an official archive: its data sets become tasks.

    Official archives are NAS-Bench-201-*.pth, NATS-Bench's *-simple folders and .tar files, and NATS-*.pickle.pbz2.
    """
    if spec is None:
        from nasbench_harness.tables.archives.importer import import_archive

        wanted = [schedule.strip() for schedule in schedules.split(",")] if schedules is not None else []
        with _counted("architectures") as progress:
            table = import_archive(file, name, schedules=wanted, replace=replace, progress=progress)
    elif schedules is not None:
        raise InvalidInputError("--schedules goes with an official archive: leave it or --spec out")
    else:
        from nasbench_harness.tables.importing.build import import_table

        table = import_table(file, spec, name, replace=replace)
    _print_imported(table, as_json)


@tables.command("extend", short_help="Join the columns of a file to a table.")
@click.argument("table")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--spec", type=click.Path(path_type=Path), required=True, help="Specification (TOML).")
@click.option("--name", help="Name of the new table.  [default: the specification's]")
@click.option("--replace", is_flag=True, help="Take the place of another table of this name.")
@_json_option
def extend_command(table: str, file: Path, spec: Path, name: str | None, replace: bool, as_json: bool) -> None:
    """Join the columns of a file to TABLE by its architectures; gives a new table."""
    from nasbench_harness.tables.importing.build import extend_table

    _print_imported(extend_table(table, file, spec, name, replace=replace), as_json)


@tables.command("init-spec", short_help="Draft the specification of a file.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Where to write it.  [default: FILE with .toml, here]")
def init_spec(file: Path, out: Path | None) -> None:
    """Write a commented draft of the specification of FILE; what must be checked is marked CHECK."""
    from nasbench_harness.tables.importing.draft import draft_spec

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
    click.echo(f"  nasbench-harness tables import {file} --spec {path}")


@tables.command("verify", short_help="Compare tables with their digests and sources.")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@_json_option
def verify_tables(names: tuple[str, ...], as_json: bool) -> None:
    """Compare cached tables with their digests, and with the packages they come from, bit by bit.

    NAME is a table or a folder that holds one; without it all tables are compared. Exit code 1 when something differs.
    """
    from nasbench_harness.tables.registry import table_names
    from nasbench_harness.tables.verify import check_table

    verdicts = []
    for name in names or table_names():
        verdict = check_table(name)
        verdicts.append(verdict)
        if not as_json:
            click.echo(f"{name}: {verdict.describe()}")
            for finding in verdict.findings:
                click.echo(f"  {finding}")
            if verdict.advice:
                click.echo(f"  to mend: {verdict.advice}")
    if as_json:
        click.echo(json.dumps([vars(verdict) for verdict in verdicts], default=str))
    if any(verdict.state == "differs" or (verdict.state == "missing" and names) for verdict in verdicts):
        raise click.exceptions.Exit(1)


@tables.command("remove")
@click.argument("name")
def remove_command(name: str) -> None:
    """Delete an imported table from the cache."""
    from nasbench_harness.tables.registration import remove_table

    remove_table(name)
    click.echo(f"removed {name}")


def _print_checks(checks: Iterable[Check]) -> None:
    group = ""
    for check in checks:
        if check.group != group:
            group = check.group
            click.secho(group, bold=True)
        mark = click.style(f"{check.state:<7}", fg=_COLORS[check.state])
        click.echo(f"  {mark}  {check.name}: {check.detail}")
        if check.advice:
            click.echo(f"           → {check.advice}")


def _watch(folder: Path, interval_s: float, as_json: bool) -> None:
    from rich.console import Console

    from nasbench_harness.api import open_study
    from nasbench_harness.watch import Snapshot, watch

    if not 0.1 <= interval_s <= 3600:
        raise InvalidInputError(f"--interval must be 0.1 … 3600 seconds, not {interval_s:g}")

    def as_line(snapshot: Snapshot) -> str:
        return json.dumps(snapshot.record()) if as_json else snapshot.describe()

    console = Console(force_terminal=False if as_json else None)
    last = watch(lambda: open_study(folder), interval_s, console, as_line)
    if console.is_terminal:
        click.echo(last.describe())


def _print_imported(table: Table, as_json: bool) -> None:
    names = [f"{table.name}-{dataset}" for dataset in table.datasets]
    if as_json:
        click.echo(json.dumps({"name": table.name, "sha256": table.digest, "tasks": names}))
        return
    click.echo(f"{table.name}: {table.folder}")
    for dataset, task in zip(table.datasets.values(), names, strict=True):
        metrics = ", ".join(f"{name} ({column.metric.role})" for name, column in dataset.columns.items())
        click.echo(f"  {task}  ({dataset.title}): {dataset.space.num_architectures:,} architectures; {metrics}")


@main.group(cls=_Group)
def strategies() -> None:
    """Registered strategies."""


@strategies.command("list")
@_json_option
def list_strategies(as_json: bool) -> None:
    """List registered strategies."""
    from nasbench_harness.engine.references import describe_strategy, strategy_entry_points

    summaries = {name: describe_strategy(name).partition("\n")[0] for name in strategy_entry_points()}
    if as_json:
        click.echo(json.dumps(summaries))
        return
    for name, summary in summaries.items():
        click.echo(f"{name}: {summary}")


@strategies.command("info", short_help="Describe a strategy.")
@click.argument("name")
@_json_option
def strategy_info(name: str, as_json: bool) -> None:
    """Describe a strategy: the paper, the algorithm, deviations, hyperparameters."""
    from nasbench_harness.engine.references import Entry, describe_strategy, resolve

    spec = resolve(Entry(name))
    text = (sys.modules[spec.target.__module__].__doc__ or "").strip() if ":" in name else describe_strategy(name)
    if as_json:
        click.echo(json.dumps({"name": name, "description": text, "parameters": dict(spec.parameters)}))
        return
    click.echo(text)
    click.echo("\nHyperparameters" if spec.parameters else "\nNo hyperparameters")
    for key, value in spec.parameters.items():
        click.echo(f"  {key} = {json.dumps(value)}")


@strategies.command("check", short_help="Try a strategy against its contract.")
@click.argument("strategy")
@click.option("--tasks", metavar="T1,T2,…", help="Where it is tried.  [default: two of NAS-Bench-201]")
@_json_option
def check_strategy(strategy: str, tasks: str | None, as_json: bool) -> None:
    """Try a strategy against its contract, sentence by sentence; exit code 1 where one does not hold.

    STRATEGY is written as for compare: [label=]reference[(key=value, …)].
    """
    from nasbench_harness.engine.references import parse_entry, resolve, split_list
    from nasbench_harness.tables.registry import split_task_name
    from nasbench_harness.testing import StrategyContract, run_contract

    members: dict[str, Any] = {"strategy": strategy}
    if tasks is not None:
        members["tasks"] = tuple(split_list(tasks))
        for task in members["tasks"]:
            split_task_name(task)
    label = resolve(parse_entry(strategy)).label
    findings = run_contract(type("Checked", (StrategyContract,), members)())
    broken = [finding for finding in findings if finding.failure]
    if as_json:
        click.echo(json.dumps({"strategy": label, "findings": [vars(finding) for finding in findings]}))
    else:
        for finding in findings:
            click.echo(f"{'BROKEN' if finding.failure else 'ok    '}  {finding.sentence}")
            for line in finding.failure.splitlines():
                click.echo(f"          {line}")
        click.echo(f"{label}: {len(findings) - len(broken)} of {len(findings)} sentences hold")
    if broken:
        raise click.exceptions.Exit(1)


@main.group(cls=_Group, short_help="Regression tests of strategies.")
def baseline() -> None:
    """Regression tests: accept what strategies do now, and check whether they still do it as well."""


def _baseline_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of both verbs."""
    options = [
        click.option("--strategies", metavar="A,B,…", help="As for compare; a label names the baseline."),
        click.option("--tasks", metavar="T1,T2,…", help="Tasks."),
        click.option("--dir", "folder", type=click.Path(path_type=Path), default="baselines", show_default=True),
        *_protocol_options(),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@baseline.command("save")
@_baseline_options
@click.option("--seeds", type=int, default=3_000, show_default=True, help="Runs of each strategy on each task.")
@click.option("--study-seed", type=int, default=0, show_default=True, help="Seed of the runs.")
@_json_option
def save_baseline(
    strategies: str | None, tasks: str | None, folder: Path, seeds: int, study_seed: int, as_json: bool, **fields: Any
) -> None:
    """Run strategies and write what they do as their baselines, one JSON file each.

    Default: all registered strategies on all tasks. A file that is there is replaced: review it as a diff.
    """
    from nasbench_harness import api
    from nasbench_harness.engine.references import split_list

    paths = api.save_baseline(
        None if strategies is None else split_list(strategies),
        None if tasks is None else split_list(tasks),
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
@_baseline_options
@click.option("--margin", type=float, help="Difference of mean regret that matters.  [default: 0.05 pp for accuracies]")
@click.option("--alpha", type=float, default=0.01, show_default=True, help='Chance of any false "inferior".')
@click.option("--looks", metavar="N1,N2,…", help="Seeds at which to decide.  [default: 100,300,1000,3000]")
@click.option("--no-trace", is_flag=True, help="Use statistics even where the runs are the same.")
@_json_option
def check_baseline(
    strategies: str | None,
    tasks: str | None,
    folder: Path,
    looks: str | None,
    no_trace: bool,
    as_json: bool,
    margin: float | None,
    alpha: float,
    **fields: Any,
) -> None:
    """Compare strategies as they are now with their baselines.

    Default: every baseline of the folder, on all its tasks, under its protocol. Exit codes: 0 all fine, 1 some became
    inferior, 3 none did but some are inconclusive, 2 a mistake.
    """
    from nasbench_harness import api
    from nasbench_harness.engine.references import split_list

    checks = api.check_baseline(
        None if strategies is None else split_list(strategies),
        None if tasks is None else split_list(tasks),
        folder,
        margin=margin,
        alpha=alpha,
        looks=None if looks is None else _numbers("--looks", looks),
        trace=not no_trace,
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


def _run(
    strategies: str | None,
    tasks: str | None,
    config: Path | None,
    seeds: int | None,
    study_seed: int | None,
    jobs: int,
    out: Path | None,
    keep_stale: bool,
    rerun: tuple[str, ...],
    suite: Path | None,
    paper: bool,
    **protocol: Any,
) -> tuple[Plan, str]:
    """Plan and run a study; returns the plan and a line that says how fast it went."""
    from nasbench_harness.api import DEFAULT_SEEDS, PAPER_RESAMPLES, PAPER_SEEDS, execute_plan, plan_study
    from nasbench_harness.engine.execution import Rules
    from nasbench_harness.engine.references import Entry, parse_entry, split_list
    from nasbench_harness.evaluation.protocol import Protocol
    from nasbench_harness.store.record import StudyFile, read_study_file

    file = read_study_file(config) if config is not None else StudyFile()
    given = {name: value for name, value in protocol.items() if value is not None}
    rules = Rules(
        Protocol.from_mapping({**file.protocol, **given}, str(config)),
        _first(study_seed, file.study_seed, 0),
    )
    entries: list[Entry] | None = None
    if strategies is not None:
        entries = [parse_entry(part) for part in split_list(strategies)]
    elif file.strategies is not None:
        entries = [Entry(**entry) for entry in file.strategies]
    names = split_list(tasks) if tasks is not None else file.tasks
    if suite is not None:
        if tasks is not None:
            raise InvalidInputError("--suite and --tasks both name the tasks: give one of them")
        names = read_study_file(suite).tasks
        if names is None:
            raise InvalidInputError(f"{suite} names no tasks: a suite is a study file with tasks = […]")
    report = replace(file.report, resamples=PAPER_RESAMPLES) if paper else file.report
    plan = plan_study(
        entries,
        names,
        _first(seeds, PAPER_SEEDS if paper else None, file.seeds, DEFAULT_SEEDS),
        out,
        rules,
        jobs=jobs,
        keep_stale=keep_stale,
        rerun=rerun,
        report=report,
        quoted=file.quoted,
    )
    for notice in plan.notices:
        click.echo(notice, err=True)
    elsewhere = [trace.label for trace in file.traces if trace not in plan.study.record.traces]
    if elsewhere:
        click.echo(f"traces of {config} are not in {plan.study.path}: add-trace {', '.join(elsewhere)}", err=True)
    start = perf_counter()
    reports = _with_progress(plan, rules, execute_plan)
    failures = [entry.failure for entry in reports if entry.failure]
    if failures:
        for failure in failures:
            click.echo(f"failed: {failure}", err=True)
        done = sum(entry.num_runs for entry in reports if not entry.failure)
        click.echo(f"{done:,} of {plan.num_runs:,} runs were stored in {plan.study.path}; the rest failed", err=True)
        raise click.exceptions.Exit(1)
    return plan, _speed(plan, sum(entry.num_evaluations for entry in reports), perf_counter() - start)


def _with_progress(
    plan: Plan, rules: Rules, execute: Callable[[Plan, Rules], Iterable[BatchReport]]
) -> list[BatchReport]:
    """Run a plan, showing a bar on a terminal and plain lines elsewhere (both on standard error)."""
    reports = []
    with _progress_bar(plan) as advance:
        for entry in execute(plan, rules):
            advance(entry)
            reports.append(entry)
    return reports


@contextmanager
def _progress_bar(plan: Plan) -> Iterator[Callable[[BatchReport], None]]:
    if not plan.batches:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        yield lambda entry: click.echo(
            f"{entry.task}  {entry.label}: "
            + ("failed" if entry.failure else f"{entry.num_runs} runs, {entry.seconds:.2f} s"),
            err=True,
        )
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("runs", total=plan.num_runs)

        def advance(entry: BatchReport) -> None:
            bar.update(task, advance=entry.num_runs, description=f"{entry.task} {entry.label}")

        yield advance


@contextmanager
def _counted(noun: str) -> Iterator[Callable[[int, int | None], None]]:
    """Report how many there are so far, and of how many: a bar on a terminal, else a line for every 1,000."""
    if not sys.stderr.isatty():

        def say(done: int, total: int | None) -> None:
            if done % 1_000 == 0:
                click.echo(f"{done:,}{f' of {total:,}' if total is not None else ''} {noun}", err=True)

        yield say
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(noun, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _speed(plan: Plan, num_evaluations: int, seconds: float) -> str:
    already = f"; {plan.num_done:,} runs were there already" if plan.num_done else ""
    if not plan.batches:
        return f"nothing to run{already}"
    rate = num_evaluations / seconds
    return f"{num_evaluations:,} evaluations in {seconds:.1f} s: {rate:,.0f} evaluations per second{already}"


def _verify(
    study: Study, task: str | None, strategies: str | None, given: dict[str, Any], as_json: bool, quick: bool = False
) -> None:
    """Plan, train, judge, print."""
    from nasbench_harness.engine.references import split_list
    from nasbench_harness.verification.verify import VerifyOptions

    options = replace(VerifyOptions().quick() if quick else VerifyOptions(), **given)
    labels = None if strategies is None else split_list(strategies)
    prepared = study.prepare_verification(task, labels, options)
    with _training_bar() as advance:
        done = prepared.run(advance)
    for notice in done.progressed.notices:
        click.echo(notice, err=True)
    if as_json:
        click.echo((done.folder / "verification.json").read_text(encoding="utf-8"), nl=False)
        return
    from rich.console import Console

    from nasbench_harness.report.terminal import to_rich
    from nasbench_harness.verification.report import verification_table

    table = verification_table(done.outcome, done.task, options.timings)
    console = Console()
    console.print(to_rich(table, f"Verification of {done.task.name}"))
    console.print(table.caption, style="dim", markup=False, highlight=False)
    trained, found = done.progressed.num_trained, done.progressed.num_found
    stopped = "; stopped by --max-seconds: the same command goes on" if done.progressed.was_stopped else ""
    click.echo(f"{trained} trainings, {found} were there already{stopped}")
    click.echo(f"verification: {done.folder} ({', '.join(done.files)})")


@contextmanager
def _training_bar() -> Iterator[Callable[[int, int], None]]:
    """Finished trainings: a bar with the remaining time on a terminal, plain lines elsewhere (standard error)."""
    if not sys.stderr.isatty():
        yield lambda done, total: click.echo(f"{done} of {total} trainings", err=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("trainings"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("trainings", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _place(study: Any, names: list[str]) -> str:
    """Where the report lies, with the files that are looked at first."""
    first = [name for name in _FIRST_FILES if name in names]
    rest = len(names) - len(first)
    shown = [*first, *([f"{rest} more"] if rest else [])]
    return f"report: {study.folder.report_folder} ({', '.join(shown)})"


def _print_report(study: Any) -> None:
    from rich.console import Console

    from nasbench_harness.report.terminal import print_report

    print_report(Console(), study.analysis)


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)
