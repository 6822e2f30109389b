"""Bayesian optimization with a Gaussian process over choices and counts of operations.

Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box Functions", Journal of Global
Optimization 1998; Hutter, Hoos and Leyton-Brown, "Sequential Model-Based Optimization for General Algorithm
Configuration", LION 2011 (the Hamming kernel for categorical decisions).

    evaluate ``num_initial`` random architectures, and the best of them ``num_repeats`` times more
    repeat: fit a Gaussian process to all losses; its noise is learned from the repeats
            candidates: neighbors of the ``num_centers`` best by posterior mean, and ``num_random`` draws
            evaluate the new candidate with the largest expected improvement on the best posterior mean
    return the evaluated feasible architecture with the best posterior mean

Deviations: the kernel also compares how often each operation is taken, wherever it is. Losses above their median count
as the median, and so do infeasible ones. The first random architectures go on until one is feasible. A recommendation
comes with the next proposal, so the last evaluation of a run never enters it. Each architecture has a deviation of its
own, which is not noise: if repeats give equal values, the run returns the best value that it saw. One set of defaults
serves all tasks. The settings were chosen on NAS-Bench-201, and the default kernel on NAS-Bench-201 and
NAS-Bench-Graph, so results on them are optimistic.

Options: ``scores`` adds training-free scores as inputs, and ``prior`` as the mean of the process with a learned weight,
which showed no difference (results/proxies/prior_mean.csv). ``kernel="weisfeiler-lehman"`` compares subtrees of the
graph, as NAS-BOWL does (Ru, Wan, Dong and Osborne, ICLR 2021). ``local_search`` climbs the expected improvement, as in
SMAC. Results with the last two are in results/strategies/variants.csv.

Reference: 91.54 / 73.32 / 46.28 % (noiseless validation accuracy of the incumbent, CIFAR-10 / CIFAR-100 /
ImageNet16-120, mean of 100 seeds at 150 evaluations; results/strategies).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from nasbench_harness import Floats, Ints, OneOf, Problem, Proposal, Range, RunStream, SearchGenerator, declare
from nasbench_strategies._models.acquisition import expected_improvement
from nasbench_strategies._models.encoding import Encoding, standardized
from nasbench_strategies._models.gaussian_process import GaussianProcess
from nasbench_strategies._models.history import History, climb, new_candidates
from nasbench_strategies._models.scores import checks_scores

_FIRST_SWEEPS = 5


@declare(reproducible="platform")
@checks_scores("scores", "prior", may_be_empty=True)
def gaussian_process(
    problem: Problem,
    rng: RunStream,
    *,
    num_initial: Annotated[int, Range(2)] = 15,
    num_repeats: Annotated[int, Range(0)] = 3,
    num_centers: Annotated[int, Range(1)] = 5,
    num_random: Annotated[int, Range(0)] = 100,
    quantile: Annotated[float, Range(above=0, high=1)] = 0.5,
    sweep_every: Annotated[int, Range(1)] = 5,
    kernel: Annotated[str, OneOf("hamming", "weisfeiler-lehman")] = "hamming",
    local_search: bool = False,
    scores: str = "",
    prior: str = "",
    seconds_per_score: Annotated[float, Range(0)] = 0.016,
) -> SearchGenerator:
    """Expected improvement under a Gaussian process.

    Args:
        problem: The search view.
        rng: The run's stream.
        num_initial: Random architectures before the first model.
        num_repeats: Evaluations that the best of them gets again.
        num_centers: Architectures whose neighbors are candidates.
        num_random: Random candidates.
        quantile: Losses above this quantile count as it.
        sweep_every: Evaluations between two changes of the hyperparameters.
        kernel: Similarity by choices and counts of operations, or by the graph.
        local_search: Whether the ``num_centers`` best candidates climb to a local maximum of the improvement.
        scores: Free metrics joined by "+", as inputs; empty: none.
        prior: Free metrics joined by "+", whose mean rank is the trend of the prior mean; empty: the mean is 0.
        seconds_per_score: Declared cost of scoring one architecture.
    """
    space, encode, history = problem.space, Encoding(problem, scores, prior, kernel), History()
    cost = space.num_architectures * seconds_per_score if scores or prior else 0.0
    history.add((yield Proposal(space.sample(rng), extra_cost_s=cost)))
    yield from history.start(space, rng, num_initial - 1)
    for _ in range(num_repeats):
        history.add((yield int(history.best(history.losses, 1)[0])))
    model, sweeps = GaussianProcess(encode.num_blocks, encode.num_trends), _FIRST_SWEEPS

    def improvement(architectures: Ints) -> Floats:
        return expected_improvement(float(means.min()), *model.predict(encode(architectures)))

    while True:
        model.fit(encode(np.array(history.architectures)), standardized(history.losses, quantile), sweeps)
        means = np.where(np.isfinite(history.losses), model.fitted_mean(), np.inf)
        centers = history.best(means, num_centers)
        candidates = new_candidates(space, centers, num_random, history.seen, rng)
        improvements = improvement(candidates)
        if local_search:
            starts = candidates[np.argsort(-improvements, kind="stable")[:num_centers]]
            candidates, improvements = climb(space, starts, improvement, history.seen)
        history.add((yield Proposal(int(candidates[improvements.argmax()]), recommendation=int(centers[0]))))
        sweeps = int(len(history) % sweep_every == 0)
