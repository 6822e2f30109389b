"""Two commands at once on one study: nothing is lost, and the last one to end reports everything."""

import subprocess
import sys

import pytest
from kit.requests import request

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.report import files
from nasbench_harness.store.record import ReportOptions
from nasbench_harness.store.study_file import read_record
from nasbench_harness.studies.planning import execute_plan, plan_study, write_report
from nasbench_harness.studies.study import open_study

TASKS = ["nb201-cifar10"]


@pytest.fixture(autouse=True)
def _short_reports(monkeypatch):
    monkeypatch.setattr(files, "FORMATS", ("markdown",))


def plan(folder, strategies, seeds=12, tasks=TASKS):
    return plan_study(request(strategies, tasks, seeds), folder)


def run(planned):
    assert not [report for report in execute_plan(planned) if report.failure]
    assert planned.not_stored() == []


def end(planned):
    shown, _ = write_report(planned.study)
    planned.end()
    return shown.labels


def labels_and_seeds(folder):
    record = open_study(folder).record
    return record.labels, record.num_seeds


@pytest.mark.thorough
def test_two_compares_with_other_strategies(tmp_path):
    first, second = plan(tmp_path, ["random-search"]), plan(tmp_path, ["local-search", "re=regularized-evolution"])
    first.begin()
    run(second)
    assert labels_and_seeds(tmp_path) == (["random-search", "local-search", "re"], 12)
    assert end(second) == ["local-search", "re"]  # the first has not run yet
    run(first)
    assert end(first) == ["random-search", "local-search", "re"]
    assert "local-search" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert open_study(tmp_path).missing() == []
    run(third := plan(tmp_path, ["random-search"]))  # alone: the folder reports the last command
    assert end(third) == ["random-search"]
    assert labels_and_seeds(tmp_path) == (["random-search"], 12)


@pytest.mark.thorough
def test_a_command_that_has_written_since_the_planning_counts_as_one_at_the_same_time(tmp_path):
    late = plan(tmp_path, ["local-search"])
    run(first := plan(tmp_path, ["random-search"]))
    end(first)
    run(late)
    assert end(late) == ["random-search", "local-search"]


def test_two_compares_with_other_seeds_and_tasks(tmp_path):
    first, second = plan(tmp_path, ["random-search"], 30), plan(tmp_path, ["random-search"], 12)
    first.begin()
    run(second)
    run(first)
    end(second)
    end(first)
    assert labels_and_seeds(tmp_path) == (["random-search"], 30)
    first, second = plan(tmp_path, ["random-search"], 30), plan(tmp_path, ["random-search"], 30, ["nb201-cifar100"])
    first.begin()
    run(second)
    assert open_study(tmp_path).record.tasks == ("nb201-cifar10", "nb201-cifar100")
    first.end()
    second.end()


def test_one_label_for_two_strategies_is_refused_before_anything_changes(tmp_path):
    first = plan(tmp_path, ["mine=random-search"])
    second = plan(tmp_path, ["mine=local-search"])
    first.begin()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InvalidInputError, match=r"another command works on this study now and compares .* as 'mine'"):
        list(execute_plan(second))
    second.end()
    first.end()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_control_whose_label_the_other_command_replaced_is_dropped(tmp_path):
    first = plan(tmp_path, ["re=regularized-evolution"])
    options = ReportOptions(control="evo")
    second = plan_study(request(["evo=regularized-evolution", "random-search"], TASKS, 12, report=options), tmp_path)
    first.begin()
    second.begin()
    stored = read_record(tmp_path / "study.toml")
    assert stored.report.control in (None, *(strategy.label for strategy in stored.strategies))
    second.end()
    first.end()


def test_another_study_that_appeared_since_the_planning_is_refused(tmp_path):
    late = plan(tmp_path, ["random-search"])
    first = plan_study(request(["random-search"], TASKS, 12, evaluations=9), tmp_path)
    first.begin()
    first.end()
    with pytest.raises(InvalidInputError, match="holds a study with evaluations 9, but this command has evaluations 4"):
        late.begin()
    late.end()


def test_two_add_traces_and_the_same_rows_again(tmp_path):
    run(planned := plan(tmp_path / "s", ["random-search", "local-search"]))
    planned.end()
    traces = [planned.study.export(label)[0] for label in planned.study.labels]
    first, second = open_study(tmp_path / "s"), open_study(tmp_path / "s")
    first.add_trace(traces[0], "one")
    second.add_trace(traces[1], "two")
    assert [trace.label for trace in open_study(tmp_path / "s").record.traces] == ["one", "two"]
    record = (tmp_path / "s" / "study.toml").read_bytes()
    for study in (first, second, open_study(tmp_path / "s")):
        study.add_trace(traces[0], "one")
    assert (tmp_path / "s" / "study.toml").read_bytes() == record
    for label in ("one", "random-search"):
        with pytest.raises(InvalidInputError, match=f"has a strategy or trace '{label}' already"):
            open_study(tmp_path / "s").add_trace(traces[1], label)


def test_the_same_rows_again_mend_a_damaged_trace(tmp_path):
    run(planned := plan(tmp_path / "s", ["random-search"]))
    planned.end()
    (file,) = planned.study.export("random-search")
    planned.study.add_trace(file, "one")
    frame = open_study(tmp_path / "s").frame()
    for path in [*(tmp_path / "s" / "traces").iterdir(), *(tmp_path / "s").glob("runs/*/replayed*/*.parquet")]:
        path.write_bytes(path.read_bytes()[:-1])
    notices = open_study(tmp_path / "s").add_trace(file, "one")
    assert notices[-1].endswith("moved to damaged/; their seeds run again")
    assert open_study(tmp_path / "s").frame().equals(frame)


@pytest.mark.thorough
def test_two_processes_at_once(tmp_path):
    """As users start them: with a strategy that takes its time, so that both run at once."""
    (tmp_path / "slow.py").write_text(
        "import time\n"
        "def search(problem, rng, *, part=0):\n"
        "    time.sleep(0.5)\n"
        "    while True:\n"
        "        yield problem.space.sample(rng)\n"
    )

    def start(part):
        strategies = f"part-{part}=slow:search(part={part})"
        arguments = ("compare", "--strategies", strategies, "--tasks", TASKS[0], "--seeds", "12", "--evaluations", "4")
        command = [sys.executable, "-m", "nasbench_harness", *arguments, "--out", "s"]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert [process.wait() for process in [start(1), start(2)]] == [0, 0]
    assert sorted(labels_and_seeds(tmp_path / "s")[0]) == ["part-1", "part-2"]
    assert open_study(tmp_path / "s").missing() == []
    text = (tmp_path / "s" / "report" / "report.md").read_text(encoding="utf-8")
    assert "part-1" in text
    assert "part-2" in text
