"""NSGA-II and Pareto searches: plain versions, dominance, constraints, and the hypervolume that they reach."""

import tracemalloc

import numpy as np
import pytest
from nasbench_strategies._models.feasibility import FeasibleRewards, feasible_loss
from nasbench_strategies.evolution.nsga2 import NSGA2, _crowding, _fronts
from nasbench_strategies.evolution.pareto_evolution import _winner
from nasbench_strategies.local.pareto_local_search import _dominates, _keep

from nasbench_harness import Evaluation, Results, RunStreams
from nasbench_harness.analysis.fronts import picks_of
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.evaluation.choice import rows_of
from nasbench_harness.evaluation.problem import Budget, Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.studies.references import parse_strategy, resolve

NAMES = ("nsga2", "pareto-evolution", "pareto-local-search")
TWO = {"objectives": "val_accuracy,latency_ms"}
WITH_ONE_OBJECTIVE = (
    "differential-evolution",
    "genetic-algorithm",
    "gumbel-softmax",
    "local-search",
    'local-search(acceptance="steepest",num_initial=1)',
    "natural-gradient",
    "regularized-evolution",
    "reinforce",
    "rnn-controller",
    "score-seeded-evolution",
    "source-seeded-evolution",
)


def evaluation(*values, architecture=0, feasible=True):
    return Evaluation(architecture, values[0], values, 1, 0.0, 0.0, 0, 0, feasible)


def batch_of(text, task, num_seeds, **protocol):
    rules = Rules(Protocol(**protocol), 0)
    return run_seeds(resolve(parse_strategy(text)), load_task(task), rules, np.arange(num_seeds))


def hypervolumes(text, num_seeds, **protocol):
    batch, view = (
        batch_of(text, "nb201-cifar10", num_seeds, **protocol),
        load_task("nb201-cifar10").under(Protocol(**protocol)),
    )
    rows = rows_of({name: column.T for name, column in batch.trace.columns().items()}, view)
    return view.scores["val"].values[picks_of(rows, view)[:, -1]]


def plain_fronts(values, feasible):
    """Peels one front after another; pairs are compared one by one."""

    def dominates(i, j):
        if feasible[i] != feasible[j]:
            return feasible[i]
        return all(values[i] <= values[j]) and any(values[i] < values[j])

    front, left, number = {}, set(range(len(values))), 0
    while left:
        peeled = {j for j in left if not any(dominates(i, j) for i in left)}
        front.update(dict.fromkeys(peeled, number))
        left, number = left - peeled, number + 1
    return [front[k] for k in range(len(values))]


def plain_crowding(values, front):
    room = np.zeros(len(values))
    for objective in range(values.shape[1]):
        width = np.ptp(values[:, objective]) or 1.0
        for number in set(front):
            members = [k for k in range(len(values)) if front[k] == number]
            members.sort(key=lambda k: values[k, objective])
            room[members[0]] = room[members[-1]] = np.inf
            for before, here, after in zip(members, members[1:], members[2:], strict=False):
                room[here] += (values[after, objective] - values[before, objective]) / width
    return room


@pytest.mark.parametrize("num_objectives", [1, 2, 3])
def test_fronts_and_room_are_those_of_a_plain_sort(num_objectives):
    rng = np.random.default_rng(num_objectives)
    values = rng.permuted(np.tile(np.arange(20.0)[:, None], (9, 1, num_objectives)), axis=1)
    values[3] = rng.integers(0, 3, (20, num_objectives))  # ties
    values[4, 5] = np.inf
    feasible = rng.random((9, 20)) < 0.7
    feasible[:3] = True
    fronts = _fronts(values, feasible)
    for run in range(9):
        assert fronts[run].tolist() == plain_fronts(values[run], feasible[run])
        if run not in (3, 4):
            expected = plain_crowding(values[run], fronts[run].tolist())
            np.testing.assert_allclose(_crowding(values, fronts)[run], expected)


def test_an_infeasible_architecture_is_dominated_by_every_feasible_one():
    good, bad = evaluation(9.0, 9.0, architecture=1), evaluation(1.0, 1.0, architecture=2, feasible=False)
    assert _dominates(good, bad)
    assert not _dominates(bad, good)
    assert _winner([bad, good]) == 1
    archive = {}
    for found in (bad, good, evaluation(9.0, 9.0, architecture=3), evaluation(9.0, 10.0, architecture=4)):
        _keep(archive, found)
    assert list(archive) == [1, 3]


def test_the_winner_of_a_tournament_has_the_fewest_dominators():
    entrants = [
        evaluation(3.0, 3.0, architecture=7),
        evaluation(1.0, 4.0, architecture=8),
        evaluation(2.0, 2.0, architecture=9),
    ]
    assert _winner(entrants) == 8
    assert _winner(entrants[::2]) == 9


@pytest.mark.thorough
def test_memory_of_nsga2_is_that_of_its_proposals():
    """A run of a space of ten million architectures keeps no array of their size."""
    space = ProductSpace("large", [list("abcdefghij")] * 7)
    tracemalloc.start()
    strategy = NSGA2(Problem(space, (), Budget(200)), RunStreams(np.arange(100, dtype=np.uint64)))
    strategy.propose(np.arange(100))
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 10_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_run_has_the_same_trace_alone_and_with_others(name):
    spec = resolve(parse_strategy(name))
    rules, task = Rules(Protocol(evaluations=60, **TWO), 0), load_task("nb201-cifar10")
    together = run_seeds(spec, task, rules, np.arange(9)).trace.rows(slice(0, 9))
    for seed in (0, 8):
        alone = run_seeds(spec, task, rules, np.array([seed])).trace.rows(slice(0, 1))
        np.testing.assert_array_equal(alone["architecture"], together["architecture"][together["run"] == seed])


@pytest.mark.parametrize("name", [*NAMES, *WITH_ONE_OBJECTIVE])
def test_constraints_lead_the_search(name):
    """The fastest quarter: a uniform sample meets it in a quarter of the evaluations."""
    task, rules = load_task("nb201-cifar10"), {"evaluations": 150, "constraints": "latency_ms<=q25"}
    if name.startswith("source"):
        rules |= {"sources": "nb201-cifar100", "source_evaluations": 200, "source_cost": "reported"}
    columns = batch_of(name, "nb201-cifar10", 60, **rules).trace.rows(slice(0, 60))
    latency = task.problem(Protocol()).lookup("latency_ms", columns["architecture"]).reshape(60, 150)
    bound = np.quantile(task.problem(Protocol()).lookup("latency_ms", np.arange(15_625)), 0.25)
    # Five standard errors of a uniform sample.
    assert (latency[:, -50:] <= bound).mean() > 0.25 + 5 * np.sqrt(0.25 * 0.75 / 3_000)


def test_an_infeasible_loss_is_infinite():
    assert feasible_loss(evaluation(3.0)) == 3.0
    assert feasible_loss(evaluation(3.0, feasible=False)) == np.inf


def test_an_infeasible_reward_is_the_smallest_feasible_one_of_its_run_so_far():
    rewards, zeros, inf = FeasibleRewards(3), np.zeros(3), np.inf

    def of(given, feasible):
        finished = np.full(3, Status.OK, dtype=np.int8)
        results = Results(zeros, zeros, zeros, zeros[:, None], zeros, zeros, finished, np.array(feasible, dtype=bool))
        return rewards(np.array(given), results).tolist()

    assert of([-5.0, -1.0, -inf], [1, 0, 1]) == pytest.approx([-5.0, np.nan, -inf], nan_ok=True)
    assert of([-9.0, -4.0, -2.0], [0, 1, 1]) == [-5.0, -4.0, -2.0]
    assert of([-9.0, -3.0, -inf], [1, 1, 0]) == [-9.0, -3.0, -inf]
    assert of([-1.0, -1.0, -1.0], [0, 0, 0]) == [-9.0, -4.0, -2.0]


@pytest.mark.thorough
def test_they_reach_more_hypervolume_than_random_search():
    """NSGA-II: 98 % of the true front's hypervolume on average within 300 evaluations."""
    found = {name: hypervolumes(name, 100, evaluations=300, noise="mean", **TWO) for name in (*NAMES, "random-search")}
    means = {name: values.mean() for name, values in found.items()}
    assert means["nsga2"] >= 98
    assert min(means[name] for name in NAMES) > means["random-search"] + 2
