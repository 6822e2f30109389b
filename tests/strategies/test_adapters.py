"""Optimizers of other packages: options, failures, several objectives, versions and their contract."""

from importlib.util import find_spec

import numpy as np
import pytest
from nasbench_strategies._models import libraries
from nasbench_strategies._models.libraries import Losses

from nasbench_harness import Evaluation, run
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.errors import InvalidInputError, RunsFailedError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.studies.references import parse_strategy, resolve
from nasbench_harness.testing import StrategyContract, run_contract

TASK = "nb201-cifar100"
OPTIONS = {
    "optuna": ["optuna", "optuna(sampler='nsga-ii')", "optuna(sampler='random')"],
    "pymoo": ["pymoo", "pymoo(algorithm='de')", "pymoo(algorithm='nsga-ii')"],
    "nevergrad": ["nevergrad", "nevergrad(optimizer='TwoPointsDE')"],
}


def needs(name):
    return pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed")


ALL = [pytest.param(text, marks=needs(name)) for name, texts in OPTIONS.items() for text in texts]
EACH = [pytest.param(name, marks=needs(name)) for name in OPTIONS]


def trace(text, task, num_seeds, **protocol):
    rules = Rules(Protocol(**protocol), 0)
    return run_seeds(resolve(parse_strategy(text)), load_task(task), rules, np.arange(num_seeds)).trace.rows(
        slice(0, num_seeds)
    )


@pytest.mark.parametrize("text", ALL)
def test_runs_spend_their_budget_on_spaces_of_every_shape(text):
    for task in (TASK, "graph-proteins"):
        columns = trace(text, task, 3, evaluations=30)
        assert np.bincount(columns["run"]).tolist() == [30] * 3
        assert len({tuple(columns["architecture"][columns["run"] == seed]) for seed in range(3)}) == 3


@pytest.mark.parametrize("text", ALL)
def test_repeats_that_are_rejected_are_failures(text):
    columns = trace(text, TASK, 2, evaluations=40, duplicates="forbid")
    found = columns["architecture"][columns["status"] == 1]
    assert len(np.unique(found + 20_000 * columns["run"][columns["status"] == 1])) == len(found)


@pytest.mark.parametrize("text", ALL)
def test_two_objectives_are_told(text):
    columns = trace(text, TASK, 2, evaluations=50, objectives="val_accuracy,latency_ms")
    assert len(columns["run"]) == 100


@pytest.mark.slow
@pytest.mark.parametrize("name", EACH)
def test_the_contract_holds(name):
    contract = type("Adapter", (StrategyContract,), {"strategy": name, "evaluations": 25, "max_seconds": None})()
    assert [finding for finding in run_contract(contract) if finding.failure] == []


@pytest.mark.parametrize("name", EACH)
def test_the_version_is_part_of_the_identity(name, tmp_path):
    assert resolve(parse_strategy(name)).parameters["version"] == libraries.installed_version(name)
    with pytest.raises(RunsFailedError, match=rf"{name} .* is installed, and the study names 0.1"):
        run([f"{name}(version='0.1')"], tasks=[TASK], seeds=2, evaluations=5, out=tmp_path)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_absent_package_is_named_with_the_command(name, tmp_path, monkeypatch):
    monkeypatch.setattr("nasbench_harness.engine.needs.find_spec", lambda name: None)
    with pytest.raises(InvalidInputError, match=rf"{name}, which is not installed: pip install {name}"):
        run([name], tasks=[TASK], seeds=2, out=tmp_path)


def test_unknown_options_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown sampler 'tpee' in optuna: did you mean 'tpe'"):
        resolve(parse_strategy("optuna(sampler='tpee')"))


def test_an_evaluation_without_a_value_counts_as_the_worst_so_far():
    def of(*values):
        return Evaluation(0, values[0], values, 1, 0.0, 0.0, 0, 0)

    losses = Losses(2)
    assert losses.of(None) == [0.0, 0.0]
    assert losses.of(of(-3.0, 5.0)) == [-3.0, 5.0]
    assert losses.of(of(-1.0, 2.0)) == [-1.0, 2.0]
    assert losses.of(of(np.inf, np.inf)) == [-1.0, 5.0]
    assert losses.of(of(-9.0, 1.0)._replace(feasible=False)) == [-1.0, 5.0]
    assert losses.of(None) == [-1.0, 5.0]
