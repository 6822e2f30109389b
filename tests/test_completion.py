"""The shell completes the names that the harness knows."""

import os
import subprocess
import sys

import pytest

CALL = "import sys; sys.argv[0] = 'nasbench-harness'; from nasbench_harness.cli import main; main()"


@pytest.fixture
def completions(tmp_path):
    """Completions of the last word of a command line."""

    def complete(*words):
        environment = {
            "_NASBENCH_HARNESS_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(("nasbench-harness", *words)),
            "COMP_CWORD": str(len(words)),
        }
        done = subprocess.run(
            [sys.executable, "-c", CALL],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **environment},
        )
        return [line.partition(",")[2] for line in done.stdout.split()]

    return complete


def test_lists_of_tasks_complete_their_last_name(completions):
    assert completions("compare", "--tasks", "graph-cora,nb201-cifar10") == [
        "graph-cora,nb201-cifar10",
        "graph-cora,nb201-cifar100",
    ]


def test_strategies_tables_and_choices(completions):
    assert completions("strategies", "info", "local") == ["local-search"]
    assert completions("tables", "info", "nb") == ["nb201"]
    assert completions("compare", "--duplicates", "f") == ["free", "forbid"]
    assert completions("compare", "--noise", "per") == ["per_query", "per_run"]
    assert completions("verify", "s", "--device", "c") == ["cpu", "cuda"]


def test_labels_are_those_of_the_study(completions, study, tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.toml").write_bytes((study.path / "study.toml").read_bytes())
    assert completions("export", "s", "--trace", "re") == ["regularized-evolution", "reinforce"]
    assert completions("export", "nowhere", "--trace", "re") == []
