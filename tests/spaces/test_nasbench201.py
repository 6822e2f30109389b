import random
import re
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nasbench_harness.engine.streams import RunStreams
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces import NASBench201Space

EVERYONE = np.arange(15_625)
EDGES = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
OPERATIONS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
KEYS = ["".join(digits) for digits in product("01234", repeat=6)]
SPACE = NASBench201Space()
STRING_0 = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"


def function_of(key, folds_zeros=True):
    """The cell's output as the benchmark's authors write it."""
    nodes = ["0"]
    for node in (1, 2, 3):
        terms = []
        for (source, target), digit in zip(EDGES, key, strict=True):
            if target != node:
                continue
            if folds_zeros and (digit == "0" or nodes[source] == "#"):
                terms.append("#")
            else:
                terms.append(nodes[source] if digit == "1" else f"({nodes[source]})@{OPERATIONS[int(digit)]}")
        nodes.append("+".join(sorted(terms)))
    return nodes[3]


def partition(labels):
    """Index of the first member of each one's class."""
    first = {}
    return [first.setdefault(label, index) for index, label in enumerate(labels)]


def test_sizes():
    assert (SPACE.num_architectures, SPACE.num_decisions) == (15_625, 6)
    assert SPACE.num_choices.tolist() == [5] * 6
    assert SPACE.neighbors(EVERYONE).shape == (15_625, 24)


def test_first_keys_of_the_official_order():
    assert [SPACE.to_key(index) for index in (0, 1)] == ["421211", "334131"]
    assert SPACE.to_string(0) == STRING_0


def test_keys_and_strings_are_the_published_ones(reference):
    assert [SPACE.to_key(index) for index in EVERYONE] == reference["key"].tolist()
    assert SPACE.to_strings(EVERYONE) == reference["arch_str"].tolist()
    assert reference["index"].tolist() == EVERYONE.tolist()


def test_keys_and_strings_round_trip():
    assert [SPACE.from_key(SPACE.to_key(index)) for index in EVERYONE] == EVERYONE.tolist()
    assert [SPACE.from_string(text) for text in SPACE.to_strings(EVERYONE)] == EVERYONE.tolist()
    assert sorted(map(SPACE.to_key, EVERYONE)) == KEYS


def test_a_key_lists_the_choices_in_the_order_of_the_string():
    for index in (0, 1, 6111, 15_624):
        key, text = SPACE.to_key(index), SPACE.to_string(index)
        assert [int(digit) for digit in key] == SPACE.choices(np.array([index]))[0].tolist()
        names = [part.partition("~")[0] for part in text.replace("+", "").split("|") if part]
        assert [OPERATIONS.index(name) for name in names] == [int(digit) for digit in key]


def test_the_order_leaves_the_global_generator_alone():
    before = random.getstate()
    NASBench201Space()
    assert random.getstate() == before


def test_the_order_is_the_same_in_another_process():
    code = "from nasbench_harness.spaces import NASBench201Space as S; print(S()._codes.tolist())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == str(SPACE._codes.tolist())


@pytest.mark.parametrize("key", ["", "42121", "4212111", "521211", "42121a", "421211\n", " 421211", "٤21211", "-42121"])
def test_bad_keys_are_refused(key):
    with pytest.raises(InvalidInputError, match="six digits"):
        SPACE.from_key(key)


def test_a_key_read_as_a_number_is_refused():
    with pytest.raises(InvalidInputError, match="as text"):
        SPACE.from_key(421211)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "421211",
        STRING_0[:-1],
        STRING_0 + "\n",
        STRING_0.replace("~2", "~1"),
        STRING_0.replace("avg_pool_3x3", "avg_pool_5x5"),
        STRING_0.replace("+", ""),
        STRING_0.replace("|+|nor_conv_1x1~0", "|nor_conv_1x1~0|+", 1),
    ],
    ids=["empty", "key", "cut", "newline", "node", "operation", "plus", "moved"],
)
def test_bad_strings_are_refused(text):
    with pytest.raises(InvalidInputError, match="no NAS-Bench-201 cell"):
        SPACE.from_string(text)


@given(st.text(max_size=100) | st.text("01234", max_size=7))
def test_any_other_text_is_refused(text):
    if re.fullmatch("[0-4]{6}", text):
        assert SPACE.to_key(SPACE.from_key(text)) == text
    else:
        with pytest.raises(InvalidInputError):
            SPACE.from_key(text)
    with pytest.raises(InvalidInputError):
        SPACE.from_string(text)


def test_mutate_is_uniform_over_the_24_neighbors():
    """A correct space fails this for one seed in a million."""
    num_children = 240_000
    rng = RunStreams(np.random.default_rng(1).integers(0, 2**64, num_children, dtype=np.uint64))
    parent = SPACE.from_key("303101")
    children = SPACE.mutate(np.full(num_children, parent), rng)
    assert parent not in children
    counts = np.bincount(children, minlength=15_625)[SPACE.neighbors(np.array([parent]))[0]]
    assert counts.sum() == num_children
    assert stats.chisquare(counts).pvalue > 1e-6


def test_classes_are_the_published_ones(reference):
    assert SPACE.canonical(EVERYONE).tolist() == partition(reference["unique_str"])


def test_6466_isomorphism_classes():
    classes = SPACE.canonical(EVERYONE)
    assert len(np.unique(classes)) == 6_466
    assert classes.tolist() == partition(function_of(SPACE.to_key(index)) for index in EVERYONE)


def test_keeping_zeros_distinct_would_give_12751_classes():
    assert len({function_of(key, folds_zeros=False) for key in KEYS}) == 12_751


def test_a_class_is_named_by_its_smallest_member():
    classes = SPACE.canonical(EVERYONE)
    assert (classes <= EVERYONE).all()
    np.testing.assert_array_equal(SPACE.canonical(classes), classes)


@pytest.mark.parametrize(("num_classes", "side"), [(10, 32), (100, 32), (120, 16)], ids=str)
def test_closed_forms(num_classes, side):
    one, three = (np.array([SPACE.to_key(index).count(digit) for index in EVERYONE]) for digit in "23")
    params = 464 + 128 + 65 * num_classes
    params += 5 * sum(one * (c**2 + 2 * c) + three * (9 * c**2 + 2 * c) for c in (16, 32, 64))
    params += sum(9 * a * b + 2 * b + 9 * b**2 + 2 * b + a * b for a, b in ((16, 32), (32, 64)))
    np.testing.assert_allclose(SPACE.params_m(num_classes), params / 1e6, rtol=1e-15)
    scale = {32: 1, 16: 1 / 4}[side]
    flops = scale * (7_782_400 + 3_932_160 * one + 35_389_440 * three) / 1e6 + 65 * num_classes / 1e6
    np.testing.assert_allclose(SPACE.flops_m(num_classes, side), flops, rtol=1e-14)


def test_parameters_and_flops_are_the_published_ones(reference):
    np.testing.assert_allclose(SPACE.params_m(10), reference["params_M_c10"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(SPACE.flops_m(10, 32), reference["flops_M_c10"], rtol=0, atol=1e-9)
