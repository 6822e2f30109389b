import dataclasses
import math
import re
from contextlib import nullcontext

import pytest
import torch
from kit.cases import fast_first
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nasbench_harness.errors import HarnessError, InvalidInputError
from nasbench_harness.trainer import Execution, cache_key, estimate_seconds, recipe_of, train, train_many
from nasbench_harness.trainer.data.batches import DeviceImages, draw_epoch
from nasbench_harness.trainer.data.images import SealedTest, load_data
from nasbench_harness.trainer.data.sources import Images
from nasbench_harness.trainer.loop import processes, training
from nasbench_harness.trainer.loop.keys import key_fields
from nasbench_harness.trainer.loop.momentum import Momentum
from nasbench_harness.trainer.loop.processes import longest_first
from nasbench_harness.trainer.loop.training import (
    StackTraining,
    count_correct,
    mean_losses,
    network_structure,
)
from nasbench_harness.trainer.networks.network import Network

from ..conftest import ON_CPU, cell

CELL = cell("320142")
CPU = torch.device("cpu")


def stack_training(recipe, data, seeds, dtype=torch.float64, architecture=CELL):
    structure = network_structure(architecture, recipe, data)
    return StackTraining(structure, recipe, DeviceImages(data, recipe, CPU, dtype), seeds)


def numbers(results):
    return [(r.seed, r.accuracy, r.curve, r.train_loss, r.diverged) for r in results]


@pytest.mark.parametrize("key", ["320142", "000000"])
def test_two_steps_by_hand(recipe, data, key):
    run = stack_training(recipe, data, [1], architecture=cell(key))
    mirror = Network(network_structure(cell(key), recipe, data), [1]).double().train()
    values = [parameter.detach().clone() for parameter in mirror.parameters()]
    momenta = [torch.zeros_like(value) for value in values]
    batches = run.images.batch_draws(draw_epoch([1], 0, 22, 1, True), 8)
    steps = run.steps(0)
    for step in range(2):
        next(steps)
        images, labels = run.images.train_batch(*next(batches))
        with torch.no_grad():
            for parameter, value in zip(mirror.parameters(), values, strict=True):
                parameter.copy_(value)
        mirror.zero_grad()
        torch.nn.functional.cross_entropy(mirror(images)[0], labels[0]).backward()
        rate = 0.1 * 0.5 * (1 + math.cos(math.pi * step / 6))
        for parameter, value, momentum in zip(mirror.parameters(), values, momenta, strict=True):
            if parameter.grad is None:  # before a cell without a path
                continue
            gradient = parameter.grad + 5e-4 * value  # also of normalizations and biases
            momentum.mul_(0.9).add_(gradient)
            value -= rate * (gradient + 0.9 * momentum)
        for parameter, value in zip(run.network.parameters(), values, strict=True):
            assert torch.allclose(parameter, value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("is_fused", [True, False])
def test_momenta_belong_to_their_parameters(recipe, is_fused):
    """Sampled paths give gradients to other parameters in each step; torch's optimizer keeps their momenta apart."""
    values = torch.arange(1.0, 4.0, dtype=torch.float64)
    ours, theirs = (torch.nn.ParameterList([torch.full((2,), float(one)) for one in values]) for _ in range(2))
    momentum = Momentum(ours, recipe)
    momentum.is_fused = is_fused
    optimizer = torch.optim.SGD(theirs.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True)
    for moved in ((0, 2), (1,), (1, 2), (0,), (0, 1, 2), (2,)):
        for parameters in (ours, theirs):
            for position, parameter in enumerate(parameters):
                parameter.grad = torch.full((2,), 1.0 + position) if position in moved else None
        momentum.step(0.1)
        optimizer.step()
        for one, other in zip(ours, theirs, strict=True):
            assert torch.allclose(one, other)
            assert one.grad is None


class Devices(TorchDispatchMode):
    """Devices of all tensors that operations take and make; the fused step has no form without numbers."""

    def __init__(self):
        super().__init__()
        self.seen, self.num_operations = set(), 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        results = None if operation is torch.ops.aten._fused_sgd_.default else operation(*args, **kwargs)
        self.seen |= {one.device.type for one in tree_leaves([args, kwargs, results]) if isinstance(one, torch.Tensor)}
        self.num_operations += 1
        return results


@pytest.mark.parametrize("key", ["320142", "333132", "000000"])
def test_a_step_neither_leaves_the_device_nor_asks_for_its_numbers(recipe, data, monkeypatch, key):
    """On the device that has no numbers a transfer, or a number that Python needs, is an error."""
    monkeypatch.setattr(torch, "autocast", lambda *arguments, **how: nullcontext())  # not there without numbers
    images = DeviceImages(data, recipe, torch.device("meta"), torch.float32)
    run = StackTraining(network_structure(cell(key), recipe, data), recipe, images, [1, 2, 3])
    run.optimizer.is_fused = True
    devices = Devices()
    for drawn in images.batch_draws(draw_epoch([1, 2, 3], 0, 22, 1, True), 8):
        with devices:
            run._step(*drawn, 0.1)
    assert devices.seen == {"meta"}
    assert devices.num_operations > 100


def test_stacked_trainings_are_those_of_single_seeds(recipe, data):
    stacked = stack_training(recipe, data, [1, 2, 3])
    steps = stacked.steps(0)
    for _ in range(3):
        next(steps)
    for group, seed in enumerate([1, 2, 3]):
        alone = stack_training(recipe, data, [seed])
        steps = alone.steps(0)
        for _ in range(3):
            next(steps)
        for one, other in zip(stacked.network.parameters(), alone.network.parameters(), strict=True):
            assert (one.reshape(3, -1)[group] - other.flatten()).abs().max() <= 1e-9


def test_results_do_not_depend_on_the_seeds_beside_or_on_threads(recipe, data):
    three = train(CELL, recipe, data, [1, 2, 3])
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    four = train(CELL, recipe, data, [2, 5, 7, 1])
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    by_seed = {one[0]: one for one in numbers(four)}
    assert [one.seed for one in four] == [2, 5, 7, 1]
    assert by_seed[2] == numbers(three)[1]
    assert by_seed[1] == numbers(train(CELL, recipe, data, [1]))[0] == numbers(three)[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's compiler
def test_a_compiled_network_trains_as_the_plain_one(recipe, data):
    """Two architectures in turn, with a last batch of another size; the compiler without its code generator."""
    for key in ("320142", "333132"):
        images = DeviceImages(data, recipe, CPU, torch.float64)
        structure = network_structure(cell(key), recipe, data)
        plain, compiled = (
            StackTraining(structure, recipe, images, [1, 2, 3], backend) for backend in (None, "aot_eager")
        )
        for epoch in range(2):
            expected, found = plain.epoch(epoch), compiled.epoch(epoch)
            assert found[0] == expected[0]
            assert found[1] == pytest.approx(expected[1], rel=1e-9)


def test_compiling_is_for_gpus(recipe, data, monkeypatch):
    with pytest.raises(InvalidInputError, match="compiling pays on a GPU only, not on cpu: leave --compile out"):
        train(CELL, recipe, data, [1], Execution("cpu", compiled=True))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    plain = cache_key(CELL, 1, recipe, data, Execution("cuda"))
    assert cache_key(CELL, 1, recipe, data, Execution("cuda", compiled=True)) != plain
    assert cache_key(CELL, 1, recipe, data, Execution("cuda", deterministic=True)) != plain


def test_the_result_is_that_of_the_last_epoch(recipe, data):
    results = train(CELL, dataclasses.replace(recipe, epochs=6), data, [0, 1, 2])
    assert all(one.accuracy == one.curve[-1] and len(one.curve) == len(one.train_loss) == 6 for one in results)
    assert any(one.accuracy < max(one.curve) for one in results)  # else the best epoch would pass too


def test_a_network_learns(recipe, data):
    results = train(CELL, dataclasses.replace(recipe, epochs=15), data, [0, 1, 2])
    assert min(one.accuracy for one in results) > 50 > data.chance
    assert all(one.train_loss[-1] < one.train_loss[0] for one in results)


def test_the_loss_of_an_epoch_is_the_mean_over_its_images(recipe, data):
    run = stack_training(dataclasses.replace(recipe, learning_rate=0.0), data, [1, 2, 3])
    _, losses, _ = run.epoch(0)
    other = stack_training(recipe, data, [1, 2, 3])
    draws = draw_epoch([1, 2, 3], 0, 22, 1, True)
    batches = [other.images.train_batch(*drawn) for drawn in other.images.batch_draws(draws, 8)]
    expected = sum(mean_losses(other.network.train()(x), y) * len(x) for x, y in batches) / 22
    assert losses == pytest.approx(expected.tolist())


@pytest.mark.parametrize("batch_size", [1, 7, 512])
def test_evaluating_uses_and_keeps_the_running_statistics(recipe, data, batch_size):
    run = stack_training(recipe, data, [1, 2, 3])
    run.epoch(0)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    correct, is_finite = count_correct(run.network, run.images.valid_batches(3, batch_size))
    assert torch.equal(correct, run.evaluate()[0])
    assert is_finite.all()
    assert all(torch.equal(value, before[name]) for name, value in run.network.state_dict().items())


def test_a_seed_that_diverges_is_at_chance_and_leaves_the_others_alone(recipe, data):
    runs = [stack_training(recipe, data, [1, 2, 3], torch.float32) for _ in range(2)]
    with torch.no_grad():
        runs[1].network.classifier.weight[1] = float("nan")
    _, broken = (run.epoch(0) for run in runs)
    assert broken[2] == [True, False, True]
    for one, other in zip(runs[0].network.parameters(), runs[1].network.parameters(), strict=True):
        for group in (0, 2):
            assert torch.equal(one.reshape(3, -1)[group], other.reshape(3, -1)[group])
    # The largest of a NaN network's logits is the first: it would be right never here, not at chance.
    data = dataclasses.replace(data, valid_labels=torch.ones_like(data.valid_labels))
    results = train(CELL, dataclasses.replace(recipe, learning_rate=1e30), data, [1, 2, 3])
    assert [(one.diverged, one.accuracy) for one in results] == [(True, data.chance)] * 3


class Scalars(TorchDispatchMode):
    """Counts transfers of a number from the device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += "_local_scalar_dense" in str(func)
        return func(*args, **(kwargs or {}))


def test_no_step_waits_for_the_device(recipe, data):
    run = stack_training(recipe, data, [1, 2, 3])
    with Scalars() as scalars:
        assert len(list(run.steps(0))) == 3
        assert scalars.count == 0
        torch.ones(1).item()
    assert scalars.count == 1


def test_training_leaves_the_global_generator_alone(recipe, data):
    state = torch.get_rng_state()
    train(CELL, dataclasses.replace(recipe, epochs=1), data, [1])
    assert torch.equal(state, torch.get_rng_state())


def test_every_field_changes_the_key(recipe, data):
    key = cache_key(CELL, 1, recipe, data, ON_CPU)
    assert set(key_fields(CELL, 1, recipe, data, ON_CPU)) == {
        *("architecture", "seed", "data", "split", "device", "dtype", "torch"),
        *(f"recipe.{field.name}" for field in dataclasses.fields(recipe)),
    }
    other = {str: "other", bool: False, int: 77, float: 0.77}
    changed = [
        *(cache_key(text, seed, recipe, data, ON_CPU) for text, seed in ((cell("111111"), 1), (CELL, 2))),
        cache_key(CELL, 1, recipe, dataclasses.replace(data, digest="x"), ON_CPU),
        cache_key(CELL, 1, recipe, dataclasses.replace(data, split_digest="x"), ON_CPU),
    ]
    for field in dataclasses.fields(recipe):
        one = dataclasses.replace(recipe, **{field.name: other[type(getattr(recipe, field.name))]})
        changed.append(cache_key(CELL, 1, one, data, ON_CPU))
    assert len({key, *changed}) == 1 + len(changed)
    assert cache_key(CELL, 1, recipe, data, Execution("cpu", deterministic=True)) == key  # a CPU always is


def test_the_torch_version_and_the_device_change_the_key(recipe, data, monkeypatch):
    key = cache_key(CELL, 1, recipe, data, ON_CPU)
    monkeypatch.setattr(torch, "__version__", "2.99.1")
    assert cache_key(CELL, 1, recipe, data, ON_CPU) != key
    monkeypatch.setattr(torch, "__version__", "2.99.2+cpu")
    newer = cache_key(CELL, 1, recipe, data, ON_CPU)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert cache_key(CELL, 1, recipe, data, Execution("cuda")) != newer


def test_processes_give_the_same_results(recipe, data):
    jobs = [(cell("111111"), (1, 2)), (cell("333132"), (1,))]
    results = []
    train_many(jobs, recipe, dataclasses.replace(data, sealed=None), ON_CPU, 2, on_result=results.extend)
    here = []
    train_many(jobs, recipe, data, ON_CPU, 1, on_result=here.extend)
    assert sorted(numbers(results)) == sorted(numbers(here))
    assert [one.architecture for one in here] == [cell("333132"), cell("111111"), cell("111111")]


class Deadly(tuple):
    """Seeds that kill the process that reads them, as often as told."""

    def __reduce__(self):
        path, times = str(self.path), self.times
        count = f"len(open({path!r}).read())"
        kill = f"(open({path!r}, 'a').write('x'), __import__('os').kill(__import__('os').getpid(), 9))"
        return eval, (f"{tuple(self)} if {count} >= {times} else {kill}",)


@pytest.mark.parametrize("times", fast_first([1, 2, 3]))
def test_a_killed_process_loses_nothing_unless_it_dies_again(recipe, data, tmp_path, times):
    deadly = Deadly((1,))
    deadly.path, deadly.times = tmp_path / "deaths", times
    deadly.path.touch()
    jobs, found = [(cell("111111"), (1, 2)), (cell("333132"), deadly)], []
    recipe = dataclasses.replace(recipe, epochs=1)
    data = dataclasses.replace(data, sealed=None)
    if times < 3:
        train_many(jobs, recipe, data, ON_CPU, 2, on_result=found.extend)
        assert sorted((one.architecture, one.seed) for one in found) == sorted(
            [(cell("111111"), 1), (cell("111111"), 2), (cell("333132"), 1)]
        )
    else:
        with pytest.raises(HarnessError, match=re.escape(f"{cell('333132')} was killed three times")):
            train_many(jobs, recipe, data, ON_CPU, 2, on_result=found.extend)
    assert len(deadly.path.read_text()) == times


def test_trainings_that_a_killed_process_took_along_are_repeated_in_parallel(recipe, data, monkeypatch):
    """With half as many processes, since memory was often too small; one by one only if that fails, too."""
    calls = []

    def in_processes(call, jobs, number, on_result):
        calls.append((len(jobs), number))
        return jobs[-2:] if len(calls) <= 2 else []

    monkeypatch.setattr(processes, "_in_processes", in_processes)
    jobs = [(cell("111111"), [seed]) for seed in range(9)]
    train_many(jobs, recipe, data, ON_CPU, 8, on_result=lambda results: None)
    assert calls == [(9, 8), (2, 4), (1, 1), (1, 1)]


@pytest.mark.parametrize("num_processes", [1, 2])
def test_no_training_gets_the_test_part(recipe, data, monkeypatch, num_processes):
    given = []

    def trained(architecture, **how):
        given.append(how["data"])
        return []

    def in_processes(call, jobs, number, on_result):
        given.append(call.keywords["data"])
        return []

    monkeypatch.setattr(processes, "train", trained)
    monkeypatch.setattr(processes, "_in_processes", in_processes)
    whole = dataclasses.replace(data, sealed=SealedTest(Images(data.valid_images.numpy(), data.valid_labels.numpy())))
    jobs = [(CELL, [1]), (cell("111111"), [1])]
    train_many(jobs, recipe, whole, ON_CPU, num_processes, on_result=lambda results: None)
    assert given
    for one in given:
        with pytest.raises(InvalidInputError, match="no test part"):
            one.sealed.open()


def test_the_loss_of_low_precision_logits_is_calculated_in_float():
    logits = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels = torch.tensor([[0, 1, 2, 3, 0], [3, 2, 1, 0, 3]])
    losses = mean_losses(logits, labels)
    assert losses.dtype == torch.float32
    assert torch.equal(losses, mean_losses(logits.float(), labels))


def test_the_longest_job_comes_first(recipe, data):
    jobs = [(cell("222222"), (1,)), (cell("333333"), (1,)), (cell("222222"), range(40)), (cell("000000"), (1,))]
    assert longest_first(jobs, recipe, data) == [jobs[2], jobs[1], jobs[0], jobs[3]]


def test_an_estimate_is_positive_and_grows_with_the_epochs(recipe, data):
    short, long = (estimate_seconds(CELL, dataclasses.replace(recipe, epochs=n), data, ON_CPU) for n in (1, 1000))
    assert 0 < 20 * short < long


@pytest.mark.parametrize(("batch_size", "num_compiled"), [(8, 2), (11, 1)])
def test_an_estimate_counts_compiling_for_each_size_of_a_batch(recipe, data, monkeypatch, batch_size, num_compiled):
    """22 images; the clock ticks once a step, and the first step takes a thousand more."""
    now = [0]
    steps = StackTraining.steps

    def ticking(self, epoch):
        for number in steps(self, epoch):
            now[0] += 1_001 if number == 1 else 1
            yield number

    monkeypatch.setattr(StackTraining, "steps", ticking)
    monkeypatch.setattr(training, "perf_counter", lambda: now[0])
    monkeypatch.setattr(training.torch, "compile", lambda network, **_: network)
    recipe = dataclasses.replace(recipe, batch_size=batch_size)
    found = []
    for execution in (ON_CPU, Execution("cpu", compiled=True)):
        monkeypatch.setattr(Execution, "checked_device", lambda _: CPU)
        found.append(estimate_seconds(CELL, recipe, data, execution))
    assert found == [recipe.epochs * -(-22 // batch_size), found[0] + 1_001 * num_compiled]


def test_widths_train(data):
    recipe = dataclasses.replace(recipe_of("nats-sss-90"), epochs=1, batch_size=16)
    assert train("8:8:8:8:8", recipe, data, [777])[0].train_loss[0] > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "8:8:8:8:8"}, "trains cells"),
        ({"architecture": "333132"}, "no architecture"),
        ({"seeds": [1, 1]}, "distinct"),
        ({"seeds": [-1]}, "not negative"),
        ({"execution": Execution("tpu")}, "unknown device 'tpu'"),
        ({"execution": Execution("cuda")}, "is not there"),
    ],
)
def test_mistakes_are_one_line(recipe, data, changes, message):
    if changes.get("execution") == Execution("cuda") and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    arguments = {"architecture": CELL, "recipe": recipe, "data": data, "seeds": [1], **changes}
    with pytest.raises(InvalidInputError, match=message) as error:
        train(**arguments)
    assert "\n" not in str(error.value)


def test_one_epoch_of_the_animals():
    results = train(cell("333132"), recipe_of("animals8-1"), load_data(), [1, 2])
    assert min(one.accuracy for one in results) > 20
    assert len({one.accuracy for one in results}) == 2
