"""docs/keep-your-script.md: its Python runs, and the methods that it names exist."""

import re
from pathlib import Path

from nasbench_harness import compat
from nasbench_harness.compat.results import ArchitectureResults

TEXT = (Path(__file__).parents[2] / "docs" / "keep-your-script.md").read_text(encoding="utf-8")


def test_the_example_runs(capsys):
    block, _ = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    exec(block, {})  # noqa: S102 - the document is part of the package
    api = compat.create("nb201", "tss")
    index = api.query_index_by_arch(capsys.readouterr().out.strip())
    assert api.get_more_info(index, "cifar10-valid", hp="200", is_random=False)["valid-accuracy"] > 88


def test_the_methods_exist():
    (methods,) = re.findall(r"They have (.*?)\. The values", TEXT, flags=re.DOTALL)
    names = set(re.findall(r"`(\w+)`", methods)) - {"len"}
    assert len(names) >= 18
    for cls in (compat.NASBench201API, compat.NATStopology, compat.NATSsize):
        assert [name for name in names if not hasattr(cls, name)] == []
    (methods,) = re.findall(r"that queries return have (.*?)\. Trained", TEXT, flags=re.DOTALL)
    for name in re.findall(r"`(\w+)`", methods):
        assert hasattr(ArchitectureResults, name)
