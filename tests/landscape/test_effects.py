"""Functional ANOVA: known functions, and a plain second implementation."""

from itertools import combinations

import numpy as np
import pytest

from nasbench_harness import load_task
from nasbench_harness.evaluation.grid import exact_means
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.landscape.effects import effects_of_decisions
from nasbench_harness.spaces import ProductSpace

SPACE = ProductSpace(
    "grid", [["a", "b", "c"], ["x", "y"], ["p", "q", "r", "s"]], np.random.default_rng(0).permutation(24)
)
CHOICES = SPACE.choices(np.arange(24))


def effects(values):
    return effects_of_decisions(np.asarray(values, dtype=float), CHOICES, SPACE.num_choices)


def test_a_sum_has_main_effects_only():
    first, second, third = CHOICES.T
    found = effects(3.0 * first + 10 * second)
    variances = np.array([9 * np.var([0, 1, 2]), 100 * np.var([0, 1]), 0])
    np.testing.assert_allclose(found.main, variances / variances.sum(), atol=1e-12)
    np.testing.assert_allclose(found.pairs, 0, atol=1e-12)
    assert found.higher == pytest.approx(0, abs=1e-12)
    assert found.variance == pytest.approx(variances.sum())
    assert effects(third * 1.0).main[2] == pytest.approx(1)


def test_a_centered_product_is_an_interaction():
    first, second, third = (column - column.mean() for column in CHOICES.T)
    found = effects(first * third)
    np.testing.assert_allclose(found.main, 0, atol=1e-12)
    assert found.pairs[0, 2] == found.pairs[2, 0] == pytest.approx(1)
    assert effects(first * second * third).higher == pytest.approx(1)


def test_all_shares_add_up_to_one():
    """The shares of all sets of decisions, computed by inclusion and exclusion, beside the two orders of the code."""
    values = np.random.default_rng(3).random(24)
    found = effects(values)
    grid = np.zeros(SPACE.num_choices)
    grid[tuple(CHOICES.T)] = values

    def closed(subset):
        return grid.mean(axis=tuple(set(range(3)) - set(subset))).var()

    shares = {}
    for size in (1, 2, 3):
        for subset in combinations(range(3), size):
            inner = [shares[part] for order in range(1, size) for part in combinations(subset, order)]
            shares[subset] = closed(subset) - sum(inner)
    np.testing.assert_allclose(found.main, [shares[(i,)] / grid.var() for i in range(3)])
    for pair in combinations(range(3), 2):
        assert found.pairs[pair] == pytest.approx(shares[pair] / grid.var())
    assert found.higher == pytest.approx(shares[0, 1, 2] / grid.var())


def test_what_is_no_whole_product_has_no_effects():
    values = np.arange(24.0)
    assert effects(np.where(values == 3, np.nan, values)) is None
    assert effects(np.ones(24)) is None
    assert effects_of_decisions(values[:23], CHOICES[:23], SPACE.num_choices) is None
    repeated = np.concatenate([CHOICES[:23], CHOICES[:1]])
    assert effects_of_decisions(values, repeated, SPACE.num_choices) is None


def test_the_edges_into_the_output_and_from_the_input_matter_most():
    task = load_task("nb201-imagenet16-120").under(Protocol())
    found = effects_of_decisions(
        exact_means(task.search).values, task.space.choices(np.arange(15_625)), task.space.num_choices
    )
    assert found.main.argmax() == 3  # from the input to the output
    assert found.main.argmin() == 2  # between the two inner nodes
    assert (found.main > 0).all()
    assert 0 < found.higher < 0.4
