"""The supernet's cells against stand-alone networks, and its halves against each other."""

import numpy as np
import pytest
import torch
from kit.supernets import equal, parameters_of, toy_shared

from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.trainer.networks.network import Network
from nasbench_harness.trainer.networks.structure import structure_of
from nasbench_harness.trainer.supernet.network import Supernet
from nasbench_harness.trainer.supernet.ranking import choices_of, fixed_cells, ranked_accuracies

SPACE = NASBench201Space()
KEYS = ["000000", "333333", "111111", "444444", "222222", "320412", "003002", "030021"]
FIFTY = [*KEYS, *(SPACE.to_key(index) for index in np.random.default_rng(0).choice(15_625, 42, replace=False))]


def images(number=6, side=8):
    return torch.randn(number, 1, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def supernet(is_running=False, seed=0):
    return Supernet(1, 4, 1, 4, is_running, seed).double()


def standalone(key, net):
    """The published network of a cell, with the supernet's weights."""
    structure = structure_of(SPACE.to_string(SPACE.from_key(key)), 1, 4, 1, 4)
    network = Network(structure, [0], is_literal=True).double()
    ours = dict(net.named_parameters())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parts = name.split(".")
            if parts[0] == "blocks" and "operations" in parts:
                source, target = map(int, parts[3])
                edge = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)].index((source, target))
                if parts[-2] == "convolution":
                    parameter.copy_(ours[f"blocks.{parts[1]}.convolutions.{edge}{key[edge]}.convolution.weight"])
                else:
                    parameter.fill_(1.0 if parts[-1] == "weight" else 0.0)  # the supernet's have no scale and bias
            else:
                parameter.copy_(ours[name])
    return network


@pytest.mark.parametrize("key", FIFTY)
def test_a_cell_of_the_supernet_is_the_stand_alone_network(key):
    net, batch = supernet(), images()
    expected = standalone(key, net)(batch)[0]
    choices = tuple(map(int, key))
    one_hot = torch.nn.functional.one_hot(torch.tensor(choices), 5).double()
    for logits in (net(batch, choices), net(batch, weights=one_hot), net(batch, choices, one_hot)):
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)


def test_a_cell_for_each_place_of_the_network():
    net, batch = supernet(), images()
    cells = [(3, 3, 3, 3, 3, 3), (1, 1, 1, 1, 1, 1), (0, 2, 4, 1, 3, 2)]
    assert net.num_super_cells == 3
    assert torch.equal(net(batch, [cells[0]] * 3), net(batch, cells[0]))
    assert not torch.allclose(net(batch, cells), net(batch, cells[0]))


@pytest.mark.parametrize("is_running", [False, True])
def test_evaluating_one_cell_does_not_change_another(is_running):
    net, batch = supernet(is_running), images()
    net.train()
    for _ in range(3):
        net(batch, (3, 2, 1, 4, 2, 3))
    net.eval()
    before = net(batch, (2, 3, 1, 4, 3, 2))
    net(images(9), (3, 3, 3, 3, 3, 3))
    assert torch.equal(net(batch, (2, 3, 1, 4, 3, 2)), before)


def test_running_statistics_are_used_in_evaluation_only_if_they_are_kept():
    batch = images()
    for is_running, depends in ((False, True), (True, False)):
        net = supernet(is_running)
        for _ in range(3):
            net.train()(batch, (3, 2, 1, 4, 2, 3))
        net.eval()
        alone = net(batch[:2], (3, 2, 1, 4, 2, 3))
        assert torch.allclose(alone, net(batch, (3, 2, 1, 4, 2, 3))[:2]) != depends


def test_cells_have_no_scale_and_bias_and_nothing_else_is_without():
    names = [name for name, _ in supernet().named_parameters()]
    in_cells = [name for name in names if ".convolutions." in name]
    assert len(in_cells) == 3 * 6 * 2
    assert all(name.endswith("convolution.weight") for name in in_cells)
    assert {"last.weight", "last.bias", "stem.normalization.weight", "classifier.bias"} <= set(names)


def test_initial_weights_depend_on_the_seed_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    first, again, other = supernet(seed=1), supernet(seed=1), supernet(seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert equal(dict(first.state_dict()), dict(again.state_dict()))
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


def test_a_cell_needs_choices_or_weights():
    with pytest.raises(ValueError, match="choices, weights, or both"):
        supernet()(images())


def test_every_weight_is_in_the_optimizer_once():
    shared = toy_shared()
    owned = [id(value) for value in shared.optimizer.parameters.values()]
    assert sorted(owned) == sorted(id(value) for value in shared.network.parameters())
    assert len(set(owned)) == len(owned)


def test_measuring_changes_nothing_and_does_not_depend_on_the_order():
    shared = toy_shared(normalization="running")
    for step in shared.steps(0):
        shared.step_weights(step.weights, step.rate, (3, 2, 1, 4, 2, 3))
    before = {name: value.clone() for name, value in shared.network.state_dict().items()}
    cells = fixed_cells(6)
    accuracies = ranked_accuracies(shared, cells, 12)
    assert equal(before, dict(shared.network.state_dict()))
    assert shared.network.training
    assert ranked_accuracies(shared, cells[::-1], 12)[::-1].tolist() == accuracies.tolist()


def test_measured_accuracy_is_that_of_the_images_that_were_named():
    shared = toy_shared()
    (share,) = shared.accuracies([(3, 2, 1, 4, 2, 3)], lambda _: np.array([5, 0, 21, 13]), 2)
    half = shared.selection_half
    correct = 0
    for pair in ([5, 0], [21, 13]):
        (batch,) = half.plain_batches(np.array(pair), 2)
        correct += int((shared.network(batch.images, (3, 2, 1, 4, 2, 3)).argmax(1) == batch.labels).sum())
    assert share == correct / 4


def test_the_fixed_cells_are_connected_and_different():
    cells = np.array(fixed_cells())
    assert len(set(SPACE.canonical(cells).tolist())) == 100
    assert SPACE.is_connected()[cells].all()
    assert choices_of([SPACE.from_key("320412")]) == [(3, 2, 0, 4, 1, 2)]


def test_ranked_images_are_not_the_first_of_a_sorted_half():
    shared = toy_shared()
    seen = []
    shared.accuracies = lambda cells, images_of, batch: seen.append(images_of(0)) or np.zeros(len(cells))
    ranked_accuracies(shared, fixed_cells(2), 12)
    assert len(set(shared.selection_half.labels[seen[0]].tolist())) >= 3


def test_an_epoch_shows_every_image_of_the_first_half_once_and_keeps_the_last_batch():
    shared = toy_shared(batch_size=10)
    sizes = [len(step.weights.labels) for step in shared.steps(0)]
    assert sizes == [10, 10, 4]
    labels = torch.cat([step.weights.labels for step in shared.steps(1)])
    assert sorted(labels.tolist()) == sorted(shared.weight_half.labels.tolist())
    assert [len(step.selection.labels) for step in shared.steps(0)] == sizes


def test_the_rate_is_a_cosine_with_a_value_per_step():
    rates = [step.rate for epoch in range(2) for step in toy_shared().steps(epoch)]
    settings = toy_shared().settings
    assert rates[0] == settings.learning_rate
    assert rates[3] == pytest.approx((settings.learning_rate + settings.final_rate) / 2)
    assert all(np.diff(rates) < 0)


def test_two_supernets_of_one_seed_are_equal():
    first, second = toy_shared(), toy_shared()
    for shared in (first, second):
        for step in shared.steps(0):
            shared.step_weights(step.weights, step.rate, (3, 2, 1, 4, 2, 3))
    assert equal(parameters_of(first), parameters_of(second))
