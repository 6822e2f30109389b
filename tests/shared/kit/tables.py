"""Fixtures of tables and their cache."""

import shutil

import pytest

from nasbench_harness.tables.nasbench201 import convert
from nasbench_harness.tables.registry import load_table


@pytest.fixture(scope="session")
def nb201():
    """NAS-Bench-201, converted here and now: what is in a cache may be older than the code."""
    return convert()


@pytest.fixture(scope="session")
def converted(tmp_path_factory):
    """Cache that holds NAS-Bench-201, converted here and now; not to be changed."""
    folder = tmp_path_factory.mktemp("converted") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_HARNESS_CACHE", str(folder))
        load_table.cache_clear()
        load_table("nb201")
    load_table.cache_clear()
    return folder


@pytest.fixture
def filled(converted, cache):
    """A copy of that cache, which this process reads from."""
    return shutil.copytree(converted, cache)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache that this process reads from."""
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    load_table.cache_clear()
    yield tmp_path / "cache"
    load_table.cache_clear()
