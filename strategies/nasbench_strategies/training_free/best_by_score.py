"""Best of N by a training-free score: score a uniform sample, train the best one.

Mellor, Turner, Storkey and Crowley, "Neural Architecture Search without Training", ICML 2021 (NASWOT: N = 10, 100,
1,000 with the score nwot).

    draw ``num_scored`` different architectures, uniform
    evaluate and return the one with the best score

Deviations: the score is a column that was computed before (docs/proxies.md); its cost is declared per architecture.
Several scores joined by "+" count by the mean of their ranks in the sample. The default scores are tuned on
NAS-Bench-201, so results on it are optimistic. One training is not enough: the strategy does not beat random search
with 150.

Reference: 89.87 / 69.48 / 41.08 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Any

from nasbench_harness import Needs, Problem, Proposal, Range, RunStream, declare
from nasbench_strategies._models.scores import checks_scores, sample_by_score


@declare(needs=Needs(proxies=True))
@checks_scores("score")
def best_by_score(
    problem: Problem,
    rng: RunStream,
    *,
    score: str = "meco+swap",
    num_scored: Annotated[int, Range(1)] = 1000,
    seconds_per_score: Annotated[float, Range(0)] = 0.016,
) -> Generator[Any, Any, None]:
    """Score ``num_scored`` architectures and evaluate the best.

    Args:
        problem: The search view.
        rng: The run's stream.
        score: Free metrics joined by "+".
        num_scored: Size of the sample.
        seconds_per_score: Declared cost of scoring one architecture.
    """
    order = sample_by_score(problem, score, num_scored, rng)
    yield Proposal(int(order[0]), extra_cost_s=len(order) * seconds_per_score)
