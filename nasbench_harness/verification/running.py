"""Trains the architectures of a design that the journal does not hold."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Protocol

from nasbench_harness.evaluation.task import Task
from nasbench_harness.verification.design import Design, training_seed
from nasbench_harness.verification.journal import Journal, TrainingRecord

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Estimate:
    """About how long trainings will take on this machine.

    Attributes:
        seconds: All of them one after the other.
        elapsed_s: With all processes.
        num_processes: Trainings at the same time.
        device: Kind of device.
    """

    seconds: float
    elapsed_s: float
    num_processes: int
    device: str


class Trainer(Protocol):
    """The package's own trainer, or a stand-in.

    Attributes:
        recipe: Name of the recipe.
        data: Name of the data.
        part: Number of the published images that were there, in words; empty if all were.
        marks: Digests of recipe, images and split, as in the provenance of a table of the same rules; none if unknown.

    A trainer may also have the text ``unlike``: the difference between the images or their halves and the official
    ones. Without it, or if it is empty, there is none.
    """

    recipe: str
    data: str
    part: str
    marks: Mapping[str, str]

    def key(self, architecture: str, seed: int) -> str:
        """Hash of everything that decides a training's result."""

    def num_params(self, architecture: str) -> int:
        """Parameters of the network of one seed that is trained."""

    def estimate(self, missing: Mapping[str, int]) -> Estimate:
        """About how long it takes to train each architecture so many times."""

    def train(
        self, jobs: Sequence[tuple[str, Sequence[int]]], on_result: Callable[[list[TrainingRecord]], None], states: Path
    ) -> None:
        """Train each architecture with each of its seeds; hand over the results as they come.

        Long trainings may keep their state in the folder ``states``; there is none yet, and it is deleted at the end.
        """


@dataclass(frozen=True)
class Progressed:
    """The trainings of a design, and how many were done just now.

    Attributes:
        entries: Finished trainings of each architecture, in the order of their seeds.
        num_trained: Trainings done just now.
        num_found: Trainings that the journal had already.
        was_stopped: Whether time ran out before the last block.
        notices: Lines that the user should read.
    """

    entries: Mapping[int, list[TrainingRecord]]
    num_trained: int
    num_found: int
    was_stopped: bool
    notices: tuple[str, ...]


def train_design(
    design: Design,
    task: Task,
    trainer: Trainer,
    path: Path,
    study_seed: int,
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> Progressed:
    """Train the architectures that the journal does not have.

    Args:
        design: Candidates, controls and sample.
        task: The task; its space names the architectures.
        trainer: The trainer.
        path: The journal.
        study_seed: Seeds the trainings.
        max_seconds: No block begins after so many real seconds.
        progress: Called with (finished, all, kind) after every architecture.

    Raises:
        InvalidInputError: The journal cannot be written, is damaged, or belongs to another process just now.
    """
    keys, states = _keys(design, task, trainer, study_seed), path.parent / "states"
    with Journal.opened(path) as journal:
        num_found = _count(keys, journal)
        total = sum(map(len, keys.values()))

        def finished(entries: list[TrainingRecord]) -> None:
            journal.append(entries)
            if progress is not None:
                progress(_count(keys, journal), total, "trainings")

        started, was_stopped = monotonic(), False
        groups = [*design.blocks, design.sample] if max_seconds is not None else [tuple(keys)]
        for group in groups:
            if max_seconds is not None and monotonic() - started >= max_seconds:
                was_stopped = True
                break
            jobs = [
                (
                    task.space.to_string(architecture),
                    [seed for key, seed in keys[architecture] if key not in journal.entries],
                )
                for architecture in group
            ]
            jobs = [job for job in jobs if job[1]]
            if jobs:
                trainer.train(jobs, finished, states)
        if not was_stopped:  # what is left are states of trainings that nobody will continue
            shutil.rmtree(states, ignore_errors=True)
    entries = _entries(keys, journal)
    told = (entry.notice for trained in entries.values() for entry in trained)
    notices = tuple(dict.fromkeys(filter(None, [journal.notice, *told])))
    return Progressed(entries, _count(keys, journal) - num_found, num_found, was_stopped, notices)


def note_judged(
    design: Design, blocks: Sequence[int], task: Task, trainer: Trainer, path: Path, study_seed: int
) -> int:
    """Note in the journal that these blocks of a design were judged; the number of this design, from 1.

    Other blocks, controls, training seeds, recipes or data are another design: each is one more chance to confirm.

    Raises:
        InvalidInputError: The journal cannot be written, or belongs to another process just now.
    """
    keys = _keys(design, task, trainer, study_seed)
    trainings = [[[key for key, _ in keys[one]] for one in design.blocks[block]] for block in blocks]
    digest = hashlib.sha256(json.dumps([design.kind, trainings]).encode()).hexdigest()
    with Journal.opened(path) as journal:
        return journal.judge(digest)


def finished_trainings(
    design: Design, task: Task, trainer: Trainer, path: Path, study_seed: int
) -> dict[int, list[TrainingRecord]]:
    """Trainings of each architecture that the journal holds, in the order of their seeds."""
    return _entries(_keys(design, task, trainer, study_seed), Journal(path))


def missing_trainings(design: Design, task: Task, trainer: Trainer, path: Path, study_seed: int) -> dict[str, int]:
    """Architectures that the journal does not hold in full, and how many of their trainings are missing."""
    found = finished_trainings(design, task, trainer, path, study_seed)
    missing = {architecture: design.training_seeds - len(entries) for architecture, entries in found.items()}
    return {task.space.to_string(architecture): count for architecture, count in missing.items() if count}


def _keys(design: Design, task: Task, trainer: Trainer, study_seed: int) -> dict[int, list[tuple[str, int]]]:
    """Journal key and training seed of each training of each architecture."""
    keys = {}
    for architecture in (*(one for block in design.blocks for one in block), *design.sample):
        text = task.space.to_string(architecture)
        seeds = [training_seed(study_seed, text, number) for number in range(design.training_seeds)]
        keys[architecture] = [(trainer.key(text, seed), seed) for seed in seeds]
    return keys


def _entries(keys: Mapping[int, Sequence[tuple[str, int]]], journal: Journal) -> dict[int, list[TrainingRecord]]:
    return {
        architecture: [journal.entries[key] for key, _ in pairs if key in journal.entries]
        for architecture, pairs in keys.items()
    }


def _count(keys: Mapping[int, Sequence[tuple[str, int]]], journal: Journal) -> int:
    return sum(key in journal.entries for pairs in keys.values() for key, _ in pairs)
