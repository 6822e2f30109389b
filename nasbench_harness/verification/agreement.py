"""Trained values against the values of a table that was made by the same rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.engine.streams import RunStream, stream_keys
from nasbench_harness.evaluation.task import Task
from nasbench_harness.verification.trainable import trainable

EQUIVALENCE_PP = 0.3
# A table of small trainings: replicates differ by about a point, and 20 cells with two seeds cannot show less.
SAMPLE_MARGIN_PP = 1.0
SAMPLE_SIZE = 20
_SAMPLE_STREAM = "verify sample"
_NEIGHBORHOOD_PP = 0.5  # cells whose replicates tell how much a training varies


@dataclass(frozen=True)
class Agreement:
    """Trained values against the table's, under the table's own recipe.

    Attributes:
        z: (trained − table) / standard error of each architecture; NaN if the table has too few values.
        difference: Mean of trained − table in percentage points.
        low: Lower end of its 90 % interval.
        high: Upper end.
        margin: Largest difference in percentage points that counts as agreement.
        verdict: ``agrees`` if the interval is within ± margin (two one-sided tests at .05), ``differs`` if it is
            outside, else ``inconclusive``.
    """

    z: tuple[float, ...]
    difference: float
    low: float
    high: float
    margin: float
    verdict: str


def shares_rules(marks: Mapping[str, str], task: Task) -> bool:
    """Whether a table's provenance has these digests of recipe, images and split."""
    digests = task.provenance.sha256
    return bool(marks) and all(digests.get(mark) == digest for mark, digest in marks.items())


def draw_sample(task: Task, chosen: Ints, study_seed: int) -> tuple[int, ...]:
    """Random connected cells of the table, one of a class, of classes that no search chose; none if there are too few.

    Args:
        task: The task.
        chosen: Architectures whose classes are left out, shape (n,).
        study_seed: Seeds the draw.
    """
    known = trainable(task)
    classes, everything = known.classes, np.arange(task.space.num_architectures)
    is_free = known.is_fit() & (classes == everything) & ~np.isin(classes, classes[chosen])
    pool = np.flatnonzero(is_free & task.scores["val"].exists)
    if len(pool) < SAMPLE_SIZE:
        return ()
    rng = RunStream(int(stream_keys(study_seed, _SAMPLE_STREAM, task.name, np.zeros(1, dtype=np.int64))[0]))
    return tuple(int(pool[place]) for place in rng.subset(len(pool), SAMPLE_SIZE))


def agreement_of(
    task: Task,
    architectures: Sequence[int],
    accuracies: Sequence[Floats],
    replicates: Floats,
    margin: float = EQUIVALENCE_PP,
) -> Agreement:
    """Each architecture's z, and the equivalence of trained and table values.

    Args:
        task: The task.
        architectures: Indices; the table has at least two of them.
        accuracies: Trainings of each architecture.
        replicates: The table's trainings, shape (num_architectures, num_replicates); NaN if absent.
        margin: Largest difference that counts as agreement.
    """
    values, counts = task.scores["val"].values, (~np.isnan(replicates)).sum(axis=1)
    differences, z = [], []
    for architecture, trained in zip(architectures, accuracies, strict=True):
        value, count = float(values[architecture]), counts[architecture]
        difference = float(trained.mean()) - value
        spread = _spread(task, value, replicates, counts)
        z.append(difference / (spread * math.sqrt(1 / len(trained) + 1 / count)) if count else math.nan)
        if not math.isnan(difference):
            differences.append(difference)
    low, high = student_interval(np.array(differences), confidence=0.90)
    verdict = "inconclusive"
    if low >= -margin and high <= margin:
        verdict = "agrees"
    elif low > margin or high < -margin:
        verdict = "differs"
    return Agreement(tuple(z), float(np.mean(differences)), low, high, margin, verdict)


def student_interval(values: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """Student's interval of a mean; NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan, math.nan
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - half, float(values.mean()) + half


def _spread(task: Task, value: float, replicates: Floats, counts: Ints) -> float:
    """Standard deviation of a training, pooled over architectures of about this value; NaN if it is unknown."""
    near = (np.abs(task.scores["val"].values - value) <= _NEIGHBORHOOD_PP) & (counts > 1)
    if not near.any():
        return math.nan
    deviations = replicates[near] - np.nanmean(replicates[near], axis=1, keepdims=True)
    variance = float(np.nansum(deviations**2)) / int((counts[near] - 1).sum())
    return math.sqrt(variance) if variance else math.nan
