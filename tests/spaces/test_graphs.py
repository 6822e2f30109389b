"""Graphs of architectures: the cells and links that their strings write, and decisions if a space has no structure."""

import numpy as np
import pytest

from nasbench_harness.spaces import NASBench201Space, NASBenchGraphSpace, ProductSpace
from nasbench_harness.spaces.nasbench201 import EDGES, OPERATIONS
from nasbench_harness.spaces.restricted import RestrictedSpace

CELLS = NASBench201Space()


def labels_of(graphs, row):
    return [graphs.names[label] for label in graphs.labels[row] if label >= 0]


@pytest.mark.parametrize("space", [CELLS, NASBenchGraphSpace(), ProductSpace("letters", [["a", "b"], ["c", "d", "e"]])])
def test_every_node_is_on_a_path_and_edges_lead_onward(space):
    architectures = np.arange(0, space.num_architectures, max(1, space.num_architectures // 500))
    graphs = space.graphs(architectures)
    exists, inner = graphs.labels >= 0, slice(1, -1)
    assert graphs.names[:2] == ("input", "output")
    assert ((graphs.labels[:, 0] == 0) & (graphs.labels[:, -1] == 1)).all()
    assert not np.tril(graphs.edges).any()
    assert not graphs.edges[~exists].any()
    assert not graphs.edges.swapaxes(1, 2)[~exists].any()
    assert np.array_equal(graphs.edges.any(axis=1)[:, inner], exists[:, inner])
    assert np.array_equal(graphs.edges.any(axis=2)[:, inner], exists[:, inner])


def test_a_cell_has_the_paths_of_its_operations():
    """Every way from node 0 to node 3 of the cell, written as a recursion over its edges."""

    def ways(operations, node=0):
        if node == 3:
            return [()]
        return [
            (OPERATIONS[operation], *rest)
            for (source, target), operation in zip(EDGES, operations, strict=True)
            if source == node and operation
            for rest in ways(operations, target)
        ]

    def paths(graphs, row, node=0):
        if node == graphs.labels.shape[1] - 1:
            return [()]
        targets = np.flatnonzero(graphs.edges[row, node]).tolist()
        found = [
            (graphs.names[graphs.labels[row, target]], *rest)
            for target in targets
            for rest in paths(graphs, row, target)
        ]
        return [path[:-1] if path[-1:] == ("output",) else path for path in found]

    architectures = np.arange(0, CELLS.num_architectures, 71)
    graphs = CELLS.graphs(architectures)
    for row, operations in enumerate(CELLS.choices(architectures).tolist()):
        assert sorted(paths(graphs, row)) == sorted(ways(operations))


def test_convolutions_that_lead_nowhere_are_left_out():
    graphs = CELLS.graphs(np.arange(CELLS.num_architectures))
    convolutions = [graphs.names.index(name) for name in ("nor_conv_1x1", "nor_conv_3x3")]
    counts = np.stack([(graphs.labels == label).sum(axis=1) for label in convolutions], axis=1)
    assert np.array_equal(counts, CELLS.num_live_convolutions())
    assert np.array_equal(graphs.edges.any(axis=(1, 2)), CELLS.is_connected())


def test_links_are_edges_and_leaves_feed_the_output():
    space = NASBenchGraphSpace()
    graphs = space.graphs(np.array([space.from_string("0012:gat:gcn:gin:fc")]))
    assert labels_of(graphs, 0) == [
        "input",
        *space.to_string(space.from_string("0012:gat:gcn:gin:fc")).split(":")[1:],
        "output",
    ]
    assert np.argwhere(graphs.edges[0]).tolist() == [[0, 1], [0, 2], [1, 3], [2, 4], [3, 5], [4, 5]]
    assert (space.graphs(np.arange(2_000)).edges[:, :, 1:-1].sum(axis=1) == 1).all()


def test_a_space_without_structure_has_its_decisions_as_nodes():
    space = ProductSpace("letters", [["a", "b"], ["a", "c"]])
    assert labels_of(space.graphs(np.array([1])), 0) == ["input", "0:a", "1:c", "output"]


def test_a_restricted_space_has_the_graphs_of_the_whole():
    space = RestrictedSpace(CELLS, ["none", "avg_pool_3x3"])
    for own, whole in zip(space.graphs(np.arange(50)), CELLS.graphs(space.rows[:50]), strict=True):
        assert np.array_equal(own, whole)
