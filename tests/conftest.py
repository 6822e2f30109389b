"""Fixtures for the whole suite: the real tables, and studies that are run once."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from nasbench_harness import compare
from nasbench_harness.studies import catalog
from nasbench_harness.tables import registry

pytest_plugins = ["pytester"]
REFERENCE_DATA = "NASBENCH_REFERENCE_DATA"

settings.register_profile("loaded", deadline=None)  # an example that takes long on a loaded machine is no failure
settings.load_profile("loaded")


def pytest_configure(config):
    """A shell starts background jobs with SIGINT ignored, and their programs inherit that: tests of Ctrl-C need it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def reference():
    """The published table, one row per architecture in the official order; skips where it is absent."""
    folder = Path(os.environ.get(REFERENCE_DATA) or Path(__file__).parents[2] / "shared" / "data")
    file = folder / "nb201_reference.csv.gz"
    if not file.is_file():
        pytest.skip(f"needs the reference data {file.name}: set {REFERENCE_DATA} to its folder")
    return pd.read_csv(file, dtype={"key": str})


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """All registered strategies on two tasks, 40 seeds × 60 evaluations, with its report; not to be changed."""
    return compare(
        tasks=["nb201-cifar100", "nb201-imagenet16-120"],
        seeds=40,
        evaluations=60,
        out=tmp_path_factory.mktemp("studies") / "study",
    )


@pytest.fixture(scope="session")
def command_server(tmp_path_factory):
    """Function (arguments, folder, environment) -> finished command, run by a fork of tests/command_server.py."""
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("command_server.py"))],
        cwd=tmp_path_factory.mktemp("server"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    outputs = [tmp_path_factory.mktemp("outputs") / name for name in ("stdout", "stderr")]

    def run(arguments, folder, environment):
        server.stdin.write(json.dumps([arguments, str(folder), dict(environment), list(map(str, outputs))]) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, *(path.read_text(encoding="utf-8") for path in outputs))

    yield run
    server.communicate()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Function (kind, name="module:attribute", …) that installs entry points of strategies or tables.

    It returns the folder of their modules, which is on the path.
    """
    folder = tmp_path / "plugins"

    def forget():
        for found in (registry.table_entry_points, registry._describe_provider, catalog.strategy_entry_points):
            found.cache_clear()

    def install(kind, **entries):
        info = folder / f"other_{kind}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: other-{kind}\nVersion: 1.0\n")
        lines = [f"[nasbench_harness.{kind}]", *(f"{name} = {place}" for name, place in entries.items())]
        (info / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(folder)
        forget()
        return folder

    yield install
    forget()


@pytest.fixture
def cli(tmp_path, request):
    """Run the command line in an empty folder; returns the finished process.

    A call with workers, or with another environment for Python, is a process from its start; others are forks.
    """

    def call(*arguments, cwd=tmp_path, **environment):
        arguments, whole = list(map(str, arguments)), {**os.environ, **environment}
        if hasattr(os, "fork") and "--jobs" not in arguments and not any(name[:6] == "PYTHON" for name in environment):
            return request.getfixturevalue("command_server")(arguments, cwd, whole)
        command = [sys.executable, "-m", "nasbench_harness", *arguments]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=whole)

    return call


@pytest.fixture(scope="session")
def genuine_archives():
    """Folder of three genuine architectures of each search space of NATS-Bench; skips where it is absent."""
    folder = Path(os.environ.get(REFERENCE_DATA) or Path(__file__).parents[2] / "shared" / "data") / "nats_archives"
    if not folder.is_dir():
        pytest.skip(f"needs the genuine archives {folder.name}: set {REFERENCE_DATA} to the folder that holds them")
    return folder


SETS = {
    "cifar10-valid": ["x-valid", "ori-test"],
    "cifar10": ["ori-test"],
    "cifar100": ["x-valid", "x-test", "ori-test"],
    "ImageNet16-120": ["x-valid", "x-test", "ori-test"],
}


@pytest.fixture(scope="session")
def official_results():
    """Function (package, index, text, {schedule: epochs}, seeds, number) -> {schedule: state}, made by its classes."""

    def results_of(package, index, text, schedules, seeds=(777, 888, 999), number=float):
        random = np.random.default_rng([index, len(seeds)])

        def curve(keys, scale):
            return {key: number(value) for key, value in zip(keys, random.random(len(keys)) * scale, strict=True)}

        def trial(dataset, seed, epochs):
            config = {"channel": 16, "num_cells": 5, "arch_str": text, "class_num": 10}
            accuracies, losses = curve(range(epochs), 100), curve(range(epochs), 5)
            sizes = number(random.random()), number(100 * random.random())
            result = package.ResultsCount(
                dataset, None, accuracies, losses, *sizes, config, f"{seed:04d}", epochs, [number(random.random())]
            )
            result.update_train_info(accuracies, accuracies, losses, curve(range(epochs), 9))
            for name in SETS[dataset]:
                last_only = name[0] == "x" and dataset != "cifar10-valid" and epochs == max(schedules.values())
                measured = [epochs - 1] if last_only else range(epochs)
                result.update_OLD_eval(name, curve(measured, 100), curve(measured, 5))
                result.eval_times |= curve([f"{name}@{epoch}" for epoch in range(epochs)], 3)
            return result

        states = {}
        for schedule, epochs in schedules.items():
            architecture = package.ArchResults(index, text)
            for dataset in SETS:
                for seed in seeds:
                    architecture.update(dataset, seed, trial(dataset, seed, epochs))
                first = architecture.all_results[dataset, seeds[0]]
                for seed in seeds[1:]:  # as in most of the table, sizes agree
                    other = architecture.all_results[dataset, seed]
                    other.params, other.flop = first.params, first.flop
            architecture.clear_params()
            states[schedule] = architecture.state_dict()
        return states

    return results_of


def as_added(number):
    """A sum that a package made; from Python 3.12 on its sum() rounds otherwise than adding one by one."""
    return number if sys.version_info < (3, 12) else pytest.approx(number, rel=1e-14)


@pytest.fixture(scope="session")
def assert_answers():
    """Function (table, package's API, index, schedules) that compares all values; returns how many it compared."""

    def compare_all(table, api, index, schedules):
        return sum(
            compare_trial(table, api, index, schedule, dataset, seed)
            for schedule in schedules
            for dataset in SETS
            for seed in seeds_of(api, index, schedule, dataset)
        )

    def seeds_of(api, index, schedule, dataset):
        architecture = api.query_meta_info_by_index(index, hp=schedule)
        return architecture.dataset_seed.get(dataset, [])

    def compare_trial(table, api, index, schedule, dataset, seed):
        together = dataset == "cifar10"
        name = f"{'cifar10-valid' if together else dataset.lower()}-{schedule}"
        held = table.datasets[name]
        row = held.space.from_string(api.arch(index))
        of_both = ["cifar10-valid", "cifar10"] if name.startswith("cifar10-") else [dataset]
        known = {known for i in api.evaluated_indexes for key in of_both for known in seeds_of(api, i, schedule, key)}
        slot = sorted(known, key=lambda seed: (seed not in (777, 888, 999), seed)).index(seed)
        epochs, count = held.fidelities, 0

        def value(metric, epoch):
            column = held.columns.get(f"trainval_{metric}" if together else metric)
            if column is None:
                return np.nan
            values = column.values[row, slot]
            if len(values) == len(epochs):
                return values[epoch]
            return values[0] if epoch == len(epochs) - 1 else np.nan

        for epoch in range(len(epochs)):
            answer = api.get_more_info(index, dataset, iepoch=epoch, hp=schedule, is_random=seed)
            for theirs, ours in {"train": "train", "valid": "val", "test": "test", "valtest": "valtest"}.items():
                for quantity in ("accuracy", "loss"):
                    expected = answer.get(f"{theirs}-{quantity}", np.nan)
                    np.testing.assert_equal(value(f"{ours}_{quantity}", epoch), expected)
                if f"{theirs}-accuracy" in answer:
                    assert value(f"{ours}_cost_s", epoch) == as_added(answer[f"{theirs}-all-time"])
                    count += 3
        trial = api.query_meta_info_by_index(index, hp=schedule).query(dataset, seed)
        sizes = value("params_m", len(epochs) - 1), value("flops_m", len(epochs) - 1)
        assert sizes == (trial.params, trial.flop)
        assert value("latency_ms", len(epochs) - 1) == as_added(trial.get_latency() * 1e3)
        return count + 3

    return compare_all
