"""A run that fails costs itself: the other runs of its batch are stored with the bytes that they have without it."""

import re
import sys
import time
from functools import cache

import numpy as np
import pytest
from kit.cases import fast_first
from kit.requests import request

from nasbench_harness import Progress, Proposal, Proposals, Strategy
from nasbench_harness.engine import loop
from nasbench_harness.engine.batches import Rules, run_parts
from nasbench_harness.engine.streams import RunStream, stream_keys
from nasbench_harness.errors import InvalidInputError, StrategyError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.store.segments import read_columns
from nasbench_harness.studies.batches import BatchPlan, identity
from nasbench_harness.studies.execution import execute
from nasbench_harness.studies.planning import plan_study
from nasbench_harness.studies.references import resolve

RULES = Rules(Protocol(evaluations=12), 0)
NUM_RUNS = 20
BAD = (3, 11)


@cache
def first_draws(use):
    keys = stream_keys(0, resolve(StrategyRef(use)).reference, "tiny-set", np.arange(NUM_RUNS))
    return [RunStream(key).uniform() for key in keys.tolist()]


def failing(how):
    """A generator like ``healthy`` that does something else after five evaluations in the bad runs."""

    def search(problem, rng):
        is_bad = rng.uniform() in marks
        for step in range(1_000):
            if is_bad and step == 5:
                yield from how(problem, rng)
            yield rng.integers(256)

    marks = {first_draws(search)[seed] for seed in BAD}
    return search


def raises(problem, rng):
    raise RuntimeError("out of ideas")
    yield


def exits(problem, rng):
    sys.exit(0)
    yield


class OddError(BaseException):
    """No Exception, as some libraries have them for aborts."""


class MuteError(Exception):
    """It has no text."""

    def __str__(self):
        return 5


def raises_no_exception(problem, rng):
    raise OddError("out of luck")
    yield


def yields_text(problem, rng):
    yield "|none~0|"


def yields_a_strange_index(problem, rng):
    yield 256


def yields_minus_one(problem, rng):
    yield 3
    yield -1


def recommends_nonsense(problem, rng):
    yield Proposal(1, recommendation=-7)


def yields_in_finally(problem, rng):
    try:
        while True:
            yield 1
    finally:
        yield 2


def never_closes(problem, rng):
    while True:
        try:
            yield 1
        except GeneratorExit:
            continue


def rows_of(parts, seed):
    for part in parts:
        positions = np.flatnonzero(part.seeds == seed)
        if len(positions):
            return part.batch.trace.rows(slice(positions[0], positions[0] + 1))
    raise AssertionError(seed)


HOWS = {
    raises: "out of ideas",
    exits: r"called sys\.exit\(0\)",
    raises_no_exception: "search raised OddError: out of luck",
    yields_text: "yield an architecture",
    yields_a_strange_index: "an architecture is in 0 … 255",
    yields_minus_one: "yielded -1: an architecture is in 0",
    recommends_nonsense: "recommended -7: an architecture is in",
    yields_in_finally: "yields while it is closed",
    never_closes: "yields while it is closed",
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nothing closes ``never_closes``
@pytest.mark.parametrize("how", fast_first(HOWS, 3), ids=lambda how: how.__name__)
def test_a_generator_that_fails_costs_its_own_run(tiny, how, assert_same):
    search = failing(how)
    seeds = np.arange(NUM_RUNS)
    (part,) = run_parts(resolve(StrategyRef(search)), tiny, RULES, seeds)
    assert sorted(part.failures) == list(BAD)
    for error in part.failures.values():
        with pytest.raises((StrategyError, RuntimeError), match=HOWS[how]):
            raise error
    for seed in set(range(NUM_RUNS)) - set(BAD):
        alone = run_parts(resolve(StrategyRef(search)), tiny, RULES, np.array([seed]))
        assert_same(rows_of([part], seed), rows_of(alone, seed))


class Picky(Strategy):
    """Random search in lockstep that stumbles over the bad runs, in ``ask`` or in ``tell``."""

    where = "ask"

    def __init__(self, problem, rng):
        super().__init__(problem, rng)
        self.is_bad = np.isin(rng.uniform(), [first_draws(type(self))[seed] for seed in BAD])
        self.num_asks = 0
        if self.where == "constructor" and self.is_bad.any():
            sys.exit(0)

    def ask(self, idle):
        self.num_asks += 1
        architectures = np.full(len(idle), -1)
        architectures[idle] = self.problem.space.sample(self.rng, np.flatnonzero(idle))
        if self.num_asks == 5 and self.is_bad.any():
            if self.where == "ask":
                raise KeyError("ask")
            if self.where == "exit":
                sys.exit("no more")
            if self.where == "odd":
                raise OddError
            if self.where == "range":
                architectures[self.is_bad] = 256
        return Proposals(architectures)

    def tell(self, results):
        if self.where == "tell" and self.num_asks == 5 and self.is_bad.any():
            raise KeyError("tell")


@pytest.mark.parametrize("where", ["ask", "tell", "range", "exit", "odd", "constructor"])
def test_a_class_that_raises_loses_the_runs_that_make_it_raise(tiny, monkeypatch, where, assert_same):
    spec = resolve(StrategyRef(Picky))
    monkeypatch.setattr(Picky, "where", "nowhere")
    honest = run_parts(spec, tiny, RULES, np.arange(NUM_RUNS))
    monkeypatch.setattr(Picky, "where", where)
    parts = run_parts(spec, tiny, RULES, np.arange(NUM_RUNS))
    assert np.concatenate([part.seeds for part in parts]).tolist() == list(range(NUM_RUNS))
    assert sorted(seed for part in parts for seed in part.failures) == list(BAD)
    for seed in set(range(NUM_RUNS)) - set(BAD):
        assert_same(rows_of(parts, seed), rows_of(honest, seed))


def test_progress_between_evaluations_is_not_added_up(tiny, monkeypatch):
    def thinks(problem, rng):
        while True:
            for _ in range(8):
                yield Progress(0.001)
            yield problem.space.sample(rng)

    monkeypatch.setattr(loop, "_MAX_PROGRESS", 10)
    (part,) = run_parts(resolve(StrategyRef(thinks)), tiny, RULES, np.arange(3))
    assert part.failures == {}

    def thinks_on(problem, rng):
        while True:
            yield Progress(0.001)

    (part,) = run_parts(resolve(StrategyRef(thinks_on)), tiny, RULES, np.arange(1))
    with pytest.raises(StrategyError, match="made progress 10 times in a row without an evaluation"):
        raise part.failures[0]


def test_a_class_that_always_raises_loses_every_run(tiny):
    class Hopeless(Picky):
        def ask(self, idle):
            raise ValueError("hopeless")

    parts = run_parts(resolve(StrategyRef(Hopeless)), tiny, RULES, np.arange(NUM_RUNS))
    assert sorted(seed for part in parts for seed in part.failures) == list(range(NUM_RUNS))


@pytest.mark.parametrize("use", ["generator", "class"])
def test_the_others_are_stored_and_the_message_names_strategy_task_and_seeds(tiny, tmp_path, monkeypatch, use):
    monkeypatch.setattr(Picky, "where", "tell")
    spec = resolve(StrategyRef(failing(raises) if use == "generator" else Picky, "mine"))
    (report,) = execute([BatchPlan(spec, tiny, ((0, 9), (10, NUM_RUNS - 1)))], RULES, tmp_path, jobs=1)
    assert (report.num_runs, report.num_failed) == (NUM_RUNS, 2)
    assert report.num_evaluations == (NUM_RUNS - 2) * 12
    message = "RuntimeError: out of ideas" if use == "generator" else "KeyError: 'tell'"
    (log,) = (tmp_path / "failures").iterdir()
    line = (
        rf"mine on tiny-set, seeds 3, 11 \(2 runs\): {message}, at test_failures\.py:\d+ \(log: {re.escape(str(log))}\)"
    )
    assert re.fullmatch(line, report.failure)
    assert log.read_text().startswith("mine on tiny-set, seeds 3, 11 (2 runs)\nTraceback (most recent call last)")
    segments = StudyFolder(tmp_path).segments(identity(spec, tiny, RULES))
    assert [(segment.first, segment.last) for segment in segments] == [(0, 2), (4, 9), (10, 10), (12, 19)]
    whole = run_parts(spec, tiny, RULES, np.arange(NUM_RUNS))
    for segment in segments:
        columns = read_columns(segment.path)
        assert columns["seed"].tolist() == np.repeat(np.arange(segment.first, segment.last + 1), 12).tolist()
        for seed in range(segment.first, segment.last + 1):
            found = columns["architecture"][columns["seed"] == seed]
            assert found.tolist() == rows_of(whole, seed)["architecture"].tolist()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OddError("out of luck"), "search raised OddError: out of luck"),
        (MuteError(), r"MuteError: \[its text raised TypeError\]"),
    ],
)
def test_errors_without_a_text_and_other_kinds_cost_their_runs_only(tiny, tmp_path, error, message):
    def stumbles(problem, rng):
        raise error
        yield

    spec = resolve(StrategyRef(failing(stumbles), "mine"))
    (report,) = execute([BatchPlan(spec, tiny, ((0, NUM_RUNS - 1),))], RULES, tmp_path, jobs=1)
    assert (report.num_runs, report.num_failed) == (NUM_RUNS, 2)
    assert re.match(rf"mine on tiny-set, seeds 3, 11 \(2 runs\): {message}, at test_failures\.py:\d+ ", report.failure)


def test_ctrl_c_inside_a_strategy_ends_the_command(tiny):
    def interrupted(problem, rng):
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        run_parts(resolve(StrategyRef(failing(interrupted))), tiny, RULES, np.arange(NUM_RUNS))


def test_runs_of_a_batch_that_was_split_are_stored_with_the_bytes_of_a_whole_one(tiny, tmp_path, monkeypatch):
    class Once(Picky):
        """Fails in the batch of all runs only: its halves go through."""

        def ask(self, idle):
            if len(idle) == NUM_RUNS and is_moody:
                raise ValueError("too many")
            return super().ask(idle)

    monkeypatch.setattr(Picky, "where", "nowhere")
    spec = resolve(StrategyRef(Once))
    for is_moody in (False, True):
        (report,) = execute([BatchPlan(spec, tiny, ((0, NUM_RUNS - 1),))], RULES, tmp_path / str(is_moody), jobs=1)
        assert report.failure == ""
    whole, split = ([path.read_bytes() for path in (tmp_path / name).rglob("*.parquet")] for name in ("False", "True"))
    assert whole == split
    assert len(whole) == 1


def test_what_a_strategy_prints_does_not_reach_standard_output(tiny, tmp_path, capsys):
    def talks(problem, rng):
        print("looking around")
        while True:
            yield rng.integers(256)

    (report,) = execute([BatchPlan(resolve(StrategyRef(talks)), tiny, ((0, 1),))], RULES, tmp_path, jobs=1)
    assert report.failure == ""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("looking around") == 2


def hangs(problem, rng):
    time.sleep(60)
    yield


def spins(problem, rng):
    while True:
        try:
            time.sleep(1e-3)
        except Exception:
            continue
    yield


def hangs_when_closed(problem, rng):
    try:
        while True:
            yield 1
    finally:
        time.sleep(60)


@pytest.mark.parametrize("how", [hangs, spins, hangs_when_closed], ids=lambda how: how.__name__)
def test_a_generator_that_hangs_fails_alone_after_the_limit(tiny, how):
    start = time.monotonic()
    (part,) = run_parts(resolve(StrategyRef(failing(how))), tiny, RULES, np.arange(NUM_RUNS), run_timeout=0.3)
    assert time.monotonic() - start < 10
    assert sorted(part.failures) == list(BAD)
    for error in part.failures.values():
        assert "used more than 0.3 s of real time" in str(error)


@pytest.mark.thorough
def test_the_limit_holds_for_all_of_a_run_not_for_one_call(tiny):
    def dawdles(problem, rng):
        while True:
            time.sleep(0.05)
            yield rng.integers(256)

    (part,) = run_parts(resolve(StrategyRef(dawdles)), tiny, RULES, np.arange(2), run_timeout=0.3)
    assert sorted(part.failures) == [0, 1]
    (part,) = run_parts(resolve(StrategyRef(dawdles)), tiny, RULES, np.arange(2), run_timeout=3)
    assert part.failures == {}


def test_a_class_that_hangs_loses_the_runs_that_make_it_hang(tiny, monkeypatch):
    class Sleepy(Picky):
        def tell(self, results):
            if self.num_asks == 5 and self.is_bad.any():
                time.sleep(60)

    parts = run_parts(resolve(StrategyRef(Sleepy)), tiny, RULES, np.arange(NUM_RUNS), run_timeout=0.2)
    assert sorted(seed for part in parts for seed in part.failures) == list(BAD)


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf"), True, "1"])
def test_strange_limits_are_refused(tiny, tmp_path, seconds):
    with pytest.raises(InvalidInputError, match="run_timeout must be a number of seconds above 0"):
        list(execute([], RULES, tmp_path, 1, seconds))


class CannotBeBuilt(Strategy):
    """Its constructor fails as user code does."""

    def __init__(self, problem, rng, *, size=10):
        super().__init__(problem, rng)
        if size < 0:
            raise RuntimeError("no size\nbelow 0")
        self.members = np.zeros(size)

    def ask(self, idle):
        return Proposals(np.full(len(idle), -1))

    def tell(self, results):
        pass


@pytest.mark.parametrize(("size", "message"), [(-1, "RuntimeError: no size"), (10**15, "MemoryError: Unable to")])
def test_a_strategy_that_cannot_be_built_ends_the_command_before_any_run(tmp_path, size, message):
    asked = request([StrategyRef(CannotBeBuilt, None, {"size": size})], ["nb201-cifar10"], 3)
    with pytest.raises(StrategyError, match=rf"cannot be built for nb201-cifar10: .*{message}.* \(test_failures.py:"):
        plan_study(asked, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_every_different_error_has_its_line(tiny, tmp_path):
    def varied(problem, rng):
        yield 1
        raise (RuntimeError, ValueError, KeyError, IndexError)[rng.integers(4)](f"after {rng.integers(1000)} draws")

    (report,) = execute([BatchPlan(resolve(StrategyRef(varied)), tiny, ((0, 99),))], RULES, tmp_path, jobs=1)
    assert report.num_failed == 100
    assert len(report.failure.splitlines()) == 4
    assert "seeds 0" in report.failure
    assert ", … (" in report.failure
    assert "draws, with other values in other runs, at test_failures.py:" in report.failure


def test_what_a_strategy_is_given_leads_to_no_state_of_the_engine(tiny, play, scripted):
    """Arrays are copies: not even their bases are the clock or the record."""
    (honest,) = play(scripted([list(range(40))]), evaluations=30)
    strategy = scripted([list(range(40))])
    ask = strategy.ask

    def spoil(array):
        while array is not None:
            array.flags.writeable = True
            array[...] = 0
            array = array.base

    def tell(results):
        for name in ("ticket", "architectures", "fidelities", "values", "cost_s", "finished_s", "status"):
            spoil(getattr(results, name))

    def greedy(idle):
        proposals = ask(idle)
        spoil(idle)
        return proposals

    strategy.tell, strategy.ask = tell, greedy
    (trace,) = play(strategy, evaluations=30)
    for name in honest:
        assert trace[name].tolist() == honest[name].tolist(), name


def test_the_clock_cannot_be_turned_back(tiny, play, scripted):
    strategy = scripted([list(range(256))])

    def tell(results):
        array = results.finished_s
        while array is not None:
            array.flags.writeable = True
            array[:] = 0
            array = array.base

    strategy.tell = tell
    rules = {"evaluations": None, "simulated_seconds": 5_000.0}
    (trace,) = play(strategy, **rules)
    (honest,) = play(scripted([list(range(256))]), **rules)
    assert len(trace["status"]) == len(honest["status"]) < 40


def test_a_recommendation_that_is_changed_in_place_is_recorded(play):
    class InPlace(Strategy):
        def __init__(self):
            self.best = np.zeros(1, dtype=np.int64)

        def ask(self, idle):
            self.best += 1
            return Proposals(np.array([7 if self.best[0] < 4 else -1]))

        def tell(self, results):
            pass

        def recommend(self):
            return self.best

    (trace,) = play(InPlace())
    assert trace["recommended"].tolist() == [1, 2, 3, 4]
