"""The typed strategies also run, and mypy finds what is wrong in them when it is not told to ignore it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from nasbench_harness import load_task
from nasbench_harness.testing import StrategyContract, run_contract

PATH = Path(__file__).with_name("typed_strategies.py")
NUM_MISTAKES = 6


@pytest.fixture(scope="module")
def typed():
    spec = importlib.util.spec_from_file_location("typed_strategies", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["my_search", "all_operators", "slow_thinker", "MutateTheBest"])
def test_typed_strategies_hold_their_contract(typed, name):
    use = getattr(typed, name)
    members = {"strategy": staticmethod(use), "tasks": ("nb201-cifar100",), "evaluations": 20}
    findings = run_contract(type("Checked", (StrategyContract,), members)())
    assert not [finding for finding in findings if finding.failure]


@pytest.mark.parametrize("package", ["nasbench_harness", "nasbench_strategies"])
def test_both_packages_say_that_they_are_typed(package):
    assert Path(importlib.util.find_spec(package).origin).with_name("py.typed").is_file()


def test_queries_are_floats():
    assert {type(value) for value in load_task("graph-cora").query(3).values()} == {float}


@pytest.mark.thorough
def test_mypy_finds_the_mistakes(tmp_path):
    """Without the comments that ignore them."""
    pytest.importorskip("mypy")
    copy = tmp_path / "my_strategies.py"
    text = PATH.read_text(encoding="utf-8")
    copy.write_text(text.replace("  # type: ignore", "  #"), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(tmp_path / "cache"),
        "--follow-imports=silent",
    ]
    done = subprocess.run([*command, str(copy)], cwd=tmp_path, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if ": error: " in line]
    first = text[: text.index("def mistakes")].count("\n")
    assert len({line.split(":")[1] for line in lines}) == NUM_MISTAKES, done.stdout + done.stderr
    assert all(int(line.split(":")[1]) > first for line in lines)
