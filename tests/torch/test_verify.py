"""Verification with the real trainer: end to end, killed and resumed, and faithful to the table's recipe."""

import dataclasses
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra torch")

from nasbench_harness import compare, verify
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import load_table
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table
from nasbench_harness.trainer import recipe as recipes
from nasbench_harness.verification.verify import VerifyOptions

QUICK = {**vars(VerifyOptions().quick()), "recipe": "animals8-1"}
COMMAND = [sys.executable, "-m", "nasbench_harness", "verify"]
FLAGS = ["--quick", "--recipe", "animals8-1", "--device", "cpu", "--jobs", "1"]


@pytest.fixture
def study(tmp_path):
    return compare(["regularized-evolution"], ["nb201-cifar10"], seeds=30, evaluations=60, out=tmp_path / "study")


def test_the_best_of_a_search_are_trained_judged_and_never_twice(study):
    done = verify(study, **QUICK | {"device": "cpu", "jobs": 1})
    assert done.progressed.num_trained == 12
    assert len(done.outcome.trained) == 12
    assert {item.num_diverged for item in done.outcome.trained} == {0}
    record = json.loads((done.folder / "verification.json").read_text(encoding="utf-8"))
    assert record["verdict"] in ("confirmed", "contradicted", "inconclusive")
    before = {name: (done.folder / name).read_bytes() for name in done.files}
    again = verify(study.path, **QUICK | {"device": "cpu", "jobs": 2})
    assert (again.progressed.num_trained, again.progressed.num_found) == (0, 12)
    assert {name: (again.folder / name).read_bytes() for name in again.files} == before


def test_too_small_a_memory_is_told(study, monkeypatch):
    import torch

    from nasbench_harness.trainer.loop.training import StackTraining

    epoch = StackTraining.epoch

    def only_one_fits(self, number):
        if len(self.seeds) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return epoch(self, number)

    monkeypatch.setattr(StackTraining, "epoch", only_one_fits)
    done = verify(study, **QUICK | {"device": "cpu", "jobs": 1, "training_seeds": 2})
    assert len(done.progressed.notices) == 12
    assert all("2 seeds of |" in line and "trained 1 at a time" in line for line in done.progressed.notices)


@pytest.mark.slow
def test_killed_at_five_moments_the_same_command_ends_with_the_same_verdict(study, tmp_path):
    whole = subprocess.run([*COMMAND, str(study.path), *FLAGS, "--json"], capture_output=True, text=True, check=True)
    journal = study.path / "verification" / "nb201-cifar10" / "journal.jsonl"
    trained = sorted(json.loads(line)["key"] for line in journal.read_text().splitlines())
    journal.unlink()
    rng = np.random.default_rng(5)
    for _ in range(5):
        process = subprocess.Popen([*COMMAND, str(study.path), *FLAGS], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wanted = len(journal.read_text().splitlines()) + 1 if journal.exists() else 1
        while process.poll() is None and not (journal.exists() and len(journal.read_text().splitlines()) >= wanted):
            time.sleep(0.05)
        time.sleep(float(rng.uniform(0, 1)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    rest = subprocess.run([*COMMAND, str(study.path), *FLAGS, "--json"], capture_output=True, text=True, check=True)
    moments = ("trained_now", "found")
    ends = [{k: v for k, v in json.loads(run.stdout).items() if k not in moments} for run in (rest, whole)]
    assert ends[0] == ends[1]
    assert json.loads(rest.stdout)["found"] + json.loads(rest.stdout)["trained_now"] == len(trained)
    keys = [json.loads(line)["key"] for line in journal.read_text().splitlines()]
    assert sorted(keys) == trained  # every training once


RECORDED = {
    "default": {"tasks": ["nb201-cifar10"]},
    "null": {"strategies": ["random-search"], "tasks": ["nb201-cifar10"], "seeds": 5, "evaluations": 1},
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_verifications_are_what_their_journals_say(name, tmp_path):
    if not version("torch").startswith("2.13."):
        pytest.skip("the journals were written by torch 2.13")
    folder = Path(__file__).parents[2] / "results" / "verification" / name
    study = compare(**RECORDED[name], out=tmp_path / "study")
    place = study.path / "verification" / "nb201-cifar10"
    place.mkdir(parents=True)
    shutil.copy(folder / "journal.jsonl", place)
    done = verify(study, device="cpu", jobs=1)
    assert done.progressed.num_trained == 0
    for file in ("verification.md", "verification.tex", "verification.csv", "verification.json"):
        if os.environ.get("NASBENCH_RECORD_RESULTS"):
            shutil.copy(place / file, folder / file)
        assert (place / file).read_text(encoding="utf-8") == (folder / file).read_text(encoding="utf-8"), file


def write_cifar(folder):
    """The official batches' format with 60 + 40 images of stripes."""
    rng = np.random.default_rng(0)
    (folder / "cifar-10-batches-py").mkdir(parents=True)
    for name, number in [*((f"data_batch_{index}", 12) for index in range(1, 6)), ("test_batch", 10)]:
        images = rng.integers(0, 256, size=(number, 3072), dtype=np.uint8)
        batch = {"data": images, "labels": [index % 10 for index in range(number)], "batch_label": "x"}
        (folder / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(batch, protocol=2))


def test_widths_are_trained_too(tmp_path, monkeypatch):
    """A table of random values over the widths of NATS-Bench: candidates and controls of about the same size."""
    short = dataclasses.replace(recipes.RECIPES["animals8-widths-10"], epochs=1)
    monkeypatch.setitem(recipes.RECIPES, "animals8-widths-10", short)
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    load_table.cache_clear()
    widths = ProductSpace("nats-sss", [[str(width) for width in range(8, 65, 8)]] * 5)
    values = np.random.default_rng(0).uniform(50, 90, (widths.num_architectures, 1, 1))
    metric = Metric("val_accuracy", "%", "maximize", "search")
    dataset = Dataset("CIFAR-10", widths, {"val_accuracy": MetricArray(metric, values)}, (90,))
    register_table(Table("widths", {"cifar10": dataset}, Provenance("random values", "1", "MIT")))
    study = compare(["random-search"], ["widths-cifar10"], seeds=12, evaluations=5, out=tmp_path / "study")
    done = verify(study, top=3, num_controls=2, training_seeds=1, device="cpu", jobs=1)
    assert (done.outcome.recipe, done.progressed.num_trained) == ("animals8-widths-10", 9)
    sizes = {(item.block, item.is_candidate): item.table_params_m for item in done.outcome.trained}
    assert all(sizes[block, True] == pytest.approx(sizes[block, False], rel=0.02) for block in range(3))
    load_table.cache_clear()


def test_the_official_recipe_is_compared_with_the_table(study, tmp_path, monkeypatch):
    """The official network on the official format, one epoch of thirty images: it must differ from the table."""
    write_cifar(tmp_path / "cifar")
    official = recipes.RECIPES["nb201-200"]
    short = dataclasses.replace(official, epochs=1)
    monkeypatch.setitem(recipes.RECIPES, "nb201-200", short)
    monkeypatch.setattr(recipes, "_PUBLISHED", (short,))
    options = QUICK | {"recipe": "nb201-200", "data_dir": tmp_path / "cifar", "training_seeds": 1, "device": "cpu"}
    done = verify(study, **options | {"jobs": 1})
    assert done.outcome.data == "cifar10"
    assert done.outcome.agreement is None
    text = (done.folder / "verification.md").read_text(encoding="utf-8")
    part = "70 of the 60,000 published images"
    assert f"trained from scratch on cifar10 ({part}) with the recipe nb201-200" in text
    assert f"but only {part} were there: no difference from the table tells anything, and none is judged" in text
    assert "halves drawn here, not by the official file (--split)" in text
    assert "Test: the sealed test part, measured after training" in text
    record = json.loads((done.folder / "verification.json").read_text(encoding="utf-8"))
    assert all(one["test_accuracy"] in range(0, 101, 10) for one in record["trainings"])  # of ten test images


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "animals9"}, "unknown recipe 'animals9': did you mean 'animals8-1'"),
        ({"recipe": "nats-sss-90"}, "recipe nats-sss-90 trains widths, but the .* are cells: use --recipe animals8-10"),
        ({"data": "cifar10"}, "data cifar10 does not come with a package: name its folder or file with --data-dir"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"device": "cpu", "compile": True}, "compiling pays on a GPU only"),
        ({"top": 1}, "reach p = "),
        ({"top": 0}, "top must be a whole number in 1 … 1,000, not 0"),
        ({"jobs": -3}, "jobs must be a whole number in 1 … 1,000, not -3"),
        ({"training_seeds": 10**6}, "training_seeds must be a whole number in 1 … 1,000"),
        ({"recipe": "nb201-200"}, "name the folder of the images with --data-dir"),
        ({"top": 31}, "--top 31: .* different architectures only"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_trained(study, options, message):
    with pytest.raises(InvalidInputError, match=message):
        verify(study, **QUICK | options)
    with pytest.raises(InvalidInputError, match="no strategies given"):
        verify(study, strategies=[])
    assert not (study.path / "verification").exists()


def test_compare_can_verify_and_names_the_command_otherwise(tmp_path):
    arguments = ["--strategies", "random-search", "--tasks", "nb201-cifar10", "--seeds", "12", "--evaluations", "5"]
    done = subprocess.run(
        [sys.executable, "-m", "nasbench_harness", "compare", *arguments, "--out", "s"],
        cwd=tmp_path, capture_output=True, text=True, check=True, env=dict(os.environ),
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "next, if you like: nasbench-harness verify s --task nb201-cifar10"


def test_compare_verifies_the_first_of_several_tasks(tmp_path):
    arguments = ["--strategies", "random-search", "--tasks", "nb201-cifar100,nb201-cifar10", "--seeds", "12"]
    done = subprocess.run(
        [sys.executable, "-m", "nasbench_harness", "compare", *arguments, "--evaluations", "5", "--out", "s",
         "--verify", "--top", "1"],
        cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 2  # one candidate reaches no significance: refused for that, not for the choice of a task
    assert "1 candidate with 3 matched controls each reach p = 0.250" in done.stderr
    assert "--top 3" in done.stderr
    assert not (tmp_path / "s" / "runs").exists()  # before any run
    done = subprocess.run(
        [sys.executable, "-m", "nasbench_harness", "compare", "--tasks", "graph-cora", "--verify",
         "--top", "3", "--out", "s"],
        cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 2
    assert "no task of this study can be verified (graph-cora)" in done.stderr
    assert not (tmp_path / "s" / "runs").exists()


def test_a_dry_run_names_what_would_be_trained(study):
    done = subprocess.run([*COMMAND, str(study.path), *FLAGS, "--dry-run"], capture_output=True, text=True, check=True)
    first, *blocks, last = done.stdout.splitlines()
    assert first.startswith(
        "nb201-cifar10: 3 candidates with 3 matched controls each, 1 training seed, recipe animals8-1"
    )
    assert "p can reach 0.0156" in first
    assert len([line for line in blocks if "final choice of" in line]) == 3
    assert last.startswith("12 trainings of 12 architectures, about ")
    assert last.endswith(" s with 1 process on cpu")
    command = [*COMMAND, str(study.path), *FLAGS, "--dry-run", "--json"]
    plan = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (plan["trainings"], plan["architectures"], len(plan["blocks"])) == (12, 12, 3)
    assert [block["candidate"] for block in plan["blocks"]] == [line.split()[0] for line in blocks[:3]]
    assert not (study.path / "verification").exists()


def test_folders_may_be_given_as_text(study):
    with pytest.raises(InvalidInputError, match="--data-dir nowhere does not exist"):
        verify(study, **QUICK | {"data_dir": "nowhere"})
