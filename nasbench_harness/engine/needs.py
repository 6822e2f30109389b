"""Checks of a strategy's declared needs: they are granted, or the strategy is refused in one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import numpy as np

from nasbench_harness.arrays import Ints
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.engine.strategy import Needs
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.instances import labels_of
from nasbench_harness.evaluation.problem import Problem, labeled_problem
from nasbench_harness.evaluation.run_files import RunFiles
from nasbench_harness.evaluation.source_tasks import with_sources
from nasbench_harness.evaluation.training_data import ImageSource
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.optional import INSTALL_TORCH


def check_needs(spec: ResolvedStrategy, task: TaskView, images: ImageSource | None = None) -> None:
    """Refuse a strategy if the installation, the task or the study cannot give what it needs.

    Args:
        spec: The strategy.
        task: The task under the protocol.
        images: The study's training data; None: it has none.

    Raises:
        InvalidInputError: Names the first thing that is missing, and how to get it.
    """
    needs = spec.needs
    if spec.is_generator and task.protocol.workers > 1:
        raise InvalidInputError(
            f"strategy {spec.label} is a generator, which has one evaluation under way: it cannot use "
            f"{task.protocol.workers} workers; leave it out, or write it as a class"
        )
    if needs.sources and getattr(spec.target, "tile", None) is not None:
        raise InvalidInputError(f"strategy {spec.label} declares tile, and strategies in tiles read no sources")
    if task.protocol.instances == "relabel":
        check_labels(spec)
    for refusal in _refusals(needs, task, images):
        raise InvalidInputError(f"strategy {spec.label} needs {refusal}")


def check_labels(spec: ResolvedStrategy) -> None:
    """Refuse a strategy that cannot search under labels.

    Raises:
        InvalidInputError: It trains architectures, so that it knows what their choices mean, or works in tiles.
    """
    if spec.needs.training_data:
        raise InvalidInputError(
            f"strategy {spec.label} uses the meaning of operations, as it trains them, and instances=relabel hides "
            "that: leave it out"
        )
    if not spec.is_generator and getattr(spec.target, "tile", None) is not None:
        raise InvalidInputError(
            f"strategy {spec.label} computes in tiles, which have no labels of their own: leave it out, or leave "
            "instances=relabel out"
        )


def granted_problem(
    spec: ResolvedStrategy,
    task: TaskView,
    images: ImageSource | None = None,
    files: Sequence[RunFiles] = (),
    study_seed: int = 0,
    run_seeds: Ints | None = None,
) -> Problem:
    """The task as a strategy sees it, with training data and sources if it needs them, and the labels of its runs.

    Args:
        spec: The strategy; its generator function may have an attribute ``check(problem, **hyperparameters)`` that
            raises InvalidInputError before any run.
        task: The task under the protocol.
        images: The study's training data.
        files: Files of each run.
        study_seed: Seed of the study, for labels and the noise of sources.
        run_seeds: Seed of each run, shape (num_runs,); None: one run with the seed 0.

    Raises:
        InvalidInputError: Something that the strategy needs is missing, or its own check refuses.
    """
    check_needs(spec, task, images)
    problem = task.problem()
    if images is not None and spec.needs.training_data:
        problem = problem.with_training(images.load(), files)
    seeds = np.zeros(1, dtype=np.int64) if run_seeds is None else run_seeds
    if spec.needs.sources:
        problem = with_sources(problem, task, study_seed, seeds)
    problem = labeled_problem(problem, labels_of(task.space, task.protocol, study_seed, seeds))
    check = getattr(spec.target, "check", None)
    if check is not None and spec.is_generator:
        try:
            check(problem, **spec.parameters)
        except InvalidInputError as error:
            raise InvalidInputError(f"strategy {spec.label}: {error}") from error
    return problem


def _refusals(needs: Needs, task: TaskView, images: ImageSource | None) -> Iterator[str]:
    if needs.torch and find_spec("torch") is None:
        yield f"torch, which is not installed: {INSTALL_TORCH}"
    for package in needs.packages:
        if find_spec(package) is None:
            yield f"{package}, which is not installed: pip install {package}"
    if needs.proxies and not task.has_proxies:
        yield f"training-free scores, and the table of task {task.name} has none: leave the strategy out"
    if needs.num_objectives > len(task.objectives):
        names = ", ".join(objective.metric.name for objective in task.objectives)
        yield (
            f"{needs.num_objectives} objectives, and the protocol gives task {task.name} {len(task.objectives)} "
            f"({names}): name more with objectives, e.g. --objectives {names},params_m, or leave the strategy out"
        )
    if needs.fidelities and len(task.fidelities) < 2:
        num_stored = len(task.table.datasets[task.dataset].fidelities)
        where = (
            f"{'by default' if task.has_default_fidelity else 'the protocol reads'} task {task.name} "
            f"{'is read ' if task.has_default_fidelity else ''}at {task.fidelity} epochs only: use fidelity=all, or "
            "leave the strategy out"
            if num_stored > 1
            else f"the table of task {task.name} has one: choose a task whose table has several, e.g. "
            "tiny201-animals8 with fidelity=all"
        )
        yield f"several fidelities, and {where}"
    if needs.sources and not task.sources:
        yield (
            f"sources, and the protocol names none for task {task.name}: name other tasks of its space, --sources A,B "
            "--source-evaluations N, or leave the strategy out"
        )
    if needs.training_data and images is None:
        yield "training data, and the study has none: name images with --data or --data-dir"
    if needs.training_data and images is not None and (reason := images.refusal(task.name)):
        yield f"other training data: {reason}"
