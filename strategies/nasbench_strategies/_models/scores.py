"""Training-free scores as strategies read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from scipy.stats import rankdata

from nasbench_harness import Floats, Ints, Problem, RunStream

Search = TypeVar("Search", bound=Callable[..., Any])


def checks_scores(*hyperparameters: str, may_be_empty: bool = False) -> Callable[[Search], Search]:
    """Let the harness refuse a generator function before any run if it names a free metric that the task does not have.

    Args:
        hyperparameters: Names of the hyperparameters that hold free metrics joined by "+".
        may_be_empty: Whether an empty text names no metric.
    """

    def check(problem: Problem, **parameters: Any) -> None:
        asked = problem.of_group().of_run(0)  # reads of this check are not counted
        for text in (parameters[key] for key in hyperparameters):
            for name in text.split("+") if text or not may_be_empty else ():
                asked.lookup(name.strip(), np.zeros(0, dtype=np.int64))

    def mark(function: Search) -> Search:
        function.check = check  # type: ignore[attr-defined]  # functions take attributes
        return function

    return mark


def mean_ranks(problem: Problem, score: str, architectures: Ints) -> Floats:
    """Mean of the ranks of one or more free metrics among these architectures, larger is better, shape (n,).

    Missing scores rank last. Free metrics that are to be minimized, such as ``params_m``, are larger if they are
    larger: a score is a guess at accuracy.

    Args:
        problem: The search view.
        score: Free metrics joined by "+".
        architectures: Indices, shape (n,).
    """
    ranks = []
    for name in score.split("+"):
        values = problem.lookup(name.strip(), architectures)
        ranks.append(rankdata(np.where(np.isnan(values), -np.inf, values)))
    mean: Floats = np.mean(ranks, axis=0)
    return mean


def sample_by_score(problem: Problem, score: str, num_scored: int, rng: RunStream) -> Ints:
    """Score a uniform sample of different architectures and return it, the best first, shape (num_scored,).

    A space that has fewer is scored as a whole.
    """
    total = problem.space.num_architectures
    num_scored = min(num_scored, total)
    drawn = np.array(rng.subset(total, num_scored))
    order: Ints = drawn[np.argsort(-mean_ranks(problem, score, drawn), kind="stable")]
    return order
