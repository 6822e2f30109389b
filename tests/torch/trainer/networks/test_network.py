import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from nasbench_harness.trainer.networks.network import AveragePool, Convolution, Network
from nasbench_harness.trainer.networks.structure import structure_of

from ..conftest import SPACE, PlainNetwork, cell

CELLS = sorted({SPACE.to_key(index) for index in range(0, 15_625, 78)} | {"000000", "111111", "333132", "444444"})
# A convolution of a dead node that reaches the output, and convolutions that nothing reads.
CELLS_WITH_USELESS_WORK = [
    key
    for key in (SPACE.to_key(index) for index in range(0, 15_625, 11))
    if any(e.is_constant and e.is_useful for e in structure_of(cell(key), 1, 4, 1, 2).edges)
][:120]


def build(key, seeds=(1,), is_literal=False, num_cells=1, channels=4, image_channels=1, num_classes=5):
    structure = structure_of(cell(key), num_cells, channels, image_channels, num_classes)
    return Network(structure, seeds, is_literal)


def images(number=6, channels=1, side=8, seed=0):
    return torch.randn(number, channels, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradient(parameter):
    """Zeros where the parameter was not part of the loss."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def copy_parameters(plain, network, stack=1, group=0):
    """Write the parameters of a plain network into one group of a literal one."""
    with torch.no_grad():
        for source, target in zip(plain.parameters(), network.parameters(), strict=True):
            target.view(stack, -1)[group] = source.flatten()


@pytest.mark.parametrize("key", ["333132", "303101", "423042", "003333", "111111", "000000", "444444", "230240"])
@pytest.mark.parametrize("is_training", [True, False])
def test_literal_network_is_the_published_one(key, is_training, noisy):
    plain = noisy(PlainNetwork(key, 2, 4, 1, 5).double()).train(is_training)
    network = build(key, num_cells=2, is_literal=True).double().train(is_training)
    copy_parameters(plain, network)
    expected, actual = plain(images()), network(images())[0]
    assert torch.allclose(expected, actual, rtol=0, atol=1e-12)
    expected.square().sum().backward()
    actual.square().sum().backward()
    for one, other in zip(plain.parameters(), network.parameters(), strict=True):
        assert torch.allclose(gradient(one).flatten(), gradient(other).flatten(), rtol=1e-9, atol=1e-9)


def test_running_statistics_move_as_pytorch_moves_them(noisy):
    plain = noisy(PlainNetwork("333132", 2, 4, 1, 5).double()).train()
    network = build("333132", num_cells=2, is_literal=True).double().train()
    copy_parameters(plain, network)
    for _ in range(2):
        plain(images()), network(images())
    theirs = [value for name, value in plain.named_buffers() if "running_" in name]
    for one, other in zip(network.buffers(), theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)


def test_real_modules_have_the_counted_parameters_and_flops():
    for key in CELLS:
        network = build(key, is_literal=True, num_cells=5, channels=16, image_channels=3, num_classes=10)
        index = SPACE.from_key(key)
        assert sum(p.numel() for p in network.parameters()) == round(SPACE.params_m(10)[index] * 1e6)
        flops = [network.classifier.weight.numel() + network.classifier.bias.numel()]

        def count(module, _, output, flops=flops):
            flops.append(module.weight.numel() * output.shape[2] * output.shape[3])

        for module in network.modules():
            if isinstance(module, Convolution):
                module.register_forward_hook(count)
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, 32, 32))
        assert sum(flops) == round(SPACE.flops_m(10, 32)[index] * 1e6)
    assert len(CELLS) >= 200


@pytest.mark.parametrize("is_training", [True, False])
def test_skipping_useless_work_changes_nothing(is_training, noisy):
    assert len(CELLS_WITH_USELESS_WORK) >= 100
    for key in CELLS_WITH_USELESS_WORK:
        literal = noisy(build(key, (3, 4), is_literal=True).double()).train(is_training)
        pruned = build(key, (3, 4)).double().train(is_training)
        values = dict(literal.named_parameters())
        with torch.no_grad():
            for name, parameter in pruned.named_parameters():
                parameter.copy_(values[name])
        inputs = images(channels=2)
        expected, actual = literal(inputs), pruned(inputs)
        assert (expected - actual).abs().max() <= 1e-10
        expected.square().mean().backward()
        actual.square().mean().backward()
        for name, parameter in pruned.named_parameters():
            difference = gradient(parameter) - gradient(values[name])
            assert difference.abs().max() <= 1e-10, (key, name)


def test_stacked_seeds_train_as_they_do_alone():
    seeds, labels = (5, 6, 7), torch.arange(6) % 5
    batches = [images(channels=3, seed=step) for step in range(4)]

    def train(seeds, groups):
        network = build("320142", seeds).double()
        optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True)
        for batch in batches:
            optimizer.zero_grad()
            logits = network(batch[:, groups])
            sum(cross_entropy(one, labels) for one in logits).backward()
            optimizer.step()
        return network

    stacked = train(seeds, [0, 1, 2])
    for group, seed in enumerate(seeds):
        alone = train([seed], [group])
        for one, other in zip(stacked.parameters(), alone.parameters(), strict=True):
            assert (one.view(3, -1)[group] - other.flatten()).abs().max() <= 1e-9


def test_one_broken_seed_leaves_the_others_bit_equal():
    networks = [build("333132", (1, 2, 3)) for _ in range(2)]
    with torch.no_grad():
        for parameter in networks[1].parameters():
            parameter.view(3, -1)[1] = float("inf")
    inputs = images(channels=3).float()
    for network in networks:
        network(inputs).square().mean((1, 2)).sum().backward()
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        for group in (0, 2):
            assert torch.equal(one.grad.view(3, -1)[group], other.grad.view(3, -1)[group])


def test_adding_a_seed_leaves_the_start_of_the_others():
    one, three = build("303101", (8,)), build("303101", (9, 8, 10))
    for alone, stacked in zip(one.parameters(), three.parameters(), strict=True):
        assert torch.equal(alone.flatten(), stacked.view(3, -1)[1])
    weights = three.stem.convolution.weight.view(3, -1)
    assert not torch.equal(weights[0], weights[1])


def test_the_start_is_the_default_of_pytorch():
    network = build("333132", range(20), channels=16, image_channels=3)
    plain = PlainNetwork("333132", 1, 16, 3, 5)
    for (name, parameter), default in zip(network.named_parameters(), plain.parameters(), strict=True):
        values = parameter.detach().view(20, *default.shape)
        bound = default.detach().abs().max()
        if "normalization" in name or "last" in name:
            assert torch.equal(values[0], default)
        elif values.numel() > 2000:
            assert values.abs().max() == pytest.approx(bound.item(), rel=0.05)
            assert values.std() == pytest.approx(values.abs().max().item() / np.sqrt(3), rel=0.05)


def test_building_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    build("333132")
    assert torch.equal(state, torch.get_rng_state())


def test_pooling_counts_pixels_inside_only():
    assert torch.equal(AveragePool()(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))


def test_nothing_is_rectified_after_the_stem():
    seen = []
    network = build("111111", is_literal=True)
    network.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(images().float())
    assert seen[0].min() < 0


@pytest.mark.parametrize("stack", [1, 3])
def test_one_channel_stays_channels_last(stack):
    network = build("333132", range(stack)).to(memory_format=torch.channels_last)
    formats = []
    for module in network.modules():
        if isinstance(module, Convolution):
            module.register_forward_hook(lambda _m, _i, output: formats.append(output))
    batch = torch.randn(6, 8, 8, stack).permute(0, 3, 1, 2)
    network(batch)
    assert all(output.is_contiguous(memory_format=torch.channels_last) for output in formats)


def test_widths_are_trainable_and_have_the_counted_parameters():
    structure = structure_of("8:16:8:24:8", 1, 16, 3, 10)
    network = Network(structure, (777,))
    assert sum(p.numel() for p in network.parameters()) == structure.num_params()
    assert network(torch.randn(4, 3, 16, 16)).shape == (1, 4, 10)
    # Between different widths the skip connection is convolution and normalization without ReLU.
    skip = network.blocks[2].operations["03"]
    inputs = torch.randn(4, 16, 8, 8)
    seen = []
    skip.register_forward_hook(lambda _m, given, _o: seen.append(given[0]))
    network.blocks[2](inputs)
    assert seen[0] is inputs
