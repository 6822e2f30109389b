"""Damaged study folders: every command reads them, or refuses them in one line; no run is ever read wrong."""

import shutil
import tomllib

import numpy as np
import pytest

from nasbench_harness.engine.execution import Rules
from nasbench_harness.errors import HarnessError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.planning import execute_plan, plan_study
from nasbench_harness.store.record import to_toml
from nasbench_harness.study import open_study

NUM_MUTATIONS = 200
RULES = Rules(Protocol(evaluations=4), 0)
VALUES = [
    0, -1, 1, 2**40, 10**30, 1.5, float("nan"), float("inf"), "", "x", "../../escaped", "a\nb", "\x1b[31m", "x" * 256,
    True, [], {}, [[]], ["x"], {"x": 1},
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study of two strategies and a replayed trace; its frame."""
    folder = tmp_path_factory.mktemp("whole") / "study"
    plan = plan_study(["random-search", "local-search"], ["nb201-cifar10"], 12, folder, RULES)
    assert not [report for report in execute_plan(plan, RULES) if report.failure]
    plan.end()
    plan.study.add_trace(plan.study.export("random-search")[0], "mine")
    return folder, open_study(folder).frame()


def look(folder):
    """What the verbs on studies read: the frame, or None and the message that refuses it."""
    try:
        study = open_study(folder)
        study.missing()
        study.damaged()
        plan_study(["random-search", "local-search"], ["nb201-cifar10"], 12, folder, RULES)
        study.check_complete()
        study.export("mine")
        return study.frame(), ""
    except HarnessError as error:
        return None, str(error)


def mutate(rng, path):
    content = bytearray(path.read_bytes())
    kind = rng.integers(5)
    if kind == 0:  # a bit
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    elif kind == 1:  # some bytes
        for place in rng.integers(len(content), size=rng.integers(1, 9)):
            content[place] = rng.integers(256)
    elif kind == 2:
        del content[rng.integers(len(content)) :]
    elif kind == 3:
        start = rng.integers(len(content))
        del content[start : start + rng.integers(1, 50)]
    else:
        start = rng.integers(len(content))
        content[start:start] = rng.bytes(rng.integers(1, 50))
    path.write_bytes(content)


def replace_value(rng, table):
    """Replace, remove or add one value somewhere in a TOML table."""
    while True:
        key = rng.choice(list(table)) if isinstance(table, dict) else int(rng.integers(len(table)))
        inner = table[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.2:
            break
        table = inner
    action = rng.integers(4)
    if action == 0 and isinstance(table, dict):
        del table[key]
    elif action == 1 and isinstance(table, dict):
        table[f"{key}x"] = VALUES[rng.integers(len(VALUES))]
    else:
        table[key] = VALUES[rng.integers(len(VALUES))]


def as_toml(table):
    return "\n".join(f"{key} = {to_toml(value)}" for key, value in table.items())


def test_mutated_files_of_a_study_never_end_in_a_traceback_or_in_other_results(whole, tmp_path):
    original, frame = whole
    rng = np.random.default_rng(0)
    refused = set()
    for _ in range(NUM_MUTATIONS):
        folder = tmp_path / "study"
        shutil.copytree(original, folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in (".parquet", ".json"))
        files.append(folder / "study.toml")
        path = files[rng.integers(len(files))] if rng.random() < 0.6 else folder / "study.toml"
        if path.name == "study.toml" and rng.random() < 0.7:
            record = tomllib.loads(path.read_text(encoding="utf-8"))
            replace_value(rng, record)
            path.write_text(as_toml(record), encoding="utf-8")
        else:
            mutate(rng, path)
        before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        seen, message = look(folder)
        assert len(message.splitlines()) == (seen is None)
        assert len(message) < 1_000
        if seen is None:
            refused.add(path.name)
        elif path.suffix == ".parquet":
            assert seen.equals(frame)
        kept = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and file in before}
        assert {file: content for file, content in before.items() if file.parent.name != "export"} == {
            file: content for file, content in kept.items() if file.parent.name != "export"
        }
        shutil.rmtree(folder)
    assert "study.toml" in refused
    assert any(name.endswith(".parquet") for name in refused)


def test_the_same_command_mends_a_study_with_a_damaged_block(whole, tmp_path):
    original, frame = whole
    rng = np.random.default_rng(1)
    folder = tmp_path / "study"
    shutil.copytree(original, folder)
    for path in (folder / "runs").rglob("*.parquet"):
        mutate(rng, path)
    plan = plan_study(["random-search", "local-search"], ["nb201-cifar10"], 12, folder, RULES)
    assert plan.notices[-1].endswith("and 2 more; moved to damaged/; their seeds run again")
    assert not [report for report in execute_plan(plan, RULES) if report.failure]
    plan.end()
    assert plan.not_stored() == []
    assert open_study(folder).frame().equals(frame)
    assert len(list((folder / "damaged").rglob("*.parquet"))) == 3
