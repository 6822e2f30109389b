"""REINFORCE against a plain generator written from its definition, and the reference values."""

import math
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.cases import fast_first
from kit.tasks import Barren
from nasbench_strategies.reinforcement import reinforce
from nasbench_strategies.reinforcement.reinforce import Reinforce

from nasbench_harness import compare
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.engine.lifting import LiftedGenerators
from nasbench_harness.engine.loop import run_batch
from nasbench_harness.engine.strategy import Results
from nasbench_harness.engine.streams import RunStreams, stream_keys
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.problem import Budget, Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import load_task, make_task
from nasbench_harness.spaces import ListSpace, NASBench201Space, ProductSpace
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.catalog import describe
from nasbench_harness.studies.references import parse_strategy, resolve
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

NAME = "reinforce"
DATASETS = ("cifar10", "cifar100", "imagenet16-120")
# Accuracy of the incumbent, mean of 3,000 runs, by noise and evaluations.
REFERENCE = {
    ("mean", 200): [91.408, 72.783, 46.315],
    ("mean", 300): [91.495, 73.113, 46.461],
    ("per_query", 200): [91.377, 72.662, 46.035],
    ("per_query", 300): [91.463, 72.980, 46.129],
}
CASES = [
    (*key, dataset, means[position]) for key, means in REFERENCE.items() for position, dataset in enumerate(DATASETS)
]


def softmax(logits):
    weights = [math.exp(logit) for logit in logits]
    return [weight / sum(weights) for weight in weights]


def pick(probabilities, draw):
    for choice, probability in enumerate(probabilities):
        draw -= probability
        if draw < 0:
            return choice
    return len(probabilities) - 1


def plain_reinforce(
    problem,
    rng,
    *,
    learning_rate=0.05,
    baseline_decay=0.9,
    complexity="",
    complexity_target=1.0,
    complexity_weight=10.0,
):
    logits = [[0.0] * count for count in problem.space.num_choices.tolist()]
    means = [[0.0] * len(row) for row in logits]
    squares = [[0.0] * len(row) for row in logits]
    baseline, steps = None, 0
    while True:
        policy = [softmax(row) for row in logits]
        architecture = -1
        while architecture < 0:
            sample = [pick(probabilities, rng.uniform()) for probabilities in policy]
            architecture = int(problem.space.from_choices(np.array([sample]))[0])
        evaluation = yield architecture
        if math.isinf(evaluation.loss):
            continue
        reward = -evaluation.loss
        if complexity:
            value = float(problem.lookup(complexity, np.array([architecture]))[0])
            reward -= complexity_weight * abs(value / complexity_target - 1)
        if baseline is None:
            baseline = reward
            continue
        advantage = reward - baseline
        baseline = baseline_decay * baseline + (1 - baseline_decay) * reward
        steps += 1
        for decision, probabilities in enumerate(policy):
            for choice, probability in enumerate(probabilities):
                of_log = (1.0 if choice == sample[decision] else 0.0) - probability
                gradient = -advantage * of_log
                mean = means[decision][choice] = 0.9 * means[decision][choice] + 0.1 * gradient
                square = squares[decision][choice] = 0.999 * squares[decision][choice] + 0.001 * gradient**2
                corrected = mean / (1 - 0.9**steps), square / (1 - 0.999**steps)
                logits[decision][choice] -= learning_rate * corrected[0] / (math.sqrt(corrected[1]) + 1e-8)


class Folded(ProductSpace):
    """Decisions of 3, 12 and 2 choices; 2 means the same as 1 in the first, and all zeros are no architecture."""

    def __init__(self):
        super().__init__("folded", [list("abc"), list("defghijklmno"), list("pq")])

    def from_choices(self, choices):
        folded = np.where((np.arange(3) == 0) & (choices == 2), 1, choices)
        return np.where((choices == 0).all(axis=1), -1, super().from_choices(folded))


@pytest.fixture(scope="module")
def folded_task():
    """A third of its rows has no value."""
    space, rng = Folded(), np.random.default_rng(3)
    accuracy = rng.integers(3_000, 9_500, (space.num_architectures, 3, 1)) / 100.0
    accuracy[::3] = np.nan
    columns = {
        "val_accuracy": MetricArray(Metric("val_accuracy", "%", "maximize", "search", 0.01), accuracy),
        "size": MetricArray(Metric("size", "kB", "minimize", "hardware", free=True), rng.random(accuracy.shape) + 0.5),
    }
    table = Table("tiny", {"folded": Dataset("Folded", space, columns)}, Provenance("here", "1", "MIT"), "0" * 64)
    return make_task(table, "folded")


def strategy_on(space, num_runs=1, keys=None, **hyperparameters):
    keys = np.random.default_rng(0).integers(0, 2**64, num_runs, dtype=np.uint64) if keys is None else keys
    return Reinforce(Problem(space, (), Budget(200)), RunStreams(keys), **hyperparameters)


def results(tickets, architectures, losses):
    is_told = np.asarray(architectures) >= 0
    zeros = np.zeros(len(is_told))
    return Results(
        ticket=np.where(is_told, tickets, -1),
        architectures=np.asarray(architectures),
        fidelities=zeros.astype(int),
        values=np.where(is_told, losses, 0.0)[:, None],
        cost_s=zeros,
        finished_s=zeros,
        status=np.where(is_told, Status.OK, Status.NONE),
        feasible=is_told,
    )


def test_the_docstring_names_the_papers():
    text = describe(NAME).text
    assert "Williams" in text
    assert "Bender" in text


def test_it_is_reproducible_on_one_platform_and_needs_no_tile():
    assert (Reinforce.reproducible, Reinforce.tile) == ("platform", None)


PROTOCOLS = [
    {"evaluations": 200},
    {"evaluations": 200, "duplicates": "free"},
    {"evaluations": 200, "duplicates": "forbid", "noise": "mean"},
    {"simulated_seconds": 400_000.0, "noise": "per_run"},
]
PARAMETERS = [
    {},
    {"learning_rate": 0.5, "baseline_decay": 0.5},
    {"baseline_decay": 0.0, "complexity": "params_m", "complexity_target": 0.5},
    {"complexity": "flops_m", "complexity_target": 60.0, "complexity_weight": 3.0},
]
# The strategy does not see the protocol, so each set of parameters meets two protocols and each protocol two sets.
PAIRS = [(PROTOCOLS[(case + turn) % 4], PARAMETERS[case]) for turn in (0, 1) for case in range(4)]


@pytest.mark.parametrize(("protocol", "parameters"), fast_first(PAIRS, 4), ids=str)
def test_a_plain_generator_has_the_same_traces(run, run_plain, assert_same_traces, protocol, parameters):
    inside = ",".join(f"{name}={value!r}" for name, value in parameters.items())
    lockstep = run(f"{NAME}({inside})", "nb201-cifar100", 6, **protocol)
    plain = run_plain(plain_reinforce, NAME, "nb201-cifar100", 6, parameters, **protocol)
    assert_same_traces(plain, lockstep)


@pytest.mark.parametrize("parameters", [{}, {"complexity": "size", "complexity_target": 1.0}], ids=str)
@pytest.mark.parametrize("duplicates", fast_first(["free", "charge"]))
def test_impossible_missing_and_folded_architectures(folded_task, assert_same_traces, duplicates, parameters):
    """The learner sees its own samples, draws impossible ones again, and learns nothing where there is no value."""
    rules, seeds = Rules(Protocol(evaluations=150, duplicates=duplicates), 0), np.arange(8)
    batch = run_seeds(resolve(StrategyRef(NAME, None, parameters)), folded_task, rules, seeds)
    lockstep = batch.trace.rows(slice(0, 8))
    keys = stream_keys(0, NAME, folded_task.name, seeds)
    problem = folded_task.problem(rules.protocol)
    lifted = LiftedGenerators(problem, keys, plain_reinforce, parameters)
    plain = run_batch(lambda: lifted, folded_task, rules.protocol, 0, seeds).trace.rows(slice(0, 8))
    assert_same_traces(plain, lockstep)
    assert (lockstep["status"] == Status.MISSING).any()
    assert not (lockstep["architecture"] == 0).any()


# NumPy's own sums over the 12 choices of a single decision have other bits for one run than for many.
SINGLE = ProductSpace("single", [list("abcdefghijkl")])


@pytest.mark.parametrize("space", [NASBench201Space(), Folded(), SINGLE], ids=lambda space: space.name)
def test_the_policy_has_the_same_bits_in_any_batch(space):
    """Also where the others are not asked or told: steps of Adam and baselines are each run's own."""
    all_keys = np.random.default_rng(1).integers(0, 2**64, 500, dtype=np.uint64)

    def learned(runs, everyone_always):
        strategy = strategy_on(space, keys=all_keys[runs])
        tickets = np.zeros(len(runs), dtype=int)
        for step in range(60):
            idle = np.ones(len(runs), dtype=bool)
            if not everyone_always:
                idle = (runs + step) % 3 > 0
            architectures = strategy.ask(idle).architectures
            losses = (architectures * 37 + tickets * 11) % 101 * 0.37
            losses[tickets % 7 == 3] = np.inf
            strategy.tell(results(tickets, architectures, losses))
            tickets += idle
        return strategy

    for everyone_always in (True, False):
        together = learned(np.arange(500), everyone_always)
        for runs in ([0], [499], [3, 77], np.arange(7), np.arange(250, 263), np.arange(500)[::-1]):
            runs = np.asarray(runs)
            apart = learned(runs, everyone_always)
            for name in ("_logits", "_probabilities", "_cumulative"):
                assert getattr(apart, name).tobytes() == getattr(together, name)[:, runs].tobytes(), name
            assert apart._baseline.tobytes() == together._baseline[runs].tobytes()


def test_the_first_result_sets_the_baseline_and_later_ones_meet_the_old_one():
    strategy = strategy_on(ProductSpace("s", [["a", "b"]]))
    for ticket, (loss, baseline, moves) in enumerate(
        [(40.0, -40.0, False), (30.0, -39.0, True), (39.0, -39.0, False), (59.0, -41.0, True)]
    ):
        before, moment = strategy._logits.copy(), strategy._first_moment.copy()
        (architecture,) = strategy.ask(np.ones(1, dtype=bool)).architectures
        chance = strategy._probabilities[architecture, 0, 0]
        advantage = -loss - strategy._baseline[0]
        strategy.tell(results([ticket], [architecture], [loss]))
        assert strategy._baseline[0] == pytest.approx(baseline, abs=1e-12)
        gradient = (strategy._first_moment - 0.9 * moment)[architecture, 0, 0] / 0.1
        if moves:
            assert gradient == pytest.approx(-advantage * (1 - chance))
            # The first step of Adam is as long as the learning rate, whatever the gradient.
            if ticket == 1:
                assert (strategy._logits - before)[architecture, 0, 0] == pytest.approx(0.05)
        else:
            assert ticket == 0 or gradient == pytest.approx(0, abs=1e-12)
            assert ticket > 0 or (strategy._logits == 0).all()


def test_results_that_come_late_meet_their_own_samples():
    strategy, everyone = strategy_on(NASBench201Space()), np.ones(1, dtype=bool)
    asked = [int(strategy.ask(everyone).architectures[0]) for _ in range(9)]
    strategy.tell(results([8], [asked[8]], [50.0]))
    strategy.tell(results([3], [asked[3]], [20.0]))
    moved = strategy._logits[:, 0] > 0
    choices = strategy.problem.space.choices(np.array([asked[3]]))[0]
    assert moved.sum() == 6
    assert moved[choices, np.arange(6)].all()


@given(st.lists(st.floats(0, 100) | st.just(float("inf")), min_size=1, max_size=60), st.sampled_from([0.05, 5.0]))
def test_the_policy_stays_a_distribution(losses, learning_rate):
    strategy = strategy_on(Folded(), learning_rate=learning_rate)
    for ticket, loss in enumerate(losses):
        (architecture,) = strategy.ask(np.ones(1, dtype=bool)).architectures
        before = strategy._logits.copy()
        strategy.tell(results([ticket], [architecture], [loss]))
        if math.isinf(loss):
            np.testing.assert_array_equal(strategy._logits, before)
        np.testing.assert_allclose(strategy._probabilities.sum(axis=0), 1)
        possible = strategy._choice < strategy.problem.space.num_choices
        assert (strategy._probabilities[~np.broadcast_to(possible, (12, 1, 3))] == 0).all()


def test_samples_follow_the_policy():
    strategy = strategy_on(ProductSpace("s", [["a", "b", "c"], ["d", "e"]]), 60_000)
    strategy._logits[:] = np.log([[0.2, 0.5], [0.7, 0.5], [0.1, 1.0]])[:, None]
    strategy._logits[2, :, 1] = -np.inf
    strategy._renew_policy(np.arange(60_000))
    architectures = strategy.ask(np.ones(60_000, dtype=bool)).architectures
    shares = np.bincount(architectures, minlength=6) / 60_000
    # Bounds of five standard deviations.
    expected = np.outer([0.2, 0.7, 0.1], [0.5, 0.5]).ravel()
    assert (np.abs(shares - expected) < 5 * np.sqrt(expected * (1 - expected) / 60_000)).all()


def test_the_largest_draw_leads_to_an_existing_choice():
    strategy = strategy_on(Folded(), 3)
    strategy.rng.uniform = lambda size, runs: np.full((len(runs), size), 1.0)  # as if rounded up to the whole sum
    assert strategy._draw(np.arange(3)).tolist() == [[2, 11, 1]] * 3


def test_a_policy_that_gives_nothing_possible_falls_back_to_uniform(monkeypatch):
    monkeypatch.setattr(reinforce, "MAX_REDRAWS", 3)
    strategy = strategy_on(Barren(), 3_000)
    untouched = RunStreams(np.random.default_rng(0).integers(0, 2**64, 3_000, dtype=np.uint64))
    architectures = strategy.ask(np.ones(3_000, dtype=bool)).architectures
    untouched.uniform(2 * (1 + 3))
    np.testing.assert_array_equal(architectures, strategy.problem.space.sample(untouched))
    taken = strategy._samples.take(results(np.zeros(3_000, dtype=int), architectures, np.zeros(3_000)))
    np.testing.assert_array_equal(taken, strategy.problem.space.choices(architectures))


def test_a_last_sample_that_is_possible_is_taken(monkeypatch):
    calls = count(1)

    class Late(ProductSpace):
        def from_choices(self, choices):
            return super().from_choices(choices) if next(calls) == 4 else np.full(len(choices), -1)

    monkeypatch.setattr(reinforce, "MAX_REDRAWS", 3)
    strategy = strategy_on(Late("late", [["a", "b"], ["c", "d", "e"]]), 50)
    architectures = strategy.ask(np.ones(50, dtype=bool)).architectures
    samples = strategy._samples.take(results(np.zeros(50, dtype=int), architectures, np.zeros(50)))
    np.testing.assert_array_equal(samples, strategy.problem.space.choices(architectures))
    untouched = RunStreams(np.random.default_rng(0).integers(0, 2**64, 50, dtype=np.uint64))
    untouched.uniform(2 * (1 + 3))
    assert (strategy.rng.uniform() == untouched.uniform()).all()  # nothing uniform was drawn


@pytest.mark.thorough
@pytest.mark.parametrize(("noise", "evaluations", "dataset", "mean"), CASES)
def test_reference_values(scores, assert_near, noise, evaluations, dataset, mean):
    assert_near(scores(NAME, dataset, noise, evaluations), mean, 3_000)


def test_complexity_pulls_samples_to_its_target(run):
    """Small networks are worse: without the term the search leaves them, with it they are what it samples."""
    problem = load_task("nb201-cifar100").problem(Protocol())

    def late_distance(text):
        architectures = run(text, "nb201-cifar100", 100, evaluations=300)["architecture"].reshape(100, 300)
        return np.abs(problem.lookup("params_m", architectures[:, 250:]) / 0.1 - 1).mean()

    pulled = f"{NAME}(complexity='params_m',complexity_target=0.1,complexity_weight=100.0)"
    assert late_distance(pulled) < 0.25 * late_distance(NAME)


def test_the_reward_with_complexity_and_its_lookups_are_counted():
    sizes = np.array([1.0, 2.0, 5.0, np.nan])
    problem = Problem(ProductSpace("s", [list("abcd")]), (), Budget(10), {"size": sizes})
    rng = RunStreams(np.arange(5, dtype=np.uint64))
    strategy = Reinforce(problem, rng, complexity="size", complexity_target=2.0, complexity_weight=4.0)
    rewards = strategy._rewards(results([0] * 5, [0, 1, 2, 3, -1], [10.0] * 5))
    np.testing.assert_array_equal(rewards, [-12.0, -10.0, -16.0, np.nan, np.nan])
    assert problem.num_lookups == {"size": 4}


def test_a_wrong_metric_is_refused_before_anything_runs(tmp_path):
    text = f"{NAME}(complexity='parms_m',complexity_target=0.5)"
    with pytest.raises(InvalidInputError, match="unknown free metric 'parms_m': did you mean 'params_m'"):
        compare([text], ["nb201-cifar100"], 2, tmp_path / "study")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("learning_rate=0", "learning_rate must be above 0, not 0"),
        ("learning_rate=nan", "learning_rate must be above 0, not nan"),
        ("baseline_decay=1", "baseline_decay must be in 0 … 1 (1 excluded), not 1"),
        ("complexity_weight=-1", "complexity_weight must be at least 0, not -1"),
        ("complexity='params_m'", "complexity_target must be above 0, not 0.0: give the wanted params_m"),
        ("complexity_target=1.0", "complexity_target needs complexity, the name of a free metric"),
    ],
)
def test_hyperparameters_without_sense_are_refused(parameters, message):
    with pytest.raises(InvalidInputError) as caught:
        run_seeds(
            resolve(parse_strategy(f"{NAME}({parameters})")),
            load_task("nb201-cifar100"),
            Rules(Protocol(), 0),
            np.arange(2),
        )
    assert str(caught.value) == f"{NAME}: {message}"


@pytest.fixture(scope="module")
def listed():
    """A sample of 400 of 4¹² architectures: nearly no combination of choices is one of them."""
    rows = np.unique(np.random.default_rng(0).integers(0, 4, (400, 12)), axis=0)
    values = 60 + 3.0 * (rows == 2).sum(axis=1)[:, None, None]
    space = ListSpace("sample", [f"k{index}" for index in range(len(rows))], [list("abcd")] * 12, rows)
    column = MetricArray(Metric("val_accuracy", "%", "maximize", "search"), values)
    return make_task(
        Table("sample", {"one": Dataset("One", space, {"val_accuracy": column})}, Provenance("s", "1", "l")), "one"
    )


def test_lists_are_drawn_from_their_rows(listed, monkeypatch):
    """Redrawing took 1,000 draws for a sample, and then a uniform row."""
    monkeypatch.setattr(reinforce, "MAX_REDRAWS", -1)
    rules = Rules(Protocol(evaluations=150), study_seed=0)
    batch = run_seeds(resolve(parse_strategy(NAME)), listed, rules, np.arange(20))
    rows = batch.trace.rows(slice(0, 20))
    found = listed.scores["val"].values[rows["architecture"]].reshape(20, 150)
    assert found[:, -30:].mean() > found[:, :30].mean() + 2  # it learns
    alone = run_seeds(resolve(parse_strategy(NAME)), listed, rules, np.arange(7, 8)).trace.rows(slice(0, 1))
    np.testing.assert_array_equal(rows["architecture"].reshape(20, 150)[7], alone["architecture"])


def test_before_the_first_update_every_continuation_of_a_row_is_as_likely(listed):
    space = listed.space
    strategy = Reinforce(listed.problem(Protocol(evaluations=1)), RunStreams(np.arange(20_000, dtype=np.uint64)))
    first = space.choices(strategy.ask(np.ones(20_000, dtype=bool)).architectures)[:, 0]
    assert np.abs(np.bincount(first) / 20_000 - 0.25).max() < 0.02
