"""Damaged files of every kind end in one line that names the file, or are read; never in a traceback.

A few hundred are tried in the usual run, 10,000 by ``pytest -m fuzz tests/tables/test_fuzz_files.py``; with
``NASBENCH_RECORD_RESULTS=1`` that writes ``results/reliability/damaged_files.csv``.
"""

import bz2
import csv
import json
import os
import pickle
import random
import struct
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from kit.cases import fast_first
from kit.files import rewrite

from nasbench_harness.errors import HarnessError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.importers.archives.importer import read_archive
from nasbench_harness.importers.files.build import read_table
from nasbench_harness.importers.files.draft import draft_spec
from nasbench_harness.spaces import ListSpace, NASBench201Space, ProductSpace
from nasbench_harness.studies.trace_csv import read_trace
from nasbench_harness.tables.cache import open_table
from nasbench_harness.tables.check import check_table
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import describe_table, load_table
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

RECORD = Path(__file__).parents[2] / "results" / "reliability" / "damaged_files.csv"
KINDS = ("metadata", "array", "summary", "specification", "parquet", "csv", "trace", "archive")
NUM_FAST, NUM_SHORT, NUM_LONG = 8, 40, 1_250  # of each kind
STRANGE = [None, True, 0, -1, 1, 10**12, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf")]
STRANGE += [
    "",
    "x",
    "../../x",
    "/etc/passwd",
    "a\x1b[2Jb",
    "<script>",
    "9" * 30,
    "\ud800",
    [],
    {},
    [[]],
    [1, 2],
    {"a": 1},
]
SPICE = [
    b"",
    b"\x00",
    b"\xff",
    b"\n",
    b'"',
    b",",
    b"-1",
    b"nan",
    b"1e999",
    b"9" * 30,
    b"../..",
    b"\x1b[2J",
    b"{",
    b"[",
    b"'",
]


@dataclass
class Case:
    """Files by name, the ones to damage, and a function that reads them."""

    files: dict
    targets: list
    read: object
    repair: object = lambda folder: None
    outcomes: Counter = field(default_factory=Counter)


def tables():
    """Small tables of every kind of imported space, with epochs, replicates, gaps and costs."""
    rng = np.random.default_rng(0)
    cells = [f"k{index}" for index in range(12)]
    spaces = {
        "prod": ProductSpace("prod", [["a", "b", "c"], ["x", "y"], ["1", "2"]], separator="-"),
        "list": ListSpace("list", cells, [list("abcd"), list("xyz")], [[i % 4, i // 4] for i in range(12)], range(12)),
    }
    made = {}
    for name, space in spaces.items():
        accuracy = np.round(rng.random((12, 2, 3)) * 100 / 0.5) * 0.5
        accuracy[3, 1] = np.nan
        columns = [
            MetricArray(Metric("val_accuracy", "%", "maximize", "search", 0.5), accuracy),
            MetricArray(Metric("test_accuracy", "%", "maximize", "test"), rng.random((12, 1, 1))),
            MetricArray(Metric("cost_s", "s", "minimize", "cost"), np.cumsum(rng.random((12, 1, 3)), axis=2)),
            MetricArray(Metric("params_m", "million", "minimize", "hardware", free=True), rng.random((12, 1, 1))),
        ]
        dataset = Dataset("Title", space, {column.metric.name: column for column in columns}, (1, 5, 10))
        made[name] = Table(f"fuzz-{name}", {"one": dataset, "two": dataset}, Provenance("s", "1", "MIT", {"f": "ab"}))
    return made


def use(name, folder):
    """Everything that commands do with a table before they search."""
    describe_table(name)
    verdict = check_table(name)
    assert verdict.state in ("ok", "differs")
    assert all("\n" not in line for line in verdict.findings)
    load_table.cache_clear()
    table = load_table(name)
    for key, dataset in table.datasets.items():
        fidelity = dataset.fidelities[-1] if dataset.fidelities else None
        search(make_task(table, key), Protocol(fidelity=fidelity))
    open_table(folder, is_checked=False)


def search(task, protocol):
    everyone = np.arange(task.space.num_architectures)
    answers = task.under(protocol).oracle.evaluate(everyone, np.zeros_like(everyone), np.full_like(everyone, -1))
    assert answers.values.shape == (len(everyone), 1)
    assert (task.scores["val"].grid_regrets(everyone) >= 0).all()
    problem = task.problem(protocol)
    assert len(problem.objectives) == 1
    task.space.neighbors(everyone[:3])
    task.space.to_string(task.scores["val"].optimum)
    task.space.canonical(everyone)


def resign(folder):
    """Digests as someone who changes files on purpose would write them."""
    path = folder / "table.json"
    try:
        content = json.loads(path.read_text())
        for dataset in content["datasets"].values():
            for column in dataset["columns"]:
                column["sha256"] = sha256((folder / column["file"]).read_bytes()).hexdigest()
        path.write_text(json.dumps(content, indent=1))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    (folder / "table.sha256").write_text(sha256(path.read_bytes()).hexdigest())


def damaged(content, rng):
    """One to three damages of bytes."""
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(content) + 1)
        end = min(len(content), start + rng.choice([1, 2, 8, 64]))
        match rng.randrange(6):
            case 0 if content:
                position = rng.randrange(len(content))
                content = (
                    content[:position] + bytes([content[position] ^ 1 << rng.randrange(8)]) + content[position + 1 :]
                )
            case 1:
                content = content[:start] + content[end:]
            case 2:
                content = content[:start] + rng.choice(SPICE) + content[end:]
            case 3:
                content = content[:start] + rng.randbytes(end - start) + content[end:]
            case 4:
                content = content[:start] + content[start:end] * 3 + content[end:]
            case _ if rng.random() < 0.3:
                content = content[:start]
    return content


def damaged_json(text, rng):
    """Values of a JSON file are replaced, deleted, doubled or renamed."""
    content = json.loads(text)
    for _ in range(rng.randint(1, 2)):
        places = [(None, None)]
        stack = [content]
        while stack:
            inner = stack.pop()
            keys = list(inner) if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else ()
            places += [(inner, key) for key in keys]
            stack += [inner[key] for key in keys]
        inner, key = rng.choice(places)
        match rng.randrange(3):
            case _ if inner is None:
                content = rng.choice(STRANGE) if rng.random() < 0.1 else content
            case 0 if isinstance(inner, dict):
                inner[str(rng.choice(STRANGE))] = inner.pop(key)
            case 1:
                del inner[key]
            case _:
                inner[key] = rng.choice(STRANGE)
    return json.dumps(content).encode()


def damaged_array(content, rng):
    """The header promises another shape, order or type, or values are strange."""
    text = content[:128].decode("latin1")
    old, new = rng.choice([
        ("<f8", "<f4"), ("<f8", "|O8"), ("<f8", "<i8"), ("<f8", "<c8"), ("False", "True "), ("(12, ", "(99, "),
        ("(12, ", "(-1, "), ("(12, ", "(((((("), ("descr", "desc\x00"), ("1)", "0)"), ("3)", "9)"), ("'", "["),
    ])  # fmt: skip
    if old in text and rng.random() < 0.6:
        return text.replace(old, new).encode("latin1") + content[128:]
    values = rng.choice([np.inf, -np.inf, np.nan, -1.0, 1e300, 1e18, 5e-324, 0.3])
    start = 128 + 8 * rng.randrange((len(content) - 128) // 8)
    end = len(content) if rng.random() < 0.5 else start + 8
    return content[:start] + struct.pack("<d", values) * ((end - start) // 8) + content[end:]


SPEC = """name = "fuzzed"
source = "s"
license = "l"
[space]
kind = "list"
key = "key"
columns = ["a", "b"]
classes = "same"
[datasets.one]
title = "One"
[datasets.one.metrics.val_accuracy]
columns = { 1 = ["val_1"], 2 = ["val_2"] }
unit = "%"
direction = "maximize"
role = "search"
scale = 100
missing_value = -1
resolution = "1/4"
[datasets.one.metrics.cost_s]
columns = "cost"
unit = "s"
direction = "minimize"
role = "cost"
proportional_to_epochs = true
"""
ROWS = "key,a,b,same,val_1,val_2,cost\n01,x,1,p,0.5,0.75,10\n02,x,2,q,-1,0.25,20\n03,y,1,q,0.5,1,30\n"
TRACE = "task,seed,step,key,extra_cost_s,fidelity\n" + "".join(
    f"nb201-cifar10,{seed},{step},{seed % 5}{step}0123,{step}.5,\n" for seed in range(4) for step in range(3)
)


@pytest.fixture(scope="module")
def task():
    return make_task(load_table("nb201"), "cifar10")


@pytest.fixture
def case(cache, tmp_path, task, official_results):
    """Function that makes the case of a kind."""

    def make(kind, rng):
        if kind in ("metadata", "array", "summary"):
            folder = register_table(tables()[rng.choice(["prod", "list"])]).folder
            names = sorted(path.name for path in folder.iterdir())
            targets = {"metadata": ["table.json"], "summary": ["summary.json", "table.sha256"]}
            files = {folder / name: (folder / name).read_bytes() for name in names}
            arrays = [name for name in names if name.endswith(".npy")]
            return files, [folder / name for name in targets.get(kind, arrays)], lambda: use(folder.name, folder)
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        if kind == "trace":
            path = home / "runs.csv"
            return {path: TRACE.encode()}, [path], lambda: read_trace(path, {task.name: task.under(Protocol())})
        if kind == "archive":
            import nats_bench.api_utils as package

            name = NASBench201Space().to_string(7)
            states = official_results(package, 0, name, {"12": 2}, seeds=(777,))
            content = {"meta_archs": [name], "arch2infos": {0: states}, "evaluated_indexes": {0}}
            path = home / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
            return {path: pickle.dumps(content, 4)}, [path], lambda: read_archive(path, tmp_path / "work")
        spec = home / "t.toml"
        path = home / ("t.parquet" if kind == "parquet" else "t.csv")
        path.write_text(ROWS)
        if kind == "parquet":
            columns = [line.split(",") for line in ROWS.splitlines()]
            table = {name: list(cells) for name, *cells in zip(*columns, strict=True)}
            numbers = {name: list(map(float, table[name])) for name in ("val_1", "val_2", "cost")}
            pyarrow.parquet.write_table(pa.table({**table, **numbers}), path)

        def read():
            draft_spec(path)
            read_table(path, spec)

        files = {spec: SPEC.encode(), path: path.read_bytes()}
        return files, [spec if kind == "specification" else path], read

    return make


def damage(kind, path, content, rng):
    if kind == "archive":
        return bz2.compress(damaged(content, rng)) if rng.random() < 0.7 else damaged(bz2.compress(content), rng)
    if path.name in ("table.json", "summary.json") and rng.random() < 0.8:
        return damaged_json(content, rng)
    return damaged_array(content, rng) if kind == "array" and rng.random() < 0.7 else damaged(content, rng)


@pytest.mark.parametrize(
    "num_mutants",
    [*fast_first((NUM_FAST, NUM_SHORT)), pytest.param(NUM_LONG, marks=[pytest.mark.fuzz, pytest.mark.slow])],
)
def test_damaged_files_end_in_one_line(case, num_mutants, request, tmp_path):
    if num_mutants == NUM_LONG and "fuzz" not in request.config.getoption("markexpr"):
        pytest.skip("10,000 files take minutes: run with -m fuzz")
    counts = {kind: Counter() for kind in KINDS}
    for kind in KINDS:
        rng = random.Random(f"{kind} {num_mutants}")
        files, targets, read = case(kind, rng)
        for number in range(num_mutants):
            target = rng.choice(targets)
            content = damage(kind, target, files[target], rng)
            rewrite(target, content)
            if kind in ("metadata", "array") and rng.random() < 0.9:
                resign(target.parent)
            before = {path for path in tmp_path.rglob("*") if "work" not in path.parts}
            try:
                read()
            except HarnessError as error:
                check_message(str(error), kind, target, content)
                counts[kind]["refused"] += 1
            except BaseException as error:
                raise AssertionError((kind, number, target.name, content[:2_000])) from error
            else:
                counts[kind]["read"] += 1
            assert {path for path in tmp_path.rglob("*") if "work" not in path.parts} == before
            for path, original in files.items():
                rewrite(path, original)
    for kind in KINDS:
        assert counts[kind]["refused"] > 0.15 * num_mutants, (kind, counts[kind])
    if num_mutants == NUM_LONG and os.environ.get("NASBENCH_RECORD_RESULTS"):
        write_record(counts)


def check_message(message, kind, target, content):
    """One line, which names the file, its folder or its table."""
    assert "\n" not in message, message
    assert message.isprintable(), message
    assert len(message) < 1_500, message
    names = {target.name, str(target.parent), target.parent.name, "the specification"}
    assert any(name in message for name in names), (kind, message, content[:500])


def write_record(counts):
    RECORD.parent.mkdir(exist_ok=True)
    with RECORD.open("w", newline="", encoding="utf-8") as file:
        file.write("# generated by: NASBENCH_RECORD_RESULTS=1 pytest -m fuzz tests/tables/test_fuzz_files.py\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["kind", "damaged_files", "one_line", "read", "tracebacks"])
        for kind, count in counts.items():
            writer.writerow([kind, count["refused"] + count["read"], count["refused"], count["read"], 0])
