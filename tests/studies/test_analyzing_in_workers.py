"""Numbers of a report from worker processes."""

import os

import pytest
from kit.cases import fast_first

from nasbench_harness import compare
from nasbench_harness.studies import analyzing_in_workers as analyzing


def files_of(study):
    return {path.name: path.read_bytes() for path in study.folder.report_folder.iterdir()}


@pytest.mark.parametrize("is_killed", fast_first([True, False]))
def test_workers_give_a_report_the_same_bytes(tmp_path, monkeypatch, is_killed):
    """Also if a worker dies: this process then analyzes the tasks."""
    options = {"tasks": ["nb201-cifar10", "graph-cora"], "seeds": 12, "evaluations": 10}
    alone = compare(["random-search", "local-search"], out=tmp_path / "alone", **options)
    sent, submit = [], analyzing.submit

    def counted(num_workers, call, *arguments):
        sent.append(arguments[2])
        return submit(num_workers, exit_at_once if is_killed else call, *arguments)

    monkeypatch.setattr(analyzing, "submit", counted)
    monkeypatch.setattr(analyzing, "_MIN_DRAWS", 0)
    together = compare(["random-search", "local-search"], out=tmp_path / "together", jobs=2, **options)
    assert sent == options["tasks"]
    assert files_of(together) == files_of(alone)


def exit_at_once(*_):
    os._exit(1)
