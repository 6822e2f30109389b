"""Numbers over tasks, random-search equivalents, and the sentences that name them."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from nasbench_harness import compare, run
from nasbench_harness.analysis.across import equivalent, normalized_regret, win_tie_loss
from nasbench_harness.cli import main
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.report.sections.pairs import pairs_table
from nasbench_harness.report.sections.sentences import pair_sentences, study_sentences
from nasbench_harness.report.sections.summary import equivalents_table, summary_table
from nasbench_harness.store.record import ReportOptions

VAL = range(50, 91)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    tasks = ["nb201-cifar10", "nb201-cifar100", "graph-cora"]
    names = ["random-search", "local-search", "regularized-evolution"]
    return compare(names, tasks, seeds=30, evaluations=60, out=tmp_path_factory.mktemp("study"))


def test_regret_is_normalized_by_the_table_alone(made_task, analysis_of):
    analysis = analysis_of((made_task(VAL), {"a": [40] * 5 + [20] * 7}))
    entry = analysis.tasks[0]
    assert sorted(normalized_regret(entry, entry.results[0])) == [0.0] * 5 + [1.0] * 7  # row 20 is the median


def test_normalized_regret_rests_on_the_feasible_rows(tmp_path):
    tasks = ["nb201-cifar10", "nb201-cifar100"]
    rules = {"seeds": 10, "evaluations": 20, "constraints": "latency_ms<=q25"}
    study = run(["random-search", "local-search"], tasks, out=tmp_path, **rules)
    for entry in study.analysis.tasks:
        view, found = entry.val.view, normalized_regret(entry, entry.results[0])
        median = np.median(load_task(entry.task.name).under(Protocol()).scores["val"].values[view.is_feasible])
        np.testing.assert_allclose(found, entry.results[0].val.regret / (view.best_value - median))
    title = summary_table(study.analysis).title
    assert "and the median of the feasible rows of the table;" in title
    assert "the best mean rank (ties are shared equally)" in title


def test_ranks_and_wins(made_task, analysis_of):
    runs = {"a": [40] * 12, "b": [39] * 6 + [38] * 6, "c": [30] * 12}
    analysis = analysis_of((made_task(VAL, name="s"), runs), (made_task(VAL, name="t"), runs | {"a": [29] * 12}))
    by_label = {entry.label: entry for entry in analysis.summaries}
    assert by_label["b"].rank == (1.5, 1.5, 1.5)
    assert [by_label[label].first for label in "abc"] == [0.0, 1.0, 0.0]
    assert [(s.wins, s.ties, s.losses) for s in analysis.summaries] == [(2, 0, 2), (3, 0, 1), (1, 0, 3)]
    wide = replace(analysis, options=ReportOptions(margin=2.0))
    assert win_tie_loss(wide, "a", "b") == (0, 1, 1)
    assert win_tie_loss(wide, "b", "a") == (1, 1, 0)


def test_equal_means_without_a_margin_are_a_tie(made_task, analysis_of):
    """Floats of these regrets have means that differ in a last bit."""
    task = made_task([10.0, 9.9, 9.8, 9.7, 9.6, 9.5, 9.4])
    metric = replace(task.scores["val"].metric, unit="ms")
    view = replace(task.scores["val"], metric=metric)
    task = replace(task, make_scores=lambda: {"val": view})
    first, second = [0, 3] * 10, [1] * 10 + [2] * 10
    analysis = analysis_of((task, {"a": first, "b": second, "c": [2] * 20}))
    means = [result.val.regret.mean() for result in analysis.tasks[0].results]
    assert means[0] != means[1]
    assert win_tie_loss(analysis, "a", "b") == (0, 1, 0)
    assert win_tie_loss(analysis, "a", "c") == (1, 0, 0)


def test_no_interval_below_ten_seeds_and_no_summary_of_one_task(made_task, analysis_of):
    runs = {"a": [3] * 9, "b": [4] * 9}
    few = analysis_of((made_task(VAL, name="s"), runs), (made_task(VAL, name="t"), runs))
    assert [(s.normalized, math.isnan(s.first)) for s in few.summaries] == [(None, True)] * 2
    assert "No intervals below 10 seeds." in summary_table(few).title
    assert "No tests below 10 seeds" in study_sentences(few)[0]
    assert summary_table(analysis_of((made_task(VAL), {"a": [3] * 12, "b": [4] * 12}))) is None


def test_sentences_of_one_run_and_of_one_pair(made_task, analysis_of):
    one = analysis_of((made_task(VAL), {"a": [3], "b": [4]}))
    assert study_sentences(one)[0].startswith("1 run of each strategy")
    pair = analysis_of((made_task(VAL), {"a": [3, 4] * 6, "b": [4] * 12}))
    assert "Holm over the 1 pair × task of the study" in study_sentences(pair)[0]


def test_sentences_about_equal_runs_claim_no_certain_interval(made_task, analysis_of):
    runs = {"a": [3] * 12, "b": [4] * 12}
    same = analysis_of((made_task(VAL, name="s"), runs), (made_task(VAL, name="t"), runs))
    (normalized,) = [line for line in study_sentences(same) if line.startswith("Normalized")]
    assert "[1." not in normalized.replace("[95 %]", "")


def test_equivalents_of_random_search_are_its_own_budget(study):
    for entry in study.analysis.tasks:
        found = equivalent(entry, entry.result("random-search"))
        assert found.low < found.estimate < found.high
        assert 25 < found.estimate < 150
        assert equivalent(entry, entry.result("local-search")).estimate > found.estimate


def test_equivalents_of_strategies_worse_than_one_draw_have_no_floor(made_task, analysis_of):
    rng = np.random.default_rng(0)
    runs = {"worst": [0] * 12, "nearly": [0] * 10 + [1] * 2, "drawn": rng.permutation(41)}
    analysis = analysis_of((made_task(VAL), runs))
    assert [cell.text for cell in equivalents_table(analysis).rows[0].cells[1:]] == ["< 1", "< 1", "1 [< 1, 1]"]
    assert '"< 1": worse than a single random evaluation.' in equivalents_table(analysis).title
    assert "mean regret as worst [95 %]: < 1 on One." in study_sentences(analysis)[-3]


def test_equivalents_of_runs_at_the_optimum_have_a_lower_end(made_task, analysis_of):
    analysis = analysis_of((made_task(VAL), {"solved": [40] * 12, "nearly": [40] * 11 + [39]}))
    entry, table = analysis.tasks[0], equivalents_table(analysis)
    found = equivalent(entry, entry.result("solved"))
    assert (40 / 41) ** found.low == pytest.approx(1 - 0.025 ** (1 / 12))  # one of 41 rows is the optimum
    assert [cell.text for cell in table.rows[0].cells[1:]] == ["∞ [54, ∞]", "104 [63, ∞]"]
    assert "∞: only more and more random evaluations approach a mean regret of 0." in table.title
    assert "Lower end if all runs are at the optimum" in table.title
    assert "noise" not in table.title


def test_other_strategies_change_no_summary(study, tmp_path):
    """But for ranks and wins, which are about the others."""
    names = ["regularized-evolution", "random-search"]
    fewer = run(names, study.record.tasks, seeds=30, evaluations=60, out=tmp_path).analysis
    there = {entry.label: entry for entry in study.analysis.summaries}
    for entry in fewer.summaries:
        assert entry.normalized == there[entry.label].normalized
        assert float(entry.normalized.low) <= float(entry.normalized.point) <= float(entry.normalized.high)


def test_sentences_say_what_the_pairs_hold(study):
    sentences = study_sentences(study.analysis)
    (counted,) = [line for line in sentences if "local-search is better than random-search" in line]
    pairs = [pair for entry in study.analysis.tasks for pair in entry.comparison.pairs]
    pairs = [pair for pair in pairs if {pair.first, pair.second} == {"random-search", "local-search"}]
    wins = sum(pair.p_study <= 0.05 and pair.favors("local-search", "mean") for pair in pairs)
    assert f"on {wins} of 3 tasks" in counted
    details = pair_sentences(study.analysis, "local-search", "random-search", margin=50.0)
    (line,) = [line for line in details if line.startswith("On CIFAR-100")]
    (pair,) = [pair for pair in study.analysis.tasks[1].comparison.pairs if pair in pairs]
    numbers = re.search(r"by (\d+\.\d\d) pp \[(-?\d+\.\d\d), (-?\d+\.\d\d)\], p", line)
    sign = 1 if pair.second == "local-search" else -1
    ends = sorted((sign * pair.low, sign * pair.high))
    assert [float(number) for number in numbers.groups()] == [round(x, 2) for x in (abs(pair.difference), *ends)]
    assert "equivalent within 50 pp (two one-sided Welch tests, p < .001, uncorrected)" in line


def test_undecided_pairs_name_the_seeds_they_need(made_task, analysis_of):
    rng = np.random.default_rng(0)
    analysis = analysis_of((made_task(VAL), {"a": rng.integers(0, 41, 20), "b": rng.integers(0, 41, 20)}))
    line = pair_sentences(analysis, "a", "b", margin=0.1)[2]
    assert "are undecided" in line
    assert f"{analysis.tasks[0].comparison.pairs[0].num_seeds:,} seeds of each would find 0.05 pp with" in line
    assert "with power 0.8 at the uncorrected level 0.05;" in line
    assert "not shown to be equivalent within 0.1 pp" in line


def test_each_p_in_a_sentence_names_its_test_and_its_family(made_task, analysis_of):
    """Also for a pair without the control, which the family of its task decides."""
    rng = np.random.default_rng(0)
    runs = {label: rng.integers(0, 41, 60) for label in "abc"} | {"same": np.full(60, 3), "also": np.full(60, 4)}
    tasks = [(made_task(VAL, name=f"t{index}"), runs) for index in range(6)]

    def p_of(first, second, **options):
        lines = pair_sentences(analysis_of(*tasks, options=ReportOptions(**options)), first, second, margin=0.1)
        found = [re.findall(r"p [=<] [.\d]+,? ?(\(.*?\)|[a-z]*)", line) for line in lines if ", p" in line]
        assert found[1] == found[-1]  # every task says the same
        return found[0][0], found[1][0], "Holm over the pairs of each task" in lines[1]

    over_pairs = "(signed-rank test, Holm over the 10 pairs)"
    assert p_of("a", "b") == (over_pairs, "(Welch's t-test, Holm over the 60 pairs × tasks)", False)
    larger = "(larger p of Welch and Mann–Whitney, Holm over the 60 pairs × tasks)"
    assert p_of("a", "same") == (over_pairs, larger, False)
    assert p_of("also", "same")[1] == "(exact permutation test, Holm over the 60 pairs × tasks)"
    assert p_of("a", "b", estimand="stochastic")[1] == "(Brunner–Munzel test, Holm over the 60 pairs × tasks)"
    exact = "(exact Mann–Whitney test, Holm over the 60 pairs × tasks)"
    assert p_of("also", "same", estimand="stochastic")[1] == exact
    with_control = "(signed-rank test, Holm over the 4 pairs)"
    of_control = "(Welch's t-test, Holm over the 24 comparisons with c)"
    assert p_of("a", "c", control="c") == (with_control, of_control, False)
    lines = pair_sentences(analysis_of(*tasks, options=ReportOptions(control="c")), "a", "b")
    assert lines[1] == "a and b do not differ significantly on any of 6 tasks (Holm over the pairs of each task)."
    assert "(Welch's t-test, Holm over the 10 pairs of the task)" in lines[2]


def test_a_verdict_over_tasks_stands_beside_undecided_tasks(made_task, analysis_of):
    """Small differences in one direction decide over the tasks although no task decides."""
    rng = np.random.default_rng(1)
    base = rng.integers(5, 35, 20)
    tasks = [(made_task(VAL, name=f"t{n}"), {"a": base, "b": base + (np.arange(20) <= n)}) for n in range(7)]
    line = study_sentences(analysis_of(*tasks))[3]
    assert line.startswith(
        "a and b do not differ significantly on any of 7 tasks; over the tasks b is better, p = .016 ("
    )
    assert line.endswith("(signed-rank test, uncorrected, the only test).")
    clear = [(task, {"a": base, "b": base // 8 + 34}) for task, _ in tasks]
    assert study_sentences(analysis_of(*clear))[3].startswith(
        "b is better than a on 7 of 7 tasks; also over the tasks, p ="
    )


@pytest.mark.parametrize(
    ("estimand", "words"),
    [("mean", "means"), ("interval", "interquartile means"), ("stochastic", "chances to be the better one")],
)
def test_equal_strategies_without_tests_are_not_ahead(made_task, analysis_of, estimand, words):
    options = ReportOptions(estimand=estimand)
    lines = pair_sentences(analysis_of((made_task(VAL), {"a": [3] * 3, "b": [3] * 3}), options=options), "a", "b")
    assert lines[1] == f"On One (tiny-one) a and b have equal {words}, not tested."
    lines = pair_sentences(analysis_of((made_task(VAL), {"a": [3] * 3, "b": [4] * 3}), options=options), "a", "b")
    assert lines[1].startswith("On One (tiny-one) b is ahead of a by ")


def test_the_tie_of_wins_and_the_seeds_of_pairs_have_a_margin_in_percent_only(made_task, analysis_of):
    runs = {"a": [1, 2, 3] * 4, "b": [2, 3, 4] * 4}
    in_ms, in_percent = made_task(VAL, name="ms"), made_task(VAL, name="percent")
    metric = replace(in_ms.scores["val"].metric, unit="ms", direction="minimize")
    in_ms.scores["val"] = replace(in_ms.scores["val"], metric=metric)
    for tasks, tie, has_seeds in (
        ([in_percent, in_percent], "tie: means within 0.05 pp.", True),
        ([in_ms, in_ms], "tie: equal means.", False),
        ([in_percent, in_ms], "tie: means within 0.05 pp on tasks in percent, equal means on others.", True),
    ):
        analysis = analysis_of(*((task, runs) for task in tasks))
        assert tie in summary_table(analysis).caption
        pairs = pairs_table(analysis)
        assert ("seeds" in [column.key for column in pairs.columns]) is has_seeds
        assert ("Seeds for 0.05 pp" in pairs.caption) is has_seeds
        assert {len(row.cells) for row in pairs.rows} == {len(pairs.columns)}


def test_equivalence_without_a_variance_and_of_interquartile_means_is_not_tested(made_task, analysis_of):
    pair = (made_task(VAL), {"a": [3] * 12, "b": [4] * 12})
    (line,) = [line for line in pair_sentences(analysis_of(pair), "a", "b", margin=2.0) if line.startswith("On One")]
    assert line.endswith("; equivalence is not tested, as all runs of each strategy are equal.")
    spread = (made_task(VAL), {"a": [3, 4] * 6, "b": [4] * 12})
    assert "two one-sided Welch tests" in pair_sentences(analysis_of(spread), "a", "b", margin=2.0)[2]
    intervals = analysis_of(spread, options=ReportOptions(estimand="interval"))
    (line,) = [line for line in pair_sentences(intervals, "a", "b", margin=2.0) if line.startswith("On One")]
    assert line.endswith(", not tested; equivalence is not tested.")


def test_wrong_labels_are_refused(study):
    with pytest.raises(UnknownNameError, match="local"):
        pair_sentences(study.analysis, "local", "random-search")
    with pytest.raises(InvalidInputError, match="cannot be compared with itself"):
        pair_sentences(study.analysis, "local-search", "local-search")
    with pytest.raises(InvalidInputError, match="must be a number above 0"):
        pair_sentences(study.analysis, "local-search", "random-search", margin=-1.0)


def test_the_verb_prints_the_sentences(study):
    runner = CliRunner()
    plain = runner.invoke(main, ["stats", str(study.path)])
    assert plain.output.splitlines() == study.sentences()
    found = json.loads(runner.invoke(main, ["stats", str(study.path), "--json"]).output)
    assert found["sentences"] == study.sentences()
    for arguments, message in (
        (["--compare", "a"], "needs two labels"),
        (["--margin", "1"], "belongs to --compare"),
    ):
        result = runner.invoke(main, ["stats", str(study.path), *arguments])
        assert result.exit_code == 2
        assert message in result.output


def test_tables(study):
    table = summary_table(study.analysis)
    assert [column.key for column in table.columns] == [
        "strategy",
        "normalized_regret",
        "rank",
        "first",
        "wins",
        "ties",
        "losses",
    ]
    assert "< 1" not in equivalents_table(study.analysis).title
    rows = equivalents_table(study.analysis).rows
    assert [row.cells[0].text for row in rows] == ["CIFAR-10", "CIFAR-100", "Cora"]
    assert set(rows[0].cells[1].numbers) == {"estimate", "low", "high"}
