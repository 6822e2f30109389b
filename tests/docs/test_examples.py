"""Examples in docstrings: they run, and every public function has one."""

import doctest
import importlib
import inspect
import pkgutil
from importlib.util import find_spec

import numpy as np
import pytest

import nasbench_harness

NEEDS_TORCH = (
    "nasbench_harness.devices.measur",
    "nasbench_harness.trainer",
    "nasbench_harness.verification.torch_trainer",
)


def modules():
    for found in pkgutil.walk_packages(nasbench_harness.__path__, "nasbench_harness."):
        if not found.name.endswith("__main__") and (find_spec("torch") or not found.name.startswith(NEEDS_TORCH)):
            yield found.name


@pytest.mark.parametrize("name", list(modules()))
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name), extraglobs={"np": np}).failed == 0


def test_every_function_of_statistics_has_an_example():
    package = importlib.import_module("nasbench_harness.statistics")
    functions = [value for name in package.__all__ if inspect.isfunction(value := getattr(package, name))]
    assert [function.__name__ for function in functions if ">>>" not in (function.__doc__ or "")] == []
