"""A slow generator whose command is killed in the middle loses only the runs under way."""

import os
import signal
import subprocess
import sys
import time

import pytest

from nasbench_harness import open_study

SLOW = """
import time

def slow(problem, rng):
    while True:
        time.sleep(0.05)
        yield problem.space.sample(rng)

slow.max_runs = 1
"""
NUM_SEEDS, NUM_EVALUATIONS = 12, 6


@pytest.mark.thorough
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_kill_loses_at_most_the_runs_under_way(tmp_path, jobs):
    (tmp_path / "slow_search.py").write_text(SLOW, encoding="utf-8")
    command = [sys.executable, "-m", "nasbench_harness", "run", "--strategies", "slow_search:slow", "--out", "study"]
    command += ["--tasks", "nb201-cifar10", "--seeds", str(NUM_SEEDS), "--evaluations", str(NUM_EVALUATIONS)]
    command += ["--jobs", str(jobs)]
    started = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while len(segments(tmp_path)) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    before = set(segments(tmp_path))
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    assert 3 <= len(before) < NUM_SEEDS, "the kill came too late"
    time.sleep(1.2)  # a worker notices within a second that its parent is gone
    stored = set(segments(tmp_path))
    assert before <= stored
    missing = sum(number for _, _, number in open_study(tmp_path / "study").missing())
    assert missing == NUM_SEEDS - len(stored)  # every stored run counts: each is in a segment of its own
    times = {path: path.stat().st_mtime_ns for path in stored}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert open_study(tmp_path / "study").missing() == []
    assert {path: path.stat().st_mtime_ns for path in stored} == times  # nothing that was stored ran again


def segments(folder):
    """Stored segments, without those that are being written."""
    return sorted(path for path in folder.glob("study/runs/**/*.parquet") if not path.name.startswith("."))
