"""Sentences under tables say only what the table and its tests hold."""

from dataclasses import replace

import numpy as np
import pytest

from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.report.captions import summary_text
from nasbench_harness.report.files import write_report
from nasbench_harness.report.render.text import to_json, to_markdown
from nasbench_harness.report.sections.anytime import anytime_figure
from nasbench_harness.report.sections.checklist import checklist
from nasbench_harness.report.sections.main import main_table, main_tables
from nasbench_harness.report.sections.overview import overview_tables
from nasbench_harness.report.sections.pairs import across_table, pairs_table
from nasbench_harness.report.sections.sentences import pair_sentences, study_sentences
from nasbench_harness.report.sections.summary import equivalents_table
from nasbench_harness.report.sections.task import task_table
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.store.record import ReportOptions

NUM = 40
VAL = 50 + np.arange(NUM) / 2
TEST = 90 - np.arange(NUM) / 2


def picks(seed, low, high, num_runs=20):
    return np.random.default_rng(seed).integers(low, high, num_runs)


def caption_of(analysis, position=0):
    return task_table(analysis, analysis.tasks[position]).caption


def test_interquartile_means_are_compared_without_any_test(made_task, analysis_of, tmp_path):
    tasks = [(made_task(VAL, TEST, name=f"t{index}"), {"a": [39] * 20, "b": [*[30] * 19, 0]}) for index in range(6)]
    analysis = analysis_of(*tasks, options=ReportOptions(estimand="interval"))
    table = pairs_table(analysis)
    for row in to_json(table)["rows"]:
        assert [row[key] for key in ("p", "p_column", "p_study", "seeds", "test_p")] == [None] * 5
        assert row["difference"] == pytest.approx(-4.5)  # of the interquartile means; of the means it is −5.25
    assert "Welch" not in table.caption
    assert "interquartile means are not tested" in table.caption
    folder = StudyFolder(tmp_path)
    assert "across.csv" not in write_report(folder, analysis, "nasbench-harness compare", ("csv", "markdown"))
    assert "Welch" not in (folder.report_folder / "report.md").read_text()


def test_the_tests_that_ran_are_named(made_task, analysis_of):
    task = made_task(VAL)
    plain, constant = {"a": picks(0, 0, 40), "b": picks(1, 0, 40)}, {"a": [30] * 20, "b": picks(1, 0, 40)}
    assert "(Welch's t-test on final regrets" in caption_of(analysis_of((task, plain)))
    assert "the larger p of it and the Mann–Whitney test if" in caption_of(analysis_of((task, constant)))
    few, many = (
        analysis_of(
            (task, {"a": picks(0, 0, 40, num_runs), "b": picks(1, 0, 40, num_runs)}),
            options=ReportOptions(estimand="stochastic"),
        )
        for num_runs in (50, 51)
    )
    assert "(exact Mann–Whitney test on final regrets" in caption_of(few)
    assert "(Brunner–Munzel test with the t distribution (exact" in caption_of(many)
    for analysis in (few, many):
        assert ",," not in pairs_table(analysis).caption


def test_a_printed_tie_that_is_significantly_worse_says_so(made_task, analysis_of):
    values, options = [60.4, 60.1, 95.0], ReportOptions(decimals=0)
    analysis = analysis_of((made_task(values), {"a": [0, 1] * 10, "b": [1, 0] * 10}), options=options)
    assert main_table(analysis).notes == ()  # nothing tells these two apart
    analysis = analysis_of((made_task(values), {"a": [0] * 19 + [1], "b": [1] * 20}), options=options)
    (main,) = main_tables(analysis)
    bold = {row.cells[0].text: row.cells[2].is_bold for row in main.rows}
    assert bold["a"]
    assert bold["b"]
    assert main.notes == ("tiny-one, val accuracy: b prints the best number and is significantly worse (p < .001).",)


def test_nobody_is_significantly_worse_without_a_test(made_task, analysis_of, runs_of):
    """A few runs may print the best number too, and their p is no number."""
    runs = {"a": runs_of([1] * 20), "b": runs_of([2] * 20), "few": runs_of([0] * 5)}
    for labels in (["a", "b", "few"], ["few", "b", "a"]):
        strategies = {label: runs[label] for label in labels}
        analysis = analysis_of((made_task([60.1, 60.4, 50, 95]), strategies), options=ReportOptions(decimals=0))
        (main,) = main_tables(analysis)
        assert {row.cells[0].text for row in main.rows if row.cells[2].is_bold} == {"a", "few"}
        assert main.notes == ()


def test_one_task_has_no_mean_rank(made_task, analysis_of):
    strategies = {"a": picks(0, 0, 40), "b": picks(1, 0, 40)}
    one = analysis_of((made_task(VAL), strategies))
    assert "rank" not in to_markdown(main_table(one))
    two = analysis_of(*((made_task(VAL, name=name), strategies) for name in ("t0", "t1")))
    assert "Mean rank: of the mean regret, over 2 tasks." in main_table(two).caption


def test_a_trace_that_is_on_some_tasks_only(made_task, analysis_of):
    strategies = {"a": picks(0, 0, 40), "b": picks(1, 0, 40)}
    tasks = [(made_task(VAL, name=f"t{index}", cost_s=[1.0] * NUM), dict(strategies)) for index in range(6)]
    tasks[5][1]["trace"] = picks(2, 0, 40)
    analysis = analysis_of(*tasks, replayed=("trace",))
    first, last = main_tables(analysis)
    assert "trace" not in to_markdown(first)
    assert "replayed under this protocol: trace." in last.caption
    assert "over 6 tasks, among the strategies that ran on all of them." in last.caption
    figure = anytime_figure(analysis)
    assert {line.get_drawstyle() for panel in figure.axes for line in panel.lines} == {"steps-post"}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["random search, exact", "a", "b", "trace"]
    by_couple = {(row["first"], row["second"]): row["p_tasks"] for row in to_json(across_table(analysis))["rows"]}
    assert by_couple["a", "b"] is not None
    assert by_couple["a", "trace"] is None
    assert "It needs 10 seeds of both strategies on every task." in across_table(analysis).caption


def test_few_seeds_beside_many(made_task, analysis_of, tmp_path):
    """What a caption says about intervals, bands and marks holds for each strategy, not for the study's number."""
    analysis = analysis_of((made_task(VAL), {"own": picks(0, 0, 40, 3), "long": picks(1, 0, 40, 30)}))
    assert "none below 10 seeds" in caption_of(analysis)
    folder = StudyFolder(tmp_path)
    write_report(folder, analysis, "nasbench-harness compare", ("markdown",))
    assert "Below 10 seeds a line is the mean, without a band." in (folder.report_folder / "report.md").read_text()


def test_numbers_of_runs_that_differ_are_a_range(made_task, analysis_of):
    analysis = analysis_of((made_task(VAL), {"own": picks(0, 0, 40, 30), "external": picks(1, 0, 40, 12)}))
    assert "over N = 12–30 seeds" in caption_of(analysis)
    assert "of 12–30 runs, 1 evaluation." in summary_text(analysis, analysis.tasks)
    assert study_sentences(analysis)[0].startswith("12–30 runs of each strategy on each task")
    reasons = {item: (is_met, reason) for item, is_met, reason in checklist(analysis)}
    assert reasons["Several runs (at least 30)"] == (False, "12–30 runs of each strategy on each task")


def test_a_control_without_tests_has_no_family(made_task, analysis_of, tmp_path):
    strategies = {"few": picks(0, 0, 40, 5), "a": picks(1, 0, 40), "b": picks(2, 0, 40)}
    tasks = [(made_task(VAL, name=f"t{index}"), strategies) for index in range(2)]
    analysis = analysis_of(*tasks, options=ReportOptions(control="few"))
    assert "across.csv" not in write_report(StudyFolder(tmp_path), analysis, "nasbench-harness compare", ("csv",))
    assert "Sentences and counts over tasks" not in overview_tables(analysis)[0].caption


def test_a_control_without_tests_leaves_no_p_of_the_study(made_task, analysis_of):
    strategies = {"few": picks(0, 0, 40, 5), "a": picks(1, 0, 20), "b": picks(2, 20, 40)}
    analysis = analysis_of((made_task(VAL), strategies), options=ReportOptions(control="few"))
    table = pairs_table(analysis)
    assert {row["p_study"] for row in to_json(table)["rows"]} == {None}
    assert "p (study): none, as few is in no test." in table.caption
    lines = pair_sentences(analysis, "a", "b")
    assert (
        "Welch's t-test, two-sided, Holm over the 1 pair of a column (one metric of a task), as few is in" in lines[0]
    )
    assert "p < .001 (Welch's t-test, uncorrected, the only test)" in lines[2]
    many = {**strategies, "c": picks(3, 0, 40)}
    lines = pair_sentences(analysis_of((made_task(VAL), many), options=ReportOptions(control="few")), "a", "b")
    assert "(Welch's t-test, Holm over the 3 pairs of the task)" in lines[2]


@pytest.mark.parametrize(
    ("options", "runs", "words"),
    [
        ({}, {"a": [3], "b": [4]}, "The result of 1 run, 1 evaluation. Bold: best. N = 1: no tests below 10 seeds."),
        ({}, {"a": [3] * 6}, "Mean ± std of 6 runs, 1 evaluation."),
        (
            {},
            {"a": [39] * 12},
            "12 runs, 1 evaluation. = opt: every run at the optimum; nothing is bold in that column.",
        ),
        ({"estimand": "stochastic"}, {"a": range(9), "b": range(9)}, "Median [quartiles] (mean A12 against the other"),
        ({"estimand": "stochastic"}, {"a": range(9)}, "Median [quartiles] of 9 runs, 1 evaluation."),
        (
            {"estimand": "interval"},
            {"a": range(9), "b": range(9)},
            "Interquartile mean of 9 runs, 1 evaluation. Bold: best.",
        ),
        ({"estimand": "interval"}, {"a": range(20)}, "Interquartile mean [95 % interval] of 20 runs, 1 evaluation."),
        ({"estimand": "interval"}, {"a": [3] * 20}, '1 evaluation. "(≤ b % other)" if an interval has no width: up to'),
    ],
)
def test_short_captions_explain_their_cells(made_task, analysis_of, options, runs, words):
    analysis = analysis_of((made_task(VAL), runs), options=ReportOptions(**options))
    (table,) = main_tables(analysis)
    assert words in table.summary


def test_a_bound_in_place_of_an_interval_is_explained(made_task, analysis_of):
    nearly = {"nearly": [39] * 35 + [20] * 5, "other": picks(0, 0, 40, 40)}
    analysis = analysis_of((made_task(VAL), nearly))
    assert '"(≤ b % other)" if an interval has no width: up to' in caption_of(analysis)
    assert "if an interval has no width" in task_table(analysis, analysis.tasks[0]).summary
    assert "if an interval has no width" not in main_table(analysis).summary
    spread = {"a": picks(1, 0, 40), "b": picks(0, 0, 40)}
    assert "other)" not in caption_of(analysis_of((made_task(VAL), spread)))


def test_scores_that_are_no_accuracy_are_named(made_task, analysis_of):
    strategies = {"a": picks(0, 0, 40), "b": picks(1, 0, 40)}
    task = made_task(VAL)
    assert "ROC-AUC" not in caption_of(analysis_of((task, strategies)))
    object.__setattr__(task.task, "title", "Nodes (ROC-AUC)")
    assert "Accuracy on Nodes is ROC-AUC." in caption_of(analysis_of((task, strategies)))


@pytest.mark.parametrize(
    ("protocol", "budget"),
    [
        (Protocol(1_000), "1,000 evaluations"),
        (Protocol(None, simulated_seconds=100_000), "100,000 simulated seconds (overrun discarded)"),
    ],
)
def test_a_budget_above_a_thousand_stands_whole_in_a_summary(made_task, analysis_of, protocol, budget):
    analysis = replace(analysis_of((made_task(VAL), {"a": picks(0, 0, 40), "b": picks(1, 0, 40)})), protocol=protocol)
    assert f"of 20 runs, {budget}. Bold" in summary_text(analysis, analysis.tasks)
    assert f"after {budget}. The expectation" in equivalents_table(analysis).caption


def test_one_seed_has_no_mean(made_task, analysis_of):
    caption = caption_of(analysis_of((made_task(VAL), {"a": [3], "b": [4]})))
    assert "The result of N = 1 seed after 1 evaluation," in caption
    assert "±" not in caption.split(" after ")[0]


def test_the_caption_of_pairs_says_what_is_corrected(made_task, analysis_of):
    runs = {"a": range(12), "b": range(5, 17), "c": range(9, 21)}
    caption = pairs_table(analysis_of((made_task(VAL), runs), (made_task(VAL, name="two"), runs))).caption
    assert "interval of the difference, not corrected. p: Welch's t-test, two-sided, not corrected." in caption
    assert "p (column): p after Holm over the 3 pairs of a column" in caption
    assert "p (study): p after Holm over the 6 pairs × tasks of the study." in caption
    assert "at the uncorrected level 0.05" in caption
