"""The space of NAS-Bench-Graph against the package's own rules, on every architecture."""

import json
import re
import subprocess
import sys
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.cases import fast_first
from nas_bench_graph import light_read
from nas_bench_graph.architecture import Arch, gnn_list, gnn_list_proteins, link_list
from scipy import stats

from nasbench_harness.engine.streams import RunStreams
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces import NASBenchGraphSpace, from_description
from nasbench_harness.spaces.link_patterns import orderings
from nasbench_harness.spaces.nasbench_graph import LINK_PATTERNS, OPERATIONS, PROTEINS_OPERATIONS

# A correct space fails a chi-square test of this file once in a million other seeds.
FALSE_ALARM = 1e-6
LARGE, SMALL = NASBenchGraphSpace(), NASBenchGraphSpace(PROTEINS_OPERATIONS)
ALL_LINKS = [list(links) for links in product(range(1), range(2), range(3), range(4))]
SKIP = "skip"


@pytest.fixture(scope="module", params=["large", "small"])
def graph_space(request):
    return {"large": LARGE, "small": SMALL}[request.param]


@pytest.fixture(scope="module")
def package_keys():
    """Key by the package of each of the 157,464 ways to write an architecture down: {(links, operations): key}."""
    return {
        (tuple(links), operations): Arch(links, list(operations)).valid_hash()
        for links in ALL_LINKS
        for operations in product(gnn_list, repeat=4)
    }


def everyone(space):
    return np.arange(space.num_architectures)


def package_key(space, choices):
    """Key by the package of one architecture's choices; None for nothing but skip connections."""
    operations = [space.operations[choice] for choice in choices[1:]]
    if set(operations) == {SKIP}:
        return None
    return f"{Arch(link_list[choices[0]], operations).valid_hash():05d}"


def changes(space, architecture):
    """(chance, key) of each of the changes of one decision."""
    own = space.choices(np.array([architecture]))[0]
    for decision, count in enumerate(space.num_choices):
        for choice in set(range(count)) - {own[decision]}:
            changed = own.copy()
            changed[decision] = choice
            yield 1 / len(own) / (count - 1), package_key(space, changed)


def test_names_are_the_packages():
    assert [[int(digit) for digit in pattern] for pattern in LINK_PATTERNS] == link_list
    assert (list(OPERATIONS), list(PROTEINS_OPERATIONS)) == (gnn_list, gnn_list_proteins)


def test_24_link_patterns_are_nine_up_to_the_order_of_nodes():
    assert sorted(orderings()) == sorted(map(tuple, ALL_LINKS))
    smallest = {"".join(map(str, links)) for links, _ in orderings().values()}
    assert tuple(sorted(smallest)) == LINK_PATTERNS


@pytest.mark.parametrize(
    "dataset", ["cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv", "proteins"]
)
def test_rows_are_the_stored_ones_in_the_order_of_their_keys(dataset):
    space = SMALL if dataset == "proteins" else LARGE
    assert space.num_architectures == {"proteins": 2_021}.get(dataset, 26_206)
    assert [int(space.to_key(index)) for index in everyone(space)] == sorted(light_read(dataset))


@pytest.mark.thorough
def test_every_way_to_write_an_architecture_leads_to_the_packages_row(package_keys):
    assert len(package_keys) == 157_464
    links = np.array([links for links, _ in package_keys])
    operations = np.array([[gnn_list.index(name) for name in names] for _, names in package_keys])
    found = LARGE.from_links(links, operations)
    forbidden = np.array([set(names) == {SKIP} for _, names in package_keys])
    assert forbidden.sum() == 24
    np.testing.assert_array_equal(found < 0, forbidden)
    keys = np.array([int(LARGE.to_key(index)) for index in everyone(LARGE)])
    np.testing.assert_array_equal(keys[found[~forbidden]], np.array(list(package_keys.values()))[~forbidden])


def test_the_small_space_follows_the_same_rules(package_keys):
    for links in ALL_LINKS:
        operations = np.array(list(product(range(5), repeat=4)))[:-1]
        found = SMALL.from_links(np.tile(links, (len(operations), 1)), operations)
        names = [tuple(PROTEINS_OPERATIONS[choice] for choice in row) for row in operations]
        expected = [f"{package_keys[tuple(links), row]:05d}" for row in names]
        assert [SMALL.to_key(index) for index in found] == expected


def test_multiplicities_run_from_1_to_164(package_keys):
    """So that uniform over rows is another distribution than uniform over ways to write them down."""
    counts = Counter(package_keys.values())
    assert counts.pop(88888) == 24
    assert (len(counts), min(counts.values()), max(counts.values())) == (26_206, 1, 164)


def test_a_row_describes_itself(graph_space):
    some = everyone(graph_space)
    np.testing.assert_array_equal(graph_space.from_choices(graph_space.choices(some)), some)
    np.testing.assert_array_equal(graph_space.canonical(some), some)
    assert graph_space.num_choices.tolist() == [9] + [len(graph_space.operations)] * 4
    assert graph_space.num_decisions == 5


def test_choices_lead_where_links_lead():
    choices = np.array(list(product(range(9), *[range(5)] * 4)))
    links = np.array(link_list)[choices[:, 0]]
    np.testing.assert_array_equal(SMALL.from_choices(choices), SMALL.from_links(links, choices[:, 1:]))
    assert (SMALL.from_choices(choices) < 0).sum() == 9


def test_choices_and_links_that_do_not_exist_are_refused():
    for choices in ([9, 0, 0, 0, 0], [0, 0, 5, 0, 0], [-1, 0, 0, 0, 0]):
        with pytest.raises(InvalidInputError, match="choice is outside"):
            SMALL.from_choices(np.array([choices]))
    for links in ([1, 0, 0, 0], [0, 0, 3, 0], [0, -1, 0, 0]):
        with pytest.raises(InvalidInputError, match="earlier node"):
            SMALL.from_links(np.array([links]), np.zeros((1, 4), int))
    with pytest.raises(InvalidInputError, match="operation is outside"):
        SMALL.from_links(np.zeros((1, 4), int), np.full((1, 4), 5))


def test_strings_and_keys_round_trip():
    assert [SMALL.from_string(text) for text in SMALL.to_strings(everyone(SMALL))] == everyone(SMALL).tolist()
    some = everyone(LARGE)[::37]
    assert [LARGE.from_string(text) for text in LARGE.to_strings(some)] == some.tolist()
    for space in (LARGE, SMALL):
        assert [space.from_key(space.to_key(index)) for index in everyone(space)[::17]] == everyone(space)[
            ::17
        ].tolist()
    assert LARGE.to_string(LARGE.from_key("87072")) == "0123:fc:gat:fc:gin"
    assert type(LARGE.from_string("0123:fc:gat:fc:gin")) is int


def test_a_string_may_be_any_of_the_equal_ones():
    """Nodes in another order, and a skip connection that changes nothing."""
    assert LARGE.to_string(LARGE.from_string("0121:gcn:gin:fc:cheb")) == "0112:gcn:gin:cheb:fc"
    assert LARGE.to_string(LARGE.from_string("0123:gcn:skip:gat:fc")) == "0123:skip:gcn:gat:fc"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "87072",
        "0123:gcn:gcn:gcn",
        "0123:gcn:gcn:gcn:gcn:gcn",
        "0124:gcn:gcn:gcn:gcn",
        "012:gcn:gcn:gcn:gcn",
        "1123:gcn:gcn:gcn:gcn",
        "٠123:gcn:gcn:gcn:gcn",
        "0123:gcn:gcn:gcn:conv",
        "0123:gcn:gcn:gcn:gcn\n",
    ],
)
def test_bad_strings_are_refused(text):
    with pytest.raises(InvalidInputError, match="no NAS-Bench-Graph architecture"):
        LARGE.from_string(text)


def test_operations_that_the_small_space_lacks_are_refused():
    with pytest.raises(InvalidInputError, match="op one of gcn, sage, arma, fc, skip"):
        SMALL.from_string("0123:gat:gcn:gcn:gcn")
    with pytest.raises(InvalidInputError, match="gat"):
        SMALL.from_key("80111")


@pytest.mark.parametrize("links", ["0000", "0123", "0121"])
def test_nothing_but_skip_connections_is_refused(links):
    with pytest.raises(InvalidInputError, match="nothing but skip connections"):
        LARGE.from_string(f"{links}:skip:skip:skip:skip")


@pytest.mark.parametrize("key", ["", "8707", "870722", "97072", "89072", "8707a", " 87072", "87072\n", "٨7072", 87072])
def test_bad_keys_are_refused(key):
    with pytest.raises(InvalidInputError, match="five digits"):
        LARGE.from_key(key)


def test_a_key_that_is_not_stored_is_refused_with_the_one_that_is():
    with pytest.raises(InvalidInputError, match="0123:gcn:skip:gat:fc has the key '88107'"):
        LARGE.from_key("81807")


@given(st.text("012345678", min_size=5, max_size=5))
def test_a_key_is_accepted_where_it_is_stored(key):
    try:
        assert LARGE.to_key(LARGE.from_key(key)) == key
    except InvalidInputError:
        assert package_key(LARGE, np.array([int(digit) for digit in key])) != key


@pytest.mark.parametrize(
    "operations",
    [[], ["skip"], ["gcn", "gat", "skip"], ["gcn", "sage"], ["gcn", "conv", "skip"], ["gcn", "gcn", "skip"]],
)
def test_operations_are_some_of_the_nine_in_their_order(operations):
    with pytest.raises(InvalidInputError, match="in this order, with skip"):
        NASBenchGraphSpace(operations)


def test_a_description_builds_the_same_space(graph_space):
    again = from_description(json.loads(json.dumps(graph_space.description())))
    assert again.num_architectures == graph_space.num_architectures
    assert again.to_strings(range(0, 2_021, 19)) == graph_space.to_strings(range(0, 2_021, 19))
    assert again is from_description(graph_space.description())


def test_one_hot_marks_every_choice(graph_space):
    some = everyone(graph_space)[::11]
    blocks = np.split(graph_space.one_hot(some), np.cumsum(graph_space.num_choices)[:-1], axis=1)
    found = np.stack([block.argmax(axis=1) for block in blocks], axis=1)
    np.testing.assert_array_equal(found, graph_space.choices(some))
    assert all((block.sum(axis=1) == 1).all() for block in blocks)


@pytest.mark.parametrize(("space", "step"), fast_first([(LARGE, 1_310), (SMALL, 70), (LARGE, 131), (SMALL, 7)], 2))
def test_neighbors_are_the_distinct_rows_one_decision_away(space, step):
    some = everyone(space)[::step]
    found_of_all = space.neighbors(some)
    for architecture, found in zip(some, found_of_all, strict=True):
        keys = {key for _, key in changes(space, architecture)} - {None, space.to_key(architecture)}
        expected = sorted(space.from_key(key) for key in keys)
        assert found.tolist() == expected + [-1] * (found_of_all.shape[1] - len(expected))


@pytest.mark.thorough
@pytest.mark.parametrize(("space", "fewest", "most", "one_way"), [(LARGE, 15, 40, 145_136), (SMALL, 7, 24, 9_812)])
def test_neighbors_are_not_symmetric(space, fewest, most, one_way):
    """A change may lead to a row whose own description is more than one change away."""
    neighbors = space.neighbors(everyone(space))
    counts = (neighbors >= 0).sum(axis=1)
    assert (counts.min(), counts.max(), neighbors.shape[1]) == (fewest, most, most)
    here, there = np.repeat(everyone(space), counts), neighbors[neighbors >= 0]
    forth, back = here * space.num_architectures + there, there * space.num_architectures + here
    assert (~np.isin(forth, back)).sum() == one_way
    assert len(np.unique(forth)) == len(forth)
    assert (here != there).all()


def test_every_row_can_be_reached_from_every_other_one(graph_space):
    """Along neighbors, forwards and backwards from row 0."""
    neighbors = graph_space.neighbors(everyone(graph_space))
    forwards, backwards = (np.arange(graph_space.num_architectures) == 0 for _ in range(2))
    for _ in range(10):
        reached = neighbors[forwards]
        forwards[reached[reached >= 0]] = True
        backwards |= (backwards[neighbors] & (neighbors >= 0)).any(axis=1)
    assert forwards.all()
    assert backwards.all()


def test_sample_is_uniform_over_rows():
    draws = 400_000
    rng = RunStreams(np.random.default_rng(5).integers(0, 2**64, draws, dtype=np.uint64))
    counts = np.bincount(SMALL.sample(rng), minlength=SMALL.num_architectures)
    assert stats.chisquare(counts).pvalue > FALSE_ALARM


@pytest.mark.parametrize("key", ["00000", "88880", "87072", "31641", "51788"])
def test_mutate_draws_each_change_that_leads_elsewhere_with_its_chance(key):
    parent, draws = LARGE.from_key(key), 120_000
    rng = RunStreams(np.random.default_rng(6).integers(0, 2**64, draws, dtype=np.uint64))
    counts = np.bincount(LARGE.mutate(np.full(draws, parent), rng), minlength=LARGE.num_architectures)
    chances = np.zeros(LARGE.num_architectures)
    for chance, child in changes(LARGE, parent):
        if child not in (None, key):
            chances[LARGE.from_key(child)] += chance
    assert counts[chances == 0].sum() == 0
    chances = chances[chances > 0] / chances.sum()
    assert stats.chisquare(counts[counts > 0], draws * chances).pvalue > FALSE_ALARM


@given(st.integers(0, 2**32))
def test_mutate_never_returns_the_parent_and_changes_one_decision(seed):
    for space in (LARGE, SMALL):
        generator = np.random.default_rng(seed)
        rng = RunStreams(generator.integers(0, 2**64, 100, dtype=np.uint64))
        parents = generator.integers(0, space.num_architectures, 100)
        children = space.mutate(parents, rng)
        assert (children != parents).all()
        assert (space.neighbors(parents) == children[:, None]).any(axis=1).all()


@given(st.integers(0, 2**32))
def test_crossover_mixes_decisions(seed):
    generator = np.random.default_rng(seed)
    rng = RunStreams(generator.integers(0, 2**64, 50, dtype=np.uint64))
    first, second = generator.integers(0, SMALL.num_architectures, (2, 50))
    takes_first = np.array(list(product([True, False], repeat=5)))
    mixtures = np.where(takes_first, SMALL.choices(first)[:, None], SMALL.choices(second)[:, None])
    children = SMALL.crossover(first, second, rng)
    possible = SMALL.from_choices(mixtures.reshape(-1, 5)).reshape(50, 32)
    assert (possible == children[:, None]).any(axis=1).all()
    assert (children >= 0).all()
    np.testing.assert_array_equal(SMALL.crossover(first, first, rng), first)


@pytest.mark.parametrize(("first", "second"), [("88881", "51188"), ("01457", "83102")], ids=["redraws", "all"])
def test_crossover_draws_each_possible_mixture_with_equal_chance(first, second):
    draws, one, other = 80_000, LARGE.from_string(string_of(first)), LARGE.from_string(string_of(second))
    rng = RunStreams(np.random.default_rng(7).integers(0, 2**64, draws, dtype=np.uint64))
    counts = np.bincount(LARGE.crossover(np.full(draws, one), np.full(draws, other), rng), minlength=26_206)
    parents = LARGE.choices(np.array([one, other]))
    keys = [package_key(LARGE, np.where(mask, *parents)) for mask in product([True, False], repeat=5)]
    assert (None in keys) == (first == "88881")
    expected = np.zeros(26_206)
    for key, number in Counter(key for key in keys if key).items():
        expected[LARGE.from_key(key)] = number
    assert counts[expected == 0].sum() == 0
    expected = expected[expected > 0] / expected.sum() * draws
    assert stats.chisquare(counts[counts > 0], expected).pvalue > FALSE_ALARM


def string_of(digits):
    return ":".join([LINK_PATTERNS[int(digits[0])], *(OPERATIONS[int(digit)] for digit in digits[1:])])


def operate(space, name, rng, first, second, runs=None):
    match name:
        case "sample":
            return space.sample(rng, runs)
        case "mutate":
            return space.mutate(first, rng, runs)
        case _:
            return space.crossover(first, second, rng, runs)


OPERATORS = ["sample", "mutate", "crossover"]


def parents(space, num_runs):
    """Random parents, and on every other place those whose changes and mixtures fail most often."""
    first, second = np.random.default_rng(1).integers(0, space.num_architectures, (2, num_runs))
    first[::2] = space.from_string("0123:skip:skip:skip:gcn")
    second[::2] = space.from_string("0111:gcn:gcn:skip:skip")
    return first, second


@pytest.mark.parametrize("name", OPERATORS)
def test_one_run_has_the_trace_it_has_among_many(name, graph_space, streams, stream):
    first, second = parents(graph_space, 50)
    rng = streams(50)
    together = [operate(graph_space, name, rng, first, second) for _ in range(60)]
    for run in (0, 7, 48, 49):
        alone = stream(run, 50)
        for results in together:
            result = operate(graph_space, name, alone, int(first[run]), int(second[run]))
            assert type(result) is int
            assert result == results[run]


@pytest.mark.parametrize("name", OPERATORS)
def test_runs_that_do_not_draw_do_not_move(name, graph_space, streams):
    first, second = parents(graph_space, 60)
    runs = np.array([2, 3, 4, 11, 40, 58])
    rng, untouched, all_together = streams(60), streams(60), streams(60)
    for _ in range(20):
        results = operate(graph_space, name, rng, first[runs], second[runs], runs)
        np.testing.assert_array_equal(results, operate(graph_space, name, all_together, first, second)[runs])
    others = np.setdiff1d(np.arange(60), runs)
    np.testing.assert_array_equal(rng.uniform(5, others), untouched.uniform(5, others))


def test_only_runs_that_failed_draw_again(streams):
    """22.5 % of the changes of this parent lead nowhere: with two draws an attempt, some runs take more than two."""
    draws = 300
    rng, twice = streams(draws), streams(draws)
    LARGE.mutate(np.full(draws, LARGE.from_key("88880")), rng)
    twice.uniform(2)
    moved_twice = (rng.uniform() == twice.uniform()).mean()
    assert abs(moved_twice - 0.775) < 5 * np.sqrt(0.775 * 0.225 / draws) + 0.05


@pytest.mark.parametrize("dtype", [np.int32, np.uint16])
def test_any_integer_type_names_architectures_and_inputs_stay(dtype, streams):
    first, second = np.array([0, 4711, 26_205]), np.array([7, 26_205, 4711])
    small, other = first.astype(dtype), second.astype(dtype)
    for array in (first, second, small, other):
        array.flags.writeable = False
    for name in OPERATORS:
        found, same = (operate(LARGE, name, streams(3), *pair) for pair in ((small, other), (first, second)))
        np.testing.assert_array_equal(found, same)
    for method in (LARGE.neighbors, LARGE.one_hot, LARGE.canonical, LARGE.choices):
        np.testing.assert_array_equal(method(small), method(first))
        before = method(first).copy()
        if method != LARGE.canonical:
            method(first)[:] = 0
        np.testing.assert_array_equal(method(first), before)


def test_the_space_needs_no_package():
    code = "import sys; from nasbench_harness.spaces import NASBenchGraphSpace as S; S(); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not re.search(r"nas_bench_graph\b(?!\.)|scipy|pandas", found.replace("spaces.nasbench_graph", ""))
