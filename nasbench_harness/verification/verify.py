"""Verify the winners of a study: plan, train, judge, report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_harness.arrays import Ints
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.task import Task
from nasbench_harness.statistics import smallest_p
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.trainer.recipe import Recipe, recipe_of
from nasbench_harness.untrusted import below
from nasbench_harness.verification.agreement import draw_sample, shares_rules
from nasbench_harness.verification.design import ControlKind, Design, check_attainable, make_design
from nasbench_harness.verification.journal import Journal
from nasbench_harness.verification.report import verification_files
from nasbench_harness.verification.running import (
    Progress,
    Progressed,
    Trainer,
    missing_trainings,
    note_judged,
    train_design,
)
from nasbench_harness.verification.trainable import made_the_table, trainable
from nasbench_harness.verification.verdict import Outcome, judge

if TYPE_CHECKING:
    from nasbench_harness.verification.torch_trainer import TorchTrainer

CONTROLS: tuple[ControlKind, ...] = ("matched", "random")
MAX_COUNT = 1_000


@dataclass(frozen=True)
class VerifyOptions:
    """How winners are verified.

    Attributes:
        top: Candidates.
        controls: ``matched`` in their convolutions, or ``random``.
        num_controls: Number of controls per candidate.
        training_seeds: Trainings of each architecture.
        recipe: Name of the recipe; None: the reduced one for the task's architectures.
        data: Name of the data; None: animals8, or the data in ``data_dir``.
        data_dir: Folder or file of data that no package brings.
        split: File with the official halves of the data.
        device: auto, cpu, cuda or mps. ``auto`` is a GPU if there is one; the small recipes stay on a CPU of at least
            four cores.
        jobs: Processes on a CPU; None: one for each core. More than one is refused on a GPU.
        max_seconds: No block begins after so many real seconds.
        timings: Show real seconds in the table.
        deterministic: The same bits at every repetition on the same GPU; slower.
        compile: Compile each network first, on a GPU only: for recipes that train much longer than a minute.
    """

    top: int = 5
    controls: ControlKind = "matched"
    num_controls: int = 3
    training_seeds: int = 2
    recipe: str | None = None
    data: str | None = None
    data_dir: Path | None = None
    split: Path | None = None
    device: str = "auto"
    jobs: int | None = None
    max_seconds: float | None = None
    timings: bool = False
    deterministic: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("data_dir", "split"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else Path(value))
        for name in ("top", "num_controls", "training_seeds", "jobs"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 1 <= value <= MAX_COUNT):
                raise InvalidInputError(f"{name} must be a whole number in 1 … {MAX_COUNT:,}, not {value!r}")
        if self.controls not in CONTROLS:
            raise UnknownNameError("controls", str(self.controls), CONTROLS)
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise InvalidInputError(f"max_seconds must be above 0, not {self.max_seconds!r}")

    def flags(self) -> str:
        """Options that decide the result and differ from their defaults, as on the command line.

        The folder of the data, the device's name, the number of processes and limits of time are left out.
        """
        named = ("top", "controls", "num_controls", "training_seeds", "recipe", "data")
        changed = {name: getattr(self, name) for name in named if getattr(self, name) != getattr(VerifyOptions(), name)}
        parts = [f" --{name.replace('_', '-')} {value}" for name, value in changed.items()]
        parts += [" --data-dir DATA"] if self.data_dir is not None else []
        parts += [" --split FILE"] if self.split is not None else []
        parts += [" --deterministic"] if self.deterministic else []
        parts += [" --compile"] if self.compile else []
        parts += [" --timings"] if self.timings else []
        return "".join(parts)

    def quick(self) -> VerifyOptions:
        """Three candidates with three matched controls each, one training of each."""
        return replace(self, top=3, controls="matched", num_controls=3, training_seeds=1)


@dataclass(frozen=True)
class Verification:
    """A verification on disk.

    Attributes:
        task: The task.
        outcome: The verdict and every number.
        folder: Folder of its files.
        files: Their names.
        progressed: The trainings, and how many were done just now.
    """

    task: Task
    outcome: Outcome
    folder: Path
    files: tuple[str, ...]
    progressed: Progressed


@dataclass(frozen=True)
class Preparation:
    """A verification that can begin: everything a user could have wrong was refused."""

    task: Task
    design: Design
    trainer: Trainer
    options: VerifyOptions
    study: StudyFolder
    study_seed: int
    command: str

    def announce(self) -> str:
        """How many trainings are to come and about how long they take, measured on this machine.

        Raises:
            InvalidInputError: The journal cannot be written, is damaged, or belongs to another process just now.
        """
        with Journal.opened(self._journal):
            pass  # measuring takes a while: first see that there is something to measure for
        return announcement(self._forecast())

    def plan(self) -> dict[str, Any]:
        """The planned trainings and their estimated time, as JSON values; nothing is written."""
        design, name = self.design, trainable(self.task).name
        return {
            "task": self.task.name,
            "kind": design.kind,
            "training_seeds": self.options.training_seeds,
            "recipe": self.trainer.recipe,
            "data": self.trainer.data,
            "smallest_p": smallest_p(self.options.top, self.options.num_controls, design.kind == "matched"),
            "blocks": [
                {"candidate": name(block[0]), "runs": runs, "controls": [name(one) for one in block[1:]]}
                for block, runs in zip(design.blocks, design.num_supporting, strict=True)
            ],
            "sample": [name(one) for one in design.sample],
            "notes": list(design.notes),
            **self._forecast(),
        }

    def _forecast(self) -> dict[str, Any]:
        missing = missing_trainings(self.design, self.task, self.trainer, self._journal, self.study_seed)
        counts = {"trainings": sum(missing.values()), "architectures": len(missing)}
        return counts | (vars(self.trainer.estimate(missing)) if missing else {"seconds": 0.0, "elapsed_s": 0.0})

    @property
    def _journal(self) -> Path:
        return below(self.study.path / "verification", self.task.name, "journal.jsonl")

    def run(self, progress: Progress | None = None) -> Verification:
        """Train the architectures that the journal does not have, judge, and write the files."""
        folder = below(self.study.path / "verification", self.task.name)
        progressed = train_design(
            self.design, self.task, self.trainer, self._journal, self.study_seed, self.options.max_seconds, progress
        )
        outcome = judge(
            self.design,
            self.task,
            self.trainer.recipe,
            self.trainer.data,
            progressed.entries,
            self.trainer.num_params,
            made_the_table(self.trainer.recipe, self.trainer.data, self.task),
            self.trainer.part,
            getattr(self.trainer, "unlike", ""),
        )
        if outcome.test is not None:
            number = note_judged(self.design, outcome.blocks, self.task, self.trainer, self._journal, self.study_seed)
            outcome = replace(outcome, num_judged=number)
        names = []
        for name, content in verification_files(outcome, self.task, self.command, self.options.timings):
            self.study.write_bytes(folder / name, content.encode() if isinstance(content, str) else content)
            names.append(name)
        return Verification(self.task, outcome, folder, tuple(names), progressed)


def announcement(forecast: Mapping[str, Any]) -> str:
    """A line about the trainings to come, from the entries that ``Preparation.plan`` has."""
    if not forecast["trainings"]:
        return "nothing to train"
    processes = forecast["num_processes"]
    return (
        f"{forecast['trainings']} trainings of {forecast['architectures']} architectures, about "
        f"{forecast['seconds']:,.0f} s of computing, weighted by operations; about {forecast['elapsed_s']:,.0f} s with "
        f"{processes} process{'es' * (processes > 1)} on {forecast['device']}"
    )


def check(task: Task, options: VerifyOptions) -> None:
    """Reject impossible options before any run.

    Raises:
        InvalidInputError: The task cannot be trained, torch or data are missing, or no verdict could be reached.
    """
    check_attainable(options.top, options.num_controls, options.controls)
    _own_trainer(task, options)


def _own_trainer(task: Task, options: VerifyOptions) -> TorchTrainer:
    from nasbench_harness.verification.torch_trainer import TorchTrainer

    return TorchTrainer(_recipe(task, options), options)


def prepare(
    task: Task,
    finals: Ints,
    observed: Callable[[int], float],
    study: StudyFolder,
    study_seed: int,
    command: str,
    options: VerifyOptions,
    trainer: Trainer | None = None,
    chosen: Ints | None = None,
) -> Preparation:
    """Check and plan everything before the first training.

    Args:
        task: The task that was searched.
        finals: Choice of each run, shape (num_runs,).
        observed: Mean of all losses that runs observed for an architecture.
        study: Folder of the study.
        study_seed: Seeds controls and trainings.
        command: Named in every file.
        options: How to verify.
        trainer: The trainer; None: the package's own.
        chosen: Choices of all searches, which are left out of the random sample; None: ``finals``.

    Raises:
        InvalidInputError: The task cannot be trained, torch or data is missing, or no verdict could be reached.
    """
    design = make_design(
        task,
        finals,
        observed,
        study_seed,
        top=options.top,
        kind=options.controls,
        num_controls=options.num_controls,
        training_seeds=options.training_seeds,
    )
    if trainer is None:
        own = _own_trainer(task, options)
        design = replace(design, notes=(*design.notes, *own.notes))
        trainer = own
    if shares_rules(trainer.marks, task):
        left_out = np.concatenate([finals if chosen is None else chosen, *design.controls])
        design = replace(design, sample=draw_sample(task, left_out, study_seed))
    return Preparation(task, design, trainer, options, study, study_seed, command)


def _recipe(task: Task, options: VerifyOptions) -> Recipe:
    known = trainable(task)
    recipe = recipe_of(known.default_recipe if options.recipe is None else options.recipe)
    if recipe.space != known.kind:
        raise InvalidInputError(
            f"recipe {recipe.name} trains {recipe.space}, but the architectures of task {task.name} are {known.kind}: "
            f"use --recipe {known.default_recipe}"
        )
    if recipe.is_official and options.data is None and options.data_dir is None:
        raise InvalidInputError(
            f"recipe {recipe.name} belongs to CIFAR and ImageNet16-120: name the folder of the images with --data-dir "
            "(or any other images with --data)"
        )
    return recipe


def mean_observed(losses: dict[int, tuple[float, int]]) -> Callable[[int], float]:
    """Mean of the losses observed for an architecture from their {architecture: (sum, count)}; inf if none was."""

    def mean(architecture: int) -> float:
        total, count = losses.get(architecture, (math.inf, 1))
        return total / count

    return mean
