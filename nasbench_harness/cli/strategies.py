"""Verbs on registered strategies."""

from __future__ import annotations

import json
import sys
from collections import Counter
from inspect import cleandoc
from typing import Any

import click

from nasbench_harness.cli.base import Group, json_option, main, only_json, say
from nasbench_harness.cli.names import STRATEGY, TASKS
from nasbench_harness.errors import InvalidInputError


@main.group(cls=Group)
def strategies() -> None:
    """List, describe, check and tune strategies."""


@strategies.command("list")
@click.option("--markdown", is_flag=True, help="Print the catalog as Markdown, with papers and reference numbers.")
@json_option
def list_strategies(markdown: bool, as_json: bool) -> None:
    """List the installed strategies by family, with the things that each needs."""
    from nasbench_harness.studies.catalog import families

    if markdown:
        from nasbench_harness.cli.catalog import as_markdown

        click.echo(as_markdown(families()), nl=False)
        return
    if as_json:
        shown = {
            entry.name: {"family": family, "summary": entry.summary, "needs": entry.needs}
            for family, entries in families().items()
            for entry in entries
        }
        click.echo(json.dumps(shown))
        return
    for family, entries in families().items():
        click.echo(family)
        for entry in entries:
            needs = f" (needs {', '.join(entry.needs)})" if entry.needs else ""
            click.echo(f"  {entry.name}: {entry.summary}{needs}")


@strategies.command("info", short_help="Describe a strategy.")
@click.argument("name", type=STRATEGY)
@json_option
def strategy_info(name: str, as_json: bool) -> None:
    """Describe a strategy: the paper, the algorithm, deviations, hyperparameters and their ranges.

    Without a package that the strategy needs, the hyperparameters are left out.
    """
    from nasbench_harness.engine.hyperparameters import declared
    from nasbench_harness.store.record import StrategyRef
    from nasbench_harness.studies.catalog import describe, strategy_entry_points
    from nasbench_harness.studies.references import resolve

    try:
        spec = resolve(StrategyRef(name))
    except InvalidInputError as error:
        if name not in strategy_entry_points():
            raise
        text = describe(name).text
        click.echo(
            json.dumps({"name": name, "description": text, "parameters": None, "ranges": None}) if as_json else text
        )
        say(f"hyperparameters are not shown: {error}")
        return
    own = spec.target.__doc__ or sys.modules[spec.target.__module__].__doc__ or ""
    text = cleandoc(own) if ":" in name else describe(name).text
    ranges = {key: str(allowed) for key, allowed in declared(spec.target, name).items()}
    if as_json:
        found = {"name": name, "description": text, "parameters": dict(spec.parameters), "ranges": ranges}
        click.echo(json.dumps(found))
        return
    click.echo(text)
    click.echo("\nHyperparameters" if spec.parameters else "\nNo hyperparameters")
    for key, value in spec.parameters.items():
        click.echo(f"  {key} = {json.dumps(value)}" + (f"    {ranges[key]}" if key in ranges else ""))


@strategies.command("check", short_help="Try a strategy against its contract.")
@click.argument("strategy", type=STRATEGY)
@click.option("--tasks", type=TASKS, metavar="T1,T2,…", help="Tasks of the trial.  [default: two of NAS-Bench-201]")
@click.option(
    "--max-seconds", type=float, default=300.0, show_default=True, help="Real seconds after which the check ends."
)
@json_option
def check_strategy(strategy: str, tasks: str | None, max_seconds: float, as_json: bool) -> None:
    """Try a strategy against its contract, rule by rule; exit code 1 if one does not hold.

    STRATEGY is written as for compare: [label=]reference[(key=value, …)].
    """
    from nasbench_harness.engine.limits import check_limit
    from nasbench_harness.evaluation.task import check_task_name
    from nasbench_harness.evaluation.task_names import split_task_names
    from nasbench_harness.studies.references import parse_strategy, resolve
    from nasbench_harness.testing import StrategyContract, run_contract
    from nasbench_harness.testing.strategies import note_on

    check_limit(max_seconds, "max_seconds")
    members: dict[str, Any] = {"strategy": strategy, "max_seconds": max_seconds}
    if tasks is not None:
        members["tasks"] = tuple(split_task_names(tasks))
        for task in members["tasks"]:
            check_task_name(task)
    with only_json(as_json):
        label = resolve(parse_strategy(strategy)).label
        contract = type("Checked", (StrategyContract,), members)()
        findings = run_contract(contract)
        note = "" if findings[0].failure else note_on(contract)
    broken = [finding for finding in findings if finding.failure]
    if as_json:
        click.echo(json.dumps({"strategy": label, "findings": [vars(finding) for finding in findings], "note": note}))
    else:
        for finding in findings:
            if finding.was_tried:
                click.echo(f"{'BROKEN' if finding.failure else 'ok    '}  {finding.rule}")
                for line in finding.failure.splitlines():
                    click.echo(f"          {line}")
        if note:
            click.echo(f"note    {note}")
        for reason, number in Counter(finding.failure for finding in findings if not finding.was_tried).items():
            click.echo(f"{number} other rule{'s' if number > 1 else ''} {reason}")
        tried = [finding for finding in findings if finding.was_tried]
        untried = f", {len(findings) - len(tried)} not tried" if len(tried) < len(findings) else ""
        click.echo(f"{label}: {len(findings) - len(broken)} of {len(tried)} rules hold{untried}")
    if broken:
        raise click.exceptions.Exit(1)
