import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nasbench_harness.files import remove_abandoned, replacing, temporary_name, write_whole


def test_only_files_of_dead_writers_are_removed(tmp_path):
    """A writer that lives keeps its files, also one of another machine: whether that lives cannot be seen."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        mine = temporary_name(tmp_path / "runs.parquet")
        files = {
            "mine": mine,
            "living": mine.with_name(mine.name.replace(str(os.getpid()), str(living.pid))),
            "dead": mine.with_name(mine.name.replace(str(os.getpid()), str(dead.pid))),
            "elsewhere": tmp_path / f".a.parquet.another-host.{dead.pid}.tmp",
            "elsewhere, old": tmp_path / f".b.parquet.another-host.{dead.pid}.tmp",
            "older version": tmp_path / f".a.parquet.{dead.pid}.tmp",
            "older version, old": tmp_path / f".b.parquet.{dead.pid}.tmp",
            "somebody's": tmp_path / ".notes.tmp",
        }
        for name, path in files.items():
            path.write_text("half", encoding="utf-8")
            if name.endswith("old"):
                os.utime(path, (time.time() - 90_000,) * 2)
        folder = tmp_path / "deep" / files["dead"].name
        folder.mkdir(parents=True)
        (folder / "main.tex").touch()
        removed = remove_abandoned(tmp_path)
    finally:
        living.communicate(b"\n")
    assert set(removed) == {files["dead"], files["elsewhere, old"], files["older version, old"], folder}
    assert not folder.exists()
    assert files["living"].exists()


def test_a_temporary_name_is_never_too_long(tmp_path):
    temporary_name(tmp_path / f"{'x' * 240}.parquet").touch()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_the_file_of_a_dead_writer_that_still_has_its_number_is_removed(tmp_path):
    writer = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, writer.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet asked how
    path = tmp_path / temporary_name(tmp_path / "rows").name.replace(f".{os.getpid()}.", f".{writer.pid}.")
    path.write_text("half")
    assert remove_abandoned(tmp_path) == [path]
    writer.wait()


def test_a_manifest_names_plain_files_of_its_folder_only(tmp_path):
    (tmp_path / "precious").write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / ".generated").write_text("../precious\n/etc/hostname\n\nold.csv\n")
    (out / "old.csv").write_text("old")
    with replacing(out) as temporary:
        (temporary / "new.csv").write_text("new")
    assert (tmp_path / "precious").exists()
    assert sorted(path.name for path in out.iterdir()) == [".generated", "new.csv"]


def test_a_manifest_that_never_ends_is_not_read(tmp_path):
    os.mkfifo(tmp_path / ".generated")
    with replacing(tmp_path) as temporary:
        (temporary / "new.csv").write_text("new")
    assert (tmp_path / "new.csv").is_file()


def test_a_replacement_that_fails_leaves_the_files_of_the_one_before(tmp_path):
    with replacing(tmp_path) as temporary:
        (temporary / "a").write_text("a")
    with pytest.raises(FileNotFoundError), replacing(tmp_path) as temporary:
        (temporary / "b").write_bytes((tmp_path / "none").read_bytes())
    assert sorted(path.name for path in tmp_path.iterdir()) == [".generated", "a"]


@pytest.mark.parametrize("has_links", [True, False])
def test_of_two_writers_the_first_stands(tmp_path, monkeypatch, has_links):
    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(os, "link", no_links)
    for content in (b"first", b"second"):
        write_whole(tmp_path / "file", content, first_stands=True)
    assert (tmp_path / "file").read_bytes() == b"first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "deeper" / "file"
    write_whole(path, b"first")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
