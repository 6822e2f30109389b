"""Training-free scores, weighted by what they predicted on other tasks, order a sample.

Abdelfattah, Mehrotra, Dudziak and Lane, "Zero-Cost Proxies for Lightweight NAS", ICLR 2021 (scores in place of
trainings); White, Zela, Ru, Liu and Hutter, "How Powerful are Performance Predictors in Neural Architecture Search?",
NeurIPS 2021 (scores as the inputs of a model).

    evaluate a uniform sample on every source
    weights of the scores: ridge regression of the mean normal score of the losses on normal scores of the scores
    score another uniform sample, and evaluate it in the order of the weighted scores, until the budget ends

The shrinkage was chosen on NAS-Bench-201, and the scores are tuned on NAS-Bench-201. Equal weights are hard to beat
there.

Deviations: the scores are columns that were computed before (docs/proxies.md); their cost is declared per architecture.
``use_sources = false`` weights all scores alike, for a comparison without transfer.

Reference: 91.34 / 72.60 / 46.04 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, the other two as sources with 200 reported evaluations, mean of 100 seeds at 50 evaluations;
results/transfer).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Any

import numpy as np

from nasbench_harness import Floats, Ints, Needs, Problem, Proposal, Range, RunStream, declare
from nasbench_strategies._models.scores import checks_scores
from nasbench_strategies._models.sources import normal_scores, read_sample


@declare(needs=Needs(sources=True, proxies=True))
@checks_scores("scores")
def source_weighted_scores(
    problem: Problem,
    rng: RunStream,
    *,
    scores: str = "params+flops+synflow+nwot+meco+swap+jacob_cov+zen",
    num_read: Annotated[int, Range(2)] = 1000,
    num_scored: Annotated[int, Range(2)] = 1000,
    shrinkage: Annotated[float, Range(0.001)] = 100.0,
    seconds_per_score: Annotated[float, Range(0)] = 0.016,
    use_sources: bool = True,
) -> Generator[Any, Any, None]:
    """Evaluate a sample from the best weighted score downwards.

    Args:
        problem: The search view.
        rng: The run's stream.
        scores: Free metrics joined by "+".
        num_read: Largest size of the sample on the sources.
        num_scored: Size of the sample that is ordered.
        shrinkage: Architectures that equal weights count as.
        seconds_per_score: Declared cost of all scores of one architecture.
        use_sources: Whether the sources are read.
    """
    names = [name.strip() for name in scores.split("+")]
    weights, num_paid = np.full(len(names), 1 / len(names)), 0
    if use_sources:
        sample = read_sample(problem, rng, num_read)
        inputs, num_paid = _inputs(problem, names, sample.architectures), len(sample.architectures)
        goodness = -np.mean([normal_scores(losses) for losses in sample.losses], axis=0)
        products = inputs.T @ inputs + shrinkage * np.eye(len(names))
        weights = weights + np.linalg.solve(products, inputs.T @ (goodness - inputs @ weights))
    size = min(num_scored, problem.space.num_architectures)
    drawn = np.array(rng.subset(problem.space.num_architectures, size), dtype=np.int64)
    order = drawn[np.argsort(-(_inputs(problem, names, drawn) @ weights), kind="stable")].tolist()
    yield Proposal(order[0], extra_cost_s=(num_paid + size) * seconds_per_score)
    for architecture in order[1:]:  # noqa: UP028 - a list takes no answers from the engine
        yield architecture


def _inputs(problem: Problem, names: list[str], architectures: Ints) -> Floats:
    """Normal scores of the scores, larger is better, shape (n, num_scores); missing scores rank last."""
    columns = [problem.lookup(name, architectures) for name in names]
    return np.array([normal_scores(np.where(np.isnan(column), -np.inf, column)) for column in columns]).T
