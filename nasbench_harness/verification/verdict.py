"""The verdict of a verification: a pure function of its design and its journal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nasbench_harness.arrays import Floats, Ints
from nasbench_harness.evaluation.scores import scored_fidelity
from nasbench_harness.evaluation.task import Task
from nasbench_harness.statistics import OneSidedTests, mann_whitney, smallest_p, within_blocks
from nasbench_harness.verification.design import ALPHA, Design
from nasbench_harness.verification.journal import TrainingRecord
from nasbench_harness.verification.trainable import trainable

EQUIVALENCE_PP = 0.3
_NEIGHBORHOOD_PP = 0.5  # cells whose replicates tell how much a training varies
_MIN_FOR_TAU = 10
_NUM_RESAMPLES = 2_000


@dataclass(frozen=True)
class Trained:
    """One architecture's trainings beside its row of the table.

    Attributes:
        architecture: Index.
        block: Which candidate it belongs to, from 0.
        is_candidate: Whether it is the candidate of its block.
        accuracies: Accuracy of each training in percent, shape (training_seeds,).
        test: Mean accuracy on the sealed test part in percent; NaN if it was not measured.
        num_diverged: Trainings that diverged; they count with the accuracy of chance.
        num_halved: Trainings whose stack was smaller than the recipe's, because memory was too small.
        table_value: Noiseless value of the table, natural units; NaN if it has none.
        table_std: Standard deviation of its replicates; NaN if there is only one.
        table_test: The same of the table's test values; NaN if it has none.
        num_params: Parameters of the network that was trained.
        table_params_m: Parameters of the table's network in millions.
        seconds: Real seconds of all trainings.
    """

    architecture: int
    block: int
    is_candidate: bool
    accuracies: Floats
    test: float
    num_diverged: int
    num_halved: int
    table_value: float
    table_std: float
    table_test: float
    num_params: int
    table_params_m: float
    seconds: float

    @property
    def score(self) -> float:
        """Values for the test: the mean over training seeds; the unit is the architecture, never the seed."""
        return float(self.accuracies.mean())


@dataclass(frozen=True)
class Agreement:
    """Trained values against the table's, under the table's own recipe.

    Attributes:
        z: (trained − table) / standard error of each architecture; NaN if the table has too few values.
        difference: Mean of trained − table in percentage points.
        low: Lower end of its 90 % interval.
        high: Upper end.
        verdict: ``agrees`` if the interval is within ± .3 pp, ``differs`` if it is outside, else
            ``inconclusive``.
    """

    z: tuple[float, ...]
    difference: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Outcome:
    """A finished verification.

    Attributes:
        design: Architectures that were trained.
        recipe: Name of the recipe.
        data: Name of the data set.
        part: Number of its published images that were there, in words; empty if all were.
        trained: Every architecture of the complete blocks.
        num_blocks: Complete blocks; only they are tested.
        test: Test of candidates against controls; None if no block is complete.
        gap: Mean of candidate − controls in percentage points.
        gap_low: Lower end of its 95 % interval over blocks; NaN for fewer than two blocks.
        gap_high: Upper end.
        superiority: Chance that a candidate beats a control (of its block if matched).
        tau: Kendall's tau-b of trained and table values over all architectures that the table has.
        tau_low: Lower end of its 95 % bootstrap interval.
        tau_high: Upper end.
        tau_size: Tau-b of trained values and trained parameters: the ranking by size alone.
        agreement: With the table; None unless the recipe is the table's own and the table has two of the architectures.
        num_judged: Designs judged on this study and task up to this one, itself included.
    """

    design: Design
    recipe: str
    data: str
    part: str
    trained: tuple[Trained, ...]
    num_blocks: int
    test: OneSidedTests | None
    gap: float
    gap_low: float
    gap_high: float
    superiority: float
    tau: float
    tau_low: float
    tau_high: float
    tau_size: float
    agreement: Agreement | None
    num_judged: int = 1

    @property
    def blocks(self) -> list[int]:
        """The complete blocks, from 0."""
        return sorted({item.block for item in self.trained})

    @property
    def shared_alpha(self) -> float:
        """The level divided by the number of designs judged so far."""
        return ALPHA / self.num_judged

    @property
    def shared_verdict(self) -> str:
        """The verdict at the divided level."""
        return "inconclusive" if self.test is None else self.test.verdict(self.shared_alpha)

    @property
    def verdict(self) -> str:
        """``confirmed``, ``contradicted`` or ``inconclusive``."""
        return "inconclusive" if self.test is None else self.test.verdict(ALPHA)

    @property
    def sentence(self) -> str:
        """The sentence that may be claimed."""
        if self.test is None:
            return "inconclusive: no block of a candidate with its controls is complete"
        about = "" if self.design.is_same_size else "about "
        kind = f"architectures of {about}the same size" if self.design.kind == "matched" else "random architectures"
        part = f" ({self.part})" if self.part else ""
        where = f"trained from scratch on {self.data}{part} with the recipe {self.recipe}"
        num_controls = sum(map(len, self.design.controls[: self.num_blocks]))
        count = f"{_counted(self.num_blocks, 'candidate')} against {_counted(num_controls, 'control')}"
        if self.verdict == "confirmed":
            claim = f"the candidates are better than {kind} (p = {self.test.p_better:.4f})"
        elif self.verdict == "contradicted":
            claim = f"the candidates are worse than {kind} (p = {self.test.p_worse:.4f})"
        elif smallest_p(self.num_blocks, num_controls // self.num_blocks, self.design.kind == "matched") > ALPHA:
            claim = f"too few blocks are complete for a verdict on the candidates against {kind}"
        else:
            claim = (
                f"nothing can be said of the candidates against {kind} "
                f"(p = {self.test.p_better:.4f} for better, {self.test.p_worse:.4f} for worse)"
            )
        return f"{self.verdict}: {where}, {claim}; {count}, one-sided each way at {ALPHA}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number > 1)}"


def judge(
    design: Design,
    task: Task,
    recipe: str,
    data: str,
    entries: Mapping[int, Sequence[TrainingRecord]],
    num_params: Callable[[str], int],
    is_own_recipe: bool,
    part: str = "",
) -> Outcome:
    """The verdict on the complete blocks.

    Args:
        design: Candidates and controls.
        task: The task.
        recipe: Name of the recipe.
        data: Name of the data set.
        entries: Finished trainings of each architecture, in the order of their seeds.
        num_params: Parameters of the network that is trained of an architecture.
        is_own_recipe: Whether the table was made with this recipe, so that values can be compared with it.
        part: Number of the published images that were there, in words; empty if all were.
    """
    complete = [
        position
        for position, block in enumerate(design.blocks)
        if all(len(entries.get(architecture, ())) == design.training_seeds for architecture in block)
    ]
    params_m, replicates = trainable(task).params_m, _replicates(task)
    table_test = task.scores["test"].values if "test" in task.scores else np.full(len(params_m), math.nan)
    trained = tuple(
        Trained(
            architecture=architecture,
            block=position,
            is_candidate=architecture == design.candidates[position],
            accuracies=np.array([entry.accuracy for entry in entries[architecture]]),
            test=_mean([entry.test_accuracy for entry in entries[architecture]]),
            num_diverged=sum(entry.diverged for entry in entries[architecture]),
            num_halved=sum(bool(entry.notice) for entry in entries[architecture]),
            table_value=float(task.scores["val"].values[architecture]),
            table_std=_std(replicates[architecture]),
            table_test=float(table_test[architecture]),
            num_params=num_params(task.space.to_string(architecture)),
            table_params_m=float(params_m[architecture]),
            seconds=sum(entry.seconds for entry in entries[architecture]),
        )
        for position in complete
        for architecture in design.blocks[position]
    )
    blocks = [[item for item in trained if item.block == position] for position in complete]
    candidates = np.array([block[0].score for block in blocks])
    controls = np.array([[item.score for item in block[1:]] for block in blocks])
    low, high = _interval(candidates - controls.mean(axis=1)) if len(complete) else (math.nan, math.nan)
    known = [item for item in trained if not math.isnan(item.table_value)]
    tau, tau_low, tau_high = _tau([item.score for item in known], [item.table_value for item in known])
    return Outcome(
        design=design,
        recipe=recipe,
        data=data,
        part=part,
        trained=trained,
        num_blocks=len(complete),
        test=_test(design, candidates, controls) if len(complete) else None,
        gap=float((candidates - controls.mean(axis=1)).mean()) if len(complete) else math.nan,
        gap_low=low,
        gap_high=high,
        superiority=_superiority(design, candidates, controls) if len(complete) else math.nan,
        tau=tau,
        tau_low=tau_low,
        tau_high=tau_high,
        tau_size=_tau([item.score for item in trained], [item.num_params for item in trained])[0],
        agreement=_agreement(task, trained, replicates) if is_own_recipe and len(known) > 1 else None,
    )


def _replicates(task: Task) -> Floats:
    """The table's trainings behind the scores ``val``, shape (num_architectures, num_replicates); NaN if absent."""
    column = task.table.column(task.dataset, task.scores["val"].metric.name)
    return np.array(column.values[:, :, scored_fidelity(column)])


def _mean(values: Sequence[float | None]) -> float:
    """Mean of the values; NaN unless all were measured."""
    measured = [value for value in values if value is not None]
    return sum(measured) / len(measured) if measured and len(measured) == len(values) else math.nan


def _std(replicates: Floats) -> float:
    existing = replicates[~np.isnan(replicates)]
    return float(existing.std(ddof=1)) if len(existing) > 1 else math.nan


def _test(design: Design, candidates: Floats, controls: Floats) -> OneSidedTests:
    if design.kind == "matched":
        return within_blocks(candidates, controls)
    return mann_whitney(candidates, controls.ravel())


def _superiority(design: Design, candidates: Floats, controls: Floats) -> float:
    others = (
        controls if design.kind == "matched" else np.broadcast_to(controls.ravel(), (len(candidates), controls.size))
    )
    wins = (candidates[:, None] > others) + 0.5 * (candidates[:, None] == others)
    return float(wins.mean())


def _interval(values: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """Student's interval of a mean."""
    if len(values) < 2:
        return math.nan, math.nan
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - half, float(values.mean()) + half


def _tau(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float]:
    """Kendall's tau-b with a percentile bootstrap interval over architectures; NaN if it is not defined."""
    x, y = (np.sign(np.subtract.outer(values, values)) for values in (np.array(first), np.array(second)))
    if len(x) < 3 or not x.any() or not y.any():
        return math.nan, math.nan, math.nan
    rng = np.random.Generator(np.random.PCG64(0))
    draws = rng.integers(len(x), size=(_NUM_RESAMPLES, len(x)))
    pairs = draws[:, :, None], draws[:, None, :]
    resampled = _tau_b(x[pairs], y[pairs])
    defined = resampled[np.isfinite(resampled)]
    low, high = np.quantile(defined, (0.025, 0.975)) if len(defined) else (math.nan, math.nan)
    return float(_tau_b(x, y)), float(low), float(high)


def _tau_b(x: Floats, y: Floats) -> Floats:
    """Kendall's tau-b from the signs of all differences, shape (…, n, n); NaN if one side is all ties."""
    axes = (-2, -1)
    with np.errstate(invalid="ignore"):
        tau: Floats = (x * y).sum(axis=axes) / np.sqrt(np.abs(x).sum(axis=axes) * np.abs(y).sum(axis=axes))
    return tau


def _agreement(task: Task, trained: Sequence[Trained], replicates: Floats) -> Agreement:
    """Each architecture's z, and the equivalence of trained and table values."""
    counts = (~np.isnan(replicates)).sum(axis=1)
    differences = [item.score - item.table_value for item in trained]
    z = []
    for item, difference in zip(trained, differences, strict=True):
        spread = _spread(task, item.table_value, replicates, counts)
        count = counts[item.architecture]
        z.append(difference / (spread * math.sqrt(1 / len(item.accuracies) + 1 / count)) if count else math.nan)
    known = np.array([difference for difference in differences if not math.isnan(difference)])
    low, high = _interval(known, confidence=0.90)
    verdict = "inconclusive"
    if low >= -EQUIVALENCE_PP and high <= EQUIVALENCE_PP:
        verdict = "agrees"
    elif low > EQUIVALENCE_PP or high < -EQUIVALENCE_PP:
        verdict = "differs"
    return Agreement(tuple(z), float(known.mean()), low, high, verdict)


def _spread(task: Task, value: float, replicates: Floats, counts: Ints) -> float:
    """Standard deviation of a training, pooled over architectures of about this value; NaN if it is unknown."""
    near = (np.abs(task.scores["val"].values - value) <= _NEIGHBORHOOD_PP) & (counts > 1)
    if not near.any():
        return math.nan
    deviations = replicates[near] - np.nanmean(replicates[near], axis=1, keepdims=True)
    variance = float(np.nansum(deviations**2)) / int((counts[near] - 1).sum())
    return math.sqrt(variance) if variance else math.nan
