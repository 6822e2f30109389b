"""No process outlives the command that started it, however the command ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")

SLOW = """
import time

def search(problem, rng):
    while True:
        time.sleep(0.05)
        yield problem.space.sample(rng)
"""
BUSY = SLOW.replace("time.sleep(0.05)", "sum(range(10**6))")
TRAINING = """
import time
from nasbench_harness.workers import worker_pool

if __name__ == "__main__":
    futures = [worker_pool(2).submit(time.sleep, 600) for _ in range(6)]
    print("submitted", flush=True)
    futures[0].result()
"""


def members(session):
    """Living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append(int(entry.name))
    return sorted(found)


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def start(tmp_path):
    """Start a command in a session of its own; whatever is left is killed after the test."""
    started = []

    def call(*arguments):
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield call
    for process in started:
        for left in members(process.pid):
            os.kill(left, signal.SIGKILL)
        process.stderr.close()
        process.wait()


def run_slow(start, tmp_path, code=SLOW, jobs=2, seconds=1.5):
    """A run with workers (jobs, a tracker and the command itself) in the middle of its work."""
    (tmp_path / "slow.py").write_text(code)
    process = start(
        *("-m", "nasbench_harness", "run", "--strategies", "slow:search,random-search,local-search"),
        *("--tasks", "nb201-cifar10,nb201-cifar100", "--seeds", 300, "--evaluations", 5_000),
        *("--jobs", jobs, "--out", "study"),
    )
    num_processes = 1 if jobs == 1 else jobs + 2
    assert wait_for(lambda: len(members(process.pid)) >= num_processes, 60), process.stderr.read()
    time.sleep(seconds)  # after 1.5 workers are done with their imports
    assert process.poll() is None
    return process


@pytest.mark.thorough
@pytest.mark.parametrize("code", [SLOW, BUSY], ids=["sleeping", "busy"])
def test_workers_and_trackers_end_when_their_parent_is_killed(start, tmp_path, code):
    process = run_slow(start, tmp_path, code)
    process.kill()
    assert wait_for(lambda: not members(process.pid), 5), members(process.pid)


@pytest.mark.thorough
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_a_command_ends_at_once_with_its_workers(start, tmp_path, jobs, number, code):
    process = run_slow(start, tmp_path, jobs=jobs)
    process.send_signal(number)
    assert process.wait(5) == code
    assert wait_for(lambda: not members(process.pid), 1), members(process.pid)
    errors = process.stderr.read()
    assert "stopped; the same command goes on from the stored results" in errors
    assert "Traceback" not in errors
    assert not list((tmp_path / "study").rglob("*.tmp"))


@pytest.mark.thorough
@pytest.mark.parametrize("seconds", [0.2, 1.5])
def test_ctrl_c_of_a_terminal_reaches_the_workers_too(start, tmp_path, seconds):
    """Also while they import."""
    process = run_slow(start, tmp_path, seconds=seconds)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(5) == 130
    assert "Traceback" not in process.stderr.read()
    assert wait_for(lambda: not members(process.pid), 1), members(process.pid)


@pytest.mark.thorough
def test_the_trainers_workers_end_with_their_parent_too(start, tmp_path):
    (tmp_path / "training.py").write_text(TRAINING)
    process = start("training.py")
    assert wait_for(lambda: len(members(process.pid)) >= 4, 60)
    time.sleep(1.5)
    process.kill()
    assert wait_for(lambda: not members(process.pid), 5), members(process.pid)


@pytest.mark.thorough
def test_a_kill_costs_the_runs_under_way_only(start, tmp_path):
    (tmp_path / "slow.py").write_text(f"{SLOW}\nsearch.max_runs = 1\n")
    arguments = (
        *("-m", "nasbench_harness", "run", "--strategies", "slow:search", "--tasks", "nb201-cifar10"),
        *("--seeds", 12, "--evaluations", 8, "--out", "study"),
    )

    def files():
        return {path: path.read_bytes() for path in (tmp_path / "study" / "runs").rglob("*.parquet")}

    process = start(*arguments)
    assert wait_for(lambda: len(files()) >= 4, 60)
    process.kill()
    process.wait()
    kept = files()
    assert 4 <= len(kept) < 12
    assert start(*arguments).wait(60) == 0
    assert len(files()) == 12
    assert {path: files()[path] for path in kept} == kept
