"""Seeded faults in the numbers of a report: the tests beside the code must catch each one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# (fault, file, its text, the faulty text, test that must fail)
MUTANTS = (
    (
        "zeros are dropped from signed ranks",
        "statistics/signed_rank.py",
        "start + end + 1, 0)",
        "start + end + 1 - 2 * (magnitude == 0).sum(axis=-1, keepdims=True), 0)",
        "statistics/test_signed_rank.py",
    ),
    (
        "Welch's test divides variances by n",
        "statistics/independent.py",
        "part.var(ddof=1)) / part.size for part in (first, second))",
        "part.var(ddof=0)) / part.size for part in (first, second))",
        "statistics/test_independent.py",
    ),
    (
        "printed deviations divide by n",
        "report/cells.py",
        "values.std(ddof=1)",
        "values.std(ddof=0)",
        "report/test_cells.py",
    ),
    (
        "resamples are drawn from fresh entropy",
        "statistics/intervals.py",
        "np.random.Generator(np.random.PCG64(self.seed))",
        "np.random.default_rng()",
        "statistics/test_intervals.py",
    ),
    (
        "ties count as wins in A12",
        "statistics/effects.py",
        "np.asarray(below + not_above, dtype=np.int64)",
        "np.asarray(2 * not_above, dtype=np.int64)",
        "statistics/test_effects.py",
    ),
    (
        "Holm without the cumulative maximum",
        "statistics/multiple.py",
        "np.maximum.accumulate(steps)",
        "steps",
        "statistics/test_multiple.py",
    ),
    (
        "the interquartile mean trims too many",
        "statistics/estimands.py",
        "trim = ordered.shape[-1] // 4",
        "trim = -(-ordered.shape[-1] // 4)",
        "statistics/test_estimands.py",
    ),
    (
        "resampled interquartile means trim too many",
        "statistics/_resampling.py",
        "trim = num_runs // 4",
        "trim = -(-num_runs // 4)",
        "statistics/test_intervals.py",
    ),
    (
        "the area interpolates between steps",
        "statistics/anytime.py",
        "float(heights @ widths / (end - starts[0]))",
        "float(np.trapezoid(np.append(heights, heights[-1]), np.append(starts, end)) / (end - starts[0]))",
        "statistics/test_anytime.py",
    ),
    (
        "the incumbent at a time is the next one",
        "analysis/runs.py",
        'np.searchsorted(ends, moments, side="right") - 1',
        'np.minimum(np.searchsorted(ends, moments, side="right"), len(ends) - 1)',
        "report/test_runs.py",
    ),
    (
        "points outside the reference point count",
        "statistics/dominance.py",
        "first = np.minimum(points[0], reference[0])",
        "first = points[0]",
        "statistics/test_dominance.py",
    ),
    (
        "seeds are pooled over tasks",
        "report/sections/pairs.py",
        "np.rint(effects / _TIE)",
        "np.rint(np.repeat(effects, analysis.num_seeds) / _TIE)",
        "report/test_marks.py::test_counts_over_tasks_use_the_family_of_the_study",
    ),
)


@pytest.mark.parametrize(
    ("file", "text", "faulty", "test"), [row[1:] for row in MUTANTS], ids=[row[0] for row in MUTANTS]
)
def test_a_fault_is_caught(tmp_path, file, text, faulty, test):
    package = tmp_path / "nasbench_harness"
    shutil.copytree(ROOT / "nasbench_harness", package, ignore=shutil.ignore_patterns("__pycache__"))
    mutated = package / file
    source = mutated.read_text(encoding="utf-8")
    assert source.count(text) == 1
    mutated.write_text(source.replace(text, faulty), encoding="utf-8")
    paths = [str(tmp_path), str(ROOT / "strategies"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        f"tests/{test}",
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert "FAILED" in done.stdout, done.stdout[-2000:]
