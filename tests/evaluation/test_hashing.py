import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_harness.evaluation.hashing import GOLDEN, mix, name_hash, seed_sequence_keys, to_unit

MASK = 2**64 - 1
WORDS = st.integers(0, MASK)


def splitmix_finalizer(word):
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & MASK
    return word ^ (word >> 31)


@given(st.lists(WORDS, min_size=1, max_size=20))
def test_mix_is_the_finalizer_of_splitmix64(words):
    array = np.array(words, dtype=np.uint64)
    assert mix(array) is array
    assert array.tolist() == [splitmix_finalizer(word) for word in words]


def test_mix_gives_the_published_sequence():
    """The first outputs of SplitMix64 seeded with 1234567, as its reference implementation prints them."""
    states = np.uint64(1234567) + np.arange(1, 6, dtype=np.uint64) * GOLDEN
    assert mix(states).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(WORDS)
def test_units_are_the_upper_53_bits(word):
    unit = to_unit(np.array([word], dtype=np.uint64))[0]
    assert unit == (word >> 11) / 2**53
    assert 0 <= unit < 1


def test_the_largest_unit_reaches_no_bound():
    largest = to_unit(np.array([MASK], dtype=np.uint64))[0]
    assert all(int(largest * high) == high - 1 for high in [*range(1, 5_000), 15_625, 2**31, 2**52])


@given(st.lists(st.integers(0, 2**130), max_size=6), st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5))
def test_keys_are_those_of_numpy(entropy, last):
    expected = [np.random.SeedSequence([*entropy, seed]).generate_state(1, np.uint64)[0] for seed in last]
    keys = seed_sequence_keys(entropy, np.array(last))
    assert keys.dtype == np.uint64
    assert keys.tolist() == expected


@pytest.mark.parametrize("entropy", [[0], [0, 0, 0], [2**32], [2**32 - 1, 2**64 - 1], [2**64]], ids=str)
def test_keys_at_the_edges_of_words_are_those_of_numpy(entropy):
    for seed in (0, 1, 2**32 - 1):
        expected = np.random.SeedSequence([*entropy, seed]).generate_state(1, np.uint64)
        np.testing.assert_array_equal(seed_sequence_keys(entropy, np.array([seed])), expected)


def test_keys_of_many_runs_are_distinct():
    keys = seed_sequence_keys([0, name_hash("random-search"), name_hash("nb201-cifar10")], np.arange(100_000))
    assert len(np.unique(keys)) == 100_000


def test_keys_leave_their_arguments_alone():
    entropy, seeds = [1, 2**70], np.arange(5)
    seeds.flags.writeable = False
    seed_sequence_keys(entropy, seeds)
    assert entropy == [1, 2**70]


def test_names_are_hashed_by_sha256():
    assert name_hash("replicate") == int(hashlib.sha256(b"replicate").hexdigest()[:16], 16)
    assert name_hash("é") == int(hashlib.sha256("é".encode()).hexdigest()[:16], 16)
