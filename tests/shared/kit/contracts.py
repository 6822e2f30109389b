"""Contracts of which a test looks at some rules only."""

import json
import os
import subprocess
import sys

from nasbench_harness.testing import StrategyContract, run_contract
from nasbench_harness.testing.traces import trace_digest

_DIGESTS = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from nasbench_harness.testing.traces import trace_digest
print(json.dumps([trace_digest(*case) for case in json.loads(sys.argv[2])]))
"""


def holds(self):
    """Another test tries this rule."""


def failures(contract, *rules):
    """Messages of the rules that do not hold, by rule.

    Args:
        contract: The contract.
        rules: Rules to try, beside the first one; none: all of them.
    """
    names = [name.removeprefix("test_") for name in dir(contract) if name.startswith("test_")]
    left_out = [name for name in names if rules and name not in rules and f"test_{name}" != contract.first]
    members = {f"test_{name}": holds for name in left_out}
    tried = type("Tried", (type(contract),), members)() if members else contract
    return {finding.name: finding.failure for finding in run_contract(tried) if finding.failure}


class InThisProcess(StrategyContract):
    """All rules but one, which needs two processes: ``traces_in_other_processes`` tries it for many contracts."""

    test_another_process_and_hash_seed_give_the_same_trace = holds


def traces_in_other_processes(contracts):
    """Digests of the traces of all contracts, after checking that two processes with other hash seeds have the same."""
    cases = [
        (contract.spec.reference, dict(contract.spec.parameters), contract.tasks[0], contract.rules())
        for contract in contracts
    ]
    here = [trace_digest(*case) for case in cases]
    for hash_seed in ("1", "4242"):
        command = [sys.executable, "-c", _DIGESTS, json.dumps(sys.path), json.dumps(cases)]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        there = json.loads(done.stdout.splitlines()[-1])
        assert [case for case, one, other in zip(cases, here, there, strict=True) if one != other] == []
    return here
