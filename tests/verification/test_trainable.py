import json
import math

import numpy as np
import pytest
from kit.cases import fast_first

from nasbench_harness.evaluation.task import load_task, make_task
from nasbench_harness.spaces import NASBench201Space, ProductSpace
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table
from nasbench_harness.trainer.networks.structure import structure_of
from nasbench_harness.verification.design import make_design
from nasbench_harness.verification.report import verification_files
from nasbench_harness.verification.running import train_design
from nasbench_harness.verification.trainable import Cells, Widths, can_be_trained, made_the_table, trainable
from nasbench_harness.verification.verdict import judge

WIDTHS = ProductSpace("widths", [[str(width) for width in range(8, 65, 8)]] * 5)


def table_over(space, dataset="cifar10-valid-90", name="nats-sss", origin="official", num_replicates=1):
    """Values that grow with the index, at two fidelities of which the first is useless."""
    values = np.linspace(50, 70, space.num_architectures)[:, None, None] * np.array([0.1, 1.0])
    values = values + np.linspace(0, 0.2, num_replicates)[:, None]
    column = MetricArray(Metric("val_accuracy", "%", "maximize", "search"), values)
    entry = Dataset("CIFAR-10", space, {"val_accuracy": column}, (1, 90))
    return Table(name, {dataset: entry}, Provenance("X, official archive Y", "1", "MIT", origin=origin))


@pytest.fixture(scope="module")
def widths_task():
    return make_task(table_over(WIDTHS), "cifar10-valid-90")


def test_only_cells_and_the_official_widths_can_be_built(task, widths_task):
    assert isinstance(trainable(task), Cells)
    assert isinstance(trainable(widths_task), Widths)
    other = ProductSpace("depths", [["1", "2"]] * 5)
    assert not can_be_trained(make_task(table_over(other), "cifar10-valid-90"))


def test_sizes_of_widths_are_those_of_their_networks(widths_task):
    known = trainable(widths_task)
    for index in (0, 777, 32_767):
        expected = structure_of(WIDTHS.to_string(index), 1, 16, 3, 10).num_params() / 1e6
        assert known.params_m[index] == expected
    assert WIDTHS.to_string(int(known.params_m.argmax())) == "64:64:64:64:64"


def test_parameters_are_those_for_the_tables_classes(task):
    index = task.space.from_key("333132")
    for name, num_classes in (("nb201-cifar10", 10), ("nb201-cifar100", 100), ("nb201-imagenet16-120", 120)):
        expected = structure_of(task.space.to_string(index), 5, 16, 3, num_classes).num_params() / 1e6
        assert trainable(load_task(name)).params_m[index] == pytest.approx(expected)


@pytest.mark.thorough
def test_controls_of_widths_are_the_nearest_in_parameters(widths_task):
    design = make_design(
        widths_task, np.repeat([5_000, 20_000, 32_767], 3), lambda _: 0.0, 0,
        top=3, kind="matched", num_controls=3, training_seeds=1,
    )  # fmt: skip
    sizes = trainable(widths_task).params_m
    for candidate, controls in zip(design.candidates, design.controls, strict=True):
        distances = np.abs(sizes - sizes[candidate])
        assert distances[list(controls)].max() <= np.sort(distances)[67 + 3]
    assert len({architecture for block in design.blocks for architecture in block}) == 12
    assert design.notes == ("controls are drawn from the 64 nearest in parameters",)
    assert not design.is_same_size


@pytest.mark.parametrize(
    ("space", "name", "dataset", "origin", "recipe", "data", "expected"),
    [
        ("cells", "nb201", "cifar10", "", "nb201-200", "cifar10", True),
        ("cells", "nb201", "cifar10", "", "nb201-12", "cifar10", False),
        ("cells", "nb201", "cifar10", "", "nb201-200", "cifar100", False),
        ("cells", "mine", "cifar10", "", "nb201-200", "cifar10", False),
        ("cells", "mine", "cifar10-valid-12", "official", "nb201-12", "cifar10", True),
        ("cells", "mine", "cifar100-200", "official", "nb201-200", "cifar100", True),
        ("cells", "mine", "cifar10-valid-200", "", "nb201-200", "cifar10", False),
        ("cells", "mine", "cifar10-valid-200", "official", "animals8-10", "cifar10", False),
        ("widths", "mine", "cifar10-valid-90", "official", "nats-sss-90", "cifar10", True),
        ("widths", "mine", "cifar10-valid-12", "official", "nats-sss-90", "cifar10", False),
    ],
)
def test_values_are_compared_with_the_table_of_the_same_recipe_only(
    space, name, dataset, origin, recipe, data, expected
):
    spaces = {"cells": NASBench201Space(), "widths": WIDTHS}
    task = make_task(table_over(spaces[space], dataset, name, origin), dataset)
    assert made_the_table(recipe, data, task) is expected


@pytest.mark.parametrize("num_replicates", fast_first([2, 1]))
def test_the_table_is_read_where_it_is_scored(tmp_path, make_trainer, num_replicates):
    """Searched at the first fidelity, compared at the last; one replicate has no spread, so z is unknown."""
    task = make_task(table_over(WIDTHS, num_replicates=num_replicates), "cifar10-valid-90")
    finals = np.arange(20_000, 20_005)
    options = {"top": 3, "kind": "random", "num_controls": 1, "training_seeds": 2}
    design = make_design(task, finals, lambda _: 0.0, 0, **options)
    trainer = make_trainer()
    trainer.task = task
    progressed = train_design(design, task, trainer, tmp_path / "j", 0)
    outcome = judge(design, task, "nats-sss-90", "cifar10", progressed.entries, len, True)
    assert outcome.agreement.verdict == "agrees"
    assert [math.isnan(z) for z in outcome.agreement.z] == [num_replicates == 1] * 3  # of the controls
    if num_replicates == 2:  # both replicates .2 apart, two trainings and two replicates
        item = outcome.trained[1]
        spread = 0.2 / math.sqrt(2)
        assert outcome.agreement.z[0] == pytest.approx((item.score - item.table_value) / spread)
    files = dict(verification_files(outcome, task, "command", False))
    record = json.loads(files["verification.json"])
    assert (record["agreement"]["z"][0] is None) == (num_replicates == 1)
    assert ("largest |z|" in files["verification.md"]) == (num_replicates == 2)
