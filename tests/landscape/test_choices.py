"""Quality of random draws by choice, and shrinking."""

from itertools import pairwise

import numpy as np
import pytest

from nasbench_harness import load_task
from nasbench_harness.evaluation.grid import exact_means
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.landscape.agreement import best_tenth, replicate_noise, spearman
from nasbench_harness.landscape.choices import DRAWS, Values, quality_by_choice, shrink
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.statistics import exact_random_search

SPACE = ProductSpace("letters", [["a", "b", "c"], ["c", "d"]])
CHOICES = SPACE.choices(np.arange(6))  # a:c a:d b:c b:d c:c c:d
VALUES = np.array([1.0, 2.0, 6.0, 4.0, 5.0, 3.0])


def test_quality_of_each_choice():
    found = quality_by_choice(Values(VALUES, True), CHOICES, SPACE.num_choices)
    assert [[quality.mean for quality in qualities] for qualities in found] == [[1.5, 5.0, 4.0], [4.0, 3.0]]
    assert [[quality.best for quality in qualities] for qualities in found] == [[2, 6, 5], [6, 4]]
    assert found[0][1].quantiles[[0, 10, 20]].tolist() == [4, 5, 6]
    assert [quality.top_share for quality in found[0]] == [0, 0.5, 0]
    minimized = quality_by_choice(Values(VALUES, False), CHOICES, SPACE.num_choices)
    assert [quality.best for quality in minimized[0]] == [1, 4, 3]
    assert [quality.top_share for quality in minimized[0]] == [0.5, 0, 0]


def test_a_choice_without_values_has_no_quality():
    values = np.array([np.nan, np.nan, 6.0, 4.0, 5.0, 3.0])
    found = quality_by_choice(Values(values, True), CHOICES, SPACE.num_choices)
    assert found[0][0] is None
    assert found[1][0].num_architectures == 2


@pytest.mark.parametrize("is_maximized", [True, False])
def test_the_best_of_many_draws_is_that_of_exact_random_search(is_maximized):
    task = load_task("nb201-cifar100").under(Protocol())
    values = exact_means(task.search).values
    quality = Values(values, is_maximized).quality(np.ones(15_625, dtype=bool))
    losses = -values if is_maximized else values
    curve = exact_random_search(losses[:, None], DRAWS)
    assert quality.best_of_draws == pytest.approx((-1 if is_maximized else 1) * curve.mean[-1], abs=1e-9)


def test_shrinking_by_hand():
    ways = {way.without: way for way in shrink(Values(VALUES, True), CHOICES, SPACE.decisions)}
    # Without c and a, or c and b, one architecture is left; without c and d, the second decision has no choice.
    assert set(ways) == {("a",), ("b",), ("c",), ("d",), ("a", "b"), ("a", "d"), ("b", "d")}
    assert ways["a",].loss == 0
    assert ways["a",].gain_of_draw == 4.5 - 3.5
    assert ways["c",].quality.num_architectures == 2
    assert ways["c",].loss == 2
    assert ways["b",].loss == 1


def test_efficient_ways_are_not_beaten():
    task = load_task("nb201-cifar10").under(Protocol())
    values = Values(exact_means(task.search).values, True)
    ways = shrink(values, task.space.choices(np.arange(15_625)), task.space.decisions)
    assert len(ways) == 25  # subsets of five names that leave at least two
    for way in ways:
        beaten = any(
            other.loss <= way.loss
            and other.gain_of_draws >= way.gain_of_draws
            and (other.loss < way.loss or other.gain_of_draws > way.gain_of_draws)
            for other in ways
        )
        assert way.is_efficient == (not beaten)
    assert min(way.loss for way in ways) == 0


def test_a_way_is_what_its_task_has():
    task = load_task("nb201-cifar10").under(Protocol())
    means = exact_means(task.search)
    ways = shrink(Values(means.values, True), task.space.choices(np.arange(15_625)), task.space.decisions)
    for way in (ways[0], ways[7], ways[-1]):
        part = load_task(f"nb201-cifar10@without={','.join(way.without)}").under(Protocol())
        rest = exact_means(part.search)
        assert way.quality.num_architectures == part.space.num_architectures
        assert way.quality.mean == pytest.approx(rest.values.mean())
        assert way.loss == pytest.approx(means.values.max() - rest.values.max())


def test_many_names_are_left_out_step_by_step():
    space = ProductSpace("many", [list("abcde"), list("fghij")])
    values = np.random.default_rng(0).random(25)
    ways = shrink(Values(values, True), space.choices(np.arange(25)), space.decisions)
    sizes = [len(way.without) for way in ways]
    assert sizes.count(1) == 10
    assert all(sizes.count(size) == 1 for size in range(2, max(sizes) + 1))
    steps = [set(way.without) for way in ways if len(way.without) > 1]
    assert all(small < large for small, large in pairwise(steps))
    assert ways[-1].quality.num_architectures >= 2


def test_noise_of_replicates():
    assert replicate_noise(np.array([[1.0], [2.0]]), np.array([1.0, 2.0])) is None
    values = np.array([[1.0, 3.0], [5.0, 5.0], [9.0, np.nan]])
    found = replicate_noise(values, np.array([2.0, 5.0, 9.0]))
    assert (found.num_architectures, found.std) == (2, np.sqrt(2) / 2)
    assert np.isnan(found.rank_correlation_of_best)  # no other replicate can choose the best tenth
    task = load_task("nb201-imagenet16-120").under(Protocol())
    noise = replicate_noise(task.search.values[:, :, 0], exact_means(task.search).values)
    assert noise.std == pytest.approx(0.541, abs=5e-4)  # as published beside the table
    assert noise.rank_correlation_of_best < noise.rank_correlation


def test_replicates_do_not_choose_the_best_tenth_that_they_are_compared_in():
    """Pure noise: among those with the largest mean, two replicates would be large in turn."""
    values = np.random.default_rng(0).normal(size=(4_000, 3))
    values[::5, 0] = np.nan  # such a row cannot compare the first replicate, nor choose by it
    found = replicate_noise(values, np.nanmean(values, axis=1))
    assert abs(found.rank_correlation) < 0.05
    assert abs(found.rank_correlation_of_best) < 0.1
    chosen = best_tenth(np.nanmean(values, axis=1))
    assert spearman(values[chosen, 1], values[chosen, 2]) < -0.3


def test_rank_correlation():
    first, second = np.array([1.0, 2.0, 3.0, 4.0, np.nan]), np.array([10.0, 20.0, 20.0, 40.0, 0.0])
    assert spearman(first, second) == pytest.approx(0.9486832980505138)
    assert np.isnan(spearman(first[:2], second[:2]))
    assert np.isnan(spearman(first, np.ones(5)))


def test_the_best_tenth_has_all_that_tie():
    values = np.array([*range(18), 20.0, 20.0, 20.0, np.nan])
    assert np.flatnonzero(best_tenth(values)).tolist() == [18, 19, 20]
