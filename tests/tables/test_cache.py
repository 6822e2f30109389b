import errno
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kit.cases import fast_first
from kit.files import rewrite

from nasbench_harness.errors import InvalidInputError, TableError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.tables import cache as cache_module
from nasbench_harness.tables.cache import _sha256 as sha256
from nasbench_harness.tables.cache import open_table, verify_table, write_table
from nasbench_harness.tables.location import cache_folder
from nasbench_harness.tables.registry import load_table, table_folder

LOAD = "from nasbench_harness.tables.registry import load_table; print(load_table('nb201').digest)"


def flip(path, position, bit=0):
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    rewrite(path, content)


def read(folder):
    table = open_table(folder)
    verify_table(table)
    return table


def whole_tables(folder):
    """What looks like a finished table: everything that is not hidden."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.exists() else []


def test_tables_round_trip(tiny, tmp_path):
    write_table(tiny, tmp_path / "tiny")
    table = read(tmp_path / "tiny")
    assert (table.name, table.provenance) == (tiny.name, tiny.provenance)
    assert table.folder == tmp_path / "tiny"
    assert list(table.datasets) == ["one"]
    assert table.datasets["one"].title == "Tïny"
    assert table.datasets["one"].space.name == "tiny"
    assert table.datasets["one"].fidelities == tiny.datasets["one"].fidelities
    assert list(table.datasets["one"].columns) == ["val_accuracy", "params_m"]
    for name, column in tiny.datasets["one"].columns.items():
        found = table.column("one", name)
        assert found.metric == column.metric
        assert found.values.shape == column.values.shape
        assert found.values.tobytes() == column.values.tobytes()  # NaN, −0 and infinities too


def test_arrays_are_read_only_memory_maps(tiny, tmp_path):
    write_table(tiny, tmp_path / "tiny")
    values = read(tmp_path / "tiny").column("one", "val_accuracy").values
    assert isinstance(values, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 0


def test_views_of_other_orders_round_trip(tiny, tmp_path):
    column = tiny.datasets["one"].columns["val_accuracy"]
    values = np.asfortranarray(np.random.default_rng(0).normal(size=(2, 3, 1)))[::-1]
    tiny.datasets["one"].columns["val_accuracy"] = type(column)(column.metric, values)
    write_table(tiny, tmp_path / "tiny")
    np.testing.assert_array_equal(read(tmp_path / "tiny").column("one", "val_accuracy").values, values)


def test_the_digest_identifies_the_content(tiny, tmp_path):
    digests = []
    for name in ("a", "b", "c"):
        if name == "c":
            tiny.datasets["one"].columns["val_accuracy"].values[0, 0, 0] += 1
        write_table(tiny, tmp_path / name)
        digests.append(read(tmp_path / name).digest)
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("every", fast_first([17, 1]))
def test_a_flipped_bit_anywhere_is_detected(tiny, tmp_path, every):
    folder = tmp_path / "tiny"
    write_table(tiny, folder)
    expected = rf"the cached table {folder} is corrupt \(.+\): delete that folder and run again"
    for path in sorted(folder.iterdir()):
        for position in range(0, path.stat().st_size, every):
            bit = position % 7
            flip(path, position, bit)
            with pytest.raises(TableError, match=expected):
                read(folder)
            flip(path, position, bit)
    read(folder)


@pytest.mark.parametrize("file", ["one.val_accuracy.npy", "table.json", "table.sha256"])
def test_lost_and_cut_files_are_detected(tiny, tmp_path, file):
    write_table(tiny, tmp_path / "tiny")
    path = tmp_path / "tiny" / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TableError, match="delete that folder and run again"):
        read(tmp_path / "tiny")
    path.unlink()
    with pytest.raises(TableError, match="delete that folder and run again"):
        read(tmp_path / "tiny")


def test_files_of_another_table_are_detected(tiny, tmp_path):
    write_table(tiny, tmp_path / "a")
    tiny.datasets["one"].columns["val_accuracy"].values[0, 0, 0] += 1
    write_table(tiny, tmp_path / "b")
    (tmp_path / "a" / "one.val_accuracy.npy").write_bytes((tmp_path / "b" / "one.val_accuracy.npy").read_bytes())
    with pytest.raises(TableError, match=r"one\.val_accuracy\.npy does not match its digest"):
        read(tmp_path / "a")


def test_damage_is_detected_where_a_task_reads_it(cache):
    load_table("nb201")
    folder = table_folder("nb201")
    for name in ("cifar100.train_cost_s.npy", "table.json"):
        position = (folder / name).stat().st_size // 2
        flip(folder / name, position, 3)
        load_table.cache_clear()
        with pytest.raises(TableError, match=rf"{folder} is corrupt \({name} .*\): delete that folder and run again"):
            make_task(load_table("nb201"), "cifar100").under(Protocol())
        if name != "table.json":
            assert make_task(load_table("nb201"), "cifar10").has_cost
        flip(folder / name, position, 3)
    load_table.cache_clear()
    assert make_task(load_table("nb201"), "cifar100").has_cost


def test_a_column_is_read_when_it_is_needed_and_opened_again_in_other_processes(tiny, tmp_path, monkeypatch):
    write_table(tiny, tmp_path / "tiny")
    digests = []
    monkeypatch.setattr(cache_module, "_sha256", lambda path: digests.append(path.name) or sha256(path))
    column = open_table(tmp_path / "tiny").column("one", "val_accuracy")
    assert (column.metric.name, digests) == ("val_accuracy", [])
    assert column.values is column.values
    assert digests == ["one.val_accuracy.npy"]
    pickled = pickle.dumps(column)
    assert pickle.loads(pickled).values.tobytes() == column.values.tobytes()
    flip(tmp_path / "tiny" / "one.val_accuracy.npy", -1)
    with pytest.raises(TableError, match=r"one\.val_accuracy\.npy does not match its digest"):
        _ = pickle.loads(pickled).values  # not the memory of the process that pickled it


def test_the_cached_table_is_the_converted_one(cache, nb201):
    table = load_table("nb201")
    assert len(table.digest) == 64
    assert table.provenance == nb201.provenance
    for dataset, entry in nb201.datasets.items():
        assert list(entry.columns) == list(table.datasets[dataset].columns)
        for name, column in entry.columns.items():
            assert column.metric == table.column(dataset, name).metric
            np.testing.assert_array_equal(column.values, table.column(dataset, name).values)


def test_a_second_load_converts_nothing(cache, monkeypatch):
    digest = load_table("nb201").digest
    load_table.cache_clear()
    monkeypatch.setattr("nasbench_harness.tables.nasbench201.convert", lambda: pytest.fail("converted again"))
    assert load_table("nb201").digest == digest


@pytest.mark.thorough
def test_three_processes_convert_at_once(cache):
    def start():
        return subprocess.Popen([sys.executable, "-c", LOAD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    processes = [start() for _ in range(3)]
    ends = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], ends
    assert {out for out, _ in ends} == {load_table("nb201").digest + "\n"}
    assert [path.name for path in (cache / "tables").iterdir()] == [table_folder("nb201").name]


def test_the_slower_of_two_writers_succeeds_too(tiny, tmp_path):
    write_table(tiny, tmp_path / "tiny")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "tiny").iterdir()}
    write_table(tiny, tmp_path / "tiny")
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "tiny").iterdir()} == before
    assert list(tmp_path.iterdir()) == [tmp_path / "tiny"]


@pytest.mark.parametrize("num_saved", fast_first([1, 15]))
def test_a_killed_conversion_leaves_nothing_that_looks_whole(cache, num_saved):
    code = f"""
import os, signal
import numpy as np
save, calls = np.save, []
def save_until_killed(*arguments, **keywords):
    save(*arguments, **keywords) if len(calls) < {num_saved} else os.kill(os.getpid(), signal.SIGKILL)
    calls.append(1)
    if len(calls) == 15:
        os.kill(os.getpid(), signal.SIGKILL)
np.save = save_until_killed
{LOAD}
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert whole_tables(cache / "tables") == []
    assert len(load_table("nb201").digest) == 64


def test_an_interrupted_write_cleans_up(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("nasbench_harness.tables.cache._sha256", lambda path: exec("raise KeyboardInterrupt"))  # noqa: S102
    with pytest.raises(KeyboardInterrupt):
        write_table(tiny, tmp_path / "tables" / "tiny")
    assert list((tmp_path / "tables").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_explained(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TableError) as caught:
        write_table(tiny, tmp_path / "file" / "tables" / "tiny")
    message = str(caught.value)
    assert message.startswith(f"cannot write the cache {tmp_path / 'file' / 'tables'}: ")
    assert "set NASBENCH_HARNESS_CACHE to a folder you may write" in message
    assert "\n" not in message


def test_a_full_disk_is_explained(tiny, tmp_path, monkeypatch):
    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(TableError, match=r"cannot write the cache .*No space left on device.*NASBENCH_HARNESS_CACHE"):
        write_table(tiny, tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []


def test_load_table_explains_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path / "file"))
    load_table.cache_clear()
    with pytest.raises(TableError, match="cannot write the cache"):
        load_table("nb201")


def test_the_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("NASBENCH_HARNESS_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "nasbench-harness"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "nasbench-harness"


def test_a_table_of_a_newer_version_is_explained(tiny, tmp_path, monkeypatch):
    vars(tiny.datasets["one"].space)["description"] = lambda: {"kind": "space-of-tomorrow"}
    with pytest.raises(InvalidInputError, match=r"table tiny cannot be kept: .* 'space-of-tomorrow'"):
        write_table(tiny, tmp_path / "newer")
    monkeypatch.setattr(cache_module, "table_from_metadata", lambda *_: tiny)  # as the newer version would accept it
    write_table(tiny, tmp_path / "newer")
    monkeypatch.undo()
    with pytest.raises(TableError, match=r"unknown kind of search space 'space-of-tomorrow'"):
        open_table(tmp_path / "newer")
