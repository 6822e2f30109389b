import ast
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import nasbench_harness
from nasbench_harness import (
    InvalidInputError,
    Quoted,
    ReportOptions,
    RunsFailedError,
    StrategyRef,
    UnknownNameError,
    compare,
    load_task,
    open_study,
    run,
)

QUOTED = Quoted("GDAS", "nb201-cifar10", "val_accuracy", 89.89, "A paper, Table 5")


def climb(problem, rng, *, patience=5):
    while True:
        best, failures = (yield problem.space.sample(rng)), 0
        while failures < patience:
            evaluation = yield problem.space.mutate(best.architecture, rng)
            failures += 1
            if evaluation.loss < best.loss:
                best, failures = evaluation, 0


def fails(problem, rng):
    yield 3
    raise RuntimeError("on purpose")


def test_public_names_are_sorted_and_exist():
    assert nasbench_harness.__all__ == sorted(nasbench_harness.__all__)
    for name in nasbench_harness.__all__:
        assert getattr(nasbench_harness, name)
    assert nasbench_harness.__version__
    with pytest.raises(AttributeError, match="nonsense"):
        _ = nasbench_harness.nonsense


def test_public_names_are_what_type_checkers_see():
    tree = ast.parse(Path(nasbench_harness.__file__).read_text(encoding="utf-8"))
    imports = [
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module.startswith("nasbench")
    ]
    assert sorted(alias.name for node in imports for alias in node.names) == nasbench_harness.__all__


def test_functions_labels_and_parameters_are_compared(tmp_path):
    study = compare(
        [climb, StrategyRef(climb, "patient", {"patience": 50}), "random-search"],
        ["nb201-cifar10"],
        seeds=20,
        evaluations=40,
        out=tmp_path,
    )
    frame = study.frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == [
        "strategy", "task", "seed", "evaluations", "simulated_s", "repeats_by_index", "repeats_by_class",
        "architecture", "key", "val_accuracy", "regret_pp",
    ]  # fmt: skip
    assert frame.groupby("strategy").size().to_dict() == {f"{__name__}:climb": 20, "patient": 20, "random-search": 20}
    assert (frame.evaluations == 40).all()
    assert "patient" in str(study.table("nb201-cifar10"))
    assert study.figure().axes


def test_open_study_needs_no_code(tmp_path):
    study = compare([climb], ["nb201-cifar10"], seeds=10, evaluations=5, out=tmp_path)
    assert open_study(tmp_path).frame().equals(study.frame())
    assert open_study(tmp_path).missing() == []


def test_run_stores_without_a_report(tmp_path):
    study = run(["random-search"], ["nb201-cifar10"], 3, tmp_path, evaluations=4)
    assert not study.folder.report_folder.exists()
    assert study.frame().shape[0] == 3


def test_registered_classes_go_by_their_name(tmp_path):
    from nasbench_strategies.random.random_search import RandomSearch

    study = run([RandomSearch], ["nb201-cifar10"], 2, tmp_path, evaluations=2)
    assert study.record.strategies[0].reference == "random-search"


def test_failures_are_raised_at_the_end_and_the_rest_is_stored(tmp_path):
    with pytest.raises(RunsFailedError, match="on purpose") as caught:
        compare([fails, "random-search"], ["nb201-cifar10"], seeds=4, evaluations=5, out=tmp_path)
    assert len(caught.value.messages) == 1
    assert open_study(tmp_path).missing() == [(f"{__name__}:fails", "nb201-cifar10", 4)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategies": "random-search"}, "strategies must be a list"),
        ({"tasks": "nb201-cifar10"}, "tasks must be a list"),
        ({"strategies": []}, "no strategies given"),
        ({"strategies": {"mine": climb}}, r'not a dictionary; StrategyRef\(my_search, "mine"\) gives a label'),
        ({"task": ["nb201-cifar10"]}, "unknown argument 'task': did you mean 'tasks'"),
        ({"seeds": 2.0}, "seeds must be a whole number"),
        ({"seeds": True}, "seeds must be a whole number"),
        ({"evaluation": 3}, "unknown argument 'evaluation': did you mean 'evaluations'"),
        ({"strategies": [len]}, "is neither a Strategy class nor a generator function"),
        ({"strategies": [StrategyRef(climb, parameters={"patience": object()})]}, "must be JSON values"),
        ({"strategies": ["a,b=random-search"]}, "label 'a,b'"),
        ({"rerun": "random-search"}, "rerun must be a list"),
        ({"report": {"decimals": 3}}, r"report must be ReportOptions\(…\)"),
        ({"quoted": ["x"]}, r"quoted a list of Quoted\(…\)"),
        ({"report": ReportOptions(decimals=99)}, "the arguments: report.decimals: .*6, not 99"),
        ({"report": ReportOptions(resamples=5)}, "report.resamples: .*100, not 5"),
        ({"report": ReportOptions(estimand="median")}, "report.estimand: .*not 'median'"),
        ({"report": ReportOptions(figures=("nope",))}, "report.figures.0: .*not 'nope'"),
        ({"report": ReportOptions(margin=-1.0)}, "report.margin: .*not -1.0"),
        ({"report": ReportOptions(targets=(-1.0,))}, "report.targets.0: .*not -1.0"),
        ({"report": ReportOptions(budgets=(2.0,))}, "report.budgets.0: .*not 2.0"),
        ({"report": ReportOptions(width="foo")}, "report.width: .*not 'foo'"),
        ({"report": ReportOptions(curves=("tst",))}, "report.curves.0: .*not 'tst'"),
        ({"report": ReportOptions(targets=(object(),))}, "report or quoted: .*not TOML"),
        ({"quoted": [replace(QUOTED, source="a\nb")]}, "quoted.0.source: it holds a line break"),
        ({"quoted": [replace(QUOTED, n=3.0)]}, "quoted.0.n: .*not 3.0"),
    ],
)
def test_mistakes_are_explained(tmp_path, arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        compare(**{"seeds": 2, "out": tmp_path, **arguments})
    assert list(tmp_path.iterdir()) == []


def test_unknown_task_of_a_study(study):
    with pytest.raises(UnknownNameError, match="did you mean 'nb201-cifar100'"):
        study.table("nb201-cifar10O")


def test_load_task_gives_the_anchors_of_the_table():
    task = load_task("nb201-cifar100")
    assert task.space.to_key(task.scores["val"].optimum) == "333133"


def test_every_generated_file_of_a_report_goes_when_the_next_report_does_not_write_it(study, tmp_path):
    shutil.copytree(study.path, tmp_path / "study")
    copy = open_study(tmp_path / "study")
    (copy.folder.report_folder / "thesis.tex").write_text(r"\input{main.tex}", encoding="utf-8")
    copy.write_report(["markdown"])
    assert sorted(path.name for path in copy.folder.report_folder.iterdir()) == [
        ".generated",
        "report.md",
        "thesis.tex",
    ]
