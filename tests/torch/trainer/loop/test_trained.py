import dataclasses

import pytest
import torch

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.trainer import evaluate_sealed, train, train_many
from nasbench_harness.trainer.data.images import SealedTest
from nasbench_harness.trainer.data.sources import Images

from ..conftest import ON_CPU, cell, small_data

CELL = cell("320142")


def sealed_of(images, labels):
    return SealedTest(Images(images.numpy(), labels.numpy()))


def test_the_sealed_part_is_measured_as_validation_is(recipe, data):
    results = train(CELL, recipe, data, [3, 1, 2, 9], ON_CPU, keep_networks=True)
    as_test = sealed_of(data.valid_images, data.valid_labels)
    assert evaluate_sealed(results, as_test, "cpu") == pytest.approx([result.accuracy for result in results])
    assert len({result.accuracy for result in results}) > 1
    assert evaluate_sealed(results[::-1], as_test, "cpu") == evaluate_sealed(results, as_test, "cpu")[::-1]


def test_other_images_give_another_accuracy(recipe, data):
    results = train(CELL, dataclasses.replace(recipe, epochs=8), data, [1, 2, 3], ON_CPU, keep_networks=True)
    wrong = sealed_of(data.valid_images, (data.valid_labels + 1) % 4)
    right = sealed_of(data.valid_images, data.valid_labels)
    assert max(evaluate_sealed(results, wrong, "cpu")) < min(evaluate_sealed(results, right, "cpu"))


def test_kept_networks_survive_the_way_between_processes(recipe, data):
    jobs = [(CELL, (1, 2)), (cell("333132"), (1,))]
    found = []
    train_many(
        jobs, recipe, dataclasses.replace(data, sealed=None), ON_CPU, 2, on_result=found.extend, keep_networks=True
    )
    as_test = sealed_of(data.valid_images, data.valid_labels)
    assert evaluate_sealed(found, as_test, "cpu") == pytest.approx([result.accuracy for result in found])


def test_a_diverged_network_is_at_chance(recipe, data):
    results = train(CELL, dataclasses.replace(recipe, learning_rate=1e30), data, [1], ON_CPU, keep_networks=True)
    # The largest of a NaN network's logits is the first: it would be right never here, not at chance.
    assert evaluate_sealed(results, sealed_of(data.valid_images, torch.ones_like(data.valid_labels)), "cpu") == [25.0]


def test_evaluating_leaves_the_networks_alone(recipe, data):
    results = train(CELL, recipe, data, [1], ON_CPU, keep_networks=True)
    before = {name: value.clone() for name, value in results[0].network.state.items()}
    evaluate_sealed(results, sealed_of(data.valid_images, data.valid_labels), "cpu")
    assert all(torch.equal(value, before[name]) for name, value in results[0].network.state.items())


def test_networks_are_kept_only_where_wanted(recipe, data):
    results = train(CELL, recipe, data, [1], ON_CPU)
    assert results[0].network is None
    with pytest.raises(InvalidInputError, match="keep_networks=True"):
        evaluate_sealed(results, sealed_of(data.valid_images, data.valid_labels), "cpu")


def test_no_test_part_is_one_line(recipe):
    data = small_data().without_test()
    with pytest.raises(InvalidInputError, match="no test part"):
        evaluate_sealed([], data.sealed)
