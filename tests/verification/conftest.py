"""A stand-in for the trainer: accuracies made from the table, instantly."""

import hashlib
from typing import ClassVar

import numpy as np
import pytest
from kit.tables import cache  # noqa: F401 - a fixture

from nasbench_harness.evaluation.task import load_task
from nasbench_harness.verification.journal import TrainingRecord
from nasbench_harness.verification.running import Estimate


class TableTrainer:
    """Answers with the table's noiseless value plus noise that depends on architecture and seed.

    It has all that a trainer must have, and nothing that a trainer may have.
    """

    recipe, data, part = "stand-in", "the table itself", ""
    marks: ClassVar = {}

    def __init__(self, task, noise=0.1, stop_after=None, diverges=(), notice=""):
        self.task, self.noise, self.stop_after, self.diverges = task, noise, stop_after, diverges
        self.trained, self.notice = [], notice

    def key(self, architecture, seed):
        return hashlib.sha256(f"{architecture} {seed}".encode()).hexdigest()

    def num_params(self, architecture):
        return 1_000 + len(architecture)

    def estimate(self, missing):
        return Estimate(2.0 * sum(missing.values()), 1.0 * sum(missing.values()), 2, "cpu")

    def train(self, jobs, on_result, states):
        for architecture, seeds in jobs:
            index = self.task.space.from_string(architecture)
            entries = []
            for seed in seeds:
                if self.stop_after is not None and len(self.trained) >= self.stop_after:
                    on_result(entries)
                    raise KeyboardInterrupt
                self.trained.append((architecture, seed))
                noise = np.random.default_rng([index, seed]).normal(scale=self.noise)
                bad = index in self.diverges
                value = 10.0 if bad else float(self.task.scores["val"].values[index] + noise)
                entries.append(
                    TrainingRecord(
                        self.key(architecture, seed), architecture, seed, value, (value,), bad, 1.0, self.notice
                    )
                )
            on_result(entries)


@pytest.fixture(scope="session")
def task():
    return load_task("nb201-cifar10")


@pytest.fixture(scope="session")
def finals(task):
    """What 100 runs might have returned: the ten best cells, the better the more often."""
    best = np.argsort(-task.scores["val"].values, kind="stable")[:10]
    return np.repeat(best, np.arange(20, 0, -2))


@pytest.fixture
def make_trainer(task):
    return lambda **options: TableTrainer(task, **options)
