"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nasbench_harness.cli.names import LABEL, NOISE, STRATEGIES, TASKS, Choice


def _protocol_options() -> list[Callable[..., Any]]:
    """One option for each field of the protocol."""
    return [
        click.option("--evaluations", type=int, help="Budget of a run.  [default: 200]"),
        click.option(
            "--simulated-seconds",
            type=float,
            help="Budget of a run by the table's training times; with --evaluations the first to bind ends the run.",
        ),
        click.option(
            "--overrun",
            type=Choice(("discard", "count")),
            help="Rule for evaluations that would exceed the budget of seconds or epochs.  [default: discard]",
        ),
        click.option(
            "--noise", type=NOISE, metavar="RULE", help="per_query, per_run, replicate=k or mean.  [default: per_query]"
        ),
        click.option(
            "--duplicates", type=Choice(("charge", "free", "forbid")), help="Repeated architectures.  [default: charge]"
        ),
        click.option(
            "--duplicates-by",
            type=Choice(("index", "class")),
            help="Equality of architectures: index or isomorphism class.  [default: index]",
        ),
        click.option("--epochs", type=int, help="Budget of a run in epochs of training."),
        click.option(
            "--fidelity",
            metavar="EPOCHS",
            help="Epochs at which evaluations are read. With all, or several epochs, the strategy chooses among them.",
        ),
        click.option(
            "--continuation",
            type=Choice(("checkpoint", "restart")),
            help="Proposal of a higher fidelity: continue the training, or start a new one.  [default: checkpoint]",
        ),
        click.option("--workers", type=int, help="Evaluations of a run that are under way at once.  [default: 1]"),
        click.option(
            "--mode",
            type=Choice(("async", "sync")),
            help="With several workers: a free worker starts at once, or all start together.  [default: async]",
        ),
        click.option("--objectives", metavar="A,B,…", help="Metrics, or functions of these.  [default: search metric]"),
        click.option(
            "--constraints", metavar="C,…", help="Bounds, e.g. 'latency_ms<=5' or, as a quantile, 'latency_ms<=q25'."
        ),
        click.option("--sources", type=TASKS, metavar="T1,T2,…", help="Tasks whose search values strategies may read."),
        click.option("--source-evaluations", type=int, help="Most evaluations of sources that a run may read."),
        click.option(
            "--source-cost",
            type=Choice(("charged", "reported", "free")),
            help="Evaluations of sources: part of the budget, beside it, or at no cost.  [default: charged]",
        ),
        click.option(
            "--instances",
            type=Choice(("same", "relabel")),
            help="relabel: each run sees the choices under its own labels.  [default: same]",
        ),
        click.option(
            "--selection",
            type=Choice(("own", "incumbent")),
            help="Choice of a run: its own, or its incumbent.  [default: own]",
        ),
    ]


def study_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of the verbs that run a study."""
    options = [
        click.option(
            "--strategies",
            type=STRATEGIES,
            metavar="A,B,…",
            help="Strategies, each written [label=]reference[(key=value, …)]. A reference is an installed name or "
            "module:attribute. all: every installed strategy that can run here. Default: five that finish in seconds.",
        ),
        click.option(
            "--families",
            metavar="F1,F2,…",
            help="Instead of --strategies: the installed strategies of these families that can run here.",
        ),
        click.option(
            "--tasks", type=TASKS, metavar="T1,T2,…", help="Tasks. Default: all of installed packages but tiny201."
        ),
        click.option("--config", type=click.Path(path_type=Path), help="Study file (TOML); flags override it."),
        click.option("--seeds", type=int, help="Runs of each strategy on each task.  [default: 200]"),
        click.option("--study-seed", type=int, help="Seed of the whole study.  [default: 0]"),
        click.option("--paper", is_flag=True, help="500 seeds and 10,000 resamples."),
        *_protocol_options(),
        click.option(
            "--data",
            help="Images for strategies that train: animals16, animals8, digits8, cifar10, cifar100, imagenet16-120 "
            "or npz.  [default: what --data-dir holds]",
        ),
        click.option(
            "--data-dir", type=click.Path(path_type=Path), help="Folder or file of images that no package brings."
        ),
        click.option("--split", type=click.Path(path_type=Path), help="File with the official halves of the images."),
        click.option("--jobs", type=int, default=1, help="Worker processes.  [default: 1]"),
        click.option(
            "--run-timeout",
            type=float,
            metavar="SECONDS",
            help="Real seconds that a strategy may use for one run; a run that uses more fails, the others go on.",
        ),
        click.option("--out", type=click.Path(path_type=Path), help="Folder.  [default: nasbench-results/<study id>]"),
        click.option("--keep-stale", is_flag=True, help="Keep runs of older versions of a strategy's code."),
        click.option(
            "--rerun", type=LABEL, metavar="LABEL", multiple=True, help="Run a strategy again; may be repeated."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def baseline_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of both verbs."""
    options = [
        click.option(
            "--strategies", type=STRATEGIES, metavar="A,B,…", help="As for compare; a label names the baseline."
        ),
        click.option("--tasks", type=TASKS, metavar="T1,T2,…", help="Tasks."),
        *_protocol_options(),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def protocol_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One option for each field of the protocol."""
    for option in reversed(_protocol_options()):
        command = option(command)
    return command
