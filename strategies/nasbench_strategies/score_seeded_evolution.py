"""Regularized evolution whose first population has the best training-free scores of a sample.

Abdelfattah, Mehrotra, Dudziak and Lane, "Zero-Cost Proxies for Lightweight NAS", ICLR 2021 (warm-up); Real et al.,
"Regularized Evolution for Image Classifier Architecture Search", AAAI 2019.

    draw ``num_scored`` different architectures, uniform, and evaluate the best ``population_size`` by score
    repeat: sample ``sample_size`` distinct members
            mutate the best of them in one decision and evaluate the child
            the child replaces the oldest member, whatever its value

Deviations: the score is a column that was computed before (docs/proxies.md); its cost is declared per architecture.
Several scores joined by "+" count by the mean of their ranks in the sample. The best scores are evaluated last, so that
they live longest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Any

from nasbench_harness import InvalidInputError, Problem, Proposal, RunStream
from nasbench_strategies._scores import sample_by_score


def score_seeded_evolution(
    problem: Problem,
    rng: RunStream,
    *,
    score: str = "meco+swap",
    num_scored: int = 1000,
    population_size: int = 30,
    sample_size: int = 10,
    seconds_per_score: float = 0.016,
) -> Generator[Any, Any, None]:
    """Evolution that starts from the best scores.

    Args:
        problem: The search view.
        rng: The run's stream.
        score: Free metrics joined by "+".
        num_scored: Size of the sample.
        population_size: Members.
        sample_size: Members of a tournament.
        seconds_per_score: Declared cost of scoring one architecture.
    """
    if not 1 <= sample_size <= population_size <= num_scored:
        raise InvalidInputError(
            f"score_seeded_evolution needs 1 ≤ sample_size ({sample_size}) ≤ population_size ({population_size}) ≤ "
            f"num_scored ({num_scored})"
        )
    order = sample_by_score(problem, score, num_scored, rng)[:population_size][::-1].tolist()
    members: deque[tuple[float, int]] = deque(maxlen=population_size)
    for position, architecture in enumerate(order):
        cost = num_scored * seconds_per_score if position == 0 else 0.0
        evaluation = yield Proposal(architecture, extra_cost_s=cost)
        members.append((evaluation.loss, architecture))
    stream: Any = rng
    while True:
        entrants = rng.subset(population_size, sample_size)
        parent = min((members[place] for place in entrants), key=lambda member: member[0])[1]
        child = problem.space.mutate(parent, stream)
        evaluation = yield child
        members.append((evaluation.loss, child))
