"""Local optima and basins: enumerated by hand, and the published counts."""

import numpy as np
import pytest

from nasbench_harness import load_task
from nasbench_harness.evaluation.grid import exact_means
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.landscape.optima import fitness_distance, local_optima, nearest_optimum
from nasbench_harness.spaces import NASBenchGraphSpace, ProductSpace
from nasbench_harness.spaces.nasbench_graph import PROTEINS_OPERATIONS


@pytest.fixture
def line():
    """Six architectures in a row of neighbors is no product; three by two is: neighbors share row or column."""
    return ProductSpace("grid", [["a", "b", "c"], ["x", "y"]])


def everywhere(space):
    return np.ones(space.num_architectures, dtype=bool)


@pytest.mark.parametrize(("task", "count"), [("cifar10", 13), ("cifar100", 26), ("imagenet16-120", 38)])
def test_the_published_counts_on_exact_codes(task, count):
    loaded = load_task(f"nb201-{task}").under(Protocol())
    means = exact_means(loaded.search)
    found = local_optima(loaded.space, means.grid_values, means.exists)
    assert len(found.architectures) == count
    assert found.architectures[0] == means.grid_values.argmax()
    assert found.basins.sum() == 15_625
    assert (np.diff(means.grid_values[found.architectures]) <= 0).all()
    near = means.grid_values[loaded.space.neighbors(found.architectures)]
    assert (near <= means.grid_values[found.architectures][:, None]).all()


def test_basins_of_steepest_ascent_are_those_of_a_plain_walk():
    loaded = load_task("nb201-cifar100").under(Protocol())
    means = exact_means(loaded.search)
    found = local_optima(loaded.space, means.grid_values, means.exists)
    ends, steps = {}, 0
    starts = range(0, 15_625, 25)
    for row in starts:
        place = row
        while True:
            near = loaded.space.neighbors(np.array([place]))[0]
            best = near[means.grid_values[near].argmax()]
            if means.grid_values[best] <= means.grid_values[place]:
                break
            place, steps = int(best), steps + 1
        ends[place] = ends.get(place, 0) + 1
    shares = dict(zip(found.architectures.tolist(), (found.basins / 15_625).tolist(), strict=True))
    assert set(ends) <= set(shares)
    assert abs(ends[found.architectures[0]] / len(starts) - shares[found.architectures[0]]) < 0.06
    assert abs(steps / len(starts) - found.mean_steps) < 0.15


def test_a_space_that_is_seen_whole(line):
    # a:x a:y b:x b:y c:x c:y
    goodness = np.array([5, 1, 2, 4, 3, 3])
    found = local_optima(line, goodness, everywhere(line))
    assert found.architectures.tolist() == [0, 3]
    assert found.basins.tolist() == [4, 2]  # a:x, a:y, b:x and c:x end at a:x; b:y and c:y at b:y
    assert found.mean_steps == 4 / 6


def test_ties_are_no_steps(line):
    found = local_optima(line, np.full(6, 7), everywhere(line))
    assert found.architectures.tolist() == list(range(6))
    assert (found.basins.tolist(), found.mean_steps) == ([1] * 6, 0)


def test_architectures_without_a_value_are_no_neighbors(line):
    goodness = np.array([5, 1, 2, 4, 3, 3])
    exists = np.array([False, True, True, True, True, True])
    found = local_optima(line, goodness, exists)
    assert found.architectures.tolist() == [3, 4]
    assert found.basins.sum() == 5


def test_padding_is_no_neighbor():
    """Spaces with fewer neighbors for some architectures pad with −1, which would read the last architecture."""
    space = NASBenchGraphSpace(PROTEINS_OPERATIONS)
    goodness = np.random.default_rng(0).integers(0, 1_000, space.num_architectures)
    goodness[-1] = 2_000
    neighbors = space.neighbors(np.arange(space.num_architectures))
    assert (neighbors == -1).any()
    expected = {
        row for row, near in enumerate(neighbors.tolist())
        if all(goodness[other] <= goodness[row] for other in near if other >= 0)
    }  # fmt: skip
    found = local_optima(space, goodness, everywhere(space))
    assert set(found.architectures.tolist()) == expected
    assert found.basins.sum() == space.num_architectures


def test_the_distance_is_to_the_nearest_of_the_best(line):
    goodness = np.array([5, 1, 2, 5, 3, 3])
    assert nearest_optimum(line, goodness, everywhere(line)).tolist() == [0, 1, 1, 0, 1, 1]
    exists = np.array([False, True, True, True, True, True])
    assert nearest_optimum(line, goodness, exists).tolist() == [2, 1, 1, 0, 2, 1]


def test_correlation_of_values_and_distances():
    assert fitness_distance(np.array([3.0, 2.0, 1.0]), np.array([0, 1, 2])) == pytest.approx(-1)
    assert np.isnan(fitness_distance(np.array([1.0, 1.0]), np.array([0, 1])))
    assert np.isnan(fitness_distance(np.array([1.0, 2.0]), np.array([1, 1])))
