"""The verb verify."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nasbench_harness.cli.base import json_option, main
from nasbench_harness.cli.names import DEVICE, LABELS, TASK, Choice
from nasbench_harness.cli.progress import training_bar
from nasbench_harness.words import plural

if TYPE_CHECKING:
    from nasbench_harness.api import Study


@main.command(short_help="Train the winners beside controls.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--task", type=TASK, help="Task to verify.  [default: the only one that can be trained]")
@click.option("--strategies", type=LABELS, metavar="A,B,…", help="Labels whose runs count.  [default: all]")
@click.option("--top", type=int, help="Candidates.  [default: 5]")
@click.option(
    "--controls",
    type=Choice(("matched", "random")),
    help="Controls with as many live convolutions of each kernel size, or random controls.  [default: matched]",
)
@click.option("--num-controls", type=int, help="Number of controls per candidate.  [default: 3]")
@click.option("--training-seeds", type=int, help="Trainings of each architecture.  [default: 2]")
@click.option("--quick", is_flag=True, help="3 candidates, 3 matched controls each, 1 training of each.")
@click.option(
    "--recipe",
    help="animals8-10, animals8-1, nb201-200, nb201-12; of widths animals8-widths-10, nats-sss-90.  "
    "[default: animals8-10, of widths animals8-widths-10]",
)
@click.option(
    "--data",
    help="animals8, digits8, cifar10, cifar100, imagenet16-120 or npz.  [default: animals8, or what --data-dir holds]",
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder or file of data that no package brings.")
@click.option("--split", type=click.Path(path_type=Path), help="File with the official halves of the data.")
@click.option(
    "--device",
    type=DEVICE,
    metavar="NAME",
    help="auto (small recipes: the CPU if it is faster), cpu, cuda or mps.  [default: auto]",
)
@click.option("--jobs", type=int, help="Processes; only 1 on a GPU.  [default: one for each core of a CPU]")
@click.option("--max-seconds", type=float, help="Real seconds after which no new block begins.")
@click.option("--deterministic", is_flag=True, help="The same bits every time on the same GPU; slower.")
@click.option("--compile", is_flag=True, help="Use torch's compiler; on a GPU, for long recipes.")
@click.option("--dry-run", is_flag=True, help="Print the plan and its time; train nothing.")
@click.option("--timings", is_flag=True, help="Show real seconds in the table.")
@json_option
def verify(
    folder: Path, task: str | None, strategies: str | None, quick: bool, dry_run: bool, as_json: bool, **given: Any
) -> None:
    """Train the architectures that a study's runs ended with, beside controls, and judge them.

    The verdict is confirmed, contradicted or inconclusive. The same command again trains nothing twice.
    """
    from nasbench_harness.api import open_study

    options = {name: value for name, value in given.items() if value is not None}
    verify_study(open_study(folder), task, strategies, options, as_json, quick, dry_run)


def check_verification(study: Study, given: dict[str, Any]) -> None:
    """Reject impossible verifications before any run.

    Args:
        study: The study that is planned.
        given: Options of the verification that are given.
    """
    from nasbench_harness.verification import winners
    from nasbench_harness.verification.verify import VerifyOptions

    winners.check_verification(study, VerifyOptions(**given))


def verify_study(
    study: Study,
    task: str | None,
    strategies: str | None,
    given: dict[str, Any],
    as_json: bool,
    quick: bool = False,
    dry_run: bool = False,
) -> None:
    """Plan, train, judge, print."""
    from nasbench_harness.studies.references import split_list
    from nasbench_harness.verification.verify import VerifyOptions
    from nasbench_harness.verification.winners import prepare_verification

    options = replace(VerifyOptions().quick() if quick else VerifyOptions(), **given)
    labels = None if strategies is None else split_list(strategies)
    prepared = prepare_verification(study, task, labels, options)
    if dry_run:
        plan = prepared.plan()
        click.echo(json.dumps(plan, indent=1) if as_json else _in_words(plan))
        return
    click.echo(prepared.announce(), err=True)
    with training_bar() as advance:
        done = prepared.run(advance)
    for notice in done.progressed.notices:
        click.echo(notice, err=True)
    if as_json:
        record = json.loads((done.folder / "verification.json").read_text(encoding="utf-8"))
        progressed = done.progressed
        now = {
            "folder": str(done.folder),
            "files": list(done.files),
            "trained_now": progressed.num_trained,
            "found": progressed.num_found,
            "was_stopped": progressed.was_stopped,
        }
        click.echo(json.dumps(record | now, indent=1))
        return
    from rich.console import Console

    from nasbench_harness.report.render.terminal import print_table, without
    from nasbench_harness.verification.report import verification_table

    table = verification_table(done.outcome, done.task, options.timings)
    console = Console()
    print_table(console, without(table, "table_params_m"), f"Verification of {done.task.name}")
    console.print(table.caption, style="dim", markup=False, highlight=False)
    trained, found = done.progressed.num_trained, done.progressed.num_found
    stopped = "; stopped by --max-seconds: the same command goes on" if done.progressed.was_stopped else ""
    click.echo(f"{trained} trainings, {found} were there already{stopped}")
    click.echo(f"verification: {done.folder} ({', '.join(done.files)})")


def _in_words(plan: dict[str, Any]) -> str:
    from nasbench_harness.verification.verify import announcement

    controls, seeds = len(plan["blocks"][0]["controls"]), plan["training_seeds"]
    lines = [
        f"{plan['task']}: {plural(len(plan['blocks']), 'candidate')} with {controls} {plan['kind']} controls each, "
        f"{plural(seeds, 'training seed')}, recipe {plan['recipe']} on {plan['data']}; "
        f"p can reach {plan['smallest_p']:.4f}"
    ]
    for block in plan["blocks"]:
        against = ", ".join(block["controls"])
        lines.append(f"  {block['candidate']} (final choice of {plural(block['runs'], 'run')}) against {against}")
    if plan["sample"]:
        lines.append(f"  agreement with the table on cells that no search chose: {', '.join(plan['sample'])}")
    lines += [f"note: {note}" for note in plan["notes"]]
    return "\n".join([*lines, announcement(plan)])
