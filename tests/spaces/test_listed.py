"""Spaces that are lists: operators against a plain reading of their definition."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nasbench_harness.engine.streams import RunStream, RunStreams
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces import ListSpace, ProductSpace, from_description
from nasbench_harness.spaces.neighborhood import Neighborhood

FALSE_ALARM = 1e-6  # of a chi-square test, in other seeds


@st.composite
def spaces(draw):
    counts = draw(st.lists(st.integers(2, 4), min_size=1, max_size=4))
    rows = draw(st.sets(st.tuples(*(st.integers(0, count - 1) for count in counts)), min_size=2, max_size=30))
    rows = draw(st.permutations(sorted(rows)))
    decisions = [[f"c{choice}" for choice in range(count)] for count in counts]
    return ListSpace("random", [f"k{index}" for index in range(len(rows))], decisions, rows)


def everyone(space):
    return np.arange(space.num_architectures)


def neighbors_of(space, row):
    """By definition: those at distance 1 by decision, then choice; where they are few, the nearest ones."""
    choices = space.choices(everyone(space))
    distance = (choices != choices[row]).sum(axis=1)
    others = [other for other in everyone(space) if other != row]
    own = [other for other in others if distance[other] == 1]
    enough = min(8, sum(count - 1 for count in space.num_choices), len(others))
    if len(own) < enough:
        return sorted(others, key=lambda other: (distance[other], other))[:enough]

    def place(other):
        decision = int(np.flatnonzero(choices[other] != choices[row])[0])
        return decision, choices[other][decision]

    return sorted(own, key=place)


def keys(num_runs, seed):
    return np.random.default_rng(seed).integers(0, 2**64, num_runs, dtype=np.uint64)


@settings(deadline=None)
@given(spaces())
def test_neighbors_are_the_nearest_rows(space):
    table = space.neighbors(everyone(space))
    for row in everyone(space):
        expected = neighbors_of(space, row)
        assert table[row, : len(expected)].tolist() == expected
        assert (table[row, len(expected) :] == -1).all()
    np.testing.assert_array_equal(space.neighbors(everyone(space)[:1]), table[:1])


@settings(deadline=None)
@given(spaces(), st.integers(0, 2**32))
def test_choices_and_strings_round_trip(space, seed):
    np.testing.assert_array_equal(space.from_choices(space.choices(everyone(space))), everyone(space))
    assert [space.from_string(text) for text in space.to_strings(everyone(space))] == everyone(space).tolist()
    wanted = np.random.default_rng(seed).integers(0, space.num_choices, (50, space.num_decisions))
    rows = {tuple(row): index for index, row in enumerate(space.choices(everyone(space)).tolist())}
    assert space.from_choices(wanted).tolist() == [rows.get(tuple(row), -1) for row in wanted.tolist()]


@pytest.mark.thorough
@settings(deadline=None)
@given(spaces(), st.integers(0, 2**32))
def test_operators_stay_in_the_list_and_agree_with_one_run(space, seed):
    generator = np.random.default_rng(seed)
    first, second = generator.integers(0, space.num_architectures, (2, 60))
    streams, singles = RunStreams(keys(60, seed)), [RunStream(int(key)) for key in keys(60, seed)]
    mutated, crossed = space.mutate(first, streams), space.crossover(first, second, streams)
    assert [space.mutate(int(a), single) for a, single in zip(first, singles, strict=True)] == mutated.tolist()
    alone = [space.crossover(int(a), int(b), single) for a, b, single in zip(first, second, singles, strict=True)]
    assert alone == crossed.tolist()
    assert all(child in neighbors_of(space, parent) for parent, child in zip(first, mutated, strict=True))
    child = space.choices(crossed)
    assert ((child == space.choices(first)) | (child == space.choices(second))).all()


@pytest.mark.parametrize("row", [0, 5, 6])
def test_mutation_is_uniform_over_neighbors(row):
    """Row 6 has no neighbor one decision away."""
    rows = [[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [2, 1, 1]]
    space = ListSpace("s", list("abcdefg"), [["x", "y", "z"]] * 3, rows)
    children = space.mutate(np.full(50_000, row), RunStreams(keys(50_000, 1)))
    expected = neighbors_of(space, row)
    assert set(children) == set(expected)
    assert stats.chisquare(np.bincount(children, minlength=7)[expected]).pvalue > FALSE_ALARM


def test_rows_without_neighbors_reach_the_whole_list_and_say_so():
    """No two rows share more than a few of ten decisions, as in a sample of a large space."""
    rows = np.random.default_rng(0).integers(0, 4, (300, 10))
    names = [str(index) for index in range(300)]
    space = ListSpace("sample", names, [list("abcd")] * 10, rows)
    assert space.note.startswith("300 of 300 architectures have fewer than 8 neighbors that differ in one column (300")
    assert space.neighbors(np.arange(300)).shape == (300, 8)
    reached, border = {0}, [0]
    while border:
        border = [other for row in border for other in space.neighbors(np.array([row]))[0] if other not in reached]
        reached.update(border)
    assert len(reached) > 250
    product = ProductSpace("p", [["a", "b"], ["c", "d", "e"]])
    everything = np.arange(6)
    assert ListSpace("l", product.to_strings(everything), product.decisions, product.choices(everything)).note == ""


@settings(deadline=None)
@given(spaces(), st.integers(0, 2**32))
def test_next_choices_are_those_of_rows_that_begin_alike(space, seed):
    table = space.choices(everyone(space)).tolist()
    rows = np.random.default_rng(seed).integers(0, space.num_architectures, 10)
    for length, count in enumerate(space.num_choices):
        prefixes = space.choices(rows)[:, :length]
        found = space.next_choices(prefixes)
        assert found.shape == (10, count)
        for prefix, exists in zip(prefixes.tolist(), found, strict=True):
            assert set(np.flatnonzero(exists)) == {row[length] for row in table if row[:length] == prefix}


def test_equal_networks_may_be_declared():
    space = ListSpace("l", ["a", "b", "c"], [["x", "y", "z"]], [[0], [1], [2]], classes=[0, 1, 0])
    assert space.canonical(np.arange(3)).tolist() == [0, 1, 0]
    assert from_description(space.description()).canonical(np.array([2])).tolist() == [0]
    for classes in ([0, 1], [0, 2, 2], [0, 1, 5], [0, 1, -1], [0, 0, 1]):
        with pytest.raises(InvalidInputError, match="classes must name the first"):
            ListSpace("l", ["a", "b", "c"], [["x", "y", "z"]], [[0], [1], [2]], classes=classes)


def test_a_complete_list_is_a_product():
    product = ProductSpace("p", [["a", "b"], ["c", "d", "e"], ["f", "g"]])
    rows = np.arange(12)
    listed = ListSpace("l", product.to_strings(rows), product.decisions, product.choices(rows))
    np.testing.assert_array_equal(listed.neighbors(rows), product.neighbors(rows))
    np.testing.assert_array_equal(listed.one_hot(rows), product.one_hot(rows))
    one, other = RunStreams(keys(12, 3)), RunStreams(keys(12, 3))
    np.testing.assert_array_equal(listed.crossover(rows, rows[::-1], one), product.crossover(rows, rows[::-1], other))
    np.testing.assert_array_equal(listed.sample(one), product.sample(other))


def test_decisions_with_a_value_of_its_own_in_every_row_cost_no_quadratic_memory():
    rows = np.arange(20_000)
    space = ListSpace("unique", rows.astype(str).tolist(), [rows.astype(str).tolist()], rows[:, None])
    children = space.mutate(rows, RunStreams(keys(20_000, 0)))
    assert (children != rows).all()
    assert len(np.unique(children)) > 12_000


def test_neighbors_are_the_same_if_one_number_cannot_tell_all_choices():
    choices = np.unique(np.random.default_rng(0).integers(0, 3, (300, 7)), axis=0)
    rows = np.arange(len(choices))
    found = [Neighborhood(choices, np.full(7, num_choices)) for num_choices in (3, 10_000)]
    np.testing.assert_array_equal(found[0].num_own, found[1].num_own)
    for position in range(found[0].most):
        here = rows[position < found[0].count(rows)]
        one, other = (each.at(here, np.full(len(here), position)) for each in found)
        assert one.dtype == np.int64
        np.testing.assert_array_equal(one, other)


def test_sums_of_choices_beyond_64_bits():
    names = [str(value) for value in range(50)]
    rows = np.random.default_rng(0).integers(0, 50, (50, 30))
    space = ListSpace("wide", names, [names] * 30, rows)
    np.testing.assert_array_equal(space.from_choices(rows), np.arange(50))


@given(spaces())
def test_a_description_builds_the_same_space(space):
    again = from_description(json.loads(json.dumps(space.description())))
    assert again.to_strings(everyone(space)) == space.to_strings(everyone(space))
    np.testing.assert_array_equal(again.choices(everyone(space)), space.choices(everyone(space)))


@pytest.mark.parametrize(
    ("keys", "decisions", "choices"),
    [
        (["a"], [["x", "y"]], [[0]]),
        (["a", "b"], [["x"]], [[0], [0]]),
        (["a", "b"], [], [[], []]),
        (["a", "b"], [["x", "y"]], [[0], [2]]),
        (["a", "b"], [["x", "y"]], [[0], [0]]),
        (["a", "a"], [["x", "y"]], [[0], [1]]),
        (["a", "b"], [["x", "y"]], [[0, 1], [1, 1]]),
    ],
)
def test_what_is_no_list_is_refused(keys, decisions, choices):
    with pytest.raises(InvalidInputError, match="space s: "):
        ListSpace("s", keys, decisions, choices)


def test_unknown_keys_and_choices_are_refused():
    space = ListSpace("s", ["a", "b"], [["x", "y"]], [[0], [1]])
    with pytest.raises(InvalidInputError, match="'c' is none of the 2 architectures of s"):
        space.from_string("c")
    with pytest.raises(InvalidInputError, match="outside"):
        space.from_choices(np.array([[2]]))
