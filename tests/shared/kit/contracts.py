"""Contracts of which a test looks at some rules only."""

from nasbench_harness.testing import run_contract


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
