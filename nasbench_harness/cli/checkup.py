"""The verb doctor, and how checks are printed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from nasbench_harness.cli.base import json_option, main

if TYPE_CHECKING:
    from nasbench_harness.doctor import Check


_COLORS = {"ok": "green", "note": "cyan", "missing": "yellow", "broken": "red"}


@main.command(short_help="Check the installation.")
@json_option
def doctor(as_json: bool) -> None:
    """Check packages, tables and devices, and print a command to fix each problem.

    Exit code 1 when something is broken that compare needs.
    """
    from nasbench_harness.doctor import examine

    checks = examine()
    obstacles = [check.name for check in checks if check.is_obstacle]
    if as_json:
        click.echo(json.dumps({"ready": not obstacles, "checks": [vars(check) for check in checks]}))
    else:
        _print_checks(checks)
        click.echo(f"not ready, fix: {', '.join(obstacles)}" if obstacles else "ready: nasbench-harness compare")
    if obstacles:
        raise click.exceptions.Exit(1)


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
