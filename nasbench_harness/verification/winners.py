"""From a study to a verification: the task, the winners of its runs, and the values that they observed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

import numpy as np

from nasbench_harness.analysis.runs import observed_losses
from nasbench_harness.arrays import Ints
from nasbench_harness.errors import InvalidInputError, StoreError, UnknownNameError
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.studies.study import Study
from nasbench_harness.verification.running import Trainer
from nasbench_harness.verification.trainable import can_be_trained
from nasbench_harness.verification.verify import Preparation, VerifyOptions, check, mean_observed, prepare


def prepare_verification(
    study: Study,
    task: str | None = None,
    strategies: Iterable[str] | None = None,
    options: VerifyOptions | None = None,
    trainer: Trainer | None = None,
) -> Preparation:
    """Plan the verification of a study's winners; nothing is trained yet.

    Args:
        study: The study.
        task: Name of the task; None: the only one that can be trained.
        strategies: Labels whose runs count; None: all.
        options: Options of the verification.
        trainer: The trainer; None: the package's own.

    Raises:
        InvalidInputError: Something is missing, or no verdict could be reached.
        UnknownNameError: The study has no such task or label.
    """
    chosen = study.labels if strategies is None else list(strategies)
    for label in chosen:
        if label not in study.labels:
            raise UnknownNameError("strategy", label, study.labels, "this study")
    if not chosen:
        raise InvalidInputError("no strategies given: name at least one, or leave --strategies out")
    found = _task_to_verify(study, task)
    finals: list[Ints] = []
    ends: list[Ints] = []  # of every search of the study, also of those that are not verified
    losses: dict[int, tuple[float, int]] = {}
    for runs in study.run_sets(task=found.name):
        try:
            read = runs.read()
        except StoreError:
            if runs.label in chosen:
                raise
            continue  # runs that are not complete, of a search that is not verified
        ends.append(read.final[read.has_result])
        if runs.label not in chosen:
            continue
        finals.append(ends[-1])
        for architecture, (total, count) in observed_losses(runs.segments(), found).items():
            before = losses.get(architecture, (0.0, 0))
            losses[architecture] = (before[0] + total, before[1] + count)
    if not any(map(len, finals)):
        raise InvalidInputError(f"no run of {', '.join(chosen)} on {found.name} has a result: nothing can be verified")
    options = options or VerifyOptions()
    labels = "" if strategies is None else f" --strategies {shlex.quote(','.join(chosen))}"
    command = f"{study.command}; nasbench-harness verify DIR --task {found.name}{labels}{options.flags()}"
    return prepare(
        found.task,
        np.concatenate(finals),
        mean_observed(losses),
        study.folder,
        study.record.study_seed,
        command,
        options,
        trainer,
        np.concatenate(ends),
    )


def check_verification(study: Study, options: VerifyOptions) -> None:
    """Refuse an impossible verification before any run.

    Raises:
        InvalidInputError: No task can be verified, no verdict could be reached, or torch or data are missing.
    """
    names = verifiable_tasks(study)
    if not names:
        raise _nothing_to_verify(study)
    check(next(task.task for task in study.tasks if task.name == names[0]), options)


def verifiable_tasks(study: Study) -> list[str]:
    """Names of the tasks with answers of a table and architectures that can be trained."""
    return [task.name for task in study.tasks if _searches_accuracy(task) and can_be_trained(task.task)]


def verify_command(study: Study) -> str:
    """The command that verifies the first task that can be trained; empty if there is none."""
    names = verifiable_tasks(study)
    return f"nasbench-harness verify {shlex.quote(str(study.folder.shown))} --task {names[0]}" if names else ""


def _searches_accuracy(task: TaskView) -> bool:
    """Whether a study returns architectures by the table's own accuracy, which a training can be compared with."""
    val = task.scores["val"]
    return val.has_optimum and not val.is_of_sets and val.metric == task.task.scores["val"].metric


def _task_to_verify(study: Study, name: str | None) -> TaskView:
    """The named task, or the only one that can be trained."""
    by_name = {task.name: task for task in study.tasks}
    if name is not None:
        if name not in by_name:
            raise UnknownNameError("task", name, by_name, "this study")
        if by_name[name].protocol.objectives and not _searches_accuracy(by_name[name]):
            raise InvalidInputError(f"task {name} is searched by other objectives than its accuracy: nothing to verify")
        if not by_name[name].scores["val"].has_optimum:
            raise InvalidInputError(f"task {name} trains on demand and its choices are trained: name another --task")
        return by_name[name]
    names = verifiable_tasks(study)
    if not names:
        raise _nothing_to_verify(study)
    if len(names) > 1:
        raise InvalidInputError(f"name the task to verify with --task: trainable in this study are {', '.join(names)}")
    return by_name[names[0]]


def _nothing_to_verify(study: Study) -> InvalidInputError:
    names = ", ".join(task.name for task in study.tasks)
    return InvalidInputError(
        f"no task of this study can be verified ({names}): verify needs a table of NAS-Bench-201 cells or of "
        "NATS-Bench widths"
    )
