"""Files that were made to do harm: nothing is written elsewhere, nothing large is allocated, nothing waits forever."""

import bz2
import gzip
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from nasbench_harness.errors import HarnessError, TableError
from nasbench_harness.importers.archives.records import RecordStore, work_folder
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.tables import cache as cache_module
from nasbench_harness.tables.cache import open_table, write_table
from nasbench_harness.tables.check import check_table
from nasbench_harness.tables.registration import register_table, remove_table
from nasbench_harness.tables.registry import table_names, task_names
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

MOST_MB, MOST_S = 800, 60
SPEC = """name = "bomb"
source = "s"
license = "l"
[space]
kind = "list"
key = "key"
columns = ["a"]
[datasets.one]
title = "One"
[datasets.one.metrics.val_accuracy]
columns = "val"
unit = "%"
direction = "maximize"
role = "search"
"""
ROWS = "key,a,val\nx,1,10\ny,2,20\n"
PRODUCT = SPEC.replace(
    'kind = "list"\nkey = "key"\ncolumns = ["a"]', 'kind = "product"\ndecisions = { a = ["1", "2"] }'
)


def tree(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def resigned(folder, change):
    content = json.loads((folder / "table.json").read_text())
    change(content)
    (folder / "table.json").write_text(json.dumps(content, indent=1))
    (folder / "table.sha256").write_text(sha256((folder / "table.json").read_bytes()).hexdigest())


def limited(*arguments, cache, cwd):
    """Run the command line; returns its exit code, its stderr, its peak memory in MB and its seconds."""
    command = [sys.executable, "-m", "nasbench_harness", *map(str, arguments)]
    environment = {**os.environ, "NASBENCH_HARNESS_CACHE": str(cache)}
    begin, peak_mb = time.monotonic(), 0.0
    with (cwd / "stderr").open("w+") as errors:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        while process.poll() is None:
            peak_mb = max(peak_mb, peak_memory_mb(process.pid))
            if time.monotonic() - begin > MOST_S:
                process.kill()
            time.sleep(0.01)
        errors.seek(0)
        return process.returncode, errors.read(), peak_mb, time.monotonic() - begin


def peak_memory_mb(pid):
    """Peak memory of a running program (``ru_maxrss`` would start from the memory of the process that started it)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def assert_refused(outcome, *names):
    code, error, peak_mb, seconds = outcome
    assert code == 2, outcome
    assert error.startswith("error: "), error
    assert error.count("\n") == 1, error
    assert all(name in error for name in names), error
    assert peak_mb < MOST_MB, outcome
    assert seconds < MOST_S


# Paths and links


@pytest.mark.parametrize("name", ["../../../../escaped", "..", "a/b", "/tmp/escaped", "A", "a\nb", ""])
def test_a_data_set_cannot_lead_out_of_a_study(cache, tiny, tmp_path, cli, name):
    folder = register_table(finite(tiny)).folder
    resigned(folder, lambda content: content["datasets"].update({name: content["datasets"].pop("one")}))
    (folder / "summary.json").write_text(json.dumps({"summary": "s", "datasets": {name: "title"}}))
    verdict = check_table("tiny")
    assert verdict.state == "differs"
    assert "cannot name a data set" in verdict.findings[0]
    assert check_table(str(folder)).state == "differs"
    assert task_names() == [task for task in task_names() if not task.startswith("tiny-")]
    if name == "../../../../escaped":
        before = tree(tmp_path)
        place = {"NASBENCH_HARNESS_CACHE": str(cache)}
        done = cli("compare", "--tasks", f"tiny-{name}", "--seeds", "10", "--out", "deep/down/study", **place)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert tree(tmp_path) == before
        verified = cli("tables", "check", "tiny", **place)
        assert (verified.returncode, "cannot name a data set" in verified.stdout) == (1, True)


@pytest.mark.parametrize("file", ["../tiny/one.val_accuracy.npy", "/etc/passwd", "two.val_accuracy.npy", 3, None])
def test_metadata_cannot_name_other_files(tiny, tmp_path, file):
    write_table(tiny, tmp_path / "tiny")
    resigned(tmp_path / "tiny", lambda content: content["datasets"]["one"]["columns"][0].update(file=file))
    with pytest.raises(TableError, match=r"datasets\.one\.columns\[0\]\.file is missing or has a wrong value"):
        open_table(tmp_path / "tiny")


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[2J", "<script>alert(1)</script>"])
def test_texts_that_cannot_be_printed_are_refused(cache, tiny, tmp_path, monkeypatch, text):
    for place in ("title", "unit", "source"):
        table = finite(tiny, **{place: text})
        with pytest.raises(HarnessError, match="write it as plain text on one line"):
            register_table(table)
        with pytest.raises(HarnessError, match=f"cannot be kept: .*{place} holds"):
            write_table(table, tmp_path / place)
        with monkeypatch.context() as patch:  # a program that writes without looking
            patch.setattr(cache_module, "table_from_metadata", Mock())
            write_table(table, tmp_path / place)
        with pytest.raises(TableError, match=f"{place} holds"):
            open_table(tmp_path / place)


def finite(table, title="One", unit="%", source="here"):
    """The tiny table with finite values, as tables that are imported must have."""
    values = np.array([[[1.5], [2.5], [np.nan]], [[0.5], [1.0], [2.0]]])
    column = MetricArray(Metric("val_accuracy", unit, "maximize", "search", 0.5), values)
    dataset = Dataset(title, table.datasets["one"].space, {"val_accuracy": column})
    return Table(table.name, {"one": dataset}, Provenance(source, "1", "MIT"))


def test_links_in_the_cache_are_not_written_through(cache, tiny, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "keep").write_text("precious")
    before = tree(elsewhere)
    cache.mkdir()
    (cache / "imported").symlink_to(elsewhere)
    with pytest.raises(TableError, match="is a symbolic link, which is not followed"):
        register_table(finite(tiny))
    (cache / "imported").unlink()
    (cache / "imported").mkdir()
    (cache / "imported" / "tiny").symlink_to(elsewhere)
    with pytest.raises(TableError, match="is a symbolic link, which is not followed"):
        register_table(finite(tiny))
    assert tree(elsewhere) == before
    assert register_table(finite(tiny), replace=True).name == "tiny"
    assert not (cache / "imported" / "tiny").is_symlink()
    remove_table("tiny")
    (cache / "imported" / "tiny").symlink_to(elsewhere)
    remove_table("tiny")
    assert tree(elsewhere) == before
    assert not list((cache / "imported").iterdir())


def test_links_in_the_work_folder_of_an_archive_are_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("0123456789")
    with work_folder(tmp_path, ".archive") as folder:
        (folder / "200.cifar10.rows").symlink_to(precious)
        (folder / "state.json").write_text(
            json.dumps({"format": 1, "identity": "i", "done": 1, "epochs": {"200": 200}, "lengths": {"200.cifar10": 4}})
        )
        (folder / "state.json.new").symlink_to(precious)
        store = RecordStore(folder, "i")
        assert store.done == 0
        store.checkpoint()
    (tmp_path / ".archive").symlink_to(tmp_path)
    with pytest.raises(TableError, match="symbolic link"), work_folder(tmp_path, ".archive"):
        pass
    assert precious.read_text() == "0123456789"


def test_the_state_of_an_import_cannot_name_other_files(tmp_path):
    (tmp_path / "x.rows").write_bytes(b"0123456789")
    folder = tmp_path / "work"
    folder.mkdir()
    state = {"format": 1, "identity": "i", "done": 1, "epochs": {"200": 200}, "lengths": {"../x": 4}}
    (folder / "state.json").write_text(json.dumps(state))
    assert RecordStore(folder, "i").files() == {}
    assert (tmp_path / "x.rows").read_bytes() == b"0123456789"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o755), (0o077, 0o700), (0o002, 0o775)])
def test_folders_of_the_cache_obey_the_umask(tiny, tmp_path, mask, mode):
    old = os.umask(mask)
    try:
        write_table(tiny, tmp_path / "tables" / "tiny")
    finally:
        os.umask(old)
    for path in (tmp_path / "tables", tmp_path / "tables" / "tiny"):
        assert path.stat().st_mode & 0o777 == mode
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "tables" / "tiny").iterdir()} == {mode & 0o666}


def test_temporary_folders_of_dead_processes_are_removed(tiny, tmp_path):
    code = f"""
import os, signal, sys
from pathlib import Path
from unittest.mock import Mock
from nasbench_harness.tables import cache
os.kill = os.kill
folder = cache._temporary_folder(Path({str(tmp_path)!r}) / "tiny")
(folder / "half.npy").write_bytes(b"half")
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    (abandoned,) = tmp_path.iterdir()
    alive = tmp_path / abandoned.name.replace(abandoned.name.split("-")[-2], str(os.getpid()))
    alive.mkdir()
    write_table(tiny, tmp_path / "tiny")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive.name, "tiny"])


# Bombs


def gz_bomb(path):
    """1 GiB of lines in 1 MB."""
    path.write_bytes(gzip.compress(ROWS.encode()) + gzip.compress(b"x,1,1\n" * (1 << 20)) * 170)


def gz_line(path):
    path.write_bytes(gzip.compress(b"key,a,") + gzip.compress(b"v" * (1 << 24)) * 64)


def gz_blank(path):
    path.write_bytes(gzip.compress(ROWS.encode()) + gzip.compress(b"\n" * (1 << 24)) * 64)


def text_parquet(path):
    """A text of 1 MB in each of a million rows."""
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000_000, dtype=np.int32)), pa.array(["x" * (1 << 20)]))
    columns = {"key": texts, "a": texts, "val": pa.array(np.zeros(1_000_000))}
    pyarrow.parquet.write_table(pa.table(columns), path)


def long_parquet(path):
    """A hundred million rows of one value."""
    group = pa.table({"key": pa.array(["x"] * 1_000_000).dictionary_encode(), "val": np.zeros(1_000_000)})
    with pyarrow.parquet.ParquetWriter(path, group.schema) as writer:
        for _ in range(12):
            writer.write_table(group)


def zeros(path):
    path.symlink_to("/dev/zero")


def pipe(path):
    os.mkfifo(path)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("t.csv.gz", gz_bomb),
        ("t.csv.gz", gz_line),
        ("t.csv.gz", gz_blank),
        ("t.parquet", text_parquet),
        ("t.parquet", long_parquet),
        ("t.csv", zeros),
        ("t.csv.gz", zeros),
        ("t.parquet", zeros),
        ("t.csv", pipe),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_bombs_in_table_files(tmp_path, name, make):
    make(tmp_path / name)
    (tmp_path / "t.toml").write_text(SPEC)
    for arguments in (("import", name, "--spec", "t.toml"), ("init-spec", name, "--out", "new.toml")):
        if arguments[0] == "init-spec" and make not in (gz_line, text_parquet):
            continue  # a draft reads the first rows only
        assert_refused(limited("tables", *arguments, cache=tmp_path / "cache", cwd=tmp_path), name)
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("*.npy"))


@pytest.mark.parametrize(
    "spec",
    [
        PRODUCT.replace('a = ["1", "2"]', ", ".join(f"d{i} = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]" for i in range(10))),
        PRODUCT.replace('title = "One"', f'title = "One"\nfidelities = {list(range(1, 30_000))}').replace(
            'a = ["1", "2"]', f"a = {list(range(10_000))}"
        )
        + '[datasets.one.metrics.cost_s]\ncolumns = "val"\nunit = "s"\ndirection = "minimize"\nrole = "cost"\n'
        "proportional_to_epochs = true\n",
        SPEC + "#" * (1 << 21),
        SPEC + f"x = {'[' * 100_000}",
    ],
    ids=["product", "epochs", "long", "deep"],
)
def test_bombs_in_specifications(tmp_path, spec):
    (tmp_path / "t.csv").write_text(ROWS)
    (tmp_path / "t.toml").write_text(spec)
    outcome = limited("tables", "import", "t.csv", "--spec", "t.toml", cache=tmp_path / "cache", cwd=tmp_path)
    assert_refused(outcome, "t.toml")


def test_a_device_is_no_specification(tmp_path):
    (tmp_path / "t.csv").write_text(ROWS)
    outcome = limited("tables", "import", "t.csv", "--spec", "/dev/zero", cache=tmp_path / "cache", cwd=tmp_path)
    assert_refused(outcome, "/dev/zero")


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["product", "zeros", "pipe", "json"])
def test_bombs_in_the_cache(cache, tiny, tmp_path, kind):
    folder = register_table(finite(tiny)).folder
    array = folder / "one.val_accuracy.npy"
    if kind == "product":
        space = {"kind": "product", "name": "p", "decisions": [list("0123456789")] * 12}
        resigned(folder, lambda content: content["datasets"]["one"].update(space=space))
    elif kind == "json":
        with (folder / "table.json").open("r+b") as file:
            file.truncate(50 << 30)
    else:
        array.unlink()
        {"zeros": zeros, "pipe": pipe}[kind](array)
    outcome = limited("tables", "info", "tiny", cache=cache, cwd=tmp_path)
    assert_refused(outcome, str(folder), "import it again with --replace")
    code, _, peak_mb, seconds = limited("tables", "check", "tiny", cache=cache, cwd=tmp_path)
    assert (code, peak_mb < MOST_MB, seconds < MOST_S) == (1, True, True)


@pytest.mark.thorough
def test_a_pickle_of_few_bytes_that_builds_one_type_again_and_again(tmp_path):
    state = b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94"
    content = (
        b"\x80\x04" + state + b"cnumpy\ndtype\n\x8c\x02f8\x89\x88\x87R" + b"\x94" * 2_000_000 + b"h\x00b" * 500_000
    )
    path = tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
    path.write_bytes(bz2.compress(content + b"."))
    assert path.stat().st_size < 1_000
    assert_refused(limited("tables", "import", path, cache=tmp_path / "cache", cwd=tmp_path), path.name)


def test_an_archive_cannot_repeat_its_results(tmp_path, official_results):
    from nats_bench import api_utils

    name = NASBench201Space().to_string(0)
    states = official_results(api_utils, 0, name, {"12": 2}, seeds=(777,))
    seeds = states["12"]["dataset_seed"]
    for change, message in (
        (lambda: seeds.update({"cifar10": list(range(1_000))}), "1,000 training seeds"),
        (lambda: states.update({str(number): states["12"] for number in range(100, 120)}), "21 training schedules"),
    ):
        change()
        content = {"meta_archs": [name], "arch2infos": {0: states}, "evaluated_indexes": {0}}
        path = tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
        path.write_bytes(bz2.compress(pickle.dumps(content, 4)))
        assert_refused(limited("tables", "import", path, cache=tmp_path / "cache", cwd=tmp_path), message)


# Two imports at once


def together(arguments, cache, cwd):
    command = [sys.executable, "-m", "nasbench_harness", "tables", "import", *map(str, arguments), "--json"]
    environment = {**os.environ, "NASBENCH_HARNESS_CACHE": str(cache)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, cwd=cwd, env=environment, **pipes) for _ in range(2)]
    ends = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], ends
    assert len({json.loads(out)["sha256"] for out, _ in ends}) == 1
    assert [path.name for path in (cache / "imported").iterdir()] == [json.loads(ends[0][0])["name"]]


@pytest.mark.thorough
def test_one_file_can_be_imported_by_several_commands_at_once(cache, tmp_path):
    (tmp_path / "t.csv").write_text(ROWS)
    (tmp_path / "t.toml").write_text(SPEC)
    together(["t.csv", "--spec", "t.toml"], cache, tmp_path)
    together(["t.csv", "--spec", "t.toml", "--replace"], cache, tmp_path)
    assert "bomb" in table_names()


@pytest.mark.thorough
def test_one_archive_can_be_imported_by_several_commands_at_once(cache, tmp_path, genuine_archives):
    (archive,) = [path for path in genuine_archives.iterdir() if "tss" in path.name and path.is_dir()][:1]
    shutil.copytree(archive, tmp_path / archive.name)
    together([archive.name, "--schedules", "12"], cache, tmp_path)


def test_an_import_uses_no_folder_that_another_one_uses(tmp_path):
    with work_folder(tmp_path, ".archive") as first:
        with work_folder(tmp_path, ".archive") as second:
            assert first != second
        assert not second.exists()
    assert not first.exists()


def test_an_interrupted_import_goes_on_in_its_folder(tmp_path):
    def interrupted():
        with work_folder(tmp_path, ".archive") as folder:
            (folder / "kept").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with work_folder(tmp_path, ".archive") as again:
        assert (again / "kept").exists()
