import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.trainer.networks.structure import cell_edges, structure_of

from ..conftest import SPACE, cell

IMAGES = {"cifar10": (10, 32), "cifar100": (100, 32), "imagenet16-120": (120, 16)}


@pytest.mark.parametrize("dataset", IMAGES)
def test_parameters_and_flops_of_every_cell(dataset):
    num_classes, side = IMAGES[dataset]
    structures = [structure_of(SPACE.to_string(index), 5, 16, 3, num_classes) for index in range(15_625)]
    np.testing.assert_array_equal([s.num_params() for s in structures], np.rint(SPACE.params_m(num_classes) * 1e6))
    np.testing.assert_array_equal([s.flops(side) for s in structures], np.rint(SPACE.flops_m(num_classes, side) * 1e6))


def test_cells_with_a_living_convolution_of_a_dead_node():
    constant = [
        any(edge.is_constant and edge.is_useful for edge in structure_of(SPACE.to_string(index), 1, 4, 1, 2).edges)
        for index in range(15_625)
    ]
    assert sum(constant) == 2140


def test_useless_edges_of_a_cell():
    # Node 1 is dead; the 3x3 convolution of it feeds node 2, which is read; node 0's convolution to 2 is read too.
    useful = [
        edge.is_useful
        for edge in cell_edges(("none", "nor_conv_1x1", "nor_conv_3x3") + ("none",) * 2 + ("skip_connect",))
    ]
    assert useful == [False, True, True, False, False, True]
    # Nothing reads node 2.
    useful = [edge.is_useful for edge in cell_edges(("nor_conv_3x3",) * 5 + ("none",))]
    assert useful == [True, False, False, True, True, False]


def test_widths_change_only_the_edges_from_node_0():
    structure = structure_of("8:16:24:32:64", 5, 16, 3, 10)
    assert [(b.kind, b.channels_in, b.channels_out) for b in structure.blocks] == [
        ("cell", 8, 8),
        ("reduction", 8, 16),
        ("cell", 16, 24),
        ("reduction", 24, 32),
        ("cell", 32, 64),
    ]
    second = [(c.channels_in, c.channels_out, c.kernel) for c in structure.convolutions(32)][9:15]
    assert second == [(16, 24, 3), (16, 24, 3), (24, 24, 3), (16, 24, 1), (24, 24, 3), (24, 24, 3)]


@pytest.mark.parametrize("text", ["333132", "8:8:8", "0:8:8:8:8", "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|"])
def test_text_that_is_no_architecture(text):
    with pytest.raises(InvalidInputError, match=text.replace("|", r"\|").replace("+", r"\+")):
        structure_of(text, 5, 16, 3, 10)


@given(st.integers(0, 15_624), st.integers(1, 4), st.integers(1, 20), st.integers(2, 50))
def test_every_cell_of_a_stage_costs_the_same(index, num_cells, channels, num_classes):
    sizes = [
        structure_of(SPACE.to_string(index), n, channels, 1, num_classes).num_params()
        for n in (num_cells, num_cells + 1, num_cells + 2)
    ]
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1]


def test_a_cell_is_known_by_its_string():
    assert structure_of(cell("303101"), 5, 16, 3, 10).operations[0] == "nor_conv_3x3"
