"""Verbs on studies: compare, run, status, report."""

from __future__ import annotations

import json
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from nasbench_harness.cli.base import end_study, json_option, main, only_json
from nasbench_harness.cli.options import study_options
from nasbench_harness.cli.running import run_study
from nasbench_harness.cli.verifying import check_verification, verify_study
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.words import plural

_FIRST_FILES = ("report.html", "report.md", "overview.tex", "main.tex", "anytime.pdf", "report.json")


_MOST_NAMES = 8  # of removed or other files that are printed
_TEX_FILES = ("paper.tex", "overview.tex", "main.tex", "main_1.tex")

_FORMATS = ("html", "markdown", "latex", "csv", "json", "pdf", "png")
_ALL = "all"


@main.command()
@study_options
@click.option("--verify", "is_verified", is_flag=True, help="Train the winners of the first task that can be trained.")
@click.option("--top", type=click.IntRange(min=1), help="Winners of --verify.  [default: 5]")
@json_option
def compare(as_json: bool, is_verified: bool, top: int | None, **options: Any) -> None:
    """Do the missing runs, compare, and write the report.

    The same command again runs nothing twice. With more seeds, tasks or strategies it runs only the new ones.
    """
    from nasbench_harness.api import write_report
    from nasbench_harness.verification.winners import verifiable_tasks, verify_command

    winners: dict[str, Any] = {} if top is None else {"top": top}
    with only_json(as_json):
        plan, speed = run_study(**options, before=partial(check_verification, given=winners) if is_verified else None)
    before = _files_of(plan.study)
    study, names = write_report(plan.study, plan.options.jobs)
    plan.end()
    if as_json:
        click.echo((study.folder.report_folder / "report.json").read_text(encoding="utf-8"), nl=False)
    else:
        _print_report(study)
    click.echo(speed, err=as_json)
    click.echo(_place(study, names), err=as_json)
    _say_removed(sorted(before - _files_of(study)), err=as_json)
    _say_others(_others(study, names), err=as_json)
    if is_verified:
        with only_json(as_json):
            verify_study(study, verifiable_tasks(study)[0], None, winners, as_json=False)
    elif command := verify_command(study):
        needs = "" if find_spec("torch") else " (needs the extra torch)"
        click.echo(f"next, if you like: {command}{needs}", err=as_json)
    end_study(study)


@main.command()
@study_options
@json_option
def run(as_json: bool, **options: Any) -> None:
    """Do the missing runs, without a report."""
    with only_json(as_json):
        plan, speed = run_study(**options)
    plan.end()
    if as_json:
        record = {"folder": str(plan.study.folder.shown), "runs": plan.num_runs, "already_done": plan.num_done}
        click.echo(json.dumps(record))
    click.echo(speed, err=as_json)
    click.echo(f"study: {plan.study.folder.shown}", err=as_json)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--watch", "is_watched", is_flag=True, help="Go on showing it until nothing is missing; Ctrl-C ends it.")
@click.option("--interval", type=float, help="Seconds between two looks of --watch.  [default: 1]")
@click.option(
    "--provenance", "has_sources", is_flag=True, help="Show versions, tables, code and runs of other studies."
)
@json_option
def status(folder: Path, is_watched: bool, interval: float | None, has_sources: bool, as_json: bool) -> None:
    """Show stored and missing runs of the study in FOLDER.

    With --watch it follows a study that another process runs: bars on a terminal, elsewhere a line (with --json an
    object) whenever something changed.
    """
    from nasbench_harness.api import damaged_files, open_study

    if is_watched:
        _watch(folder, 1.0 if interval is None else interval, as_json)
        return
    study = open_study(folder)
    if has_sources:
        _print_sources(study, as_json)
        return
    record, missing, damaged = study.record, study.missing(), damaged_files(study)
    total = study.num_runs
    lacking = sum(count for _, _, count in missing)
    # Logs of runs that were done later say nothing any more.
    failures = (
        sorted(str(study.folder.show(path)) for path in (study.path / "failures").glob("*.log")) if missing else []
    )
    if as_json:
        rows = [{"strategy": label, "task": task, "missing": count} for label, task, count in missing]
        truncated = [str(study.folder.show(damage.path)) for damage in damaged]
        counts = {"runs": total, "done": total - lacking, "missing": rows, "damaged": truncated, "failures": failures}
        click.echo(json.dumps(counts))
        return
    click.echo(
        f"{total - lacking:,} of {plural(total, 'run')} done: {plural(len(record.strategies), 'strategy')} × "
        f"{plural(len(record.tasks), 'task')} × {plural(record.num_seeds, 'seed')}, {record.protocol.describe()}"
        + (f"; replayed: {', '.join(study.replayed)}" if study.replayed else "")
    )
    for label, task, count in missing:
        click.echo(f"  {task}  {label}: {count} of {record.num_seeds} missing")
    for damage in damaged:
        click.echo(
            f"  damaged: {study.folder.show(damage.path)} {damage.reason}: the command that runs the study moves it "
            "to damaged/ and runs its seeds again"
        )
    for failure in failures:
        click.echo(f"  failed before: {failure}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice((*_FORMATS, _ALL)),
    help="Format of the files; may be repeated.  [default: all but png]",
)
@click.option(
    "--columns",
    multiple=True,
    metavar="TASKS[:SCORES]",
    help="Columns of paper.tex, e.g. 'nb201-cifar10:val,test'; may be repeated.",
)
@click.option(
    "--figure",
    "figures",
    multiple=True,
    type=click.Choice(("ecdf", "heatmap", "forest", "critical-difference")),
    help="A figure beside regret over time. May be repeated.",
)
@click.option(
    "--curve",
    "curves",
    multiple=True,
    type=click.Choice(("test", "value", "linear")),
    help="Curves of test values, of the metric in place of regret, on linear axes. May be repeated.",
)
@click.option(
    "--width", metavar="NAME", help="Width of LaTeX tables: neurips, icml, ieee-column, ieee-page, or TeX points."
)
@json_option
def report(
    folder: Path,
    formats: tuple[str, ...],
    columns: tuple[str, ...],
    figures: tuple[Any, ...],
    curves: tuple[Any, ...],
    width: str | None,
    as_json: bool,
) -> None:
    """Write the report of a study again, from its stored runs.

    The folder report/ then holds these files only; files that you put there yourself stay.
    """
    from nasbench_harness.api import open_study

    study = open_study(folder)
    study.check_complete()
    written, before = study.folder.report_folder, _files_of(study)
    names = study.write_report(_FORMATS if _ALL in formats else formats or None, columns, width, figures, curves)
    removed, others = sorted(before - _files_of(study)), _others(study, names)
    if as_json:
        record = {"folder": str(study.folder.show(written)), "files": names, "removed": removed, "others": others}
        click.echo(json.dumps(record))
        end_study(study)
        return
    _print_report(study)
    click.echo(_place(study, names))
    _say_removed(removed)
    _say_others(others)
    if "latex" in formats and (tex := [name for name in _TEX_FILES if name in names]):
        click.echo(
            f"in a paper: \\input{{{study.folder.show(written) / tex[0]}}}, with \\usepackage{{booktabs,siunitx}}"
        )
    end_study(study)


def _print_sources(study: Any, as_json: bool) -> None:
    """Versions, tables, code of the strategies, and runs that belong to other studies of the folder."""
    from nasbench_harness.studies.origins import origins_of

    found = origins_of(study)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    click.echo(f"command: {found['command']}")
    for name, number in found["versions"].items():
        click.echo(f"version: {name} {number}")
    for table in found["tables"]:
        foreign = "" if table["is_shipped"] else ", imported"
        digest = table["digest"][:12]
        version = f", version {table['version']}" if table["version"] else ""
        click.echo(f"table: {table['table']}: {table['source']}{version}, sha256 {digest}{foreign}")
    if found["scores_sha256"]:
        click.echo(f"scores: those that come with nasbench-harness, sha256 {found['scores_sha256'][:12]}")
    for strategy in found["strategies"]:
        click.echo(f"strategy: {strategy['label']}: {strategy['reference']}, code {strategy['code'][:12] or 'unknown'}")
    for place in found["other_runs"]:
        click.echo(f"runs of another study: {place}")


def _watch(folder: Path, interval_s: float, as_json: bool) -> None:
    from rich.console import Console

    from nasbench_harness.api import open_study
    from nasbench_harness.studies.watch import Snapshot, watch

    if not 0.1 <= interval_s <= 3600:
        raise InvalidInputError(f"--interval must be 0.1 … 3600 seconds, not {interval_s:g}")

    def as_line(snapshot: Snapshot) -> str:
        return json.dumps(snapshot.record()) if as_json else snapshot.describe()

    console = Console(force_terminal=False if as_json else None)
    last = watch(lambda: open_study(folder), interval_s, console, as_line)
    if console.is_terminal:
        click.echo(last.describe())


def _files_of(study: Any) -> set[str]:
    """Names of the files in the report's folder."""
    folder = study.folder.report_folder
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _others(study: Any, names: list[str]) -> list[str]:
    """Files in the report's folder that are not of this report: those of the user, or of a report that is forgotten."""
    return sorted(name for name in _files_of(study).difference(names) if not name.startswith("."))


def _say_removed(removed: list[str], *, err: bool = False) -> None:
    if removed:
        click.echo(f"removed, as this report does not have them: {_first(removed)}", err=err)


def _say_others(others: list[str], *, err: bool = False) -> None:
    if others:
        click.echo(f"also in that folder, but not of this report: {_first(others)}", err=err)


def _first(names: list[str]) -> str:
    rest = len(names) - _MOST_NAMES
    return ", ".join([*names[:_MOST_NAMES], *([f"{rest} more"] if rest > 0 else [])])


def _place(study: Any, names: list[str]) -> str:
    """Folder of the report, with its most useful files."""
    first = [name for name in _FIRST_FILES if name in names]
    rest = len(names) - len(first)
    shown = [*first, *([f"{rest} more"] if rest else [])]
    return f"report: {study.folder.show(study.folder.report_folder)} ({', '.join(shown)})"


def _print_report(study: Any) -> None:
    from rich.console import Console

    from nasbench_harness.report.render.terminal import print_report

    print_report(Console(), study.analysis)
