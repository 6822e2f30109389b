"""Regularized evolution whose first population has the best training-free scores of a sample.

Abdelfattah, Mehrotra, Dudziak and Lane, "Zero-Cost Proxies for Lightweight NAS", ICLR 2021 (warm-up); Real et al.,
"Regularized Evolution for Image Classifier Architecture Search", AAAI 2019.

    draw ``num_scored`` different architectures, uniform, and evaluate the best ``population_size`` by score
    repeat: sample ``sample_size`` distinct members
            mutate the best of them in one decision and evaluate the child
            the child replaces the oldest member, whatever its value

Deviations: the score is a column that was computed before (docs/proxies.md); its cost is declared per architecture.
Several scores joined by "+" count by the mean of their ranks in the sample. The default scores are tuned on
NAS-Bench-201, so results on it are optimistic. The best scores are evaluated last, so that they live longest. An
infeasible architecture counts as one without a value.

Reference: 91.53 / 73.24 / 46.27 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Annotated, Any

from nasbench_harness import Needs, Problem, Proposal, Range, RunStream, declare
from nasbench_strategies._models.feasibility import feasible_loss
from nasbench_strategies._models.scores import checks_scores, sample_by_score


@declare(needs=Needs(proxies=True))
@checks_scores("score")
def score_seeded_evolution(
    problem: Problem,
    rng: RunStream,
    *,
    score: str = "meco+swap",
    num_scored: Annotated[int, Range(1)] = 1000,
    population_size: Annotated[int, Range(1, "num_scored")] = 30,
    sample_size: Annotated[int, Range(1, "population_size")] = 10,
    seconds_per_score: Annotated[float, Range(0)] = 0.016,
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
    order = sample_by_score(problem, score, num_scored, rng)
    members: deque[tuple[float, int]] = deque(maxlen=population_size)
    for position, architecture in enumerate(order[:population_size][::-1].tolist()):
        cost = len(order) * seconds_per_score if position == 0 else 0.0
        evaluation = yield Proposal(architecture, extra_cost_s=cost)
        members.append((feasible_loss(evaluation), architecture))
    stream: Any = rng
    while True:
        entrants = rng.subset(len(members), min(sample_size, len(members)))
        parent = min((members[place] for place in entrants), key=lambda member: member[0])[1]
        child = problem.space.mutate(parent, stream)
        evaluation = yield child
        members.append((feasible_loss(evaluation), child))
