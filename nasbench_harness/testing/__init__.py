"""Contracts that any search space, table, oracle or strategy must pass, as classes to subclass in a test suite.

    class TestMySearch(StrategyContract):
        strategy = my_search

Every method is one rule of the contract. Its message names the expected and the actual result, and the usual
cause. ``run_contract`` runs the same methods without pytest, as ``strategies check`` does.
"""

from nasbench_harness.testing.contract import Contract, Finding, run_contract
from nasbench_harness.testing.oracles import OracleContract
from nasbench_harness.testing.spaces import SpaceContract
from nasbench_harness.testing.strategies import StrategyContract
from nasbench_harness.testing.tables import TableContract

__all__ = [
    "Contract",
    "Finding",
    "OracleContract",
    "SpaceContract",
    "StrategyContract",
    "TableContract",
    "run_contract",
]
