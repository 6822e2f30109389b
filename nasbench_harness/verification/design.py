"""Which architectures are trained: the candidates of a study, and controls to judge them by.

Everything is fixed before the first training, and no score that selected a candidate enters its test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nasbench_harness.arrays import Ints
from nasbench_harness.engine.streams import RunStream, stream_keys
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.hashing import name_hash
from nasbench_harness.evaluation.task import Task
from nasbench_harness.statistics import smallest_p
from nasbench_harness.verification.trainable import Pool, Trainable, trainable

ALPHA = 0.05
_CONTROLS_STREAM = "verify"

ControlKind = Literal["matched", "random"]


@dataclass(frozen=True)
class Design:
    """Architectures to be trained.

    Attributes:
        task: Name of the task.
        candidates: Architectures that the study found, best supported first.
        controls: Controls of each candidate.
        kind: ``matched``: architectures of the same size; ``random``: any that can learn.
        training_seeds: Trainings of each architecture.
        num_supporting: Runs that ended with exactly this candidate.
        notes: Further notes for the reader.
        is_same_size: Whether matched controls have exactly the size of their candidate.
        sample: Random architectures that no search chose, to compare trainings with the table; none if the table was
            made by other rules.
    """

    task: str
    candidates: tuple[int, ...]
    controls: tuple[tuple[int, ...], ...]
    kind: ControlKind
    training_seeds: int
    num_supporting: tuple[int, ...]
    notes: tuple[str, ...] = ()
    is_same_size: bool = True
    sample: tuple[int, ...] = ()

    @property
    def blocks(self) -> list[tuple[int, ...]]:
        """Each candidate with its controls."""
        return [(first, *others) for first, others in zip(self.candidates, self.controls, strict=True)]


def make_design(
    task: Task,
    finals: Ints,
    observed: Callable[[int], float],
    study_seed: int,
    *,
    top: int,
    kind: ControlKind,
    num_controls: int,
    training_seeds: int,
) -> Design:
    """Choose candidates and controls.

    Args:
        task: The task that was searched.
        finals: Choice of each run, shape (num_runs,).
        observed: Mean of all losses that runs observed for an architecture.
        study_seed: Seeds the draw of the controls.
        top: Number of candidates.
        kind: Kind of the controls.
        num_controls: Number of controls per candidate.
        training_seeds: Trainings of each architecture.

    Raises:
        InvalidInputError: The task cannot be trained, there are too few candidates, or no test of this size can reach
            significance.
    """
    known = trainable(task)
    check_attainable(top, num_controls, kind)
    candidates, support = choose_candidates(known.classes, finals, observed)
    if len(candidates) < top:
        raise InvalidInputError(
            f"--top {top}: the study's runs on {task.name} ended with {len(candidates)} different architectures only: "
            f"use --top {len(candidates)} or fewer"
        )
    candidates, support = candidates[:top], support[:top]
    rng = RunStream(int(stream_keys(study_seed, _CONTROLS_STREAM, task.name, np.zeros(1, dtype=np.int64))[0]))
    controls, notes = _draw_controls(known, candidates, kind, num_controls, rng)
    return Design(
        task.name,
        tuple(candidates),
        tuple(controls),
        kind,
        training_seeds=training_seeds,
        num_supporting=tuple(support),
        notes=tuple(notes),
        is_same_size=not notes,
    )


def choose_candidates(classes: Ints, finals: Ints, observed: Callable[[int], float]) -> tuple[list[int], list[int]]:
    """One architecture of each isomorphism class that a run ended with, and how many runs ended with it.

    A class is represented by the member that most runs ended with; if several did, by the smallest index. Only the runs
    that ended with this very member support it: summed over its class, common classes would come first, and they are
    better than others. Candidates are ordered by support, then by the mean of all losses observed, then by index.

    Args:
        classes: Class of every architecture, shape (num_architectures,).
        finals: Choice of each run, shape (num_runs,).
        observed: Mean of all losses that runs observed for an architecture.
    """
    members, counts = np.unique(finals, return_counts=True)
    best: dict[int, int] = {}
    support: dict[int, int] = {}
    for member, count in sorted(
        zip(members.tolist(), counts.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0])
    ):
        best.setdefault(int(classes[member]), member)
        support.setdefault(int(classes[member]), count)
    ordered = sorted(best, key=lambda name: (-support[name], observed(best[name]), best[name]))
    return [best[name] for name in ordered], [support[name] for name in ordered]


def training_seed(study_seed: int, architecture: str, number: int) -> int:
    """Seed of one training, used for nothing else: 0 … 2³¹ − 1."""
    return name_hash(f"verify {study_seed} {architecture} {number}") % 2**31


def check_attainable(top: int, num_controls: int, kind: ControlKind) -> None:
    """Refuse a design whose smallest p is above .05, whatever its trainings give.

    Raises:
        InvalidInputError: It does; the message names the number of candidates that is enough.
    """
    smallest = smallest_p(top, num_controls, kind == "matched")
    if smallest <= ALPHA:
        return
    wanted = next(count for count in range(1, 100) if smallest_p(top + count, num_controls, kind == "matched") <= ALPHA)
    raise InvalidInputError(
        f"{top} candidate{'s' * (top > 1)} with {num_controls} {kind} control{'s' * (num_controls > 1)} each reach "
        f"p = {smallest:.3f} at best, above {ALPHA}: use --top {top + wanted}, "
        "or more controls"
    )


def _draw_controls(
    known: Trainable, candidates: Sequence[int], kind: ControlKind, num_controls: int, rng: RunStream
) -> tuple[list[tuple[int, ...]], list[str]]:
    """Controls of every candidate, drawn without replacement, never a candidate's own class."""
    free = known.is_fit() & ~np.isin(known.classes, known.classes[list(candidates)])
    chosen: list[tuple[int, ...]] = []
    notes: list[str] = []
    for candidate in candidates:
        pool = known.alike(candidate, free, num_controls) if kind == "matched" else Pool(np.flatnonzero(free))
        if len(pool.members) < num_controls:
            raise InvalidInputError(
                f"--num-controls {num_controls}: only {len(pool.members):,} architectures are left as controls of "
                f"{known.name(candidate)}"
            )
        if pool.note and pool.note not in notes:
            notes.append(pool.note)
        drawn = tuple(int(pool.members[index]) for index in rng.subset(len(pool.members), num_controls))
        free[list(drawn)] = False
        chosen.append(drawn)
    return chosen, notes
