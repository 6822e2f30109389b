"""The mathematics of the methods, on a toy supernet."""

import copy
import dataclasses
import math
import random

import numpy as np
import pytest
import torch
from kit.supernets import equal, parameters_of, toy_data, toy_shared
from nasbench_strategies.weight_sharing.darts_first import FirstOrder
from nasbench_strategies.weight_sharing.darts_second import SecondOrder
from nasbench_strategies.weight_sharing.enas import Baseline, ControllerSearch
from nasbench_strategies.weight_sharing.gdas import GumbelSearch, gumbel_noise, sample_cell, temperature
from nasbench_strategies.weight_sharing.rsps import RandomSharing
from nasbench_strategies.weight_sharing.setn import TemplateNetwork, most_probable
from torch.nn import functional

from nasbench_harness.trainer.supernet import Controller, random_cell

METHODS = {method.name: method for method in (FirstOrder, SecondOrder, GumbelSearch, RandomSharing, TemplateNetwork)}
METHODS["enas"] = ControllerSearch
WITH_ALPHA = ("darts-first", "darts-second", "gdas", "setn")
LEARNED = (*WITH_ALPHA, "enas")  # methods that learn an architecture: α or a controller


def method_of(name, seed=0, **changes):
    return METHODS[name](toy_shared(name, seed, **changes))


def architecture_of(method):
    """α or the controller, as copies by name."""
    if isinstance(method, ControllerSearch):
        return {name: value.detach().clone() for name, value in method.controller.named_parameters()}
    return {"alpha": method.logits.detach().clone()}


def network_of(method):
    """Weights and running statistics, as copies by name."""
    return {name: value.clone() for name, value in method.shared.network.state_dict().items()}


def permuted(data, half):
    """The same images, the labels of one half in another order."""
    labels = getattr(data, f"{half}_labels")
    return dataclasses.replace(data, **{f"{half}_labels": np.roll(labels, 7)})


@pytest.mark.parametrize("name", LEARNED)
def test_architectures_follow_the_second_half_and_weights_the_first(name):
    """With the other side's rate at (nearly) nothing, labels of the wrong half move nothing."""
    data = toy_data()
    for frozen, half in (
        ({"learning_rate": 1e-300, "final_rate": 1e-300}, "weight"),
        ({"alpha_rate": 1e-300}, "selection"),
    ):
        methods = []
        for shown in (data, permuted(data, half)):
            method = method_of(name, data=shown, weight_decay=0.0, **frozen)
            method.train_epoch(0)
            methods.append(method)
        first, second = methods
        if half == "weight":
            assert equal(architecture_of(first), architecture_of(second))
            assert not equal(architecture_of(first), architecture_of(method_of(name)))
        else:
            assert equal(parameters_of(first.shared), parameters_of(second.shared))


@pytest.mark.parametrize("name", LEARNED)
def test_architectures_move_with_the_labels_of_the_second_half(name):
    data = toy_data()
    first, second = (method_of(name, data=shown) for shown in (data, permuted(data, "selection")))
    first.train_epoch(0)
    second.train_epoch(0)
    assert not equal(architecture_of(first), architecture_of(second))


def test_uniform_sampling_never_reads_the_second_half():
    data = toy_data()
    first, second = (method_of("rsps", data=shown) for shown in (data, permuted(data, "selection")))
    first.train_epoch(0)
    second.train_epoch(0)
    assert equal(parameters_of(first.shared), parameters_of(second.shared))


def test_weights_keep_their_bits_over_a_step_of_alpha():
    method = method_of("darts-second")
    steps = list(method.shared.steps(0))
    method.shared.step_weights(steps[0].weights, 0.1, weights=method.logits.softmax(1))
    before, momenta = parameters_of(method.shared), {k: v.clone() for k, v in method.shared.optimizer.momenta.items()}
    alpha = method.logits.detach().clone()
    method.step_alpha(steps[1])
    assert equal(parameters_of(method.shared), before)
    assert equal(method.shared.optimizer.momenta, momenta)
    assert not torch.equal(method.logits, alpha)


@pytest.mark.parametrize("name", LEARNED)
def test_an_epoch_of_architecture_steps_alone_leaves_all_weights(name):
    """To the last bit; a controller, whose rewards are evaluations, leaves the running statistics, too."""
    method = method_of(name, preset="nb201-official")
    for step in list(method.shared.steps(0))[:2]:
        method.shared.step_weights(step.weights, 0.1, (3, 2, 1, 4, 2, 3))
    before, architecture = network_of(method), architecture_of(method)
    weights, momenta = parameters_of(method.shared), copy.deepcopy(method.shared.optimizer.momenta)
    method.shared.step_weights = lambda *_, **__: None
    method.train_epoch(0)
    assert not equal(architecture_of(method), architecture)
    assert equal(parameters_of(method.shared), weights)
    assert equal(method.shared.optimizer.momenta, momenta)
    if name == "enas":
        assert equal(network_of(method), before)


def test_the_look_ahead_of_second_order_leaves_no_running_statistics(monkeypatch):
    """The pass of w' on selection images; the published code makes it on a copy of the network."""
    method = method_of("darts-second", preset="nb201-official")
    (step, *_) = method.shared.steps(0)
    original, seen = method.shared.loss, []

    def buffers():
        return {name: value.clone() for name, value in method.shared.network.named_buffers()}

    def watched(batch, **arguments):
        before = buffers()
        loss = original(batch, **arguments)
        seen.append((batch is step.selection, before, buffers()))
        return loss

    monkeypatch.setattr(method.shared, "loss", watched)
    method.step_alpha(step)
    assert [is_selection for is_selection, *_ in seen] == [False, True, False, False]
    assert all(not equal(before, after) for _, before, after in seen)
    assert equal(seen[2][1], seen[0][2])


@pytest.mark.parametrize("name", ["darts-first", "gdas"])
def test_a_first_order_step_of_alpha_leaves_no_gradient_on_a_weight(name):
    method = method_of(name)
    (step, *_) = method.shared.steps(0)
    drawn = sample_cell(method.logits, 1.0, np.random.default_rng(0))
    for loss in (
        method.shared.loss(step.selection, weights=method.logits.softmax(1)),
        method.shared.loss(step.selection, drawn.choices, drawn.weights),
    ):
        method.shared.architecture_gradient(method.logits, loss)
        assert all(weight.grad is None for weight in method.shared.network.parameters())


def test_weights_and_alpha_share_no_optimizer():
    for name in WITH_ALPHA:
        method = method_of(name)
        weights = {id(value) for value in method.shared.optimizer.parameters.values()}
        assert list(method.optimizer.parameters) == ["alpha"]
        assert id(method.logits) not in weights
    controller = method_of("enas")
    assert {id(value) for value in controller.optimizer.parameters.values()} == {
        id(value) for value in controller.controller.parameters()
    }


def test_second_order_by_finite_differences(monkeypatch):
    """∇α of L_valid(w'(α)), where w' is one step of SGD with momentum and decay, on the toy net.

    The published radius is coarse for a net with so few weights, so the test uses a smaller one.
    """
    monkeypatch.setattr("nasbench_strategies.weight_sharing.darts_second.RADIUS", 1e-5)
    method = method_of("darts-second", weight_decay=0.01)
    steps = list(method.shared.steps(0))
    for step in steps[:2]:
        method.shared.step_weights(step.weights, 0.05, weights=method.logits.softmax(1))
    step = steps[2]._replace(rate=0.05)
    gradient = method.unrolled_gradient(step)

    def unrolled_loss(logits):
        shared = method.shared
        kept, weights = parameters_of(shared), dict(shared.network.named_parameters())
        loss = shared.loss(step.weights, weights=logits.softmax(1))
        gradients = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
        with torch.no_grad():
            for (name, weight), part in zip(weights.items(), gradients, strict=True):
                change = part + 0.01 * weight + 0.9 * shared.optimizer.momenta.get(name, torch.zeros_like(weight))
                weight.sub_(0.05 * change)
            value = shared.loss(step.selection, weights=logits.softmax(1)).item()
            for name, weight in weights.items():
                weight.copy_(kept[name])
        return value

    for edge, operation in ((0, 3), (2, 1), (5, 2), (3, 4)):
        ends = []
        for sign in (1, -1):
            moved = method.logits.detach().clone()
            moved[edge, operation] += sign * 1e-5
            ends.append(unrolled_loss(moved))
        numeric = (ends[0] - ends[1]) / 2e-5
        assert gradient[edge, operation].item() == pytest.approx(numeric, rel=1e-3, abs=1e-6)


class Quadratic:
    """L_train = (w − a·α)² / 2 and L_valid = (w − b)² / 2 with one weight and one number α."""

    def __init__(self):
        self.network = torch.nn.ParameterList([torch.nn.Parameter(torch.tensor([2.0], dtype=torch.float64))])
        self.settings = dataclasses.replace(toy_shared().settings, weight_decay=0.1, momentum=0.9)
        self.optimizer = type("Momenta", (), {})()
        self.optimizer.parameters = {"0": self.network[0]}
        self.optimizer.momenta = {"0": torch.tensor([0.5], dtype=torch.float64)}

    def loss(self, batch, weights=None):
        alpha = weights.log()[0, 0] - weights.log()[0, 1]  # the logits' difference, through the softmax
        (weight,) = self.network
        return ((weight - 3.0 * alpha) ** 2 / 2).sum() if batch == "train" else ((weight - 1.0) ** 2 / 2).sum()


def test_second_order_value_and_sign_by_closed_form():
    """w' = w − ξ(μm + (w − aα) + λw), L = (w' − b)²/2, so dL/dα = (w' − b)·ξ·a."""
    method = object.__new__(SecondOrder)
    method.shared = Quadratic()
    method.settings = method.shared.settings
    method.logits = torch.tensor([[0.7, 0.2]], dtype=torch.float64, requires_grad=True)
    step = type("Step", (), {"weights": "train", "selection": "valid", "rate": 0.25})()
    gradient = method.unrolled_gradient(step)
    moved = 2.0 - 0.25 * (0.9 * 0.5 + (2.0 - 3.0 * 0.5) + 0.1 * 2.0)
    expected = (moved - 1.0) * 0.25 * 3.0
    assert gradient[0, 0].item() == pytest.approx(expected, rel=1e-9)
    assert gradient[0, 1].item() == pytest.approx(-expected, rel=1e-9)
    assert method.shared.network[0].item() == 2.0


def test_the_order_of_the_two_steps_is_the_presets():
    trained = {}
    for first in (True, False):
        method, calls = method_of("darts-second", alpha_first=first), []
        method.step_alpha = lambda step, calls=calls: calls.append("alpha")
        method.shared.step_weights = lambda *_, calls=calls, **__: calls.append("weights")
        method.train_epoch(0)
        trained[first] = calls[:2]
    assert trained == {True: ["alpha", "weights"], False: ["weights", "alpha"]}


def test_the_temperature_falls_from_ten_to_a_tenth():
    assert temperature(0, 250) == 10.0
    assert temperature(249, 250) == pytest.approx(0.1)
    assert temperature(124, 249) == pytest.approx(5.05)
    assert temperature(0, 1) == 10.0


def test_a_gumbel_draw_of_zero_is_finite():
    assert np.isfinite(gumbel_noise(np.array([0.0, 0.5, np.nextafter(1.0, 0.0)]))).all()


def test_one_draw_per_forward_and_a_new_one_for_each_step(monkeypatch):
    method, calls = method_of("gdas"), []
    original = sample_cell

    def counted(logits, tau, rng):
        before = rng.bit_generator.state["state"]["state"]
        drawn = original(logits, tau, rng)
        calls.append((before, drawn.choices))
        return drawn

    monkeypatch.setattr("nasbench_strategies.weight_sharing.gdas.sample_cell", counted)
    method.train_epoch(0)
    assert len(calls) == 2 * method.shared.steps_per_epoch
    assert len({state for state, _ in calls}) == len(calls)


def test_straight_through_is_the_hard_cell_to_the_last_bit():
    method = method_of("gdas")
    (step, *_) = method.shared.steps(0)
    for seed in range(20):
        drawn = sample_cell(method.logits, 0.3, np.random.default_rng(seed))
        hard = method.shared.network(step.selection.images, drawn.choices)
        assert set(drawn.weights.detach().flatten().tolist()) <= {0.0, 1.0}
        assert torch.equal(method.shared.network(step.selection.images, drawn.choices, drawn.weights), hard)
        torch.testing.assert_close(
            method.shared.network(step.selection.images, None, drawn.weights), hard, rtol=0, atol=1e-12
        )


def test_sampled_operations_follow_softmax_of_alpha():
    logits = torch.tensor([[2.0, 1.0, 0.0, 0.0, -1.0]] * 6, dtype=torch.float64)
    rng = np.random.default_rng(0)
    counts = np.zeros(5)
    for _ in range(2_000):
        for choice in sample_cell(logits, 10.0, rng).choices:
            counts[choice] += 1
    assert np.abs(counts / counts.sum() - logits[0].softmax(0).numpy()).max() < 0.015


def test_the_published_gradient_of_an_operation_that_was_not_sampled_is_the_sum_of_the_outputs_gradient():
    """An edge into the output: with the factors of the others as plain numbers, and with their own outputs."""
    shared = toy_shared("gdas")
    cell = next(block for block in shared.network.blocks if hasattr(block, "convolutions"))
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 4, 8, 8, dtype=torch.float64, generator=generator)
    upstream = torch.randn(2, 4, 8, 8, dtype=torch.float64, generator=generator)
    choices = (3, 1, 2, 2, 4, 1)
    weights = functional.one_hot(torch.tensor(choices), 5).double().requires_grad_()
    (official,) = torch.autograd.grad((cell(images, choices, weights) * upstream).sum(), weights)
    (paper,) = torch.autograd.grad((cell(images, None, weights) * upstream).sum(), weights)
    edge = 3  # from the input to the output
    assert official[edge, [0, 1, 3, 4]].tolist() == pytest.approx([upstream.sum().item()] * 4)
    assert paper[edge, 1].item() == pytest.approx((upstream * images).sum().item())
    assert paper[edge, 0].item() == 0.0
    assert official[edge, 2].item() == pytest.approx(paper[edge, 2].item())


def test_both_gradients_of_gdas_train_and_differ():
    alphas = []
    for gradient in ("official", "paper"):
        method = method_of("gdas", gradient=gradient)
        method.train_epoch(0)
        alphas.append(method.logits.detach())
    assert not torch.equal(*alphas)


@pytest.mark.parametrize("name", ["darts-first", "gdas"])
def test_the_largest_alpha_is_the_cell_none_included(name):
    method = method_of(name)
    cells = np.random.default_rng(0).integers(0, 5, (50, 6)).tolist()
    for cell in [(0, 3, 0, 1, 4, 2), (0,) * 6, *map(tuple, cells)]:
        with torch.no_grad():
            method.logits.copy_(functional.one_hot(torch.tensor(cell), 5))
        assert method.derive(0) == cell


def test_candidates_are_judged_on_the_same_images_or_on_a_batch_each():
    for judging, number in (("same", 1), ("different", 5)):
        method, seen = method_of("rsps", judging=judging, judged_images=8), []

        def watched(cells, images_of, batch, seen=seen):
            seen.extend(tuple(images_of(position).tolist()) for position in range(len(cells)))
            return np.arange(len(cells), dtype=float)

        method.shared.accuracies = watched
        cell = method.derive(0)
        assert len(set(seen)) == number
        assert all(len(set(images)) == 8 for images in seen)
        assert cell == method.candidates(0)[-1]


def test_different_batches_use_the_half_up_before_it_begins_again():
    method, seen = method_of("rsps", judging="different", judged_images=12), []
    method.shared.accuracies = lambda cells, images_of, batch: (
        seen.extend(map(images_of, range(len(cells)))) or np.zeros(5)
    )
    method.derive(0)
    assert sorted(np.concatenate(seen[:2]).tolist()) == list(range(24))


def test_one_uniform_cell_per_batch_or_per_place():
    for per_cell in (False, True):
        method, trained = method_of("rsps", draw_per_cell=per_cell), []
        method.shared.step_weights = lambda batch, rate, choices, trained=trained: trained.append(choices)
        method.train_epoch(0)
        if per_cell:
            assert all(len(set(cells)) > 1 and len(cells) == 3 for cells in trained)
        else:
            assert all(isinstance(cell[0], int) for cell in trained)
            assert len(set(trained)) == len(trained)


def test_uniform_cells_are_uniform():
    rng = np.random.default_rng(0)
    drawn = np.array([random_cell(rng) for _ in range(3_000)])
    counts = np.stack([np.bincount(column, minlength=5) for column in drawn.T])
    assert np.abs(counts - 600).max() < 100


def test_the_most_probable_cells_in_order():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), size=3)
    cells = most_probable(probabilities.tolist(), 27)
    products = [math.prod(probabilities[edge, choice] for edge, choice in enumerate(cell)) for cell in cells]
    assert products == sorted(products, reverse=True)
    assert len(set(cells)) == 27
    assert most_probable(probabilities.tolist(), 2) == cells[:2]


def small_controller():
    return Controller(0, num_edges=2, num_operations=3, size=4).double()


def test_an_update_of_the_controller_ascends_the_expected_reward(monkeypatch):
    """One sample of each cell, weighted by its probability: the update's gradient is the exact one, less its sign."""
    monkeypatch.setattr("nasbench_strategies.weight_sharing.enas.ENTROPY_WEIGHT", 0.0)
    controller, method = small_controller(), method_of("enas")
    cells = np.array([(a, b) for a in range(3) for b in range(3)])
    rewards = np.random.default_rng(0).random((3, 3))
    probabilities = controller.score(cells).log_probability.exp()
    assert probabilities.sum().item() == pytest.approx(1.0)
    values = torch.tensor([rewards[tuple(cell)] for cell in cells])
    exact = torch.autograd.grad((probabilities * values).sum(), list(controller.parameters()), retain_graph=True)
    shares, clips = iter(probabilities.tolist()), []
    method.controller = controller
    controller.sample = lambda uniforms: controller.score(cells)
    method.shared.accuracies = lambda asked, *_: np.array([rewards[tuple(asked[0])]])
    method.baseline.advantage = lambda accuracy, reward: len(cells) * next(shares) * (reward - 0.37)
    method.optimizer.step = clips.append
    method.update_controller(np.random.default_rng(0))
    for parameter, gradient in zip(controller.parameters(), exact, strict=True):
        torch.testing.assert_close(-parameter.grad, gradient, rtol=0, atol=1e-12)
    assert clips == [5.0]


def test_sampled_cells_have_the_probabilities_of_scored_ones():
    controller = small_controller()
    with torch.no_grad():
        controller.readout_bias.copy_(torch.tensor([4.0, 0.0, -4.0]))
    sampled = controller.sample(np.random.default_rng(0).random((4_000, 2)))
    scored = controller.score(sampled.choices)
    assert torch.equal(sampled.log_probability, scored.log_probability)
    assert torch.equal(sampled.entropy, scored.entropy)
    shares = np.bincount(sampled.choices @ [3, 1], minlength=9) / 4_000
    cells = np.array([(a, b) for a in range(3) for b in range(3)])
    expected = controller.score(cells).log_probability.exp().detach().numpy()
    assert np.abs(shares - expected).max() < 0.025


@pytest.mark.parametrize("baseline", ["moving", "frozen"])
def test_a_constant_reward_moves_no_controller(baseline, monkeypatch):
    """Through the baseline that runs use, over two epochs."""
    monkeypatch.setattr("nasbench_strategies.weight_sharing.enas.ENTROPY_WEIGHT", 0.0)
    method = method_of("enas", baseline=baseline)
    method.shared.accuracies = lambda *_: np.array([0.5])
    before = {name: value.detach().clone() for name, value in method.controller.named_parameters()}
    for seed in range(2):
        method.update_controller(np.random.default_rng(seed))
        method.baseline.end_epoch()
    assert method.baseline.value == 0.5
    assert equal(before, {name: value.detach() for name, value in method.controller.named_parameters()})


def test_a_better_reward_makes_its_cell_more_probable():
    method = method_of("enas", baseline="moving", alpha_rate=0.01, controller_samples=20)
    method.shared.accuracies = lambda cells, *_: np.array([float(cells[0][0] == 2)])
    rng = np.random.default_rng(0)
    for _ in range(60):
        method.update_controller(rng)
    assert np.mean([cell[0] == 2 for cell in method.sampled(200, rng)]) > 0.5


def test_the_frozen_baseline_learns_nothing_in_the_first_epoch_and_moves_between_epochs():
    frozen = Baseline(True)
    assert frozen.advantage(0.4, 0.5) == pytest.approx(0.1)
    assert frozen.advantage(0.8, 0.9) == pytest.approx(0.1)
    frozen.end_epoch()
    assert frozen.value == 0.8
    assert frozen.advantage(0.6, 0.6) == pytest.approx(0.6 - (0.8 - 0.01 * 0.2))
    assert frozen.advantage(0.9, 0.9) == pytest.approx(0.9 - (0.8 + 0.01 * 0.1))
    frozen.end_epoch()
    assert frozen.value == pytest.approx(0.801)


def test_the_moving_baseline_holds_earlier_rewards_only():
    """The first reward has none before it, so it only starts the baseline."""
    moving = Baseline(False)
    assert moving.advantage(0.4, 0.5) == 0.0
    assert moving.advantage(0.8, 0.9) == pytest.approx(0.9 - 0.5)
    assert moving.value == pytest.approx(0.5 + 0.01 * 0.4)
    assert moving.advantage(0.1, 0.2) == pytest.approx(0.2 - 0.504)
    moving.end_epoch()
    assert moving.value == pytest.approx(0.504 - 0.01 * 0.304)


@pytest.mark.parametrize("name", METHODS)
def test_two_runs_of_one_seed_are_equal_and_global_generators_untouched(name):
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002 - the global state is the point
    plain = random.getstate()
    trained = []
    for _ in range(2):
        method = method_of(name, dtype=torch.float32)
        method.train_epoch(0)
        trained.append((parameters_of(method.shared), method.derive(0)))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    assert random.getstate() == plain
    assert equal(trained[0][0], trained[1][0])
    assert trained[0][1] == trained[1][1]


@pytest.mark.parametrize("preset", ["demo-cpu", "nb201-official"])
@pytest.mark.parametrize("name", METHODS)
def test_a_restored_method_continues_as_if_it_had_not_stopped(name, preset):
    """Under the official preset with running statistics and the frozen baseline."""
    whole = method_of(name, dtype=torch.float32, preset=preset)
    whole.train_epoch(0)
    state = {"shared": whole.shared.state(), "method": whole.state()}
    state = copy.deepcopy(state)
    whole.train_epoch(1)
    resumed = method_of(name, dtype=torch.float32, preset=preset)
    resumed.shared.restore(state["shared"])
    resumed.restore(state["method"])
    resumed.train_epoch(1)
    assert equal(network_of(whole), network_of(resumed))
    if name in LEARNED:
        assert equal(architecture_of(whole), architecture_of(resumed))
    assert whole.derive(1) == resumed.derive(1)
    assert whole.alpha() == resumed.alpha()
