"""Verbs on zero-cost proxies."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import textwrap
from pathlib import Path
from typing import Any

import click

from nasbench_harness.cli.base import Group, json_option, main, only_json
from nasbench_harness.cli.names import TASKS
from nasbench_harness.cli.progress import counted
from nasbench_harness.errors import InvalidInputError


@main.group(cls=Group)
def proxies() -> None:
    """Training-free scores of architectures."""


@proxies.command("list")
@json_option
def list_proxies(as_json: bool) -> None:
    """List the scores."""
    from nasbench_harness.trainer.proxies.catalogue import PROXIES

    if as_json:
        click.echo(json.dumps({proxy.name: _record(proxy) for proxy in PROXIES.values()}, ensure_ascii=False))
        return
    for proxy in PROXIES.values():
        mark = "table" if proxy.fast else "     "
        _echo(f"{proxy.name:<17} {mark}  {proxy.formula} ({proxy.paper})", 25)
    _echo("table: a free metric of the NAS-Bench-201 tasks. Compare them: nasbench-harness proxies report")


@proxies.command("info", short_help="Describe a score.")
@click.argument("name")
@json_option
def proxy_info(name: str, as_json: bool) -> None:
    """Describe a score: formula, paper, weights, needs, and the source of its column in the shipped table."""
    from nasbench_harness.tables.proxies import shipped_digest, shipped_provenance
    from nasbench_harness.trainer.proxies.catalogue import proxy_of

    proxy = proxy_of(name)
    record = _record(proxy)
    column = shipped_provenance()["columns"].get(name)
    if column is not None:
        record["table"] = {**column, "sha256": shipped_digest()}
    if as_json:
        click.echo(json.dumps(record, ensure_ascii=False))
        return
    for key, value in record.items():
        if isinstance(value, dict):
            _echo(f"{key}:")
            for inner, detail in value.items():
                is_macro = isinstance(detail, dict)
                text = ", ".join(f"{name} {number}" for name, number in detail.items()) if is_macro else detail
                _echo(f"  {inner}: {text}", 4)
        else:
            _echo(f"{key}: {value}", 2)


def _echo(text: str, indent: int = 0) -> None:
    """Print a line, folded at the width of the terminal; further lines are indented, less so on narrow terminals."""
    width = max(20, shutil.get_terminal_size().columns)
    later = " " * (indent if width >= 60 else min(indent, 4))
    click.echo(textwrap.fill(text, width, subsequent_indent=later, break_on_hyphens=False))


def _record(proxy: Any) -> dict[str, Any]:
    return {
        "name": proxy.name,
        "formula": proxy.formula,
        "paper": proxy.paper,
        "function": proxy.reference,
        "initialization": proxy.initialization,
        "needs_labels": proxy.needs_labels,
        "in_table": proxy.fast is not None,
    }


def _macro_options(command: Any) -> Any:
    options = [
        click.option("--data-dir", type=click.Path(path_type=Path), help="Folder or file of the data."),
        click.option("--num-cells", type=int, help="Cells per stage (N)."),
        click.option("--channels", type=int, help="Channels of the first stage (C)."),
        click.option("--side", type=int, help="Pixels of an image's side."),
        click.option("--batch-size", type=int, help="Images."),
        click.option("--classes", "num_classes", type=int, help="Outputs of the classifier."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _overrides(given: dict[str, Any]) -> dict[str, int]:
    names = ("num_cells", "channels", "side", "batch_size", "num_classes")
    return {name: given[name] for name in names if given[name] is not None}


@proxies.command("build", short_help="Compute a table of scores.")
@click.option(
    "--columns", metavar="A,B,…", help="Scores, or functions module:function.  [default: the shipped table's]"
)
@click.option("--reference", is_flag=True, help="Compute every column at full size, one architecture at a time.")
@click.option("--data", help="animals, noise, or data of the trainer.  [default: the shipped table's choice]")
@_macro_options
@click.option("--architectures", type=int, help="Uniform sample of so many cells.  [default: all]")
@click.option("--initializations", metavar="I,J,…", default="0", show_default=True, help="Draws of the weights.")
@click.option("--batches", metavar="I,J,…", default="0", show_default=True, help="Batches of images.")
@click.option("--shard", default="1/1", metavar="I/N", show_default=True, help="Compute part I, I + N, I + 2N, …")
@click.option("--out", type=click.Path(path_type=Path), default=Path("proxies.parquet"), show_default=True)
def build_command(
    columns: str | None,
    reference: bool,
    data: str | None,
    data_dir: Path | None,
    architectures: int | None,
    initializations: str,
    batches: str,
    shard: str,
    out: Path,
    **given: Any,
) -> None:
    """Score the cells of NAS-Bench-201 and write one Parquet file.

    The same command continues after an interruption, and gives the same bytes. Several processes share the work, each
    with its own --shard and the same --out; the last one to finish writes the file. Needs the extra torch.
    """
    from nasbench_harness.trainer import proxies as scores
    from nasbench_harness.trainer.proxies.catalogue import TABLE_COLUMNS

    match = re.fullmatch(r"([1-9]\d{0,3})/([1-9]\d{0,3})", shard)
    if match is None or int(match[1]) > int(match[2]):
        raise InvalidInputError(f"--shard must be I/N with 1 ≤ I ≤ N, such as 2/4, got {shard!r}")
    names = list(TABLE_COLUMNS) if columns is None else _split(columns)
    plans = scores.plan_columns(names, data, reference, _overrides(given))
    draws, images = _numbers("--initializations", initializations), _numbers("--batches", batches)
    plan = scores.plan_build(plans, architectures, draws, images, data_dir)
    options = {
        "columns": columns,
        "reference": reference or None,
        "data": data,
        "num-cells": given["num_cells"],
        "channels": given["channels"],
        "side": given["side"],
        "batch-size": given["batch_size"],
        "classes": given["num_classes"],
        "architectures": architectures,
        "initializations": ",".join(map(str, draws)) if draws != [0] else None,
        "batches": ",".join(map(str, images)) if images != [0] else None,
    }
    written = [f"--{key}" if value is True else f"--{key} {value}" for key, value in options.items() if value]
    command = " ".join(["nasbench-harness proxies build", *written])
    with counted("scores") as progress:
        missing = scores.build(plan, out, command, (int(match[1]), int(match[2])), progress)
    are = "part is" if missing == 1 else "parts are"
    click.echo(f"{out}: {plan.set_name}" if not missing else f"this shard is complete; {missing} {are} missing")


@proxies.command("score", short_help="Score one architecture.")
@click.argument("architecture")
@click.option("--proxies", "names", metavar="A,B,…", help="Scores, or functions module:function.  [default: all]")
@click.option("--data", help="animals, noise, or data of the trainer.  [default: animals]")
@_macro_options
@click.option("--initialization", type=int, default=0, show_default=True, help="Number of the draw of the weights.")
@click.option("--batch", type=int, default=0, show_default=True, help="Number of the batch of images.")
@json_option
def score_command(
    architecture: str,
    names: str | None,
    data: str | None,
    data_dir: Path | None,
    initialization: int,
    batch: int,
    as_json: bool,
    **given: Any,
) -> None:
    """Score ARCHITECTURE, a NAS-Bench-201 string or six-digit key, at full size, with its size beside.

    The scores are the references: drawn weights and full size, so they differ from those of the shipped table.

    A score of your own is a function (network, batch) that returns a number, written module:function. Needs the extra
    torch.
    """
    import numpy as np

    from nasbench_harness.spaces import NASBench201Space
    from nasbench_harness.trainer import proxies as scores
    from nasbench_harness.trainer.proxies.catalogue import PROXIES

    if initialization < 0 or batch < 0:
        raise InvalidInputError("--initialization and --batch count from 0")
    space = NASBench201Space()
    is_key = re.fullmatch(r"\d+", architecture) is not None
    index = space.from_key(architecture) if is_key else space.from_string(architecture)
    wanted = list(PROXIES) if names is None else _split(names)
    if not wanted:
        raise InvalidInputError("--proxies names no score: leave it out for all, or see proxies list")
    wanted = [*(name for name in ("params", "flops") if name not in wanted), *wanted]
    plans = scores.plan_columns(wanted, data, True, _overrides(given))
    scores.check_data_dir(plans, data_dir)
    with only_json(as_json):  # a function of the user may print
        values = [scores.compute([plan], np.array([index]), initialization, batch, data_dir)[0, 0] for plan in plans]
    rows = {plan.column: value for plan, value in zip(plans, values, strict=True)}
    shown = {name: None if np.isnan(value) else float(value) for name, value in rows.items()}
    if as_json:
        macro = vars(plans[0].macro)
        click.echo(json.dumps({"architecture": space.to_string(index), "macro": macro, "scores": shown}))
        return
    click.echo(f"{space.to_string(index)}\n{plans[0].macro.label}, {plans[0].data}")
    for name, value in shown.items():
        click.echo(f"{name:<17} {'missing' if value is None else f'{value:.10g}'}")


def _numbers(option: str, text: str) -> list[int]:
    if re.fullmatch(r"\d{1,5}(,\d{1,5})*", text) is None:
        raise InvalidInputError(f"{option} must be whole numbers with commas, such as 0,1,2, got {text!r}")
    return [int(part) for part in text.split(",")]


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


@proxies.command("report", short_help="Compare scores with accuracies.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--tasks", type=TASKS, metavar="T1,T2,…", help="Tasks.  [default: the three of NAS-Bench-201]")
@click.option("--combine", metavar="A+B,…", help="Means of ranks.  [default: meco+swap, synflow+meco+jacob_cov]")
@click.option(
    "--resamples", type=click.IntRange(0, 100_000), default=200, show_default=True, help="Resamples of the intervals."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for Markdown, CSV, JSON and the figure.")
@json_option
def report_command(
    file: Path | None, tasks: str | None, combine: str | None, resamples: int, out: Path | None, as_json: bool
) -> None:
    """Compare scores with accuracies: correlation, accuracy of the pick, size, pairs, stability.

    FILE comes from proxies build; without it the shipped scores are compared. Stability needs a FILE with several
    initializations or batches. Every table names its set of architectures.
    """
    from nasbench_harness.analysis.proxies import DEFAULT_TASKS, analyze_proxies
    from nasbench_harness.report.proxies import write_proxy_report
    from nasbench_harness.report.render.text import to_json
    from nasbench_harness.report.sections.proxies import proxy_tables
    from nasbench_harness.tables.score_files import read_scores

    names = list(DEFAULT_TASKS) if tasks is None else _split(tasks)
    if not names:
        raise InvalidInputError("--tasks names no task")
    combined = None if combine is None else _split(combine)
    if combined == []:
        raise InvalidInputError("--combine names no scores: leave it out for the usual ones")
    analysis = analyze_proxies(read_scores(file), names, combined, resamples)
    if out is not None:
        written = ["nasbench-harness proxies report"]
        written += [] if file is None else [shlex.quote(file.name)]
        written += [] if tasks is None else [f"--tasks {tasks}"]
        written += [] if combine is None else [f"--combine {combine}"]
        written += [] if resamples == 200 else [f"--resamples {resamples}"]
        files = write_proxy_report(analysis, out, " ".join(written))
    tables = proxy_tables(analysis)
    if as_json:
        click.echo(json.dumps({"set": analysis.set_name, "tables": [to_json(table) for table in tables]}))
        return
    from rich.console import Console

    from nasbench_harness.report.render.terminal import print_table

    console = Console()
    for table in tables:
        print_table(console, table, table.name.replace("_", " "))
        console.print(table.caption, style="dim", markup=False, highlight=False)
    if out is not None:
        click.echo(f"report: {out} ({', '.join(files)})")
