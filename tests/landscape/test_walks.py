"""Random walks beside their exact autocorrelation."""

import numpy as np
import pytest

from nasbench_harness import load_task
from nasbench_harness.evaluation.grid import exact_means
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.landscape.effects import effects_of_decisions
from nasbench_harness.landscape.walks import random_walks
from nasbench_harness.spaces import ProductSpace


def exact_autocorrelation(space, values, lags):
    """Walks start uniform and stay so; each step goes to one of the 24 neighbors, all equally likely."""
    centered = values - values.mean()
    neighbors = space.neighbors(np.arange(space.num_architectures))
    ahead, found = centered, []
    for _ in range(lags):
        ahead = ahead[neighbors].mean(axis=1)
        found.append(float((centered * ahead).mean() / (centered**2).mean()))
    return np.array(found)


@pytest.mark.parametrize("dataset", ["cifar10", "imagenet16-120"])
def test_walks_have_the_exact_autocorrelation(dataset):
    task = load_task(f"nb201-{dataset}").under(Protocol())
    means = exact_means(task.search)
    walks = random_walks(task.space, means.values, means.exists, task.name)
    exact = exact_autocorrelation(task.space, means.values, len(walks.autocorrelation))
    np.testing.assert_allclose(walks.autocorrelation, exact, atol=0.02)
    assert walks.correlation_length == pytest.approx(-1 / np.log(walks.autocorrelation[0]))


def test_the_seed_and_the_task_choose_the_walks():
    task = load_task("nb201-cifar10").under(Protocol())
    means = exact_means(task.search)

    def walk(name="nb201-cifar10", seed=0):
        return random_walks(task.space, means.values, means.exists, name, seed, num_walks=50).autocorrelation.tolist()

    assert walk() == walk()
    assert walk() != walk(seed=1)
    assert walk() != walk(name="other")


def test_pairs_without_a_value_are_left_out():
    space = ProductSpace("grid", [["a", "b", "c"], ["x", "y"]])
    values = np.array([1.0, 2.0, 3.0, np.nan, 5.0, 6.0])
    walks = random_walks(space, values, ~np.isnan(values), "task", num_walks=300)
    assert np.isfinite(walks.autocorrelation).all()
    same = random_walks(space, np.full(6, 2.0), np.ones(6, dtype=bool), "task", num_walks=300)
    assert np.isnan(same.autocorrelation).all()
    assert np.isnan(same.correlation_length)


def test_the_first_autocorrelation_follows_from_the_effects():
    """A component of k decisions with five choices each keeps 1 − k/6 · 5/4 of itself in a step."""
    task = load_task("nb201-cifar100").under(Protocol())
    means = exact_means(task.search)
    exact = exact_autocorrelation(task.space, means.values, 1)[0]
    effects = effects_of_decisions(means.values, task.space.choices(np.arange(15_625)), task.space.num_choices)
    kept = [1 - order / 6 * 5 / 4 for order in range(7)]
    known = effects.main.sum() * kept[1] + effects.pairs.sum() / 2 * kept[2]
    assert known + effects.higher * kept[6] < exact < known + effects.higher * kept[3]
