"""What a user waits for before anything happens, and what a cached table costs to open."""

import json
import subprocess
import sys

import numpy as np
import pytest

from nasbench_harness.tables.cache import open_table
from nasbench_harness.tables.registry import load_table, table_folder

from .conftest import gates, least_cpu_seconds, least_ratio

HEAVY = ("numpy", "scipy", "pandas", "pyarrow", "matplotlib", "torch", "pydantic", "loky", "jinja2")


def child_cpu_seconds(arguments, repeats=7):
    import resource

    best = float("inf")
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def imported_by(code):
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted(set(sys.modules))))"
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    return set(json.loads(output.splitlines()[-1]))


@gates(gate=10, bar=8)
def test_help_costs_a_few_empty_pythons(gate):
    def measure():
        return child_cpu_seconds(["-m", "nasbench_harness", "--help"]) / child_cpu_seconds(["-c", "pass"])

    assert least_ratio(measure, gate) <= gate


def test_help_and_lists_load_nothing_heavy():
    for arguments in (["--help"], ["doctor", "--help"], ["strategies", "list"], ["tables", "list"]):
        loaded = imported_by(
            f"from nasbench_harness.cli import main\ntry:\n    main({arguments!r})\nexcept SystemExit:\n    pass"
        )
        assert not loaded.intersection(HEAVY), arguments


def test_run_loads_numpy_and_pyarrow_only(tmp_path):
    arguments = ["run", "--seeds", "2", "--evaluations", "5", "--out", str(tmp_path / "study")]
    loaded = imported_by(
        f"from nasbench_harness.cli import main\ntry:\n    main({arguments!r})\nexcept SystemExit:\n    pass"
    )
    assert not loaded.intersection(set(HEAVY) - {"numpy", "pyarrow"})


@pytest.mark.parametrize("name", ["nb201", "tiny201"])
def test_opening_a_table_costs_at_most_three_times_its_arrays_and_json(name):
    load_table(name)
    folder = table_folder(name)

    def bare():
        json.loads((folder / "table.json").read_text(encoding="utf-8"))
        for path in folder.glob("*.npy"):
            np.load(path, mmap_mode="r")

    def measure():
        opened, loaded = least_cpu_seconds(lambda: open_table(folder), bare, repeats=20)
        return opened / loaded

    assert least_ratio(measure, 3) <= 3


def test_an_opened_table_takes_little_private_memory():
    script = """
from nasbench_harness.tables.registry import load_table, table_folder
from nasbench_harness.tables.cache import open_table
import numpy, nasbench_harness.spaces
load_table("nb201")  # space and imports are shared by every table
def private():
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))
before = private()
tables = [open_table(table_folder("nb201")) for _ in range(5)]
print((private() - before) / 5)
"""
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert float(output) <= 5 * 1024
