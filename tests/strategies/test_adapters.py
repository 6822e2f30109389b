"""Optimizers of other packages: options, failures, several objectives, versions and their contract."""

from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
from nasbench_strategies._models import libraries
from nasbench_strategies._models.libraries import finite_losses

from nasbench_harness import Evaluation, RunStream, run
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.errors import InvalidInputError, RunsFailedError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.spaces import ProductSpace
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


@pytest.mark.thorough
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


def test_an_evaluation_without_a_value_is_worse_than_every_other():
    def of(*values):
        return Evaluation(0, values[0], values, 1, 0.0, 0.0, 0, 0)

    assert finite_losses(of(-3.0, 5.0), 2) == [-3.0, 5.0]
    for bad in (None, of(np.inf, np.inf), of(-9.0, 1.0)._replace(feasible=False)):
        assert finite_losses(bad, 2) == [1e18, 1e18]


@pytest.mark.thorough
@pytest.mark.parametrize("text", [text for text in ALL if text.values[0] != "optuna(sampler='random')"])
def test_constraints_lead_the_search(text):
    """The fastest quarter: a uniform sample meets it in a quarter of the evaluations."""
    columns = trace(text, "nb201-cifar10", 20, evaluations=150, constraints="latency_ms<=q25")
    lookup = load_task("nb201-cifar10").problem(Protocol()).lookup
    latency = lookup("latency_ms", columns["architecture"]).reshape(20, 150)
    is_feasible = latency <= np.quantile(lookup("latency_ms", np.arange(15_625)), 0.25)
    # Five standard errors of a uniform sample.
    assert is_feasible[:, -50:].mean() > 0.25 + 5 * np.sqrt(0.25 * 0.75 / 1_000)


@pytest.mark.thorough
@needs("nevergrad")
@pytest.mark.parametrize("text", OPTIONS["nevergrad"])
def test_two_objectives_under_a_constraint_lead_the_search_of_nevergrad(text):
    protocol = {"objectives": "val_accuracy,params_m", "constraints": "latency_ms<=q25"}
    columns = trace(text, "nb201-cifar10", 20, evaluations=150, **protocol)
    lookup = load_task("nb201-cifar10").problem(Protocol()).lookup
    is_feasible = lookup("latency_ms", columns["architecture"]) <= np.quantile(
        lookup("latency_ms", np.arange(15_625)), 0.25
    )
    assert is_feasible.reshape(20, 150)[:, -50:].mean() > 0.25 + 5 * np.sqrt(0.25 * 0.75 / 1_000)


@needs("pymoo")
@pytest.mark.parametrize("algorithm", ["ga", "de", "nsga-ii"])
def test_pymoo_goes_on_in_a_space_that_is_used_up(algorithm):
    from nasbench_strategies.adapters.pymoo import pymoo_search

    space = ProductSpace("small", [["a", "b"], ["c", "d"]])
    problem = SimpleNamespace(space=space, objectives=[None])
    search = pymoo_search(problem, RunStream(1), algorithm=algorithm)
    found = [next(search)]
    while len(found) < 200:
        found.append(search.send(Evaluation(found[-1], float(found[-1]), (float(found[-1]),), 1, 0.0, 0.0, 0, 0)))
    assert set(found) == {0, 1, 2, 3}
