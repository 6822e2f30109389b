"""Traces from elsewhere in a study: what is added back is what was run, and the study keeps it."""

import csv
import shutil

import numpy as np
import pytest
from kit.cases import fast_first
from kit.requests import request

from nasbench_harness import InvalidInputError, Progress, Proposal, compare, load_task, open_study, run
from nasbench_harness.errors import StoreError
from nasbench_harness.store.segments import read_columns
from nasbench_harness.studies.planning import plan_study

TASKS = ["nb201-cifar10", "nb201-cifar100"]
SEEDS = 12


def spends(problem, rng):
    """Declares search time, makes progress without an evaluation, and names its own choice."""
    best = None
    for step in range(10**6):
        if step % 5 == 2:
            yield Progress(rng.uniform() * 400)
        extra = rng.uniform() * 1000 if step % 3 else 0.0
        evaluation = yield Proposal(problem.space.sample(rng), extra_cost_s=extra, recommendation=best)
        best = evaluation.architecture


def segments_of(study, label, task):
    (runs,) = study.run_sets(label, task)
    paths = [segment.path for segment in runs.segments()]
    parts = [read_columns(path) for path in paths]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def assert_same_rows(study, first, second):
    for task in study.record.tasks:
        one, other = segments_of(study, first, task), segments_of(study, second, task)
        assert one.keys() == other.keys()
        for name in one:
            assert one[name].dtype == other[name].dtype, name
            assert one[name].tobytes() == other[name].tobytes(), name


def write(path, seeds=SEEDS, rows=20, first=0, tasks=None):
    space = load_task(TASKS[0]).space
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["seed", "key", *(["task"] if tasks else [])])
        for task in tasks or [None]:
            for seed in range(first, first + seeds):
                for step in range(rows):
                    key = space.to_key((seed * 997 + step * 131) % space.num_architectures)
                    writer.writerow([seed, key, *([task] if task else [])])
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traces") / "made"
    run(["local-search", "random-search", spends], TASKS, SEEDS, folder, evaluations=20)
    return folder


@pytest.fixture
def study(made, tmp_path):
    """A copy of a small study of three strategies on two tasks, to be changed."""
    shutil.copytree(made, tmp_path / "study")
    return open_study(tmp_path / "study")


@pytest.mark.parametrize("label", ["local-search", f"{__name__}:spends"])
def test_a_run_that_is_exported_and_added_back_is_the_same_run(study, label):
    (path,) = study.export(label)
    assert study.add_trace(path, "again") == []
    assert_same_rows(study, label, "again")
    assert open_study(study.path).record == study.record
    assert study.export("again")[0].read_text() == path.read_text()


def test_traces_that_cannot_be_written_are_named(study, tmp_path):
    (study.path / "traces").write_text("")
    with pytest.raises(InvalidInputError, match=r"cannot write .*/traces/.*: make it writable"):
        study.add_trace(write(tmp_path / "runs.csv", tasks=TASKS), "mine")


OTHER_RULES = [
    {"evaluations": 150, "duplicates": "free"},
    {"evaluations": 150, "duplicates": "forbid", "duplicates_by": "class"},
    {"evaluations": 50, "noise": "mean"},
    {"simulated_seconds": 31_415.9},
    {"simulated_seconds": 31_415.9, "overrun": "count", "evaluations": 12},
]


@pytest.mark.parametrize("protocol", fast_first(OTHER_RULES, 2), ids=str)
def test_so_it_is_under_other_rules(tmp_path, protocol):
    study = run(["local-search", spends], TASKS[:1], 40, tmp_path, **protocol)
    for label in ("local-search", f"{__name__}:spends"):
        study.add_trace(study.export(label)[0], "again " + label[:5])
        assert_same_rows(study, label, "again " + label[:5])


def test_a_trace_is_compared_like_any_strategy(study, tmp_path):
    study.add_trace(write(tmp_path / "runs.csv", tasks=TASKS), "mine")
    assert study.replayed == ("mine",)
    assert study.missing() == []
    assert study.num_runs == 4 * 2 * SEEDS
    assert study.analysis.labels[-1] == "mine"
    assert study.analysis.replayed == ("mine",)
    assert "mine" in str(study.table())
    frame = study.frame()
    assert (frame.strategy == "mine").sum() == 2 * SEEDS
    study.write_report(["csv"])
    assert "mine" in (study.path / "report" / "main.csv").read_text()
    before = {path: path.read_bytes() for path in (study.path / "report").iterdir()}
    open_study(study.path).write_report(["csv"])
    assert {path: path.read_bytes() for path in before} == before


def test_the_analysis_is_made_again_when_a_trace_comes(study, tmp_path):
    assert "mine" not in study.analysis.labels
    study.add_trace(write(tmp_path / "runs.csv", tasks=TASKS), "mine")
    assert "mine" in study.analysis.labels


def test_the_same_rows_may_have_two_labels_and_lie_once(study, tmp_path):
    path = write(tmp_path / "runs.csv", tasks=TASKS)
    study.add_trace(path, "mine")
    segments = {segment: segment.stat().st_mtime_ns for segment in (study.path / "runs").rglob("*.parquet")}
    study.add_trace(path, "mine too")
    assert {segment: segment.stat().st_mtime_ns for segment in (study.path / "runs").rglob("*.parquet")} == segments
    assert len(list((study.path / "traces").iterdir())) == 1
    assert study.replayed == ("mine", "mine too")
    assert_same_rows(study, "mine", "mine too")


@pytest.mark.thorough
def test_the_same_command_with_other_strategies_keeps_traces(study, tmp_path):
    study.add_trace(write(tmp_path / "runs.csv", tasks=TASKS), "mine")
    again = compare(["random-search"], TASKS[::-1], SEEDS, study.path, evaluations=20)
    assert again.record.traces == study.record.traces
    assert again.analysis.labels == ("random-search", "mine")
    assert again.missing() == []


def test_seeds_that_come_to_lie_inside_are_run_and_lost_segments_again(study, tmp_path):
    notices = study.add_trace(write(tmp_path / "runs.csv", seeds=SEEDS + 6, tasks=TASKS), "mine")
    assert notices == [f"6 of 18 seeds on {task} are outside the study's 0 … 11 and are not compared" for task in TASKS]
    assert segments_of(study, "mine", TASKS[0])["seed"].max() == SEEDS - 1
    more = run(["random-search"], TASKS, SEEDS + 6, study.path, evaluations=20)
    assert more.missing() == []
    assert set(segments_of(more, "mine", TASKS[0])["seed"]) == set(range(SEEDS + 6))
    for path in (study.path / "runs").rglob("replayed-trace-*/*.parquet"):
        path.unlink()
    assert more.missing() == [("mine", task, SEEDS + 6) for task in TASKS]
    with pytest.raises(InvalidInputError, match=r"is not complete \(mine on nb201-cifar10 does not have 18 of 18 runs"):
        more.export()
    assert more.export("random-search")
    assert run(["random-search"], TASKS, SEEDS + 6, study.path, evaluations=20).missing() == []


def test_a_trace_has_only_its_own_seeds(study, tmp_path):
    study.add_trace(write(tmp_path / "runs.csv", tasks=TASKS), "mine")
    more = run(["random-search"], TASKS, SEEDS + 8, study.path, evaluations=20)
    assert more.missing() == []
    assert more.num_runs == 2 * (2 * SEEDS + 8)
    frame = more.frame()
    assert frame[frame.strategy == "mine"].seed.tolist() == 2 * list(range(SEEDS))
    more.write_report(["markdown"])
    text = (more.path / "report" / "report.md").read_text(encoding="utf-8")
    assert "replayed under this protocol: mine (12 seeds)." in text


def test_a_trace_without_any_of_the_seeds_is_not_compared(tmp_path):
    """With fewer seeds the study leaves it out and says so; with more it is back."""
    rules = {"evaluations": 5, "out": tmp_path / "s"}
    study = run(["random-search"], TASKS[:1], seeds=30, **rules)
    study.add_trace(write(tmp_path / "late.csv", rows=5, first=15), "late")
    fewer = run(["random-search"], TASKS[:1], seeds=12, **rules)
    assert fewer.labels == ["random-search"]
    assert fewer.analysis.labels == ("random-search",)
    assert fewer.record.traces == study.record.traces
    notices = plan_study(request(["random-search"], TASKS[:1], 12, 5), tmp_path / "s").notices
    assert notices == ["the trace late has none of the seeds 0 … 11 on these tasks and is not compared"]
    more = run(["random-search"], TASKS[:1], seeds=30, **rules)
    assert len(more.analysis.tasks[0].result("late").seeds) == 12


def test_a_trace_may_cover_one_task_only(study, tmp_path):
    study.add_trace(write(tmp_path / "runs.csv"), "mine", TASKS[1])
    assert study.num_runs == 2 * 3 * SEEDS + SEEDS
    assert set(study.frame().groupby("strategy").task.unique()["mine"]) == {TASKS[1]}
    study.write_report(["csv"])
    assert study.missing() == []
    with pytest.raises(InvalidInputError, match="the trace 'mine' has no rows on nb201-cifar10"):
        study.export("mine", task=TASKS[0])
    other = run(["random-search"], TASKS[:1], SEEDS, study.path, evaluations=20)
    assert (other.replayed, other.record.traces) == ((), study.record.traces)


def test_seeds_may_have_gaps(study, tmp_path):
    path = write(tmp_path / "runs.csv", tasks=TASKS)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("5,")))
    study.add_trace(path, "mine")
    assert study.missing() == []
    more = run(["random-search"], TASKS, SEEDS + 1, study.path, evaluations=20)
    frame = more.frame()
    assert frame[frame.strategy == "mine"].seed.tolist() == 2 * [seed for seed in range(SEEDS) if seed != 5]


def test_other_rules_are_another_study(study, tmp_path):
    study.add_trace(write(tmp_path / "runs.csv", tasks=TASKS), "mine")
    before = study.folder.study_file.read_bytes()
    for rules, message in (
        ({"noise": "mean"}, "a study with noise per_query, but this command has noise mean"),
        ({"study_seed": 1}, "a study with study seed 0, but this command has study seed 1"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            run(["random-search"], TASKS, SEEDS, study.path, **{"evaluations": 20, **rules})
    assert study.folder.study_file.read_bytes() == before


def test_damaged_rows_are_named(study, tmp_path):
    study.add_trace(write(tmp_path / "runs.csv", tasks=TASKS), "mine")
    (path,) = (study.path / "traces").iterdir()
    path.unlink()
    with pytest.raises(StoreError, match=rf"{path.name} is missing: add the trace 'mine' again"):
        open_study(study.path).missing()


@pytest.mark.parametrize(
    ("arguments", "label", "message"),
    [
        ({}, "mine", "does not say on which of the study's tasks it ran"),
        ({"tasks": TASKS}, "random-search", "the study has a strategy or trace 'random-search' already"),
        ({"tasks": TASKS}, "a,b", "label 'a,b': use letters"),
        ({"tasks": TASKS}, "", "label '': use letters"),
        ({"tasks": TASKS, "seeds": 9}, "mine", "9 of its 9 seeds on nb201-cifar10 are in the study's 0 … 11"),
        ({"tasks": TASKS, "first": 5}, "mine", "7 of its 12 seeds on nb201-cifar10 are in the study's 0 … 11"),
        ({"tasks": TASKS, "rows": 19}, "mine", "seed 0 on task nb201-cifar10 ends after 19 rows"),
    ],
)
def test_what_is_refused_leaves_nothing(study, tmp_path, arguments, label, message):
    before = {path: path.read_bytes() for path in study.path.rglob("*") if path.is_file()}
    with pytest.raises(InvalidInputError, match=message):
        study.add_trace(write(tmp_path / "runs.csv", **arguments), label)
    assert {path: path.read_bytes() for path in study.path.rglob("*") if path.is_file()} == before
    assert study.replayed == ()


def test_a_label_of_a_trace_is_taken(study, tmp_path):
    path = write(tmp_path / "runs.csv", tasks=TASKS)
    study.add_trace(path, "mine")
    study.add_trace(path, "mine")  # the same rows again are no mistake
    with pytest.raises(InvalidInputError, match="has a strategy or trace 'mine' already"):
        study.add_trace(write(tmp_path / "other.csv", rows=21, tasks=TASKS), "mine")
    with pytest.raises(InvalidInputError, match="has a trace with the label 'mine' already"):
        run(["mine=random-search"], TASKS, SEEDS, study.path, evaluations=20)


def test_runs_longer_than_the_budget_are_cut(study, tmp_path):
    study.add_trace(write(tmp_path / "runs.csv", rows=33, tasks=TASKS), "long")
    study.add_trace(write(tmp_path / "runs.csv", rows=20, tasks=TASKS), "exact")
    assert_same_rows(study, "long", "exact")


def test_a_run_that_is_too_short_outside_the_studys_seeds_is_refused_too(study, tmp_path):
    """More seeds may come to are inside later."""
    path = write(tmp_path / "runs.csv", seeds=SEEDS + 1, tasks=TASKS)
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join(line for line in lines if not line.startswith(f"{SEEDS},")) + f"\n{SEEDS},000000,{TASKS[0]}"
    )
    with pytest.raises(InvalidInputError, match="seed 12 has 1 rows, but seed 0 has 20"):
        study.add_trace(path, "mine")
