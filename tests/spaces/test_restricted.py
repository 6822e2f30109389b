"""Spaces without some of their choices."""

import json

import numpy as np
import pytest

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.spaces import ListSpace, NASBenchGraphSpace, ProductSpace, from_description
from nasbench_harness.spaces.restricted import RestrictedSpace, restrict

DECISIONS = [["a", "b", "c"], ["c", "d"], ["a", "x", "y", "z"]]


@pytest.fixture(params=["ascending", "shuffled"])
def whole(request):
    order = np.random.default_rng(1).permutation(24) if request.param == "shuffled" else None
    return ProductSpace("letters", DECISIONS, order)


def strings_without(whole, *names):
    everyone = whole.to_strings(range(whole.num_architectures))
    return [text for text in everyone if not set(names) & set(text.split(":"))]


def test_the_architectures_are_those_without_the_choices_in_the_order_of_the_space(whole):
    for names in (["a"], ["x"], ["b", "y"], ["a", "d", "x"]):
        space, rows = restrict(whole, names)
        assert space.to_strings(range(space.num_architectures)) == strings_without(whole, *names)
        assert whole.to_strings(rows.tolist()) == strings_without(whole, *names)


def test_choices_are_counted_among_those_that_are_left(whole):
    space, rows = restrict(whole, ["b", "x"])
    assert space.decisions == (("a", "c"), ("c", "d"), ("a", "y", "z"))
    everyone = np.arange(space.num_architectures)
    for own, of_whole in zip(space.choices(everyone), whole.choices(rows), strict=True):
        names = [names[choice] for names, choice in zip(space.decisions, own, strict=True)]
        assert names == [names[choice] for names, choice in zip(DECISIONS, of_whole, strict=True)]


def test_a_decision_with_one_choice_is_no_decision_any_more(whole):
    space, _ = restrict(whole, ["d", "x"])
    assert space.num_choices.tolist() == [3, 3]
    assert space.neighbors(np.arange(9)).shape == (9, 4)
    assert all(":c:" in text for text in space.to_strings(range(9)))


def test_neighbors_are_those_of_the_whole_space_that_are_left(whole):
    space, rows = restrict(whole, ["b", "x"])
    position = {int(row): index for index, row in enumerate(rows)}
    of_whole = whole.neighbors(rows)
    for own, near in zip(space.neighbors(np.arange(space.num_architectures)), of_whole, strict=True):
        assert sorted(own.tolist()) == sorted(position[row] for row in near.tolist() if row in position)


def test_cells_keep_strings_keys_and_classes(cell_space):
    space, rows = restrict(cell_space, ["none"])
    assert space.num_architectures == 4**6
    for index in (0, 17, 4_095):
        assert space.to_string(index) == cell_space.to_string(int(rows[index]))
        assert space.from_key(space.to_key(index)) == space.from_string(space.to_string(index)) == index
        assert "0" not in space.to_key(index)
    own = space.canonical(np.arange(4**6))
    of_whole = cell_space.canonical(rows)
    assert len(np.unique(own)) == len(np.unique(of_whole)) < 4**6
    for label in np.unique(of_whole)[::200]:
        members = np.flatnonzero(of_whole == label)
        assert (own[members] == members.min()).all()


def test_what_is_left_out_cannot_be_named(cell_space):
    space = RestrictedSpace(cell_space, ["none"])
    with pytest.raises(InvalidInputError, match="has one of the choices that are left out: none"):
        space.from_string(cell_space.to_string(cell_space.from_key("012340")))
    with pytest.raises(InvalidInputError, match="is no NAS-Bench-201 cell"):
        space.from_string("nothing")


def test_a_description_builds_it_again(whole, cell_space):
    for space in (RestrictedSpace(whole, ["a"]), RestrictedSpace(cell_space, ["none", "skip_connect"])):
        again = from_description(json.loads(json.dumps(space.description())))
        assert isinstance(again, RestrictedSpace)
        everyone = range(space.num_architectures)
        assert again.to_strings(everyone) == space.to_strings(everyone)


def test_lists_can_be_restricted():
    keys, choices = ["k0", "k1", "k2", "k3"], [[0, 0], [1, 0], [2, 1], [0, 1]]
    space, rows = restrict(ListSpace("listed", keys, [["a", "b", "c"], ["x", "y"]], choices), ["b"])
    assert isinstance(space, ListSpace)
    assert (space.to_strings(range(3)), rows.tolist()) == (["k0", "k2", "k3"], [0, 2, 3])
    assert space.choices(np.arange(3)).tolist() == [[0, 0], [1, 1], [0, 1]]
    assert from_description(space.description()).to_strings(range(3)) == ["k0", "k2", "k3"]


def test_names_with_the_usual_separator_keep_the_one_of_the_product():
    space = ProductSpace("p", [["a:1", "b:1", "c"], ["x", "y"]], separator="|")
    smaller, _ = restrict(space, ["c"])
    assert [smaller.to_string(index) for index in range(4)] == ["a:1|x", "a:1|y", "b:1|x", "b:1|y"]
    assert smaller.from_string("b:1|x") == 2


def test_a_list_that_keeps_no_row_is_refused():
    space = ListSpace("listed", ["k0", "k1", "k2"], [["a", "b", "c"], ["x", "y"]], [[0, 1], [1, 1], [2, 0]])
    with pytest.raises(InvalidInputError, match="without c, y fewer than two architectures are left"):
        restrict(space, ["c", "y"])


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["q"], UnknownNameError, "unknown choice 'q' in space letters"),
        ([], InvalidInputError, "name each choice that is left out once"),
        (["a", "a"], InvalidInputError, "name each choice that is left out once"),
        (["x", "a"], InvalidInputError, "in its order: a,x"),
        (["c", "d"], InvalidInputError, "without c, d decision 1 has no choice"),
        (["b", "c", "x", "y", "z"], InvalidInputError, "one architecture is left"),
    ],
)
def test_what_cannot_be_left_out(names, error, message):
    with pytest.raises(error, match=message):
        restrict(ProductSpace("letters", DECISIONS), names)


def test_other_spaces_are_refused_by_name():
    with pytest.raises(InvalidInputError, match="the space nasbench-graph cannot be restricted"):
        restrict(NASBenchGraphSpace(), ["gat"])
    with pytest.raises(InvalidInputError, match="restricted already: name all choices at once"):
        restrict(RestrictedSpace(ProductSpace("letters", DECISIONS), ["a"]), ["b"])
