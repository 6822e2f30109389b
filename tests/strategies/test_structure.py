"""Features of graphs against plain versions, and searches that use them."""

from collections import Counter

import numpy as np
import pytest
from nasbench_strategies._models.encoding import Encoding
from nasbench_strategies._models.gaussian_process import GaussianProcess
from nasbench_strategies._models.history import climb
from nasbench_strategies._models.structure import Paths, Subtrees

from nasbench_harness import Protocol, load_task

VARIANTS = (
    "gaussian-process(kernel='weisfeiler-lehman')",
    "gaussian-process(local_search=true)",
    "bananas(encoding='path')",
)


def problem(task="nb201-cifar10"):
    return load_task(task).problem(Protocol())


def plain_trees(graphs, row, depth):
    """The subtree of every node, written out."""

    def tree(node, depth):
        name = graphs.names[graphs.labels[row, node]]
        sources = np.flatnonzero(graphs.edges[row, :, node])
        return (name, *sorted(tree(source, depth - 1) for source in sources)) if depth else (name,)

    return Counter(tree(node, depth) for node in np.flatnonzero(graphs.labels[row] >= 0))


@pytest.mark.parametrize("task", ["nb201-cifar10", "graph-cora"])
def test_subtrees_have_the_cosines_of_trees_that_are_written_out(task):
    space = problem(task).space
    architectures = np.random.default_rng(0).integers(space.num_architectures, size=25)
    graphs = space.graphs(architectures)
    for depth, block in enumerate(Subtrees(space, 2)(architectures)):
        trees = [plain_trees(graphs, row, depth) for row in range(25)]
        products = np.array([[sum(one[tree] * other[tree] for tree in one) for other in trees] for one in trees])
        lengths = np.sqrt(np.diag(products))
        np.testing.assert_allclose(block @ block.T, products / lengths / lengths[:, None])


def test_isomorphic_cells_are_the_same_and_moved_operations_are_not():
    space = problem().space
    keys = ("300000", "003000", "320003", "230003")
    first, second, third, fourth = Subtrees(space, 1)(np.array([space.from_key(key) for key in keys]))[1]
    assert first @ second == pytest.approx(1)  # two cells without a path
    assert third @ fourth < 1


def test_paths_of_a_space_without_structure_are_its_choices():
    space = problem("graph-cora").space
    from nasbench_harness.spaces import ProductSpace

    letters = ProductSpace("letters", [["a", "b"], ["c", "d", "e"]])
    found = Paths(letters)(np.arange(6))
    products = letters.one_hot(np.arange(6)) @ letters.one_hot(np.arange(6)).T
    assert np.array_equal(found @ found.T, products)
    assert Paths(space)(np.array([0])).sum() == 1  # four equal nodes in parallel


def test_a_path_counts_once():
    space = problem().space
    found = Paths(space)(np.array([space.from_key(key) for key in ("000300", "110300", "303003", "000000")]))
    assert found.sum(axis=1).tolist() == [1, 1, 1, 0]
    assert (found[0] @ found[1], found[0] @ found[2]) == (1, 0)


def test_columns_that_come_later_change_no_prediction():
    """Candidates bring subtrees that no evaluated architecture has, before or after the fit."""
    architectures, candidates = np.arange(0, 9_000, 400), np.arange(5, 15_000, 700)
    losses = np.random.default_rng(1).normal(size=len(architectures))
    predictions = []
    for comes_first in (False, True):
        encode = Encoding(problem(), kernel="weisfeiler-lehman")
        if comes_first:
            encode(candidates)
        model = GaussianProcess(encode.num_blocks)
        model.fit(encode(architectures), losses, 3)
        predictions.append(model.predict(encode(candidates)))
    np.testing.assert_allclose(predictions[0], predictions[1], rtol=1e-9)
    assert encode(candidates).features[1].shape[1] > encode(architectures[:1]).features[1].any(axis=0).sum()


def test_summits_have_no_higher_neighbor_that_is_new():
    space, heights = problem().space, np.random.default_rng(2).random(15_625)
    seen, starts = np.arange(0, 15_625, 5).tolist(), np.array([1, 77, 4_321])
    summits, found = climb(space, starts, lambda architectures: heights[architectures], seen)
    assert np.array_equal(found, heights[summits])
    for start, summit in zip(starts, summits, strict=True):
        new = np.setdiff1d(space.neighbors(np.array([summit]))[0], seen)
        assert heights[summit] > heights[new].max()
        assert heights[summit] >= heights[start]
        assert summit not in seen
    assert (summits != starts).any()


@pytest.mark.thorough
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("task", ["nb201-cifar100", "graph-proteins"])
def test_variants_evaluate_nothing_twice_and_differ_from_the_default(run, variant, task):
    columns, plain = (run(text, task, 2, evaluations=45) for text in (variant, variant.partition("(")[0]))
    for seed in range(2):
        learned = columns["architecture"][columns["run"] == seed][20:]
        assert len(set(learned.tolist())) == len(learned)
    assert not np.array_equal(columns["architecture"], plain["architecture"])
