"""First-party spaces, tables, oracles and strategies pass the same contracts that third parties reuse."""

import numpy as np
import pytest
from kit.cases import fast_only
from kit.contracts import InThisProcess, traces_in_other_processes

from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.spaces import NASBench201Space, NASBenchGraphSpace, ProductSpace
from nasbench_harness.spaces.nasbench_graph import PROTEINS_OPERATIONS
from nasbench_harness.spaces.restricted import RestrictedSpace
from nasbench_harness.studies.catalog import describe, strategy_entry_points
from nasbench_harness.tables.registry import load_table
from nasbench_harness.testing import (
    OracleContract,
    SpaceContract,
    TableContract,
    run_contract,
)


class TestNASBench201Space(SpaceContract):
    def make_space(self):
        return NASBench201Space()


class TestNASBenchGraphSpace(SpaceContract):
    def make_space(self):
        return NASBenchGraphSpace()


class TestNASBenchGraphSpaceOfProteins(SpaceContract):
    def make_space(self):
        return NASBenchGraphSpace(PROTEINS_OPERATIONS)


class TestProductSpace(SpaceContract):
    def make_space(self):
        return ProductSpace("letters", [["a", "b"], ["c", "d", "e"], list("tuvwxyz")])


class TestRestrictedCells(SpaceContract):
    def make_space(self):
        return RestrictedSpace(NASBench201Space(), ["none", "avg_pool_3x3"])


class TestRestrictedProduct(SpaceContract):
    def make_space(self):
        order = np.random.default_rng(0).permutation(360)
        decisions = [["a", "b", "c"], ["c", "d"], list("uvwxyz"), [*"adefghijkl"]]
        return RestrictedSpace(ProductSpace("letters", decisions, order), ["a", "d"])


class TestRestrictedOracle(OracleContract):
    num_architectures = 4_096

    def make_oracle(self):
        return load_task("nb201-cifar10@without=skip_connect").under(Protocol()).oracle


class TestNASBench201Table(TableContract):
    def make_table(self):
        return load_table("nb201")


class TestNASBenchGraphTable(TableContract):
    def make_table(self):
        return load_table("graph")


class TestTableOracle(OracleContract):
    num_architectures = 15_625

    def make_oracle(self):
        return load_task("nb201-cifar10").under(Protocol()).oracle


class TestTableOracleWithoutCost(OracleContract):
    num_architectures = 2_021

    def make_oracle(self):
        return load_task("graph-proteins").under(Protocol()).oracle


# Adapters have their own tests, which skip without their packages; so have weight sharing, which needs images, and
# multi-fidelity strategies, which need a table with several fidelities.
APART = ("adapters", "multi-fidelity", "weight-sharing")
NAMES = [name for name in strategy_entry_points() if describe(name).family not in APART]
# Their defaults score the whole of the smallest space, so that all runs are equal.
SMALLER = {name: f"{name}(num_scored=300)" for name in ("best-by-score", "score-ordered", "score-seeded-evolution")}

# The defaults of these learners take more than 5 s; fewer trees, networks, starts and scores run through the same code.
QUICKER = {
    "gaussian-process": "gaussian-process(num_repeats=1,num_centers=2,num_random=20)",
    "source-weighted-scores": "source-weighted-scores(num_scored=300)",
    "bananas": "bananas(num_networks=2,num_updates=20)",
    "nao": "nao(num_networks=2,num_updates=20)",
    "npenas": "npenas(num_networks=2,num_updates=20)",
    "random-forest": "random-forest(num_trees=3)",
}


# Their checks on a second space take seconds each. At 35 evaluations, 15 or more follow their initial ones.
LEARNERS = (
    "bananas",
    "few-shot-predictor",
    "gaussian-process",
    "nao",
    "npenas",
    "random-forest",
    "ranking-weighted-ensemble",
)


# The fast suite leaves their contracts out: a second and more each.
SECONDS = (*LEARNERS, "genetic-algorithm", "gumbel-softmax", "nsga2", "rnn-controller", "source-weighted-scores", "tpe")


class Registered(InThisProcess):
    tasks = ("nb201-cifar10", "nb201-imagenet16-120")


class Restricted(Registered):
    tasks = ("nb201-cifar100@without=none,avg_pool_3x3",)


def registered(name):
    members = {"strategy": QUICKER.get(name, name), "evaluations": 35 if name in LEARNERS else 50}
    return type("Registered", (Registered,), members)()


def restricted(name):
    return type("Restricted", (Restricted,), {"strategy": {**SMALLER, **QUICKER}.get(name, name)})()


@pytest.mark.parametrize("name", fast_only(NAMES, [name for name in NAMES if name not in SECONDS]))
def test_registered_strategies(name):
    assert [finding for finding in run_contract(registered(name)) if finding.failure] == []


@pytest.mark.parametrize("name", fast_only(NAMES, ("genetic-algorithm", "local-search", "natural-gradient")))
def test_registered_strategies_on_a_restricted_space(name):
    assert [finding for finding in run_contract(restricted(name)) if finding.failure] == []


@pytest.mark.thorough
def test_other_processes_and_hash_seeds_give_the_same_traces():
    """The rule that the classes above leave out."""
    here = traces_in_other_processes(
        [*map(registered, NAMES), *(restricted(name) for name in NAMES if name not in LEARNERS)]
    )
    assert len(set(here)) > 0.9 * len(here)  # strategies differ, but for those that score all of a small space
