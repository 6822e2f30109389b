"""The bar on a terminal names what takes long."""

import io
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from nasbench_harness.cli import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.05)
    monkeypatch.setenv("COLUMNS", "200")
    return Terminal()


def batch(label, first, trained=None):
    task = SimpleNamespace(name="task", trained=trained)
    return SimpleNamespace(spec=SimpleNamespace(label=label), task=task, run_seeds=np.arange(first, first + 100))


def plan(*batches):
    return SimpleNamespace(batches=batches, num_runs=200, options=SimpleNamespace(jobs=2))


def advanced(plan, terminal, seconds):
    """Text on the terminal while every batch takes this long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)  # here: pytest sets its own between fixtures and tests
        with progress.progress_bar(plan) as advance:
            for each in plan.batches:
                time.sleep(seconds)
                advance(SimpleNamespace(num_runs=100, task="task", label=each.spec.label))
    return terminal.getvalue()


@pytest.mark.thorough
def test_slow_batches_are_named_once_for_each_strategy(terminal):
    text = advanced(plan(batch("one", 0), batch("two", 0), batch("two", 100)), terminal, 0.5)
    hint = "have run for 0.05 s; --run-timeout SECONDS ends a run that takes longer"
    assert text.count(hint) == 2
    assert f"one on task: seeds 0-99 {hint}" in text
    assert f"two on task: seeds 0-99 {hint}" in text


def test_trainings_and_quick_batches_are_not_named(terminal, monkeypatch):
    assert "have run for" not in advanced(plan(batch("one", 0, trained=object())), terminal, 0.3)
    monkeypatch.setattr(progress, "_PATIENCE_S", 60.0)
    assert "have run for" not in advanced(plan(batch("one", 0)), terminal, 0.1)
