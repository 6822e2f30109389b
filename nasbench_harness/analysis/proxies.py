"""Numbers of a report on scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nasbench_harness.arrays import Bools, Floats
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.task import Task, load_task
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.spaces.restricted import RestrictedSpace
from nasbench_harness.statistics import Correlation, rank_correlation, ranks_with_missing, top_means
from nasbench_harness.tables.proxies import shipped_scores
from nasbench_harness.tables.score_files import ScoreFile

SIZES = ("params", "flops")
SETS = ("all", "connected", "top 10 %")
DEFAULT_TASKS = ("nb201-cifar10", "nb201-cifar100", "nb201-imagenet16-120")
DEFAULT_COMBINATIONS = ("meco+swap", "synflow+meco+jacob_cov")
TOP_COUNTS = (1, 10, 100)
MIN_RESULTS = 3  # of a correlation


@dataclass(frozen=True)
class ScoreResult:
    """Quality of one score, or of a mean of ranks, on one task.

    Attributes:
        name: Score, or scores joined by "+".
        num_missing: Architectures without it; they rank last.
        spearman: Spearman's correlation by set of architectures; None if a set has fewer than 3.
        kendall: Kendall's tau-b by set.
        top: Mean accuracy of the best ``TOP_COUNTS`` architectures by the score, NaN if there are fewer.
    """

    name: str
    num_missing: int
    spearman: Mapping[str, Correlation | None]
    kendall: Mapping[str, Correlation | None]
    top: Floats


@dataclass(frozen=True)
class TaskResult:
    """All scores on one task.

    Attributes:
        task: The task.
        counts: Number of architectures by set; ``all`` are those of the file that have a result.
        results: Sizes first, then scores, then combinations.
        pairs: Spearman's correlation over all of the mean of ranks of every pair, the best first.
        random_top: Expected mean accuracy of ``TOP_COUNTS`` architectures drawn at random.
        random_best: Expected accuracy of the best of ``TOP_COUNTS`` architectures drawn at random.
    """

    task: Task
    counts: Mapping[str, int]
    results: tuple[ScoreResult, ...]
    pairs: tuple[tuple[str, float], ...]
    random_top: float
    random_best: Floats


@dataclass(frozen=True)
class Stability:
    """Agreement of a score with itself.

    Attributes:
        name: The score.
        initializations: Mean Spearman correlation between two initializations with one batch; NaN if there is one.
        batches: The same between two batches with one initialization; NaN, too, if the score reads no data.
        spread: Standard deviation over initializations and batches of its correlation with accuracy, by task.
    """

    name: str
    initializations: float
    batches: float
    spread: Mapping[str, float]


@dataclass(frozen=True)
class ProxyAnalysis:
    """Everything that a report shows.

    Attributes:
        file: The scores.
        tasks: Results by task.
        stability: By score; empty if the file has one initialization and one batch.
        num_resamples: Resamples of the intervals.
    """

    file: ScoreFile
    tasks: tuple[TaskResult, ...]
    stability: tuple[Stability, ...]
    num_resamples: int

    @property
    def set_name(self) -> str:
        """The set of architectures, in words."""
        return str(self.file.provenance.get("set", "unknown set"))


def analyze_proxies(
    file: ScoreFile,
    tasks: Sequence[str] = DEFAULT_TASKS,
    combinations_of: Sequence[str] | None = None,
    num_resamples: int = 200,
) -> ProxyAnalysis:
    """Compare scores with the accuracies of tasks.

    Args:
        file: Scores; the first initialization and batch are compared with accuracies.
        tasks: Tasks whose architectures are NAS-Bench-201 cells.
        combinations_of: Names joined by "+", compared by the mean of their ranks; None: the usual ones that the file
            has.
        num_resamples: Resamples of the intervals.

    Raises:
        UnknownNameError: There is no such task or score.
        InvalidInputError: A task has other architectures, or there are too few.
    """
    scores = {name: values[0, 0] for name, values in file.scores.items()}
    if combinations_of is None:
        combinations_of = [text for text in DEFAULT_COMBINATIONS if set(text.split("+")) <= set(scores)]
    combinations_of = list(dict.fromkeys(combinations_of))
    for text in combinations_of:
        parts = text.split("+")
        for name in parts:
            if name not in scores:
                raise UnknownNameError("score", name, scores, "the file")
        if len(parts) < 2 or len(set(parts)) < len(parts):
            raise InvalidInputError(f"a mean of ranks is of different scores, such as meco+swap, not {text}")
    results = tuple(
        _on_task(load_task(name), file, scores, combinations_of, num_resamples) for name in dict.fromkeys(tasks)
    )
    has_repeats = len(file.initializations) > 1 or len(file.batches) > 1
    return ProxyAnalysis(file, results, _stability(file, results) if has_repeats else (), num_resamples)


def mean_of_ranks(scores: Sequence[Floats]) -> Floats:
    """Mean over scores of their ranks, larger is better; missing scores rank last."""
    ranks: Floats = np.mean([ranks_with_missing(values) for values in scores], axis=0)
    return ranks


def _on_task(
    task: Task, file: ScoreFile, scores: Mapping[str, Floats], combinations_of: Sequence[str], num_resamples: int
) -> TaskResult:
    space = task.space
    if isinstance(space, RestrictedSpace):
        raise InvalidInputError(f"task {task.name} leaves architectures out: name the whole task")
    if not isinstance(space, NASBench201Space):
        raise InvalidInputError(f"task {task.name} has no NAS-Bench-201 cells: scores of them say nothing about it")
    exists = task.scores["val"].exists[file.architectures]
    rows = file.architectures[exists]
    if len(rows) < MIN_RESULTS:
        raise InvalidInputError(
            f"task {task.name} has results of {len(rows)} of the scored architectures, and a correlation needs "
            f"{MIN_RESULTS}: leave the task out"
        )
    accuracy = task.scores["val"].values[rows]
    here = {name: values[exists] for name, values in scores.items()}
    columns = task.table.datasets[task.dataset].columns
    for name in SIZES:
        if f"{name}_m" in columns:
            here[name] = columns[f"{name}_m"].values[rows, 0, 0]
        elif name not in here:
            here[name] = shipped_scores()[name][rows]
    names = [*SIZES, *(name for name in here if name not in SIZES)]
    combined = {text: mean_of_ranks([here[name] for name in text.split("+")]) for text in combinations_of}
    masks = _sets(accuracy, space.is_connected()[rows])
    results = [
        _result(name, values, accuracy, masks, num_resamples)
        for name, values in [*((name, here[name]) for name in names), *combined.items()]
    ]
    pairs = [
        (f"{one}+{two}", rank_correlation(mean_of_ranks([here[one], here[two]]), accuracy).estimate)
        for one, two in combinations(names, 2)
    ]
    pairs.sort(key=lambda pair: -np.nan_to_num(pair[1], nan=-2))
    counts = {name: int(mask.sum()) for name, mask in masks.items()}
    return TaskResult(task, counts, tuple(results), tuple(pairs), float(accuracy.mean()), _random_best(accuracy))


def _sets(accuracy: Floats, is_connected: Bools) -> dict[str, Bools]:
    best = np.zeros(len(accuracy), dtype=bool)
    best[np.argsort(-accuracy, kind="stable")[: max(1, len(accuracy) // 10)]] = True
    return {"all": np.ones(len(accuracy), dtype=bool), "connected": is_connected, "top 10 %": best}


def _result(name: str, values: Floats, accuracy: Floats, masks: Mapping[str, Bools], num_resamples: int) -> ScoreResult:
    spearman: dict[str, Correlation | None] = {}
    kendall: dict[str, Correlation | None] = {}
    for label, mask in masks.items():
        is_enough = mask.sum() >= MIN_RESULTS
        inside = values[mask], accuracy[mask]
        spearman[label] = rank_correlation(*inside, "spearman", num_resamples) if is_enough else None
        kendall[label] = rank_correlation(*inside, "kendall", num_resamples) if is_enough else None
    possible = tuple(count for count in TOP_COUNTS if count <= len(values))
    top = np.full(len(TOP_COUNTS), np.nan)
    top[: len(possible)] = top_means(values, accuracy, possible)
    return ScoreResult(name, int(np.isnan(values).sum()), spearman, kendall, top)


def _random_best(accuracy: Floats) -> Floats:
    """Expected maximum of k draws with replacement."""
    ordered = np.sort(accuracy)
    shares = np.arange(len(ordered) + 1) / len(ordered)
    best: Floats = np.array([ordered @ np.diff(shares**count) for count in TOP_COUNTS])
    return best


def _stability(file: ScoreFile, results: Sequence[TaskResult]) -> tuple[Stability, ...]:
    found = []
    for name, values in file.scores.items():
        if file.provenance["columns"][name]["data"] == "none":  # else its equal values would count as many
            values = values[:, :1]
        spread = {}
        for result in results:
            exists = result.task.scores["val"].exists[file.architectures]
            accuracy = result.task.scores["val"].values[file.architectures[exists]]
            each = [rank_correlation(one[exists], accuracy).estimate for row in values for one in row]
            spread[result.task.name] = float(np.std(each, ddof=1)) if len(each) > 1 else float("nan")
        found.append(Stability(name, _agreement(values), _agreement(values.swapaxes(0, 1)), spread))
    return tuple(found)


def _agreement(values: Floats) -> float:
    """Mean over the second axis and over pairs of the first of Spearman's correlation; NaN if there is no pair."""
    each = [
        rank_correlation(one, ranks_with_missing(two)).estimate
        for group in values.swapaxes(0, 1)
        for one, two in combinations(group, 2)
    ]
    return float(np.mean(each)) if each else float("nan")
