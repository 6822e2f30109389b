import pytest
from kit.tasks import tiny  # noqa: F401 - fixture

from nasbench_harness.tables.registry import load_table


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of the module's own, so that NAS-Bench-201 is converted once; tests name their tables differently."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        load_table.cache_clear()
        yield
        load_table.cache_clear()


@pytest.fixture
def tiny_table(tiny):  # noqa: F811 - the fixture
    """256 architectures without any device."""
    return tiny.table
