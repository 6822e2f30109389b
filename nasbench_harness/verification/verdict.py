"""The verdict of a verification: a pure function of its design and its journal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nasbench_harness.arrays import Floats
from nasbench_harness.evaluation.scores import scored_fidelity
from nasbench_harness.evaluation.task import Task
from nasbench_harness.statistics import OneSidedTests, mann_whitney, smallest_p, within_blocks
from nasbench_harness.verification.agreement import (
    EQUIVALENCE_PP,
    SAMPLE_MARGIN_PP,
    Agreement,
    agreement_of,
    student_interval,
)
from nasbench_harness.verification.design import ALPHA, Design
from nasbench_harness.verification.journal import TrainingRecord
from nasbench_harness.verification.trainable import trainable
from nasbench_harness.words import plural

_MIN_FOR_TAU = 10
_NUM_RESAMPLES = 2_000


@dataclass(frozen=True)
class Trained:
    """One architecture's trainings beside its row of the table.

    Attributes:
        architecture: Index.
        block: Which candidate it belongs to, from 0; the number of candidates if it belongs to the sample.
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
        agreement: With the table, of architectures that no search chose; None unless the table has the recipe, images
            and halves, and two of the architectures.
        sampled: Cells of the design's sample if all of them are trained.
        shrinkage: Mean of table − trained over the candidates in percentage points, if the table has the recipe, images
            and halves; else NaN. Searches choose lucky rows, so it is expected above 0.
        shrinkage_low: Lower end of its 95 % interval; NaN for fewer than two candidates.
        shrinkage_high: Upper end.
        num_judged: Designs judged on this study and task up to this one, itself included.
        unlike: Difference between these images and those of a table with the same recipe, in words; empty if there is
            none.
        is_own_recipe: Whether the table was made with this recipe.
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
    sampled: tuple[Trained, ...] = ()
    shrinkage: float = math.nan
    shrinkage_low: float = math.nan
    shrinkage_high: float = math.nan
    num_judged: int = 1
    unlike: str = ""
    is_own_recipe: bool = False

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
        count = f"{plural(self.num_blocks, 'candidate')} against {plural(num_controls, 'control')}"
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


def judge(
    design: Design,
    task: Task,
    recipe: str,
    data: str,
    entries: Mapping[int, Sequence[TrainingRecord]],
    num_params: Callable[[str], int],
    is_own_recipe: bool,
    part: str = "",
    unlike: str = "",
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
        unlike: Difference between these images and the official ones, in words; empty if there is none. Nothing is
            compared with a table of other images.
    """
    complete = [
        position
        for position, block in enumerate(design.blocks)
        if all(len(entries.get(architecture, ())) == design.training_seeds for architecture in block)
    ]
    params_m, replicates = _params_m(task), _replicates(task)
    table_test = task.scores["test"].values if "test" in task.scores else np.full(len(params_m), math.nan)

    def item_of(architecture: int, block: int) -> Trained:
        return Trained(
            architecture=architecture,
            block=block,
            is_candidate=architecture in design.candidates,
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

    trained = tuple(item_of(one, position) for position in complete for one in design.blocks[position])
    is_sampled = all(len(entries.get(one, ())) == design.training_seeds for one in design.sample)
    sampled = tuple(item_of(one, len(design.blocks)) for one in design.sample) if is_sampled else ()
    blocks = [[item for item in trained if item.block == position] for position in complete]
    candidates = np.array([block[0].score for block in blocks])
    controls = np.array([[item.score for item in block[1:]] for block in blocks])
    low, high = student_interval(candidates - controls.mean(axis=1)) if len(complete) else (math.nan, math.nan)
    known = [item for item in trained if not math.isnan(item.table_value)]
    is_compared = bool(design.sample) or (is_own_recipe and not unlike)
    # A search chose the candidates for the very values that they would be compared with.
    unchosen = sampled if design.sample else [item for item in known if not item.is_candidate]
    agreement = None
    if is_compared and len(unchosen) > 1:
        margin = SAMPLE_MARGIN_PP if design.sample else EQUIVALENCE_PP
        agreement = _agreement(task, unchosen, replicates, margin)
    gains = np.array([item.table_value - item.score for item in known if item.is_candidate and is_compared])
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
        agreement=agreement,
        sampled=sampled,
        shrinkage=float(gains.mean()) if len(gains) else math.nan,
        shrinkage_low=student_interval(gains)[0],
        shrinkage_high=student_interval(gains)[1],
        unlike=unlike if is_own_recipe else "",
        is_own_recipe=is_own_recipe,
    )


def _replicates(task: Task) -> Floats:
    """The table's trainings behind the scores ``val``, shape (num_architectures, num_replicates); NaN if absent."""
    column = task.table.column(task.dataset, task.scores["val"].metric.name)
    return np.array(column.values[:, :, scored_fidelity(column)])


def _params_m(task: Task) -> Floats:
    """Parameters of the table's networks in millions, shape (num_architectures,): its own if it has them."""
    columns = task.table.datasets[task.dataset].columns
    return columns["params_m"].values[:, 0, 0] if "params_m" in columns else trainable(task).params_m


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


def _tau(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float]:
    """Kendall's tau-b with a percentile bootstrap interval over architectures; NaN if it is not defined."""
    x, y = (np.sign(np.subtract.outer(values, values)) for values in (np.array(first), np.array(second)))
    if len(x) < 3 or not x.any() or not y.any():
        return math.nan, math.nan, math.nan
    rng = np.random.Generator(np.random.PCG64(0))
    draws = rng.integers(len(x), size=(_NUM_RESAMPLES, len(x)))
    counts = np.array([np.bincount(draw, minlength=len(x)) for draw in draws], dtype=np.float64)
    resampled = _tau_b(x, y, counts)
    defined = resampled[np.isfinite(resampled)]
    low, high = np.quantile(defined, (0.025, 0.975)) if len(defined) else (math.nan, math.nan)
    return float(_tau_b(x, y, np.ones((1, len(x))))[0]), float(low), float(high)


def _tau_b(x: Floats, y: Floats, counts: Floats) -> Floats:
    """Kendall's tau-b of resamples, shape (num_resamples,); NaN if one side is all ties.

    Args:
        x: Signs of all differences, shape (n, n).
        y: The same of the other side.
        counts: How often each resample has each architecture, shape (num_resamples, n). All sums are whole numbers, so
            that they are exact.
    """
    both, of_x, of_y = (((counts @ signs) * counts).sum(axis=1) for signs in (x * y, np.abs(x), np.abs(y)))
    with np.errstate(invalid="ignore"):
        tau: Floats = both / np.sqrt(of_x * of_y)
    return tau


def _agreement(task: Task, items: Sequence[Trained], replicates: Floats, margin: float) -> Agreement:
    architectures = [item.architecture for item in items]
    return agreement_of(task, architectures, [item.accuracies for item in items], replicates, margin)
