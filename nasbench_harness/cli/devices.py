"""Verbs on new hardware: measure a table's networks, and predict a device that was measured little."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from nasbench_harness.cli.base import json_option, say
from nasbench_harness.cli.names import TABLE
from nasbench_harness.cli.progress import counted
from nasbench_harness.cli.tables import tables
from nasbench_harness.errors import InvalidInputError


@tables.command("adapt-device", short_help="Predict a device's column from a few measurements.")
@click.argument("table", type=TABLE)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--column", required=True, help="The new device's column, with its unit, e.g. phone_latency_ms.")
@click.option("--choose", type=int, metavar="K", help="Only choose the K architectures to measure, and write --out.")
@click.option("--out", type=click.Path(path_type=Path), help="CSV of --choose.  [default: COLUMN.csv]")
@click.option("--dataset", help="Data set of the table.  [default: the first]")
@click.option("--devices", metavar="A,B,…", help="Columns of other devices.  [default: all with many values]")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of --choose.  [default: 0]")
@click.option("--seconds", type=float, help="Declared seconds that the measurements took; reports name them.")
@click.option("--name", help="Name of the new table.  [default: TABLE-COLUMN]")
@click.option("--replace", is_flag=True, help="Take the place of another table of this name.")
@json_option
def adapt_command(
    table: str,
    file: Path | None,
    column: str,
    choose: int | None,
    out: Path | None,
    dataset: str | None,
    devices: str | None,
    seed: int | None,
    seconds: float | None,
    name: str | None,
    replace: bool,
    as_json: bool,
) -> None:
    """Predict the column of a device that was measured on a few architectures, from other devices' columns.

    First --choose 10 writes the architectures to measure. FILE is that CSV with the measured values; without it the
    values that COLUMN of TABLE has are used. The new table has the free metric predicted_COLUMN with the role proxy.
    """
    from nasbench_harness.devices import adapting
    from nasbench_harness.tables.registry import load_table

    if seconds is not None and not 0 <= seconds < 1e15:
        raise InvalidInputError(f"--seconds must be a number of at least 0, not {seconds}")
    unit = adapting.unit_of(column)
    base = load_table(table)
    key = adapting.dataset_of(base, dataset)
    names = None if devices is None else [part.strip() for part in devices.split(",") if part.strip()]
    if choose is not None:
        path = out or Path(f"{column}.csv")
        rows = adapting.choose_to_measure(base, key, names, column, choose, seed or 0)
        adapting.write_choice(path, base, key, rows, column)
        if as_json:
            click.echo(json.dumps({"file": str(path), "architectures": rows.tolist()}))
        else:
            click.echo(f"{path}: measure these {choose} architectures, fill in {column} in {unit}, then")
            command = ["nasbench-harness", "tables", "adapt-device", table, str(path), "--column", column]
            command += ["--dataset", dataset] if dataset else []
            command += ["--devices", devices] if devices else []
            click.echo(f"  {shlex.join(command)}")
        return
    adapted = adapting.adapt_device(base, key, column, file, names, seconds, name, replace)
    if as_json:
        click.echo(json.dumps({**_described(adapted.table), "spearman_on_known_devices": adapted.quality}))
        return
    _print_table(adapted.table, key)
    for device, spearman in adapted.quality.items():
        click.echo(f"  check on {device} with the same architectures: Spearman {spearman:.3f}")


@tables.command("measure", short_help="Measure the latency of a table's networks here.")
@click.argument("table", metavar="NAME", type=TABLE)
@click.option("--device", required=True, help="cpu, cuda, cuda:1 or mps.")
@click.option("--dataset", help="Data set of the table.  [default: the first]")
@click.option("--recipe", help="Cells and channels of the networks.  [default: the official size]")
@click.option("--count", type=int, metavar="N", help="Measure N architectures, chosen by diversity.  [default: all]")
@click.option("--architectures", metavar="I,J,…", help="Measure these indices.")
@click.option("--predict", is_flag=True, help="Predict the others, as the free metric predicted_COLUMN.")
@click.option("--rounds", type=int, default=5, show_default=True, help="Passes over all architectures.")
@click.option("--repeats", type=int, default=10, show_default=True, help="Timed forward passes in a round.")
@click.option("--warm-up", type=int, default=3, show_default=True, help="Forward passes before them.")
@click.option("--batch-size", type=int, default=1, show_default=True, help="Images of a forward pass.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of --count.")
@click.option("--column", help="Name of the column.  [default: latency_DEVICE_ms]")
@click.option("--out", type=click.Path(path_type=Path), help="Journal.  [default: COLUMN of TABLE, .jsonl, here]")
@click.option("--name", help="Name of the new table.  [default: NAME-DEVICE]")
@click.option("--replace", is_flag=True, help="Take the place of another table of this name.")
@json_option
def measure_command(table: str, as_json: bool, **options: Any) -> None:
    """Measure the latency of a table's networks on this machine, and give a new table with the column.

    The value is the median over all timed passes of all rounds. Each round visits the architectures in an order of its
    own. The same command continues after an interruption. Needs the extra torch.
    """
    from nasbench_harness.optional import require_torch

    require_torch("measuring")
    from nasbench_harness.devices.measured_tables import measure_table

    with counted("visits", every=100) as progress:
        found = measure_table(table, **options, on_visit=progress)
    if as_json:
        record = {"device": found.device, "seconds": round(found.seconds, 3), "spread": found.spread}
        click.echo(json.dumps({**_described(found.table), **record}))
        return
    _print_table(found.table, found.dataset)
    click.echo(
        f"  measured on {found.device} in {found.seconds:,.1f} s; medians of rounds differ by {found.spread:.1%}"
    )
    if found.num_measured < found.num_architectures:
        say(f"  {found.num_measured:,} of {found.num_architectures:,} architectures have a measured value")


def _described(table: Any) -> dict[str, Any]:
    return {
        "name": table.name,
        "sha256": table.digest,
        "tasks": [f"{table.name}-{dataset}" for dataset in table.datasets],
    }


def _print_table(table: Any, dataset: str) -> None:
    click.echo(f"{table.name}: {table.folder}")
    for column in table.datasets[dataset].columns.values():
        if column.metric.cost_s is not None or column.metric.name.startswith("predicted_"):
            cost = f", took {column.metric.cost_s:,.1f} s" if column.metric.cost_s is not None else ""
            click.echo(f"  {table.name}-{dataset}: {column.metric.name} ({column.metric.role}{cost})")
