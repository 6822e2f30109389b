"""Every reference score against its formula, written a second time, and against the traps of its definition."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional

from nasbench_harness.trainer.proxies import PROXIES, Macro, build_network, load_score, make_batch
from nasbench_harness.trainer.proxies.az_nas import az_nas_scores
from nasbench_harness.trainer.proxies.network import generator_of, initialize, private_copy, scored_layers

from .conftest import DISCONNECTED, KEYS, SMALL, SPACE, cell, network

LABELED = [name for name, proxy in PROXIES.items() if proxy.needs_labels]
UNLABELED = [name for name in PROXIES if name not in LABELED]


def score(name, key, batch, macro=SMALL):
    return load_score(name)(network(key, macro), batch)


def gradients(net, images, labels):
    net = net.train()
    functional.cross_entropy(net(images), labels).backward()
    return [
        (
            layer.weight.detach().numpy(),
            np.zeros(layer.weight.shape) if layer.weight.grad is None else layer.weight.grad.numpy(),
        )
        for _, layer in scored_layers(net)
    ]


@pytest.mark.parametrize("key", KEYS)
def test_scores_of_the_gradient_follow_their_formulas(key, batch):
    pairs = gradients(network(key), batch.images, batch.labels)
    assert score("snip", key, batch) == pytest.approx(sum(np.abs(w * g).sum() for w, g in pairs), rel=1e-5)
    assert score("plain", key, batch) == pytest.approx(sum((w * g).sum() for w, g in pairs), abs=1e-5)
    assert score("grad_norm", key, batch) == pytest.approx(sum(np.sqrt((g**2).sum()) for _, g in pairs), rel=1e-5)
    assert score("l2_norm", key, batch) == pytest.approx(sum(np.sqrt((w**2).sum()) for w, _ in pairs), rel=1e-5)


def test_grad_norm_is_not_the_norm_of_all_gradients_and_snip_is_a_sum(batch):
    pairs = gradients(network("333132"), batch.images, batch.labels)
    together = math.sqrt(sum((g**2).sum() for _, g in pairs))
    assert score("grad_norm", "333132", batch) > 1.5 * together
    assert score("snip", "333132", batch) > 10 * np.mean([np.abs(w * g).mean() for w, g in pairs])


@pytest.mark.parametrize("name", ["snip", "plain"])
def test_derivatives_by_finite_differences(name, batch):
    """Σ w·g is the slope of the loss along the weights; Σ |w·g| the sum of single slopes."""
    net = network("203130").double().train()
    images, step = batch.images.double(), 1e-6

    def loss():
        return float(functional.cross_entropy(net(images), batch.labels))

    weights = [layer.weight for _, layer in scored_layers(net)]
    found = load_score(name)(net, batch.to(torch.float64))
    with torch.no_grad():
        if name == "plain":
            values = []
            for sign in (1, -1):
                for weight in weights:
                    weight.mul_(1 + sign * step)
                values.append(loss())
                for weight in weights:
                    weight.div_(1 + sign * step)
            expected = (values[0] - values[1]) / (2 * step)
        else:
            expected = 0.0
            for weight in weights:
                flat = weight.view(-1)
                for position in range(len(flat)):
                    kept = float(flat[position])
                    slopes = []
                    for sign in (1, -1):
                        flat[position] = kept + sign * step
                        slopes.append(loss())
                    flat[position] = kept
                    expected += abs(kept * (slopes[0] - slopes[1]) / (2 * step))
            assert found == pytest.approx(expected, rel=1e-4)
            return
    assert found == pytest.approx(expected, abs=1e-7)


class Quadratic(nn.Module):
    """Gives ½ wᵀ A w, which the test takes as the loss."""

    def __init__(self, matrix):
        super().__init__()
        self.layer = nn.Linear(matrix.shape[0], 1, bias=False).double()
        self.matrix = matrix

    def forward(self, images):
        return self.layer.weight @ self.matrix @ self.layer.weight.T / 2


def test_grasp_of_a_quadratic_is_minus_w_a_a_w(batch, monkeypatch):
    generator = torch.Generator().manual_seed(3)
    root = torch.randn(5, 5, dtype=torch.float64, generator=generator)
    matrix = root @ root.T
    net = Quadratic(matrix)
    monkeypatch.setattr(
        "nasbench_harness.trainer.proxies.gradients._loss", lambda net, images, labels: net(images).sum()
    )
    weight = net.layer.weight.detach()[0]
    assert load_score("grasp")(net, batch) == pytest.approx(float(-weight @ matrix @ matrix @ weight), rel=1e-12)


@pytest.mark.parametrize("key", ["333132", "230240", "204314", "000000"])
def test_fisher_counts_weights_per_output_channel(key, batch):
    net, outputs = network(key).train(), []
    layers = [layer for _, layer in scored_layers(net)]
    for layer in layers:
        layer.register_forward_hook(lambda module, _, out: (out.retain_grad(), outputs.append((module, out)))[1])
    functional.cross_entropy(net(batch.images), batch.labels).backward()
    expected = 0.0
    for layer, output in outputs:
        if output.grad is None:
            continue
        products = (output * output.grad).detach().double().numpy().reshape(*output.shape[:2], -1).sum(2)
        expected += (0.5 * (products**2).mean(0)).sum() * np.prod(layer.weight.shape[1:])
    assert score("fisher", key, batch) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("key", ["333333", "303101", "421211", "444444"])
def test_synflow_is_the_slope_along_the_weights(key, batch):
    net = network(key).double()
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    weights = [layer.weight for _, layer in scored_layers(net)]
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
        kept = [weight.clone() for weight in weights]

        def outcome(factor):
            for weight, start in zip(weights, kept, strict=True):
                weight.copy_(start * factor)
            return float(net(torch.ones(1, 3, 8, 8, dtype=torch.float64)).sum())

        slope = (outcome(1 + 1e-6) - outcome(1 - 1e-6)) / 2e-6
    assert score("synflow", key, batch) == pytest.approx(math.log(slope), abs=1e-6)


def test_no_score_of_the_largest_cell_is_infinite_at_full_depth():
    deep = Macro(num_cells=5, channels=16, side=32, batch_size=2)
    found = score("synflow", "333333", make_batch("noise", deep), deep)
    assert math.isfinite(found)
    assert found > math.log(3e38)  # float32 overflows here


def test_logsynflow_is_not_the_logarithm_of_synflow(batch):
    assert score("logsynflow", "333132", batch) > 3 * abs(score("synflow", "333132", batch))


def relu_inputs(net, images):
    found = []
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(
                lambda _, inputs: found.append(inputs[0].detach().numpy().reshape(len(images), -1))
            )
    net.train()(images)
    return found


@pytest.mark.parametrize("key", ["333132", "230240", "421211", "204314"])
def test_nwot_adds_agreement_on_active_and_on_inactive_neurons_per_module(key, batch):
    kernel = np.zeros((12, 12))
    codes = relu_inputs(network(key), batch.images)
    for inputs in codes:
        active = (inputs > 0).astype(float)
        kernel += active @ active.T + (1 - active) @ (1 - active).T
    assert score("nwot", key, batch) == pytest.approx(np.linalg.slogdet(kernel)[1], rel=1e-9)
    num_convolutions = sum(digit in "23" for digit in key)
    assert len(codes) == num_convolutions * 3 + 5  # each convolution has its own ReLU; two reductions and the head


def test_nwot_counts_no_module_that_only_contains_a_relu(batch):
    """The authors' program hooks classes by name: ReLUConvBN repeats the term of its ReLU, and ranks stay."""
    ours, by_name = [], []
    keys = [SPACE.to_key(index) for index in range(0, 15_625, 400)]
    for key in keys:
        kernels = {}
        copied = private_copy(network(key))
        for name, module in copied.named_modules():
            if "ReLU" in type(module).__name__:
                module.register_forward_pre_hook(partial(keep_agreement, kernels, name))
        copied(batch.images)
        blocks = [name for name in kernels if not name.startswith("lastact") and f"{name}.op.0" in kernels]
        assert len(kernels) == 2 * len(blocks) + 1
        assert all(np.array_equal(kernels[name], kernels[f"{name}.op.0"]) for name in blocks)
        ours.append(score("nwot", key, batch))
        once = sum(kernel for name, kernel in kernels.items() if name not in blocks)
        assert np.isnan(ours[-1]) or ours[-1] == pytest.approx(np.linalg.slogdet(once)[1], rel=1e-9)
        by_name.append(np.linalg.slogdet(sum(kernels.values()))[1])
    assert np.isfinite(ours).sum() > 30
    assert spearmanr(ours, by_name, nan_policy="omit").statistic > 0.999
    assert np.nanmedian(np.subtract(by_name, ours)) == pytest.approx(12 * np.log(2), abs=1)


def keep_agreement(kernels, name, _, inputs):
    active = (inputs[0].detach().numpy() > 0).reshape(len(inputs[0]), -1).astype(float)
    kernels[name] = active @ active.T + (1 - active) @ (1 - active).T


@pytest.mark.parametrize("key", ["333132", "421211"])
def test_swap_counts_distinct_patterns_of_sixteen_images(key):
    large = dataclasses.replace(SMALL, batch_size=20)
    batch = make_batch("noise", large)
    net = network(key, large)
    initialize(net, batch.seed, "normal")
    patterns = np.concatenate([inputs > 0 for inputs in relu_inputs(net, batch.images[:16])], axis=1)
    assert score("swap", key, batch, large) == len({column.tobytes() for column in patterns.T})


@pytest.mark.parametrize("key", ["333132", "230240", "421211"])
def test_jacob_cov_is_the_formula_on_numpys_correlations(key, batch):
    images = batch.images.clone().requires_grad_(True)
    network(key).train()(images).sum().backward()
    values = np.linalg.eigvalsh(np.corrcoef(images.grad.flatten(1).double().numpy()))
    expected = -(np.log(values + 1e-5) + 1 / (values + 1e-5)).sum()
    assert score("jacob_cov", key, batch) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("num_classes", [10, 101])
def test_epe_nas_has_two_forms(num_classes, batch):
    macro = dataclasses.replace(SMALL, num_classes=num_classes)
    batch = dataclasses.replace(batch, labels=torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 4, 4]))
    images = batch.images.clone().requires_grad_(True)
    network("333132", macro).train()(images).sum().backward()
    rows, labels = images.grad.flatten(1).double().numpy(), batch.labels.numpy()
    sums = []
    for one in range(5):
        members = rows[labels == one]
        if num_classes > 100 and len(members) == 1:  # the authors' program leaves it out
            continue
        total = np.log(np.abs(np.atleast_2d(np.corrcoef(members))) + 1e-5).sum()
        sums.append(total / len(members) if num_classes > 100 else total)
    expected = sum(map(abs, sums))
    if num_classes > 100:
        expected = sum(abs(a - b) for a in sums for b in sums) / 4
    assert score("epe_nas", "333132", batch, macro) == pytest.approx(expected, rel=1e-6)
    alone = dataclasses.replace(batch, labels=torch.arange(12))
    assert math.isnan(score("epe_nas", "333132", alone, macro)) == (num_classes > 100)


def test_zen_moves_running_statistics_and_reports_two_parts(batch):
    from nasbench_harness.trainer.proxies.zen import zen_inputs

    net = network("333132").train()
    initialize(net, 0, "normal")
    features = []
    net.global_pooling.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].detach().numpy()))
    before = zen_inputs(tuple(batch.images.shape), 0, torch.float32)
    for images in before:
        net(images)
    assert (before[1] - before[0]).std() == pytest.approx(0.01, rel=0.05)
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    scale = sum(0.5 * math.log(norm.running_var.mean()) for norm in norms)
    distance = math.log(np.abs(features[0] - features[1]).sum((1, 2, 3)).mean())
    assert score("zen_norm", "333132", batch) == pytest.approx(scale, rel=1e-6)
    assert score("zen_features", "333132", batch) == pytest.approx(distance, rel=1e-5)
    assert score("zen", "333132", batch) == pytest.approx(scale + distance, rel=1e-6)


@pytest.mark.parametrize("key", ["333132", "111111", "444444", "204314"])
def test_meco_sums_over_all_modules(key, batch):
    """Literal second form: one hook on every module, NumPy's correlations, NaN to 0, general eigenvalues."""
    net, total = network(key).double().train(), []

    def add(_, __, output):
        rows = output[0].detach().numpy().reshape(output.shape[1], -1)
        with np.errstate(all="ignore"):
            correlations = np.nan_to_num(np.atleast_2d(np.corrcoef(rows))) if rows.shape[1] > 1 else np.zeros((1, 1))
        total.append(np.linalg.eigvals(correlations).real.min())

    for module in net.modules():
        module.register_forward_hook(add)
    net(batch.images[:1].double())
    assert score("meco", key, batch) == pytest.approx(sum(total), abs=1e-9)
    edges = {"2": 5, "3": 5, "1": 1, "4": 2, "0": 1}
    # Per cell the edges and the cell; stem 3, reductions 5 + 5 + 3 + 1, head 3, pooling, classifier, network.
    assert len(total) == 3 * (sum(edges[digit] for digit in key) + 1) + 3 + 2 * 14 + 3 + 3


def test_zico_is_mean_over_deviation_of_two_batches(batch):
    first = gradients(network("333132"), batch.images, batch.labels)
    second = gradients(network("333132"), batch.next_images, batch.next_labels)
    expected = 0.0
    for (_, one), (_, two) in zip(first, second, strict=True):
        sizes = np.abs(np.stack([one, two]).astype(float))
        spread = sizes.std(0)
        expected += np.log((sizes.mean(0)[spread > 0] / spread[spread > 0]).sum())
    assert score("zico", "333132", batch) == pytest.approx(expected, rel=1e-5)


def test_parts_of_az_nas(batch):
    assert math.isnan(score("az_trainability", "000100", batch))  # a single skip connection changes no cotangent
    assert score("az_expressivity", "333132", batch) > 0
    together = az_nas_scores([np.array([1.0, np.nan, 3.0]), np.array([5.0, 9.0, 7.0])])
    assert together == pytest.approx([np.log(2 / 3 * 1 / 3), np.log(1 / 3 * 3 / 3), np.log(3 / 3 * 2 / 3)])


def test_az_nas_by_its_formulas(batch):
    """A second implementation, with NumPy, on drawn weights and a drawn input."""
    net = initialize_as_az_nas("333132", batch)
    images = torch.empty(batch.images.shape)
    features = [images.normal_(generator=generator_of(batch.seed, f"az_nas input {tuple(images.shape)}"))]
    for block in (net.stem, *net.cells):
        features.append(block(features[-1]))
        features[-1].retain_grad()
    del features[0]
    entropies, means = [], []
    for feature in features:
        rows = feature.detach().numpy().astype(float).swapaxes(0, 1).reshape(feature.shape[1], -1)
        spectrum = np.linalg.eigvalsh(np.cov(rows, bias=True)).clip(0)
        shares = spectrum / spectrum.sum()
        entropies.append(-(shares * np.log(shares + 1e-8)).sum())
    assert score("az_expressivity", "333132", batch) == pytest.approx(sum(entropies), rel=1e-5)
    assert score("az_progressivity", "333132", batch) == pytest.approx(min(np.diff(entropies)), rel=1e-4)
    for position in range(1, len(features)):
        after, before = features[position], features[position - 1]
        key = f"az_nas cotangent {position} {tuple(after.shape)}"
        signs = torch.empty(after.shape).bernoulli_(0.5, generator=generator_of(batch.seed, key)) * 2 - 1
        (slope,) = torch.autograd.grad(after, before, signs, retain_graph=True)
        slope, signs = slope.numpy().astype(float), signs.numpy().astype(float)
        if slope.shape[2] != signs.shape[2]:  # each of the four pixels of a square becomes a channel
            parts = [slope[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]
            slope = np.concatenate(parts, axis=1)
        covariance = np.einsum("bcij,bdij->cd", slope, signs) / signs[:, 0].size
        largest = np.linalg.svd(covariance)[1][0]
        means.append(2 - largest - 1 / largest)
    assert score("az_trainability", "333132", batch) == pytest.approx(np.mean(means), rel=1e-4)


def initialize_as_az_nas(key, batch):
    copied = private_copy(network(key))
    initialize(copied, batch.seed, "kaiming")
    return copied


@pytest.mark.parametrize("name", LABELED)
def test_permuted_labels_change_scores_that_use_labels(name, batch):
    shuffled = dataclasses.replace(batch, labels=batch.labels.roll(1), next_labels=batch.next_labels.roll(1))
    assert score(name, "333132", shuffled) != score(name, "333132", batch)


@pytest.mark.parametrize("name", UNLABELED)
def test_permuted_labels_change_no_other_score(name, batch):
    without = dataclasses.replace(batch, labels=None, next_labels=None)
    assert score(name, "333132", without) == score(name, "333132", batch)


@pytest.mark.parametrize("name", PROXIES)
def test_cells_with_dead_branches_have_finite_scores(name, batch):
    for key in ("230240", "033300", "330001"):
        found = score(name, key, batch)
        assert math.isfinite(found) or name == "az_trainability"


def test_missing_scores_are_nan_and_nothing_is_infinite(batch):
    for name in PROXIES:
        for key in DISCONNECTED:
            assert not math.isinf(score(name, key, batch)), name
    for name in ("synflow", "jacob_cov", "zen", "epe_nas"):
        assert math.isnan(score(name, "000000", batch))


def numpys_state():
    state = np.random.get_state()  # noqa: NPY002 - the global generator is what must stay as it is
    return state[1].tobytes(), state[2]


@pytest.mark.parametrize("name", PROXIES)
def test_a_score_leaves_everything_as_it_was(name, batch):
    net = network("333132").eval()
    calls = []
    net.stem.register_forward_hook(lambda *_: calls.append(1))
    hooks = {module: len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules()}
    next(net.parameters()).requires_grad_(False)
    state = {key: value.clone() for key, value in net.state_dict().items()}
    images, labels = batch.images.clone(), batch.labels.clone()
    torch.manual_seed(5)
    before = torch.get_rng_state(), numpys_state()
    load_score(name)(net, batch)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == numpys_state()
    assert not any(module.training for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not next(net.parameters()).requires_grad
    assert {module: len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules()} == hooks
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert torch.equal(images, batch.images)
    assert torch.equal(labels, batch.labels)


def test_building_a_network_and_a_batch_reads_no_global_generator():
    torch.manual_seed(5)
    before = torch.get_rng_state(), numpys_state()
    one = build_network(cell("333132"), SMALL, 7)
    make_batch("noise", SMALL, 1, 1)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == numpys_state()
    torch.manual_seed(6)
    other = build_network(cell("333132"), SMALL, 7)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_network_is_the_trainers(batch):
    from nasbench_harness.trainer.networks.network import Network
    from nasbench_harness.trainer.networks.structure import structure_of

    for key in KEYS:
        ours = network(key).double().train()
        trained = Network(structure_of(cell(key), 1, 4, 3, 10), (0,), is_literal=True).double().train()
        order = [parameter for module in ours.cells for parameter in module.parameters()]
        pairs = zip(
            [*ours.stem.parameters(), *order, *ours.lastact.parameters(), *ours.classifier.parameters()],
            trained.parameters(),
            strict=True,
        )
        with torch.no_grad():
            for source, target in pairs:
                target.view(-1).copy_(source.flatten())
        expected = trained(batch.images.double())[0]
        assert torch.allclose(ours(batch.images.double()), expected, rtol=0, atol=1e-10), key


def test_default_weights_are_pytorchs():
    net = build_network(cell("333132"), Macro(1, 16, 8))
    weight = net.cells[0].layers[0].op[1].weight.detach()
    bound = 1 / math.sqrt(16 * 9)
    assert float(weight.abs().max()) <= bound
    assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_params_and_flops_are_the_closed_forms():
    from nasbench_harness.trainer.proxies.size import count_flops, count_params

    everything = np.arange(SPACE.num_architectures)
    for num_classes, side in ((10, 32), (100, 32), (120, 16)):
        macro = Macro(num_classes=num_classes, side=side)
        chosen = SPACE.choices(everything)
        assert np.array_equal(count_params(chosen, macro), np.rint(SPACE.params_m(num_classes) * 1e6))
        assert np.allclose(count_flops(chosen, macro), SPACE.flops_m(num_classes, side) * 1e6, rtol=1e-12)
    for key in ("333132", "204314"):
        index = np.array([SPACE.from_key(key)])
        assert score("params", key, make_batch("noise", SMALL)) == count_params(SPACE.choices(index), SMALL)[0]
        assert score("flops", key, make_batch("noise", SMALL)) == count_flops(SPACE.choices(index), SMALL)[0]


def test_ranks_of_synflow_hold_between_initializations(batch):
    keys = [SPACE.to_key(index) for index in range(0, 15_625, 400)]
    first, second = ([load_score("synflow")(network(key, seed=seed), batch) for key in keys] for seed in (0, 1))
    assert spearmanr(first, second, nan_policy="omit").statistic > 0.9
