"""Tests and families of comparisons in words: for captions, and for single p-values in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from nasbench_harness.analysis.comparison import Comparison, Pair
from nasbench_harness.analysis.results import Analysis, TaskAnalysis
from nasbench_harness.statistics import MAX_RUNS_EXACT
from nasbench_harness.words import plural


def name_of_test(analysis: Analysis, tasks: Sequence[TaskAnalysis] | None = None) -> str:
    """The test between two strategies, with the rules for samples to which it does not apply.

    Args:
        analysis: The study's numbers.
        tasks: The tasks of the table; None: all of them.
    """
    entries = analysis.tasks if tasks is None else tasks
    if analysis.options.estimand == "stochastic":
        if max(len(result.seeds) for entry in entries for result in entry.results) <= MAX_RUNS_EXACT:
            return "exact Mann–Whitney test"
        return (
            "Brunner–Munzel test with the t distribution (exact Mann–Whitney test for at most "
            f"{MAX_RUNS_EXACT} runs and for samples without overlap)"
        )
    if any(comparison.constant for comparison in comparisons_of(entries)):
        return (
            "Welch's t-test (the larger p of it and the Mann–Whitney test if all runs of one strategy are equal, an "
            "exact permutation test if those of both are)"
        )
    return "Welch's t-test"


def column_family(entries: Sequence[TaskAnalysis]) -> str:
    """The pairs that a column's marks are corrected over."""
    sizes = sorted({comparison.num_tests for comparison in comparisons_of(entries) if comparison.num_tests})
    if not sizes:
        return "the pairs of a column"
    most = "" if len(sizes) == 1 else f", at most {sizes[-1]:,}"
    number = plural(sizes[-1], "pair") if len(sizes) == 1 else "pairs"
    return f"the {number} of a column (one metric of a task{most})"


def family_sizes(analysis: Analysis) -> tuple[int, int]:
    """Comparisons that sentences and counts over tasks are corrected over: by the search metric, and by test."""
    control = analysis.options.control
    by_search, by_test = (
        sum(
            pair.is_tested and control in (None, pair.first, pair.second)
            for comparison in comparisons
            for pair in comparison.pairs
        )
        for comparisons in (analysis.comparisons("val"), analysis.comparisons("test"))
    )
    return by_search, by_test


def study_family(analysis: Analysis) -> str:
    """``family_sizes`` in words; the column's family if the declared control is in no test."""
    control, sizes = analysis.options.control, family_sizes(analysis)
    if not any(sizes):
        return f"Holm over {column_family(analysis.tasks)}, as {control} is in no test"
    what = (
        ("pair × task" if sizes[0] == 1 else "pairs × tasks")
        if control is None
        else f"comparisons with {control} × tasks"
    )
    by_test = f", and apart over the {sizes[1]:,} by test" if sizes[1] else ""
    return f"Holm over the {sizes[0]:,} {what} of the study{by_test}"


def pair_test(analysis: Analysis, entry: TaskAnalysis, pair: Pair) -> str:
    """Short name of the test that gave the p of this pair by the search metric.

    Args:
        analysis: The study's numbers.
        entry: Task of the pair.
        pair: A tested pair of the task.
    """
    labels = (pair.first, pair.second)
    num_constant = sum(label in entry.comparison.constant for label in labels)
    if analysis.options.estimand == "stochastic":
        most = max(len(result.seeds) for result in entry.results if result.label in labels)
        is_exact = most <= MAX_RUNS_EXACT or num_constant == 2 or pair.a12 in (0.0, 1.0)
        return "exact Mann–Whitney test" if is_exact else "Brunner–Munzel test"
    return ("Welch's t-test", "larger p of Welch and Mann–Whitney", "exact permutation test")[num_constant]


def family_of_pair(analysis: Analysis, entry: TaskAnalysis, pair: Pair) -> str:
    """Correction and family of the p that a sentence prints for this pair by the search metric.

    Args:
        analysis: The study's numbers.
        entry: Task of the pair.
        pair: A tested pair of the task.
    """
    control, num_tests = analysis.options.control, family_sizes(analysis)[0]
    if control is None:
        family = f"{num_tests:,} pairs × tasks"
    elif pair.is_in_study:
        family = f"{num_tests:,} comparisons with {control}"
    else:
        num_tests = entry.comparison.num_tests
        family = f"{num_tests:,} pairs of the task"
    return f"Holm over the {family}" if num_tests > 1 else "uncorrected, the only test"


def comparisons_of(entries: Sequence[TaskAnalysis]) -> list[Comparison]:
    """The comparisons of all columns of these tasks."""
    return [score.comparison for entry in entries for score in entry.scores]
