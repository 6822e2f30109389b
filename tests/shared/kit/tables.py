"""Fixtures of tables and their cache."""

import pytest

from nasbench_harness.tables.nasbench201 import convert
from nasbench_harness.tables.registry import load_table


@pytest.fixture(scope="session")
def nb201():
    """NAS-Bench-201, converted here and now: what is in a cache may be older than the code."""
    return convert()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache that this process reads from."""
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    load_table.cache_clear()
    yield tmp_path / "cache"
    load_table.cache_clear()
