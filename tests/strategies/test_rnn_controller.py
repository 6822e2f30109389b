"""The controller against a plain one whose gradient is a difference quotient, and against finite differences."""

import numpy as np
import pytest
from kit.tasks import Barren
from nasbench_strategies.reinforcement import rnn_controller
from nasbench_strategies.reinforcement.rnn_controller import RNNController, _log_probability

from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.engine.strategy import Results
from nasbench_harness.engine.streams import RunStreams
from nasbench_harness.evaluation.problem import Budget, Problem
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.studies.references import parse_strategy, resolve

TASK = "nb201-cifar100"


class Plain:
    """The controller of one run in float64, one parameter after another."""

    def __init__(self, problem, parameters, num_hidden):
        self.num_choices, self.size = problem.space.num_choices.tolist(), num_hidden
        self.width = max(self.num_choices)
        self.parameters = parameters

    def log_probability_and_entropy(self, parameters, samples=None, draws=None):
        """Of parameters (..., num_parameters): both (...,), and the choices."""
        size, width, lead = self.size, self.width, parameters.shape[:-1]
        inputs, rest = np.split(parameters, [(width + 1) * 4 * size], axis=-1)
        recurrent, outputs = np.split(rest, [size * 4 * size], axis=-1)
        inputs, recurrent = inputs.reshape(*lead, width + 1, 4 * size), recurrent.reshape(*lead, size, 4 * size)
        outputs = outputs.reshape(*lead, -1, size, width)
        hidden, cell, previous, chosen = np.zeros((*lead, size)), np.zeros((*lead, size)), width, []
        log_probability = entropy = 0.0
        for step, count in enumerate(self.num_choices):
            gates = inputs[..., previous, :] + (hidden[..., None] * recurrent).sum(axis=-2)
            i, f, o, g = np.split(gates, 4, axis=-1)
            i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
            cell = f * cell + i * np.tanh(g)
            hidden = o * np.tanh(cell)
            weights = np.exp((hidden[..., None] * outputs[..., step, :, :count]).sum(axis=-2))
            p = weights / weights.sum(axis=-1, keepdims=True)
            previous = samples[step] if samples is not None else int((np.cumsum(p) <= draws[step]).sum())
            chosen.append(previous)
            log_probability += np.log(p[..., previous])
            entropy -= (p * np.log(p)).sum(axis=-1)
        return log_probability, entropy, chosen

    def gradient(self, samples, advantage, entropy_weight, ratio=1.0):
        def loss(parameters):
            log_probability, entropy, _ = self.log_probability_and_entropy(parameters, samples)
            return -advantage * ratio * log_probability - entropy_weight * entropy

        steps = np.eye(len(self.parameters)) * 1e-5  # a row per parameter
        return (loss(self.parameters + steps) - loss(self.parameters - steps)) / 2e-5


def plain(problem, rng, *, num_hidden, num_updates=1):
    rate, entropy_weight, decay, clip = 0.03, 0.15, 0.9, 0.2
    num_choices = problem.space.num_choices
    size = (
        (max(num_choices) + 1) * 4 * num_hidden + 4 * num_hidden**2 + len(num_choices) * num_hidden * max(num_choices)
    )
    start = np.array([rng.uniform() for _ in range(size)])
    controller = Plain(problem, (0.1 * (2 * start - 1)).astype(np.float32).astype(float), num_hidden)
    first, second, count, baseline, squares = 0.0, 0.0, 0, None, []
    while True:
        draws = [rng.uniform() for _ in num_choices]
        drawn, _, samples = controller.log_probability_and_entropy(controller.parameters, draws=draws)
        evaluation = yield int(problem.space.from_choices(np.array([samples]))[0])
        reward = -evaluation.loss
        if baseline is None:
            baseline = reward
            continue
        advantage = reward - baseline
        baseline += (1 - decay) * advantage
        squares.append(advantage**2)
        advantage /= np.sqrt(np.mean(squares)) + 1e-8
        for _ in range(num_updates):
            now, _, _ = controller.log_probability_and_entropy(controller.parameters, samples)
            ratio = np.exp(now - drawn)
            is_clipped = ratio > 1 + clip if advantage > 0 else ratio < 1 - clip
            gradient = controller.gradient(samples, advantage, entropy_weight, 0.0 if is_clipped else ratio)
            count += 1
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            corrected = np.sqrt(second / (1 - 0.999**count)) + 1e-8
            controller.parameters = controller.parameters - rate * first / (1 - 0.9**count) / corrected


@pytest.mark.parametrize(("num_updates", "num_seeds"), [(1, 4), (3, 2)])
def test_traces_are_those_of_a_plain_controller(run, run_plain, num_updates, num_seeds):
    text = f"rnn-controller(num_hidden=2,num_updates={num_updates})"
    fast = run(text, TASK, num_seeds, evaluations=25)
    parameters = {"num_hidden": 2, "num_updates": num_updates}
    slow = run_plain(plain, "rnn-controller", TASK, num_seeds, parameters, evaluations=25)
    np.testing.assert_array_equal(fast["architecture"], slow["architecture"])


def test_the_gradient_is_a_difference_quotient():
    problem = load_task("graph-cora").problem(Protocol())
    strategy = RNNController(problem, RunStreams(np.arange(3, dtype=np.uint64)), num_hidden=5, entropy_weight=0.4)
    strategy._parameters *= 8  # away from the flat start
    runs, advantages = np.arange(3), np.array([0.7, -1.3, 0.2], dtype=np.float32)
    samples, _ = strategy._draw(runs)
    gradient = strategy._gradient(runs, strategy._pass(runs, samples), advantages).copy()
    plains = [Plain(problem, row.astype(float), 5) for row in strategy._parameters]
    for run in runs:
        expected = plains[run].gradient(samples[run].tolist(), float(advantages[run]), 0.4)
        np.testing.assert_allclose(gradient[run], expected, atol=2e-5 * np.abs(expected).max())
        assert np.count_nonzero(gradient[run]) > 0.3 * len(expected)


def test_a_sample_that_is_likelier_than_before_has_the_larger_probability():
    problem = load_task(TASK).problem(Protocol())
    strategy = RNNController(problem, RunStreams(np.arange(5, dtype=np.uint64)))
    runs = np.arange(5)
    samples, before = strategy._draw(runs)
    strategy._step(runs, samples, np.ones(5), None)
    assert (_log_probability(strategy._pass(runs, samples)) > before).all()
    strategy._step(runs, samples, np.full(5, -30.0), None)
    strategy._step(runs, samples, np.full(5, -30.0), None)
    assert (_log_probability(strategy._pass(runs, samples)) < before + 0.1).all()


def test_ppo_stops_at_the_clipped_ratio():
    problem = load_task(TASK).problem(Protocol())
    strategy = RNNController(
        problem, RunStreams(np.arange(4, dtype=np.uint64)), num_updates=30, entropy_weight=0.0, clip=0.1
    )
    samples, before = strategy._draw(np.arange(4))
    steps = []
    for _ in range(30):
        earlier = strategy._parameters.copy()
        strategy._step(np.arange(4), samples, np.ones(4), before)
        steps.append(np.abs(strategy._parameters - earlier).max(axis=1))
    # Momentum fades after the gradient has become 0.
    assert (steps[-1] < 0.15 * steps[0]).all()
    assert (_log_probability(strategy._pass(np.arange(4), samples)) - before > np.log(1.1)).all()


def test_a_uniform_architecture_in_place_of_impossible_ones_has_its_own_probability(monkeypatch):
    monkeypatch.setattr(rnn_controller, "MAX_REDRAWS", 2)
    problem, runs = Problem(Barren(), (), Budget(9)), np.arange(20)
    strategy = RNNController(problem, RunStreams(runs.astype(np.uint64)), num_updates=3)
    strategy._parameters *= 20  # away from the flat start
    architectures, zeros = strategy.ask(np.ones(20, dtype=bool)).architectures, np.zeros(20)
    results = Results(zeros.astype(int), architectures, zeros, zeros[:, None], zeros, zeros, zeros, zeros == 0)
    expected = _log_probability(strategy._pass(runs, problem.space.choices(architectures)))
    np.testing.assert_array_equal(strategy._log_probability.take(results), expected)


def test_a_run_has_the_same_trace_alone_and_with_others():
    spec, rules = resolve(parse_strategy("rnn-controller(num_updates=2)")), Rules(Protocol(evaluations=60), 0)
    for name in (TASK, "graph-proteins"):
        task = load_task(name)
        together = run_seeds(spec, task, rules, np.arange(33)).trace.rows(slice(0, 33))
        for seed in (0, 32):
            alone = run_seeds(spec, task, rules, np.array([seed])).trace.rows(slice(0, 1))
            rows = together["run"] == seed
            np.testing.assert_array_equal(alone["architecture"], together["architecture"][rows])


def test_it_learns(run):
    columns = run("rnn-controller", TASK, 100, evaluations=150)
    values = load_task(TASK).scores["val"].values[columns["architecture"]].reshape(100, 150)
    # A uniform sample has 61.3 on average.
    assert values[:, :10].mean() < 63
    assert values[:, -20:].mean() > 67


@pytest.mark.parametrize("parameter", ["clip=1.0", "num_updates=0", "learning_rate=0.0", "num_hidden=0"])
def test_hyperparameters_out_of_range_are_refused(parameter):
    name = parameter.partition("=")[0]
    with pytest.raises(ValueError, match=f"rnn-controller: {name} must "):
        resolve(parse_strategy(f"rnn-controller({parameter})"))
