"""Natural gradient against a plain one after the authors' code, the others against plain ones, and learning."""

import numpy as np
import pytest
from kit.tasks import Barren
from nasbench_strategies.differentiable import gumbel_softmax
from nasbench_strategies.differentiable.gumbel_softmax import GumbelSoftmax
from nasbench_strategies.differentiable.nao import first_on_rays
from nasbench_strategies.differentiable.natural_gradient import NaturalGradient, _utility

from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.engine.strategy import Results
from nasbench_harness.engine.streams import RunStreams
from nasbench_harness.evaluation.problem import Budget, Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.status import Status
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.studies.references import parse_strategy, resolve

TASK = "nb201-cifar100"


def plain_natural_gradient(problem, rng, *, num_samples=8, step_size=1.0, alpha=1.5):
    """One run, decision by decision, in the order of the paper's Algorithm 1."""
    counts = problem.space.num_choices.tolist()
    num_free = sum(count - 1 for count in counts)
    theta = [np.full(count, 1 / count) for count in counts]
    path, weight, shrink = np.zeros(num_free), 0.0, 1.0
    while True:
        samples, losses = [], []
        for _ in range(num_samples):
            draws = [rng.uniform() for _ in counts]
            samples.append([int((p.cumsum() <= u * p.cumsum()[-1]).sum()) for p, u in zip(theta, draws, strict=True)])
        for choices in samples:
            evaluation = yield int(problem.space.from_choices(np.array([choices]))[0])
            losses.append(evaluation.loss)
        num_best = int(np.ceil(num_samples / 4))
        places = [1 / num_best] * num_best + [0.0] * (num_samples - 2 * num_best) + [-1 / num_best] * num_best
        ranked = sorted(losses)
        utility = [np.mean([places[k] for k, other in enumerate(ranked) if other == loss]) for loss in losses]
        if np.allclose(utility, 0):
            continue
        gradient, scaled = [], []
        for decision, p in enumerate(theta):
            ones = [np.eye(len(p))[choices[decision]] for choices in samples]
            g = np.mean([u * (one - p) for u, one in zip(utility, ones, strict=True)], axis=0)
            gradient.append(g)
            scaled += list(g[:-1] / np.sqrt(p[:-1]) + np.sqrt(p[:-1]) * g[:-1].sum() / (p[-1] + np.sqrt(p[-1])))
        length = np.linalg.norm(scaled)
        step = step_size / shrink
        beta = min(1.0, step / np.sqrt(num_free))
        path = (1 - beta) * path + np.sqrt(beta * (2 - beta)) * np.array(scaled) / length
        weight = (1 - beta) ** 2 * weight + beta * (2 - beta)
        shrink *= np.exp(beta * (weight - path @ path / alpha))
        for decision, count in enumerate(counts):
            least = 1 / (len(counts) * (count - 1))
            p = np.maximum(theta[decision] + step * gradient[decision] / length, least)
            p = p - (p.sum() - 1) * (p - least) / (p.sum() - least * count)
            theta[decision] = p / p.sum()


def plain_gumbel_softmax(problem, rng):
    counts = problem.space.num_choices.tolist()
    logits, model = [np.zeros((len(counts), max(counts))) for _ in range(2)]
    first, second, rewards = 0.0, 0.0, []
    while True:
        noise = np.array([[rng.gumbel() for _ in range(max(counts))] for _ in counts]).astype(np.float32)
        choices = (logits + noise).argmax(axis=1)
        evaluation = yield int(problem.space.from_choices(choices[None])[0])
        rewards.append(-evaluation.loss)
        reward = (rewards[-1] - np.mean(rewards)) / (np.std(rewards) + 1e-8)
        chosen = np.arange(max(counts)) == choices[:, None]
        model += chosen * 0.5 / len(counts) * (reward - model[chosen].sum())
        relaxed = np.exp(logits + noise)
        relaxed /= relaxed.sum(axis=1, keepdims=True)
        jacobian = [np.diag(y) - np.outer(y, y) for y in relaxed]
        gradient = np.array([matrix @ row for matrix, row in zip(jacobian, model, strict=True)])
        first, second, count = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2, len(rewards)
        logits = logits + 0.02 * first / (1 - 0.9**count) / (np.sqrt(second / (1 - 0.999**count)) + 1e-8)


@pytest.mark.parametrize(
    ("name", "search"), [("natural-gradient", plain_natural_gradient), ("gumbel-softmax", plain_gumbel_softmax)]
)
def test_traces_are_those_of_a_plain_generator(run, run_plain, name, search):
    fast, slow = run(name, TASK, 6, evaluations=90), run_plain(search, name, TASK, 6, evaluations=90)
    np.testing.assert_array_equal(fast["architecture"], slow["architecture"])


def test_two_samples_as_in_the_paper(run, run_plain):
    fast = run("natural-gradient(num_samples=2,step_size=0.5)", TASK, 5, evaluations=80)
    parameters = {"num_samples": 2, "step_size": 0.5}
    slow = run_plain(plain_natural_gradient, "natural-gradient", TASK, 5, parameters, evaluations=80)
    np.testing.assert_array_equal(fast["architecture"], slow["architecture"])


def test_a_generation_of_equal_losses_moves_nothing():
    strategy = NaturalGradient(load_task(TASK).problem(Protocol()), RunStreams(np.arange(2, dtype=np.uint64)))
    before = strategy._theta.copy()
    strategy.update(np.arange(2), strategy.propose(np.arange(2)), np.full((2, 8), np.inf))
    np.testing.assert_array_equal(strategy._theta, before)


def test_equal_losses_share_their_utilities():
    losses = np.array([[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 3.0, 3.0], [5.0, 5.0, 5.0, 5.0], [np.inf, 2.0, np.inf, 1.0]])
    expected = [[1, 0, 0, -1], [0.5, 0.5, -0.5, -0.5], [0, 0, 0, 0], [-0.5, 0, -0.5, 1]]
    np.testing.assert_allclose(_utility(losses), expected)


@pytest.mark.parametrize("name", ["natural-gradient", "gumbel-softmax"])
def test_a_run_has_the_same_trace_alone_and_with_others(name):
    spec, rules = resolve(parse_strategy(name)), Rules(Protocol(evaluations=60), 0)
    for task in (load_task(TASK), load_task("graph-proteins")):
        together = run_seeds(spec, task, rules, np.arange(33)).trace.rows(slice(0, 33))
        for seed in (0, 32):
            alone = run_seeds(spec, task, rules, np.array([seed])).trace.rows(slice(0, 1))
            rows = together["run"] == seed
            np.testing.assert_array_equal(alone["architecture"], together["architecture"][rows])


@pytest.mark.parametrize("name", ["natural-gradient", "gumbel-softmax"])
def test_it_learns(run, name):
    columns = run(name, TASK, 100, evaluations=150)
    values = load_task(TASK).scores["val"].values[columns["architecture"]].reshape(100, 150)
    # A uniform sample has 61.3 on average.
    assert values[:, :8].mean() < 63
    assert values[:, -20:].mean() > 68


def test_a_uniform_architecture_in_place_of_impossible_ones_moves_the_model_only(monkeypatch):
    monkeypatch.setattr(gumbel_softmax, "MAX_REDRAWS", 2)
    strategy = GumbelSoftmax(Problem(Barren(), (), Budget(9)), RunStreams(np.arange(4, dtype=np.uint64)))
    everyone, zeros, finished = np.ones(4, dtype=bool), np.zeros(4), np.full(4, Status.OK)
    for ticket in range(3):
        architectures, tickets = strategy.ask(everyone).architectures, np.full(4, ticket)
        values = np.arange(4.0)[:, None] * ticket
        strategy.tell(Results(tickets, architectures, tickets, values, zeros, zeros, finished, everyone))
    assert (strategy._model[1:] != 0).any(axis=(1, 2)).all()
    np.testing.assert_array_equal(strategy._logits, np.where(strategy._is_choice, 0.0, -np.inf)[None].repeat(4, axis=0))


def test_results_without_a_value_change_nothing_in_gumbel_softmax(run):
    columns = run("gumbel-softmax", TASK, 5, evaluations=60, duplicates="forbid")
    assert (columns["status"] == 1).sum() == 5 * 60


@pytest.mark.parametrize("task", [TASK, "graph-proteins"])
def test_rays_are_followed_to_their_first_new_architecture(task):
    space, rng = load_task(task).space, np.random.default_rng(0)
    starts = rng.choice(space.num_architectures, 12, replace=False)
    slopes = rng.normal(size=(12, int(space.num_choices.sum())))
    seen = [*starts.tolist(), *rng.choice(space.num_architectures, space.num_architectures // 2).tolist()]
    expected = set()
    for start, slope in zip(starts, slopes, strict=True):
        point = space.one_hot(np.array([start]))[0].astype(float)
        for step in np.geomspace(0.01, 1e4, 5_000):
            moved = np.split(point - step * slope, np.cumsum(space.num_choices)[:-1])
            found = int(space.from_choices(np.array([[part.argmax() for part in moved]]))[0])
            if found >= 0 and found not in seen:
                expected.add(found)
                break
    assert first_on_rays(space, starts, slopes, seen).tolist() == sorted(expected)
    assert len(expected) > 5


def test_no_architecture_is_left_on_a_ray_that_was_seen_to_its_end():
    space = load_task(TASK).space
    slopes = np.random.default_rng(0).normal(size=(1, 30))
    assert not len(first_on_rays(space, np.array([3]), slopes, list(range(space.num_architectures))))


def test_a_gradient_of_zero_leads_nowhere():
    assert not len(first_on_rays(load_task(TASK).space, np.array([3]), np.zeros((1, 30)), [3]))


def test_nao_moves_to_what_its_predictor_prefers(run):
    """It proposes nothing twice, and better architectures than its random ones."""
    columns = run("nao", TASK, 3, evaluations=60, duplicates="forbid")
    values = load_task(TASK).scores["val"].values[columns["architecture"]].reshape(3, 60)
    assert all(len(set(row.tolist())) == 60 for row in columns["architecture"].reshape(3, 60))
    assert values[:, 20:].mean() > values[:, :20].mean() + 4
