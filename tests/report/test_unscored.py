"""A strategy with a run that has no result is not scored on that task; everything else is reported."""

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from nasbench_harness import Proposal, compare, open_study
from nasbench_harness.analysis.frames import runs_frame
from nasbench_harness.errors import InvalidInputError, RunsFailedError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.report.files import write_report
from nasbench_harness.report.render.terminal import print_report
from nasbench_harness.report.sections.main import main_tables
from nasbench_harness.report.sections.overview import overview_tables
from nasbench_harness.report.sections.pairs import across_table, pairs_table
from nasbench_harness.report.sections.sentences import pair_sentences, study_sentences
from nasbench_harness.report.sections.summary import summary_table
from nasbench_harness.report.sections.task import task_table
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.store.record import ReportOptions
from nasbench_harness.verification.winners import prepare_verification

VAL = [90.0, 85.0, 80.0]
ALL_FAIL = [-1] * 12
SOME_FAIL = [0] * 9 + [-1] * 2 + [1]
NOTE = "tiny-one: b is not scored, as 2 of 12 runs ended without a result."
LINE = (
    "b on tiny-one, seeds 9-10: 2 of 12 runs ended without a result, so the strategy is not scored there: raise the "
    "budget, or leave the strategy out"
)


def cells(table, name):
    return [[cell.text for cell in row.cells[1:]] for row in table.rows if row.cells[0].text == name]


def test_the_other_strategies_are_reported(made_task, analysis_of, tmp_path):
    task = made_task(VAL, cost_s=[1.0] * 3)
    analysis = analysis_of((task, {"a": [0, 1] * 6, "b": SOME_FAIL, "c": [1, 2] * 6}))
    alone = analysis_of((task, {"a": [0, 1] * 6, "c": [1, 2] * 6}))
    (found,) = analysis.unscored
    assert found.line(Protocol(1)) == LINE
    (entry,) = analysis.tasks
    assert [result.label for result in entry.results] == ["a", "c"]
    assert entry.result("a").val.iqm.low == alone.tasks[0].result("a").val.iqm.low
    assert [pair.p for pair in entry.comparison.pairs] == [pair.p for pair in alone.tasks[0].comparison.pairs]
    (main,) = main_tables(analysis)
    assert cells(main, "b") == [["–", "–"]]
    for table in (main, task_table(analysis, entry), *overview_tables(analysis)):
        assert NOTE in table.notes
    print_report(Console(quiet=True), analysis)
    write_report(StudyFolder(tmp_path), analysis, "nasbench-harness compare", ("markdown", "latex", "csv", "json"))
    assert NOTE in (tmp_path / "report" / "report.md").read_text()


def test_a_task_on_which_nobody_is_scored_is_named_and_left_out(made_task, analysis_of, tmp_path):
    one, two, three = (made_task(VAL, name=name) for name in ("one", "two", "three"))
    analysis = analysis_of(
        (one, {"a": ALL_FAIL, "b": SOME_FAIL}),
        (two, {"a": [0] * 12, "b": [1] * 12}),
        (three, {"a": [0] * 12, "b": ALL_FAIL}),
    )
    assert [entry.task.name for entry in analysis.tasks] == ["tiny-two", "tiny-three"]
    assert [(found.label, found.task) for found in analysis.unscored] == [
        ("a", "tiny-one"),
        ("b", "tiny-one"),
        ("b", "tiny-three"),
    ]
    for table in (task_table(analysis, analysis.tasks[0]), summary_table(analysis), pairs_table(analysis)):
        assert NOTE in table.notes
    assert NOTE in across_table(analysis).notes
    assert NOTE in study_sentences(analysis)
    assert NOTE in pair_sentences(analysis, "a", "b")
    assert analysis.mean_ranks.tolist()[0] == 1
    assert np.isnan(analysis.mean_ranks[1])
    print_report(Console(quiet=True), analysis)
    write_report(StudyFolder(tmp_path), analysis, "nasbench-harness compare", ("markdown", "latex", "csv", "json"))


def test_a_control_without_results_breaks_nothing(made_task, analysis_of, tmp_path):
    strategies = {"a": [0, 1] * 6, "b": ALL_FAIL, "c": [1, 2] * 6}
    tasks = [(made_task(VAL, name=name), strategies) for name in ("one", "two")]
    analysis = analysis_of(*tasks, options=ReportOptions(control="b", groups={"ours": ("b",)}))
    write_report(StudyFolder(tmp_path), analysis, "nasbench-harness compare", ("markdown", "latex", "csv", "json"))
    assert "p (study): none, as b is in no test." in pairs_table(analysis).title
    assert "of a column (one metric of a task), as b is in no test, alpha" in study_sentences(analysis)[0]


def test_without_any_result_there_is_no_report(made_task, analysis_of):
    with pytest.raises(RunsFailedError) as caught:
        analysis_of((made_task(VAL), {"a": [-1] * 3, "b": [0, -1, -1]}), protocol=Protocol(simulated_seconds=9.0))
    assert caught.value.messages == [
        "a on tiny-one, seeds 0-2: 3 of 3 runs ended without a result, so the strategy is not scored there: raise the "
        "budget, let the last evaluation count (overrun=count), or leave the strategy out",
        "b on tiny-one, seeds 1-2: 2 of 3 runs ended without a result, so the strategy is not scored there: raise the "
        "budget, let the last evaluation count (overrun=count), or leave the strategy out",
    ]


def test_a_frame_has_every_run(made_task, runs_of):
    runs = replace(runs_of([2, -1, 0]), row_picks=np.array([[2], [-1], [0]]))
    frame = runs_frame([("a", made_task(VAL), runs)])
    assert frame["architecture"].tolist() == [2, -1, 0]
    assert frame["key"].tolist() == ["choice2", "", "choice0"]
    np.testing.assert_array_equal(frame["val_accuracy"], [80.0, np.nan, 90.0])
    np.testing.assert_array_equal(frame["regret_pp"], [10.0, np.nan, 0.0])


def late(problem, rng):
    """Its only evaluation begins after the budget."""
    yield Proposal(problem.space.sample(rng), extra_cost_s=1e6)


@pytest.mark.thorough
def test_in_python_the_error_comes_after_the_report(tmp_path):
    with pytest.raises(RunsFailedError, match="late on nb201-cifar10, seeds 0-9: 10 of 10 runs ended without a result"):
        compare([late, "random-search"], ["nb201-cifar10"], seeds=10, simulated_seconds=2e4, out=tmp_path)
    study = open_study(tmp_path)
    assert (study.folder.report_folder / "report.md").is_file()
    assert study.frame().groupby("strategy")["regret_pp"].count().to_list() == [10, 0]
    assert cells(study.table(), study.labels[0]) == [["–", "–"]]
    with pytest.raises(InvalidInputError, match="late on nb201-cifar10 has a result: nothing can be verified"):
        prepare_verification(study, strategies=study.labels[:1])
