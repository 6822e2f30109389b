"""Successive halving, and the settings that it races."""

from typing import Annotated

import pytest

from nasbench_harness import OneOf, Range
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import resolve
from nasbench_harness.tuning.halving import Schedule, first_seeds_within, race
from nasbench_harness.tuning.sampling import configurations, describe_ranges, tunable


def search(
    problem,
    rng,
    *,
    size: Annotated[int, Range(1)] = 20,
    part: Annotated[int, Range(1, "size")] = 5,
    rate: Annotated[float, Range(0, 1)] = 0.5,
    step: Annotated[float, Range(above=0)] = 0.1,
    decay: Annotated[float, Range(0, below=1)] = 0.9,
    kind: Annotated[str, OneOf("a", "b")] = "a",
    seconds_per_score: Annotated[float, Range(0)] = 1.0,
    free: int = 3,
):
    yield problem.space.sample(rng)


def spec(**parameters):
    return resolve(StrategyRef(search, None, parameters))


def test_settings_lie_in_their_ranges_and_differ():
    found = configurations(spec(), 200)
    assert found[0] == {"size": 20, "part": 5, "rate": 0.5, "step": 0.1, "decay": 0.9, "kind": "a"}
    assert len({str(one) for one in found}) == len(found) == 200
    for one in found:
        resolve(StrategyRef(search, None, one))  # checks every range, also that of part within size
        assert 3 <= one["size"] <= 160
        assert 0 < one["step"] <= 0.8
        assert type(one["size"]) is type(one["part"]) is int
    assert {one["kind"] for one in found} == {"a", "b"}
    assert min(one["size"] for one in found) < 6
    assert max(one["size"] for one in found) > 100
    assert sum(one["size"] < 20 for one in found) > 60  # an even scale would draw few small ones


def test_the_same_settings_are_drawn_again_and_more_of_them_begin_alike():
    assert configurations(spec(), 20) == configurations(spec(), 40)[:20]
    assert configurations(spec(), 20, seed=1)[1:] != configurations(spec(), 20)[1:]


def test_declared_costs_and_given_values_are_not_tuned():
    assert "seconds_per_score" not in tunable(spec())
    assert "free" not in tunable(spec())
    found = configurations(spec(size=7), 30, fixed={"size"})
    assert all("size" not in one and one["part"] <= 7 for one in found)
    assert describe_ranges(spec())["part"] == "1 … size (logarithmic)"


def test_a_small_range_gives_fewer_settings():
    def two(problem, rng, *, kind: Annotated[str, OneOf("a", "b")] = "b"):
        yield problem.space.sample(rng)

    assert configurations(resolve(StrategyRef(two)), 10) == [{"kind": "b"}, {"kind": "a"}]

    def none(problem, rng, *, size=3):
        yield problem.space.sample(rng)

    assert configurations(resolve(StrategyRef(none)), 10) == [{}]


def raced(schedule, tasks, score):
    """A race whose legs are scored one after the other."""
    return race(schedule, tasks, lambda legs: [score(*leg) for leg in legs])


@pytest.mark.parametrize("trials", [1, 2, 3, 7, 16, 33])
def test_a_schedule_counts_exactly_the_runs_of_its_race(trials):
    schedule, played = Schedule.of(trials, 5), []

    def score(setting, task, first, end):
        played.append((setting, task, first, end))
        return float(setting != trials - 1)

    best, rungs = raced(schedule, ["one", "two"], score)
    assert best == trials - 1
    assert sum(end - first for *_, first, end in played) == 2 * schedule.num_runs
    assert len(set(played)) == len(played)
    assert [len(rung) for rung in rungs] == [count for count, _ in schedule.rungs]


def test_a_setting_that_is_lucky_at_first_loses_later():
    def score(setting, task, first, end):
        return {0: 0.5, 1: 0.4 if first == 0 else 2.0, 2: 0.9, 3: 1.0}[setting]

    assert raced(Schedule.of(4, 3), ["one"], score)[0] == 0


def test_runs_count_alike_in_every_rung():
    """The score is a mean over runs, not over rungs, which have 2, 2 and 4 new runs."""

    def score(setting, task, first, end):
        return {0: 0.5, 1: 0.0 if first < 4 else 1.1}.get(setting, 3.0)

    # Setting 1 has 4.4 / 8 = .55 over its runs, and (0 + 0 + 1.1) / 3 = .37 over its rungs.
    assert raced(Schedule.of(5, 2), ["one"], score)[0] == 0


def test_equal_scores_keep_the_strategy_as_it_is_given():
    assert raced(Schedule.of(8, 1), ["one"], lambda *_: 0.25)[0] == 0


def test_a_setting_that_cannot_be_run_is_never_chosen():
    best, _ = raced(Schedule.of(4, 2), ["one"], lambda setting, *_: float("inf") if setting else 3.0)
    assert best == 0


def test_a_budget_is_used_and_never_passed():
    for budget in (7_000, 25_000, 99_999):
        seeds = first_seeds_within(9, 2, 20, budget)
        assert Schedule.of(9, seeds).num_runs * 40 <= budget < Schedule.of(9, seeds + 1).num_runs * 40
    with pytest.raises(InvalidInputError, match=r"100 evaluations is too small: 9 trials on 2 tasks need \d+"):
        first_seeds_within(9, 2, 20, 100)
