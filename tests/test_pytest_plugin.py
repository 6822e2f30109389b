"""The fixture in somebody's own repository: a strategy, a baseline, a test, and nothing else.

Most of these sessions of pytest run in this process. One whose test passes, one whose test fails, those with workers
and the one about imports are processes of their own.
"""

import subprocess
import sys
from dataclasses import replace
from importlib import import_module

import pytest

from nasbench_harness.store.baselines import read_baseline, write_baseline

MY_SEARCH = """
def my_search(problem, rng, *, patience=10):
    while True:
        best = yield problem.space.sample(rng)
        failures = 0
        while failures < patience:
            evaluation = yield problem.space.mutate(best.architecture, rng)
            failures += 1
            if evaluation.loss < best.loss:
                best, failures = evaluation, 0
"""
# In this process warnings are errors, which a session of a user does not know.
HERE = ("-p", "no:cacheprovider", "-W", "default")
TEST = """
from my_search import my_search

def test_my_search(strategy_regression):
    strategy_regression.check(my_search, task="nb201-cifar100"{arguments})
"""
WORSE = MY_SEARCH.replace("evaluation.loss < best.loss", "evaluation.loss > best.loss")
OTHER_DRAWS = MY_SEARCH.replace("    while True:\n        best", "    rng.uniform()\n    while True:\n        best", 1)
SAVE = (
    *("baseline", "save", "--strategies", "my_search:my_search", "--tasks", "nb201-cifar100"),
    *("--seeds", "300", "--evaluations", "40"),
)


@pytest.fixture(scope="module", autouse=True)
def libraries():
    """Sessions in this process forget the modules that they import, and NumPy can be imported only once."""
    for module in (
        "matplotlib.figure",
        "matplotlib.backends.backend_agg",
        "nasbench_harness.api",
        "numpy.fft",
        "pandas",
    ):
        import_module(module)
    import_module("nasbench_harness.report.sections.distributions")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The text of a baseline, as the command writes it."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "my_search.py").write_text(MY_SEARCH, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "nasbench_harness", *SAVE], cwd=folder, check=True, capture_output=True)
    (path,) = (folder / "baselines").iterdir()
    return path.name, path.read_text(encoding="utf-8")


@pytest.fixture
def project(pytester, monkeypatch, saved):
    """``project(strategy, arguments)``: the outcome of a test of that strategy against the saved baseline."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(strategy=MY_SEARCH, arguments="", *options, folder="baselines", test=TEST, process=False):
        pytester.makepyfile(my_search=strategy, test_my_search=test.replace("{arguments}", arguments))
        if folder:
            target = pytester.mkdir(folder)
            (target / saved[0]).write_text(saved[1], encoding="utf-8")
        if process or "-n" in options:
            return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)
        return pytester.runpytest_inprocess(*HERE, *options)

    return run


def text(result):
    return "\n".join(result.outlines)


def test_an_unchanged_strategy_passes_by_its_trace(project):
    test = TEST + "\n".join(
        [
            "",
            "def test_by_trace(strategy_regression):",
            "    check = strategy_regression.check('my_search:my_search', task='nb201-cifar100', looks=[2])",
            "    assert (check.verdict, check.by) == ('equivalent', 'trace')",
        ]
    )
    project(test=test, process=True).assert_outcomes(passed=2)


@pytest.mark.thorough
def test_a_worse_strategy_fails_and_the_text_says_what_to_do(project, pytester):
    result = project(WORSE, process=True)
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [
            r"my_search:my_search on nb201-cifar100: worse than its baseline",
            r"  effect: mean regret \+\d\.\d{3} pp \(positive is worse\)",
            r"  interval: \[\+\d\.\d{3}, \+\d\.\d{3}\] pp, one-sided bounds at 0\.0025",
            r"  margin: 0\.05 pp",
            r"  seeds: 100 now, 300 in the baseline",
            r"  plot: .*regrets\.png",
            r"  to accept the change: nasbench-harness baseline save --strategies my_search:my_search "
            r"--tasks nb201-cifar100 --seeds 300 --evaluations 40 --out baselines",
        ],
        consecutive=True,
    )
    assert "Traceback" not in text(result)
    (plot,) = [line.partition("plot: ")[2] for line in result.outlines if "  plot: " in line]
    with open(plot, "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"


def test_accepting_the_change_makes_the_test_pass(project, pytester, cli):
    assert project(WORSE).ret == 1
    assert cli(*SAVE, cwd=pytester.path).returncode == 0
    pytester.runpytest_inprocess(*HERE).assert_outcomes(passed=1)


def test_inconclusive_fails_with_its_own_text_unless_it_is_allowed(project, pytester):
    arguments = ", looks=[20]"
    result = project(OTHER_DRAWS, arguments)
    result.assert_outcomes(failed=1)
    assert "my_search:my_search on nb201-cifar100: inconclusive" in text(result)
    assert "to decide: " in text(result)
    assert "to let it pass: allow_inconclusive=True" in text(result)
    assert "to accept the change" not in text(result)
    pytester.makepyfile(test_my_search=TEST.replace("{arguments}", f"{arguments}, allow_inconclusive=True"))
    pytester.runpytest_inprocess(*HERE).assert_outcomes(passed=1)


@pytest.mark.thorough
def test_the_permutation_p_that_keeps_a_case_from_inferior_is_named(project, monkeypatch):
    statistics = import_module("nasbench_harness.statistics.non_inferiority")  # a function has this name, too
    monkeypatch.setattr(statistics, "permutation_p_worse", lambda *given: 0.0156)
    result = project(WORSE, ", looks=[100]")
    assert "permutation p: 0.016 (before Holm) keeps it from inferior" in text(result)
    assert (
        "to decide: take at least 200 fresh seeds, as these have been looked at: first_seed=100, looks=(200,)"
        in text(result)
    )


def test_allowing_inconclusive_allows_nothing_worse(project):
    project(WORSE, ", allow_inconclusive=True").assert_outcomes(failed=1)


def test_a_missing_baseline_fails_with_the_command_that_makes_it(project):
    result = project(folder=None)
    result.assert_outcomes(failed=1)
    assert "nasbench-harness baseline save --strategies my_search:my_search --out " in text(result)
    assert "Traceback" not in text(result)
    assert "exception" not in text(result)


def test_hyperparameters_name_another_baseline_unless_a_label_says_which(project, pytester):
    result = project(MY_SEARCH, ", patience=3")
    assert "baseline save --strategies 'my_search:my_search(patience=3)' --out baselines" in text(result)
    (path,) = (pytester.path / "baselines").iterdir()
    write_baseline(path.parent, replace(read_baseline(path), label="mine"))
    label = ", patience=1, label='mine'"
    pytester.makepyfile(test_my_search=TEST.replace("{arguments}", label))
    result = pytester.runpytest_inprocess(*HERE)
    assert "worse than its baseline" in text(result)
    assert "note: patience was 10, is 1" in text(result)


def test_baselines_may_lie_elsewhere(project, pytester):
    pytester.makeini("[pytest]\nnasbench_baselines = accepted\n")
    project(folder="accepted").assert_outcomes(passed=1)


@pytest.mark.thorough
def test_works_with_workers_and_warnings_as_errors(project, pytester):
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    result = project(WORSE, "", "-n", "2")
    result.assert_outcomes(failed=1)
    assert "worse than its baseline" in text(result)


def test_speed_is_a_ratio_and_fails_above_its_bound(project):
    test = """
import pytest
from my_search import my_search

@pytest.mark.parametrize("bound", [1e6, 0.1])
def test_speed(strategy_regression, bound):
    speed = strategy_regression.check_speed(
        my_search, task="nb201-cifar100", max_ratio=bound, num_runs=5, protocol={"evaluations": 20})
    assert speed.ratio > 1
"""
    result = project(test=test)
    result.assert_outcomes(passed=1, failed=1)
    assert "my_search:my_search on nb201-cifar100 is too slow: " in text(result)
    assert "control loops, allowed are 0.1" in text(result)
    without = project(MY_SEARCH, "", "-p", "no:benchmark", folder="unused", test=test)
    without.assert_outcomes(failed=2)
    assert "check_speed needs pytest-benchmark: pip install pytest-benchmark" in text(without)


def test_only_the_standard_library_is_imported_until_the_fixture_is_used(pytester):
    pytester.makepyfile(
        """
        import sys

        def test_light():
            assert "nasbench_harness.pytest_plugin" in sys.modules
            assert not {"numpy", "scipy", "pyarrow", "click", "matplotlib", "pydantic"} & set(sys.modules)
            ours = {name for name in sys.modules if name.startswith("nasbench_harness")}
            assert ours == {"nasbench_harness", "nasbench_harness.pytest_plugin"}
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_a_pass_with_another_trace_is_a_warning(project):
    result = project(OTHER_DRAWS, ", looks=[100], margin=5.0")
    result.assert_outcomes(passed=1, warnings=1)
    assert "TraceChangedWarning: my_search:my_search on nb201-cifar100 passes as " in text(result)
    assert "but its trace has changed; to accept the change: nasbench-harness baseline save" in text(result)


def test_a_pass_with_the_same_trace_warns_of_nothing(project):
    project().assert_outcomes(passed=1, warnings=0)


@pytest.mark.thorough
@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["one process", "xdist"])
def test_a_measured_speed_is_printed(project, workers):
    test = TEST.replace(".check(", ".check_speed(").replace("{arguments}", ", max_ratio=1e9, num_runs=20")
    result = project(MY_SEARCH, "", "--benchmark-disable", *workers, test=test)
    result.assert_outcomes(passed=1)
    line = r"my_search:my_search on nb201-cifar100: [\d.]+ control loops, allowed are 1e\+09 .*"
    result.stdout.re_match_lines([r".* speed of strategies .*", line])
