"""Watching a study that another process runs."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console

from nasbench_harness import run
from nasbench_harness.api import open_study
from nasbench_harness.studies.watch import Snapshot, Watcher, _view, watch

COMMAND = [sys.executable, "-m", "nasbench_harness"]
LINE = re.compile(r"[\d,]+ of ([\d,]+) runs done(, [\d,.]+ runs per second)?(, about \d+ \w+( \d+ \w+)? left)?")


@pytest.fixture
def small(tmp_path):
    """A study that does not have 5 of 15 runs: its record asks for more seeds than were run."""
    folder = tmp_path / "small"
    run(["random-search"], ["nb201-cifar10"], 10, folder, evaluations=5)
    file = folder / "study.toml"
    file.write_text(file.read_text().replace("seeds = 10", "seeds = 15"))
    return folder


def started(snapshot_s, folder):
    """Pretend that the last command began at this time."""
    os.utime(folder / "study.toml", (snapshot_s, snapshot_s))


@pytest.mark.thorough
def test_a_growing_study_is_followed_to_its_end(tmp_path):
    """The watcher sees what another process stores, and ends by itself."""
    arguments = ["run", "--tasks", "nb201-cifar10", "--seeds", "1500", "--evaluations", "100", "--out", "s"]
    writer = subprocess.Popen([*COMMAND, *arguments], cwd=tmp_path, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "s" / "study.toml").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    done = subprocess.run(
        [*COMMAND, "status", "s", "--watch", "--interval", "0.1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert writer.wait(timeout=60) == 0
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(LINE.fullmatch(line) for line in lines), lines
    counts = [int(line.partition(" ")[0].replace(",", "")) for line in lines]
    total = int(LINE.fullmatch(lines[-1])[1].replace(",", ""))
    assert counts == sorted(counts)
    assert counts[-1] == total
    assert total % 1500 == 0


def test_what_is_stored_gives_speed_and_remaining_time(small):
    (segment,) = small.rglob("*.parquet")
    os.utime(segment, (1000, 1000))
    started(996, small)
    snapshot = Watcher(lambda: open_study(small)).snapshot()
    assert (snapshot.done, snapshot.total, snapshot.num_new) == (10, 15, 10)
    assert snapshot.runs_per_second == 2.5
    assert snapshot.describe() == "10 of 15 runs done, 2.50 runs per second, about 2 s left"


def test_runs_of_earlier_commands_say_nothing_about_speed(small):
    (segment,) = small.rglob("*.parquet")
    os.utime(segment, (1000, 1000))
    started(2000, small)
    snapshot = Watcher(lambda: open_study(small)).snapshot()
    assert (snapshot.done, snapshot.num_new, snapshot.runs_per_second) == (10, 0, None)
    assert snapshot.describe() == "10 of 15 runs done"


def test_no_segment_is_opened(small):
    (segment,) = small.rglob("*.parquet")
    segment.write_bytes(b"")
    assert Watcher(lambda: open_study(small)).snapshot().done == 10


def test_seeds_in_two_segments_count_once_and_seeds_beyond_the_study_not_at_all(small):
    (segment,) = small.rglob("*.parquet")
    segment.with_name("seeds-5-11.parquet").touch()
    segment.with_name("seeds-100-199.parquet").touch()
    segment.with_name(".seeds-12-14.parquet.7.tmp").touch()
    snapshot = Watcher(lambda: open_study(small)).snapshot()
    assert (snapshot.done, snapshot.total) == (12, 15)


def test_unchanged_folders_are_not_listed_again(small, monkeypatch):
    watcher = Watcher(lambda: open_study(small))
    first = watcher.snapshot()
    monkeypatch.setattr("nasbench_harness.studies.watch.named_segments", lambda folder: pytest.fail("listed again"))
    assert watcher.snapshot() == first


def test_a_command_that_asks_for_more_is_noticed(small):
    watcher = Watcher(lambda: open_study(small))
    assert watcher.snapshot().total == 15
    file = small / "study.toml"
    file.write_text(file.read_text().replace("seeds = 15", "seeds = 40"))
    started(10, small)
    assert watcher.snapshot().total == 40


def test_failures_of_the_last_command_are_counted(small):
    (small / "failures").mkdir()
    for name in ("old", "new", "newer"):
        (small / "failures" / f"{name}.log").touch()
    os.utime(small / "failures" / "old.log", (10, 10))
    started(100, small)
    assert Watcher(lambda: open_study(small)).snapshot().describe().endswith(", 2 batches failed")


def snapshot_of(tasks, **changes):
    return Snapshot(**{"tasks": tasks, "num_failed": 0, "started_s": 0.0, "newest_s": 10.0, "num_new": 1, **changes})


@pytest.mark.parametrize(
    ("num_new", "missing", "text"),
    [
        (1000, 500, ", 100 runs per second, about 5 s left"),
        (100, 2000, ", 10 runs per second, about 3 min 20 s left"),
        (1, 1872, ", 0.10 runs per second, about 5 h 12 min left"),
        (1, 0, ", 0.10 runs per second"),
    ],
)
def test_paces(num_new, missing, text):
    assert snapshot_of({"a": (1000, 1000 + missing)}, num_new=num_new).pace() == text


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_view_fits_the_terminal(width):
    tasks = {f"nb201-data-set-{number}": (number, 1000) for number in range(12)}
    console = Console(width=width, height=24)
    with console.capture() as capture:
        console.print(_view(snapshot_of(tasks), console))
    lines = capture.get().splitlines()
    assert len(lines) == 14
    assert "of 12,000" in lines[12]
    assert all(len(line) <= width for line in lines)
    low = Console(width=width, height=10)
    with low.capture() as capture:
        low.print(_view(snapshot_of(tasks), low))
    assert len(capture.get().splitlines()) == 2


def test_lines_are_printed_only_when_something_changed(small, monkeypatch, capsys):
    (segment,) = small.rglob("*.parquet")
    moments = iter([None, None, "seeds-10-12.parquet", None, "seeds-13-14.parquet"])

    def sleep(seconds):
        name = next(moments)
        if name:
            segment.with_name(name).touch()

    monkeypatch.setattr(time, "sleep", sleep)
    last = watch(lambda: open_study(small), 1.0, Console(), lambda snapshot: f"{snapshot.done}")
    assert capsys.readouterr().out.split() == ["10", "13", "15"]
    assert last.done == 15


def test_a_study_that_is_deleted_meanwhile_ends_in_one_line(small, cli, monkeypatch):
    from nasbench_harness import InvalidInputError

    watcher = Watcher(lambda: open_study(small))
    watcher.snapshot()
    (small / "study.toml").unlink()
    with pytest.raises(InvalidInputError, match="holds no study"):
        watcher.snapshot()


def test_json_lines(small, cli):
    (segment,) = small.rglob("*.parquet")
    segment.with_name("seeds-10-14.parquet").touch()
    done = cli("status", small, "--watch", "--json")
    (line,) = done.stdout.splitlines()
    record = json.loads(line)
    assert (record["done"], record["runs"], record["failed_batches"]) == (15, 15, 0)
    assert record["tasks"] == {"nb201-cifar10": {"done": 15, "runs": 15}}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_ctrl_c_on_a_terminal_ends_it_well(small):
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "status", str(small), "--watch", "--interval", "0.1"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        env={**os.environ, "COLUMNS": "80", "TERM": "xterm"},
    )
    os.close(terminal)
    output = b""
    while b"10 of 15" not in output:
        output += os.read(controller, 4096)
    process.send_signal(signal.SIGINT)
    try:
        while part := os.read(controller, 4096):
            output += part
    except OSError:  # the other end is closed
        pass
    os.close(controller)
    assert process.wait(timeout=30) == 0
    assert "nb201-cifar10" in output.decode()
    assert output.decode().splitlines()[-1].startswith("\x1b[?25h10 of 15 runs done")  # the cursor is back
    assert "Traceback" not in output.decode()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "--watch"), "nowhere does not exist"),
        (("small", "--interval", "2"), "--interval belongs to --watch"),
        (("small", "--watch", "--interval", "0"), "--interval must be 0.1 … 3600 seconds, not 0"),
        (("small", "--watch", "--interval", "nan"), "--interval must be 0.1 … 3600 seconds, not nan"),
    ],
)
def test_mistakes(cli, small, arguments, message):
    done = cli("status", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert message in line
