"""docs/archives.md: its commands run on a small archive, and its table names the metrics that there are."""

import bz2
import pickle
import re
import shlex
from pathlib import Path

import pytest
from nats_bench import api_utils

from nasbench_harness.importers.archives.importer import read_archive
from nasbench_harness.spaces import NASBench201Space

TEXT = (Path(__file__).parents[2] / "docs" / "archives.md").read_text(encoding="utf-8")
# The small archive has results of these rows only.
STRATEGY = """
def first_rows(problem, rng):
    while True:
        for architecture in range(3):
            yield architecture
"""


@pytest.mark.thorough
def test_its_commands_run_and_its_metrics_are_those_of_an_archive(cli, tmp_path, official_results):
    commands = [shlex.split(line) for line in re.search(r"```sh\n(.*?)```", TEXT, re.DOTALL)[1].splitlines()]
    folder = tmp_path / commands[0][-1]
    folder.mkdir()
    names = [NASBench201Space().to_string(index) for index in range(3)]
    results = {i: official_results(api_utils, i, names[i], {"12": 12, "200": 14}) for i in range(3)}
    for name, content in {"meta": {"meta_archs": names}, **{f"{i:06d}": results[i] for i in results}}.items():
        (folder / f"{name}.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps(content)))
    (tmp_path / "mine.py").write_text(STRATEGY)
    few = ["--strategies", "mine:first_rows", "--seeds", "10", "--evaluations", "20"]
    for program, *arguments in commands:
        assert program == "nasbench-harness"
        few_here = few if arguments[0] == "compare" else []
        done = cli(*arguments, *few_here, NASBENCH_HARNESS_CACHE=str(tmp_path / "cache"))
        assert done.returncode == 0, done.stderr
    metrics = {name for row in re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    table = read_archive(folder, tmp_path / "work")
    held = {name: column for dataset in table.datasets.values() for name, column in dataset.columns.items()}
    assert metrics == {name for name in held if not name.startswith("trainval_")}
    for name in metrics:
        assert re.search(rf"^\|.*`{name}`.*\| {held[name].metric.role} \|", TEXT, re.MULTILINE)
