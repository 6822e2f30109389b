"""The verb stats: sentences for the text of a paper."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nasbench_harness.cli.base import end_study, json_option, main
from nasbench_harness.errors import InvalidInputError


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--compare", "couple", metavar="A,B", help="Two strategies on every task, with interval and p.")
@click.option("--margin", type=float, help="With --compare: test equivalence within this difference (pp).")
@json_option
def stats(folder: Path, couple: str | None, margin: float | None, as_json: bool) -> None:
    """Print who is better than whom, as sentences for a paper.

    Each sentence gives the numbers of the report: counts over tasks, differences with intervals, corrected p-values,
    ranks, and random-search equivalents.
    """
    from nasbench_harness.api import open_study

    labels = None if couple is None else [label.strip() for label in couple.split(",")]
    if labels is not None and len(labels) != 2:
        raise InvalidInputError(f"--compare needs two labels with a comma between them, not {couple!r}")
    study = open_study(folder)
    study.check_complete()
    sentences = study.sentences(None if labels is None else (labels[0], labels[1]), margin)
    if as_json:
        click.echo(json.dumps({"folder": str(study.folder.shown), "sentences": sentences}, ensure_ascii=False))
    else:
        for sentence in sentences:
            click.echo(sentence)
    end_study(study)
