"""Streams: the definition of a draw in plain Python, one counter per run, the same draws in both forms."""

import doctest
from hashlib import sha256

import numpy as np
import pytest
from scipy.stats import chi2, chisquare, gumbel_r, kstest, norm

from nasbench_harness.engine import streams as streams_module
from nasbench_harness.engine.streams import RunStream, RunStreams, stream_keys
from nasbench_harness.errors import InvalidInputError

MASK = 2**64 - 1
SAME = ("uniform", "integers", "normal", "gumbel", "choice", "permutation", "subset", "subsets")
KEYS = np.array([0, 1, 1234567, 2**63 + 11, MASK], dtype=np.uint64)


def splitmix64(key: int, position: int) -> int:
    """Output number ``position`` (from 1) of SplitMix64 with this seed."""
    word = (key + position * 0x9E3779B97F4A7C15) & MASK
    word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & MASK
    word = ((word ^ word >> 27) * 0x94D049BB133111EB) & MASK
    return word ^ word >> 31


def draw(key: int, position: int) -> float:
    return (splitmix64(key, position) >> 11) * 2.0**-53


def key_of(study_seed: int, strategy: str, task: str, run_seed: int) -> int:
    words = [int.from_bytes(sha256(name.encode()).digest()[:8], "big") for name in (strategy, task)]
    return int(np.random.SeedSequence([study_seed, *words, run_seed]).generate_state(1, np.uint64)[0])


def test_plain_splitmix64_gives_published_outputs():
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [splitmix64(1234567, position) for position in (1, 2, 3, 4)] == published
    assert splitmix64(0, 1) == 0xE220A8397B1DCDAF


@pytest.mark.parametrize("key", KEYS.tolist())
def test_draws_of_one_run_follow_the_definition(key):
    stream = RunStream(key)
    assert [stream.uniform() for _ in range(200)] == [draw(key, position) for position in range(1, 201)]


def test_draws_of_many_runs_follow_the_definition():
    streams, positions = RunStreams(KEYS), [0] * len(KEYS)
    for size in (None, 1, 2, 63, 64, 65, 300, None):
        drawn = streams.uniform(size)
        assert drawn.shape == ((len(KEYS),) if size is None else (len(KEYS), size))
        count = size or 1
        for run, key in enumerate(KEYS.tolist()):
            expected = [draw(key, positions[run] + offset) for offset in range(1, count + 1)]
            assert np.atleast_1d(drawn[run]).tolist() == expected
            positions[run] += count


def test_keys_are_not_changed_by_drawing():
    keys = KEYS.copy()
    RunStreams(keys).uniform(5)
    np.testing.assert_array_equal(keys, KEYS)


def test_a_draw_for_some_runs_consumes_nothing_of_the_others():
    streams, plain = RunStreams(KEYS), [RunStream(key) for key in KEYS.tolist()]
    for runs, size in (([1, 3], None), ([0], 4), ([4, 0, 2], 70), ([], 3), ([3], None), (None, 2)):
        drawn = streams.uniform(size, None if runs is None else np.array(runs, dtype=np.int64))
        for row, run in zip(drawn, range(len(KEYS)) if runs is None else runs, strict=True):
            assert np.atleast_1d(row).tolist() == [plain[run].uniform() for _ in range(size or 1)]


@pytest.mark.parametrize("size", [None, 1, 5, 100])
def test_both_forms_draw_the_same(size):
    streams, plain = RunStreams(KEYS), [RunStream(key) for key in KEYS.tolist()]
    np.testing.assert_array_equal(streams.uniform(size), np.array([stream.uniform(size) for stream in plain]))
    np.testing.assert_array_equal(streams.integers(17, size), np.array([stream.integers(17, size) for stream in plain]))
    np.testing.assert_array_equal(streams.subsets(30, 10), np.array([stream.subset(30, 10) for stream in plain]))
    runs = np.array([4, 1])
    some = np.array([plain[run].subset(6, 6) for run in runs])
    np.testing.assert_array_equal(streams.subsets(6, 6, runs), some)
    np.testing.assert_array_equal(streams.uniform(), np.array([stream.uniform() for stream in plain]))


def test_integers_are_the_floor_of_the_draw():
    expected = [int(draw(7, position) * 1_000) for position in range(1, 51)]
    stream = RunStream(7)
    assert [stream.integers(1_000) for _ in range(50)] == expected
    assert RunStream(7).integers(1_000, 50).tolist() == expected
    assert RunStreams(np.array([7], dtype=np.uint64)).integers(1_000, 50)[0].tolist() == expected
    assert type(RunStream(7).integers(1_000)) is int
    assert RunStream(7).integers(1_000, 50).dtype == np.int64


def test_high_may_differ_per_run():
    high = np.array([1, 10, 100, 1_000, 10_000])
    expected = [int(draw(key, 1) * bound) for key, bound in zip(KEYS.tolist(), high.tolist(), strict=True)]
    assert RunStreams(KEYS).integers(high).tolist() == expected
    runs = np.array([3, 2])
    assert RunStreams(KEYS).integers(high[runs], runs=runs).tolist() == [expected[3], expected[2]]


@pytest.mark.parametrize("size", [2, 5])
def test_high_may_differ_per_run_with_a_size_too(size):
    high = np.array([1, 10, 100, 1_000, 10_000])
    rows = zip(KEYS.tolist(), high.tolist(), strict=True)
    expected = [[int(draw(key, position) * bound) for position in range(1, size + 1)] for key, bound in rows]
    assert RunStreams(KEYS).integers(high, size).tolist() == expected


def test_one_run_takes_no_runs():
    with pytest.raises(TypeError, match="no runs"):
        RunStream(1).uniform(2, runs=np.array([0]))


def test_subsets_are_distinct_and_take_one_draw_an_integer():
    streams, plain = RunStreams(KEYS), RunStreams(KEYS)
    for high, size in ((1, 1), (2, 2), (30, 10), (100, 100)):
        subsets = streams.subsets(high, size)
        plain.uniform(size)
        assert subsets.shape == (len(KEYS), size)
        assert all(len(set(row)) == size and set(row) <= set(range(high)) for row in subsets.tolist())
    np.testing.assert_array_equal(streams.uniform(), plain.uniform())


def test_every_ordered_subset_is_equally_likely():
    # 60 ordered triples of 5. With other keys this would fail by chance once in 10,000 times; the keys are fixed.
    num_runs = 60_000
    subsets = RunStreams(stream_keys(0, "chi-square", "task", np.arange(num_runs))).subsets(5, 3)
    counts = np.bincount(subsets @ np.array([25, 5, 1]), minlength=125)
    counts = counts[counts > 0]
    assert len(counts) == 60
    expected = num_runs / 60
    assert ((counts - expected) ** 2 / expected).sum() < chi2.isf(1e-4, df=59)


def test_integers_are_uniform_within_and_across_runs():
    # As above: 1 in 10,000 for each of the two.
    keys = stream_keys(0, "chi-square", "task", np.arange(3_000))
    for drawn in (RunStreams(keys).integers(25, 20), RunStreams(keys[:1]).integers(25, 60_000)):
        counts = np.bincount(drawn.ravel(), minlength=25)
        assert ((counts - 2_400) ** 2 / 2_400).sum() < chi2.isf(1e-4, df=24)


def test_choice_takes_one_draw():
    items = ["a", "b", "c", "d", "e", "f", "g"]
    stream = RunStream(99)
    assert [stream.choice(items) for _ in range(20)] == [items[int(draw(99, k) * 7)] for k in range(1, 21)]
    assert stream.uniform() == draw(99, 21)


def test_shuffle_is_in_place_and_fair():
    stream, counts = RunStream(5), {}
    for _ in range(24_000):
        items = list("abcd")
        assert stream.shuffle(items) is None
        counts["".join(items)] = counts.get("".join(items), 0) + 1
    assert len(counts) == 24
    statistic = sum((count - 1_000) ** 2 / 1_000 for count in counts.values())
    assert statistic < chi2.isf(1e-4, df=23)  # fails by chance once in 10,000 other keys


def test_shuffle_takes_one_draw_for_each_item():
    stream = RunStream(5)
    stream.shuffle(list("abcd"))
    assert stream.uniform() == draw(5, 5)


def test_numpy_generator_takes_one_draw_and_repeats():
    first, second = RunStream(5), RunStream(5)
    one, other = first.numpy_generator(), first.numpy_generator()
    again = second.numpy_generator()
    values = one.random(10).tolist()
    assert isinstance(one, np.random.Generator)
    assert again.random(10).tolist() == values
    assert other.random(10).tolist() != values
    assert RunStream(6).numpy_generator().random(10).tolist() != values
    assert first.uniform() == draw(5, 3)


def test_numpys_global_generator_is_untouched():
    before = repr(np.random.get_state())  # noqa: NPY002 - that nobody moves it is the point
    stream = RunStream(1)
    stream.numpy_generator().random(3)
    stream.shuffle([1, 2, 3])
    RunStreams(KEYS).subsets(5, 2)
    assert repr(np.random.get_state()) == before  # noqa: NPY002


@pytest.mark.parametrize("study_seed", [0, 1, 2**32 - 1, 2**32, 2**70 + 3])
def test_keys_follow_the_formula(study_seed):
    seeds = np.array([0, 1, 2, 99, 100, 12_345, 2**32 - 1])
    for strategy, task in (("random-search", "nb201-cifar10"), ("my_package.search:my_search", "täsk")):
        keys = stream_keys(study_seed, strategy, task, seeds)
        assert keys.dtype == np.uint64
        assert keys.tolist() == [key_of(study_seed, strategy, task, seed) for seed in seeds.tolist()]


def test_keys_of_ten_thousand_runs_are_distinct():
    seeds = np.arange(10_000)
    names = [(study, strategy, task) for study in (0, 1) for strategy in ("a", "b") for task in ("a", "b")]
    keys = np.concatenate([stream_keys(*name, seeds) for name in names])
    assert len(np.unique(keys)) == len(keys) == 80_000


def test_one_key_does_not_depend_on_the_others():
    together = stream_keys(3, "a", "b", np.arange(100))
    assert stream_keys(3, "a", "b", np.array([57])).tolist() == [together[57]]


def test_the_examples_of_the_docstrings_hold():
    results = doctest.testmod(streams_module, extraglobs={"np": np})
    assert results.failed == 0
    methods = [vars(kind)[name] for kind in (RunStream, RunStreams) for name in SAME]
    assert all(">>>" in method.__doc__ for method in methods)


def test_both_forms_have_the_same_methods_with_the_same_draws():
    streams, plain = RunStreams(KEYS), [RunStream(key) for key in KEYS.tolist()]
    weights = np.array([0.1, 0.0, 3.7, 1e-9, 0.3])
    calls = {
        "uniform": (3,),
        "integers": (17, 3),
        "normal": (3,),
        "gumbel": (3,),
        "choice": ([5, 6, 7, 8, 9], weights),
        "permutation": (7,),
        "subset": (30, 4),
        "subsets": (30, 4),
    }
    assert set(calls) == set(SAME)
    for _ in range(50):
        for name, arguments in calls.items():
            together = getattr(streams, name)(*arguments)
            alone = [getattr(stream, name)(*arguments) for stream in plain]
            np.testing.assert_array_equal(together, np.array(alone), err_msg=name)
            runs = np.array([4, 1])
            some = getattr(streams, name)(*arguments, runs=runs)
            alone = [getattr(plain[run], name)(*arguments) for run in runs]
            np.testing.assert_array_equal(some, np.array(alone), err_msg=name)
    for name in ("uniform", "normal", "gumbel"):
        numbers = [getattr(stream, name)() for stream in plain]
        assert {type(number) for number in numbers} == {float}
        assert getattr(streams, name)().tolist() == numbers


def test_one_call_of_many_numbers_draws_as_many_calls():
    for name in ("uniform", "normal", "gumbel"):
        one, other = RunStream(9), RunStream(9)
        assert getattr(one, name)(6).tolist() == [getattr(other, name)() for _ in range(6)]


@pytest.mark.parametrize(("name", "cdf"), [("normal", norm.cdf), ("gumbel", gumbel_r.cdf)])
def test_distributions(name, cdf):
    numbers = getattr(RunStream(3), name)(20_000)
    assert kstest(numbers, cdf).pvalue > 1e-4
    assert np.isfinite(numbers).all()


def test_choice_follows_its_weights_and_never_takes_what_has_none():
    weights = np.array([0.5, 0.0, 0.25, 0.25, 0.0])
    stream = RunStream(3)
    counts = np.bincount([stream.choice(range(5), weights * 1e-300) for _ in range(8_000)], minlength=5)
    assert counts[[1, 4]].tolist() == [0, 0]
    assert chisquare(counts[[0, 2, 3]], 8_000 * weights[[0, 2, 3]]).pvalue > 1e-4
    per_run = np.eye(5)[[3, 0, 4, 1, 2]]
    assert RunStreams(KEYS).choice(np.arange(5), per_run).tolist() == [3, 0, 4, 1, 2]
    items = np.arange(25).reshape(5, 5)
    assert RunStreams(KEYS).choice(items, per_run).tolist() == [3, 5, 14, 16, 22]


@pytest.mark.parametrize("weights", [[0, 0], [1, -1], [1, np.nan], [1, np.inf], [1], [1, 2, 3]], ids=str)
def test_weights_that_are_no_chances_are_refused(weights):
    for rng in (RunStream(1), RunStreams(KEYS)):
        with pytest.raises(InvalidInputError, match="weights must be 2 numbers of at least 0"):
            rng.choice([1, 2], weights)


def test_numpys_idiom_is_refused_by_name():
    for rng in (RunStream(1), RunStreams(KEYS)):
        with pytest.raises(InvalidInputError, match=r"integers\(0, 10\) is written integers\(10\)"):
            rng.integers(0, 10)
        with pytest.raises(InvalidInputError, match="nothing to choose from"):
            rng.choice([])
        with pytest.raises(InvalidInputError, match=r"cannot draw 4 distinct integers from 0 … 2"):
            rng.subset(3, 4)
    with pytest.raises(InvalidInputError, match="at least 1"):
        RunStreams(KEYS).integers(np.array([1, 2, 0, 4, 5]))
