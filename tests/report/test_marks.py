"""Bold, marks and the sentences about them, on tables made by hand."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from kit.cases import fast_first
from scipy import stats

from nasbench_harness.analysis.comparison import compare_column
from nasbench_harness.analysis.runs import Runs
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.report.cells import mean_std
from nasbench_harness.report.files import write_report
from nasbench_harness.report.render.latex import to_latex
from nasbench_harness.report.render.text import to_csv, to_json, to_markdown
from nasbench_harness.report.sections.main import main_table, main_tables
from nasbench_harness.report.sections.overview import overview_tables
from nasbench_harness.report.sections.pairs import across_table, pairs_table
from nasbench_harness.report.sections.task import task_table
from nasbench_harness.store.folder import StudyFolder
from nasbench_harness.store.record import Quoted, ReportOptions, StudyRecord
from nasbench_harness.store.study_file import read_study_file

NUM = 40  # architectures; validation grows with the index, test falls
VAL = 50 + np.arange(NUM) / 2
TEST = 90 - np.arange(NUM) / 2


@pytest.fixture
def task(made_task):
    return made_task(VAL, TEST)


def picks(seed, low, high, num_runs=20):
    return np.random.default_rng(seed).integers(low, high, num_runs)


def cells(table, key):
    (position,) = [index for index, column in enumerate(table.columns) if column.key == key]
    return {row.cells[0].text: row.cells[position] for row in table.rows}


def rows_of(table):
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def test_validation_and_test_have_bold_and_marks_of_their_own(task, analysis_of):
    strategies = {"high": picks(0, 25, 40), "low": picks(1, 0, 15), "near": picks(2, 24, 39)}
    analysis = analysis_of((task, strategies))
    (main,) = main_tables(analysis)
    val, test = cells(main, "tiny-one_val_accuracy"), cells(main, "tiny-one_test_accuracy")
    assert [label for label in strategies if val[label].is_bold] == ["high"]
    assert [label for label in strategies if test[label].is_bold] == ["low"]
    assert [label for label in strategies if val[label].is_marked] == ["high", "near"]
    assert [label for label in strategies if test[label].is_marked] == ["low"]
    for column in (val, test):
        for name, cell in column.items():
            assert name in strategies or not (cell.is_bold or cell.is_marked), name
    note = "tiny-one: high, best by validation, is worse on test than low (p < .001)."
    for table in (main, task_table(analysis, analysis.tasks[0]), overview_tables(analysis)[0]):
        assert table.notes == (note,)
        assert to_markdown(table).endswith(f"\n\n{note}\n")
        assert note.replace("<", "$<$") in to_latex(table)
        assert to_json(table)["notes"] == [note]


def test_the_line_about_test_uses_the_family_of_the_study(made_task, analysis_of):
    # By test "near" is better than "high" with a p that survives Holm over one pair, but not over the twelve tasks'.
    high, near = np.repeat([30, 31], 10), np.repeat([29, 30, 31], [6, 8, 6])
    (alone,) = analysis_of((made_task(VAL, TEST), {"high": high, "near": near})).tasks
    (pair,) = alone.score("test").comparison.pairs
    assert 0.05 / 12 < pair.p_column <= 0.05
    many = [(made_task(VAL, TEST, name=f"t{index}"), {"high": high, "near": near}) for index in range(12)]
    for tasks, num_lines in ((many[:1], 1), (many, 0)):
        assert len(overview_tables(analysis_of(*tasks))[0].notes) == num_lines


def test_no_line_where_the_winner_is_not_worse_on_test(task, analysis_of):
    analysis = analysis_of((task, {"a": picks(0, 20, 40), "b": picks(1, 20, 38)}))
    assert main_table(analysis).notes == ()


@pytest.mark.parametrize("num_runs", [3, 9])
def test_below_ten_seeds_bold_stands_alone(task, analysis_of, num_runs):
    analysis = analysis_of((task, {"a": [30] * num_runs, "b": [1] * num_runs}))
    table = task_table(analysis, analysis.tasks[0])
    column = cells(table, "val_accuracy")
    assert (column["a"].is_bold, column["b"].is_bold) == (True, False)
    assert not any(cell.is_marked for row in table.rows for cell in row.cells)
    assert "†" not in to_markdown(table)
    assert f"N = {num_runs}: no tests below 10 seeds." in table.caption
    for word in ("Welch", "Holm", "Mann"):
        assert word not in table.caption
    assert {row["p"] for row in rows_of(pairs_table(analysis))} == {""}
    assert table.notes == ()


def test_from_ten_seeds_on_there_are_tests(task, analysis_of):
    analysis = analysis_of((task, {"a": picks(0, 30, 40, 10), "b": picks(1, 0, 9, 10)}))
    assert "Welch" in main_table(analysis).caption
    assert "no tests" not in main_table(analysis).caption


def test_one_strategy_has_no_marks_and_no_word_about_tests(task, analysis_of):
    quoted = [Quoted("DARTS", "tiny-one", "val_accuracy", 60.0, "A paper")]
    for size in (5, 30):
        table = main_table(analysis_of((task, {"a": picks(0, 0, 40, size)}), quoted=quoted))
        assert not any(cell.is_marked or cell.is_bold for row in table.rows for cell in row.cells)
        for word in ("†", "Bold", "Welch", "Holm", "no tests"):
            assert word not in table.caption, word


def test_a_few_runs_of_one_strategy_leave_the_others_tested(task, analysis_of, runs_of):
    strategies = {"a": runs_of(picks(0, 30, 39)), "b": runs_of(picks(1, 29, 39)), "few": runs_of([1] * 6)}
    table = main_table(analysis_of((task, strategies)))
    val = cells(table, "tiny-one_val_accuracy")
    assert [label for label in strategies if val[label].is_marked] == ["a", "b"]
    assert "N = 6 (few): no tests below 10 seeds, and no † in a column whose best is not tested." in table.caption
    best = main_table(analysis_of((task, strategies | {"few": runs_of([39] * 5 + [38])})))
    assert not any(cell.is_marked for cell in cells(best, "tiny-one_val_accuracy").values())  # nothing to compare with
    assert cells(best, "tiny-one_val_accuracy")["few"].is_bold


def test_nothing_is_bold_beside_a_solved_column(task, analysis_of):
    near = [39] * 199 + [38]  # prints the same mean
    analysis = analysis_of((task, {"solved": [39] * 200, "near": near, "far": picks(0, 0, 20, 200)}))
    for table in (main_table(analysis), task_table(analysis, analysis.tasks[0]), *overview_tables(analysis)):
        shown = to_markdown(table)
        assert "= opt" in shown
    column = cells(main_table(analysis), "tiny-one_val_accuracy")
    assert (column["solved"].text, column["near"].text) == ("= opt", "69.50 ± 0.04")
    assert not any(cell.is_bold for cell in column.values())
    assert (column["near"].is_marked, column["far"].is_marked) == (True, False)
    assert "= opt: every run at the optimum; nothing is bold in that column." in main_table(analysis).caption


def test_a_strategy_without_spread_is_compared_with_care(task, analysis_of):
    """Welch's p is tiny beside a constant sample, the exact Mann-Whitney test has the last word."""
    analysis = analysis_of((task, {"constant": [30] * 20, "other": [*[30] * 16, 29, 28, 28, 27]}))
    (pair,) = analysis.tasks[0].comparison.pairs
    first, second = np.zeros(20), np.array([*[0] * 16, 1, 2, 2, 3])
    exact = stats.permutation_test(
        (first, second),
        lambda x, y, axis: np.abs(stats.rankdata(np.concatenate([x, y], axis=axis), axis=axis)[..., :20].sum(-1) - 410),
        n_resamples=20_000,
        alternative="greater",
        vectorized=True,
        rng=0,
    ).pvalue
    assert pair.p == pytest.approx(exact, abs=0.01)
    assert pair.p > stats.ttest_ind(first, second, equal_var=False).pvalue
    caption = main_table(analysis).caption
    assert (
        "All 20 runs of constant on One ended equal; a share of up to 16.8 % of other outcomes is compatible" in caption
    )


def test_two_constant_strategies(task, analysis_of):
    analysis = analysis_of((task, {"a": [30] * 20, "b": [29] * 20, "c": [29] * 20}))
    p = {(pair.first, pair.second): pair.p for pair in analysis.tasks[0].comparison.pairs}
    assert p["b", "c"] == 1
    assert p["a", "b"] == p["a", "c"] == pytest.approx(2 / 137_846_528_820)
    assert cells(main_table(analysis), "tiny-one_val_accuracy")["b"].text == "64.50 ± 0.00"
    assert "64.50 $\\pm$ 0.00" in to_latex(main_table(analysis))


def test_stochastic_decides_by_a12(task, analysis_of):
    """The best mean and the best A12 are different strategies: bold, cell and mark follow A12."""
    steady, daring = [25] * 60, [30] * 40 + [0] * 20
    options = ReportOptions(estimand="stochastic")
    mean = main_table(analysis_of((task, {"steady": steady, "daring": daring})))
    assert cells(mean, "tiny-one_val_accuracy")["steady"].is_bold
    analysis = analysis_of((task, {"steady": steady, "daring": daring}), options=options)
    table = main_table(analysis)
    column = cells(table, "tiny-one_val_accuracy")
    assert (column["steady"].is_bold, column["daring"].is_bold) == (False, True)
    assert column["daring"].text == "65.00 [50.00, 65.00] (0.67)"
    assert column["daring"].numbers == {"median": 65.0, "q25": 50.0, "q75": 65.0, "a12": pytest.approx(2 / 3)}
    (pair,) = analysis.tasks[0].comparison.pairs
    assert pair.p == pytest.approx(stats.brunnermunzel(steady, daring).pvalue)
    assert not column["steady"].is_marked
    for fact in ("Median [quartiles] (mean A12", "largest mean A12", "Brunner–Munzel"):
        assert fact in table.caption
    assert pair.num_seeds is None


def test_a_strategy_that_beats_the_best_keeps_its_mark(task, analysis_of):
    """Rock, paper, scissors: the largest mean A12 is beaten by another strategy, which is not worse."""
    runs = {"best": [20] * 1000, "beats it": [21] * 560 + [5] * 440, "weak": [19] * 1000, "poor": [18] * 1000}
    analysis = analysis_of((task, runs), options=ReportOptions(estimand="stochastic"))
    comparison = analysis.tasks[0].comparison
    assert comparison.best == ("best",)
    (pair,) = [pair for pair in comparison.pairs if {pair.first, pair.second} == {"best", "beats it"}]
    assert pair.favors("beats it", "stochastic")
    assert pair.p_column <= 0.05
    assert comparison.marked == ("best", "beats it")


def test_interval_cells_are_bold_by_what_they_show(task, analysis_of):
    """The best interquartile mean is not the best mean."""
    runs = {"typical": [30] * 24 + [0] * 6, "mean": [26, 27, 28] * 10}
    analysis = analysis_of((task, runs), options=ReportOptions(estimand="interval"))
    table = main_table(analysis)
    val = cells(table, "tiny-one_val_accuracy")
    assert (val["typical"].is_bold, val["mean"].is_bold) == (True, False)
    assert not any(cell.is_marked for row in table.rows for cell in row.cells)
    result = analysis.tasks[0].result("mean")
    assert val["mean"].numbers == {
        "point": pytest.approx(69.5 - float(result.val.iqm.point)),
        "low": pytest.approx(69.5 - float(result.val.iqm.high)),
        "high": pytest.approx(69.5 - float(result.val.iqm.low)),
    }
    assert cells(table, "tiny-one_test_accuracy")["mean"].is_bold
    for fact in ("Interquartile mean [95 % interval] over N = 30", "no marks, as interquartile means are not tested"):
        assert fact in table.caption
    for word in ("†", "Welch", "Holm"):
        assert word not in table.caption
    few = main_table(analysis_of((task, {"a": [3] * 5, "b": [4] * 5}), options=ReportOptions(estimand="interval")))
    assert cells(few, "tiny-one_val_accuracy")["b"].text == "52.00"
    assert "Interquartile mean over N = 5" in few.caption


@pytest.mark.parametrize(("num_runs", "bound"), [(20, "16.8"), (200, "1.8")])
def test_an_interval_without_width_is_a_bound(task, analysis_of, num_runs, bound):
    analysis = analysis_of((task, {"solved": [39] * num_runs, "other": [38, 20] * (num_runs // 2)}))
    column = cells(task_table(analysis, analysis.tasks[0]), "regret_iqm")
    assert column["solved"].text == f"0.00 (≤ {bound} % other)"
    assert column["solved"].numbers["other_high"] == pytest.approx(1 - 0.025 ** (1 / num_runs))
    assert "[" in column["other"].text


def test_an_interval_whose_ends_are_equal_is_a_bound_too(task, analysis_of):
    analysis = analysis_of((task, {"nearly": [39] * 35 + [20] * 5, "other": [38, 20] * 20}))
    cell = cells(task_table(analysis, analysis.tasks[0]), "regret_iqm")["nearly"]
    assert cell.text == "0.00 (≤ 26.1 % other)"


def test_equal_strategies_have_equal_ranks_in_any_order(made_task, analysis_of):
    same, others = picks(0, 10, 40, 21), {"c": picks(1, 5, 38, 23), "d": picks(2, 0, 37, 26)}
    options = {"estimand": "stochastic"}
    for labels in (["a", "b", "c", "d"], ["a", "c", "d", "b"], ["d", "b", "c", "a"]):
        runs = {label: others.get(label, same) for label in labels}
        analysis = analysis_of((made_task(VAL), runs), options=ReportOptions(**options))
        ranks = dict(zip(labels, analysis.mean_ranks, strict=True))
        assert ranks["a"] == ranks["b"], labels


def test_a_trace_that_has_other_seeds_on_some_tasks_says_so(made_task, analysis_of):
    tasks = [
        (made_task(VAL, name=f"t{index}"), {"own": picks(index, 0, 40, 40), "mine": picks(9, 0, 40, num_runs)})
        for index, num_runs in enumerate((12, 40))
    ]
    (main,) = main_tables(analysis_of(*tasks, replayed=("mine",)))
    assert [cells(main, "seeds")[label].text for label in ("own", "mine")] == ["40", "12–40"]
    assert "replayed under this protocol: mine (12 or 40 seeds)." in main.caption


def test_captions_name_only_rows_and_intervals_that_a_table_has(task, analysis_of):
    quoted = (Quoted("DARTS", task.name, "val_accuracy", 54.3, "a paper"),)
    analysis = analysis_of((task, {"a": picks(0, 0, 40), "b": picks(1, 0, 40)}), quoted=quoted)
    overview, main, detail = (
        overview_tables(analysis)[0].caption,
        main_table(analysis).caption,
        task_table(analysis, analysis.tasks[0]).caption,
    )
    assert ["Intervals: 95 %" in caption for caption in (overview, main, detail)] == [False, False, True]
    for words in ("Rows without strategies", "Quoted as published"):
        assert [words in caption for caption in (overview, main, detail)] == [False, True, True]


def test_decimals_do_not_depend_on_the_strategies(made_task, analysis_of):
    task = made_task(VAL)
    alone = cells(main_table(analysis_of((task, {"a": [30, 31] * 10}))), "tiny-one_val_accuracy")["a"].text
    both = cells(main_table(analysis_of((task, {"a": [30, 31] * 10, "b": [31] * 19 + [30]}))), "tiny-one_val_accuracy")
    assert alone == both["a"].text == "65.25 ± 0.26"
    three = analysis_of((task, {"a": [30, 31] * 10}), options=ReportOptions(decimals=3))
    assert cells(main_table(three), "tiny-one_val_accuracy")["a"].text == "65.250 ± 0.256"


@pytest.mark.parametrize(
    ("unit", "resolution", "best", "text"),
    [
        ("ms", 0.01, 5.0, "2.00 ± 0.00"),
        ("ms", 0.0001, 5.0, "2.000 ± 0.000"),
        ("MB", 0.1, 5000.0, "2000 ± 0"),
        ("", None, 5.0, "2.000 ± 0.000"),
    ],
)
def test_decimals_of_other_units(made_task, analysis_of, unit, resolution, best, text):
    """Those of the table's resolution, at most four significant digits."""
    task = made_task([best, best * 2 / 5])
    metric = replace(task.scores["val"].metric, unit=unit, resolution=resolution)
    task.scores["val"] = replace(task.scores["val"], metric=metric)
    assert cells(main_table(analysis_of((task, {"a": [1] * 12}))), "tiny-one_val_accuracy")["a"].text == text


def test_zero_deviation_is_printed():
    cell = mean_std(73.314, 0.001, 2)
    assert cell.text == "73.31 ± 0.00"
    assert cell.latex is None  # siunitx would print 73.31(0) without its uncertainty


def test_pairs_hold_three_p_values_and_both_metrics(made_task, analysis_of):
    tasks = [
        (
            made_task(VAL, TEST, name=f"t{index}"),
            {label: picks(10 * index + seed, 0, 30 + seed) for seed, label in enumerate("abc")},
        )
        for index in range(3)
    ]
    rows = rows_of(pairs_table(analysis_of(*tasks)))
    assert len(rows) == 9
    for prefix in ("", "test_"):
        p = np.array([float(row[f"{prefix}p"]) for row in rows])
        order = np.argsort(p)
        holm = np.minimum(np.maximum.accumulate(p[order] * np.arange(9, 0, -1)), 1)
        np.testing.assert_allclose([float(rows[i][f"{prefix}p_study"]) for i in order], holm)
        for task, _ in tasks:
            here = [row for row in rows if row["task"] == task.name]
            raw = np.sort([float(row[f"{prefix}p"]) for row in here])
            column = np.minimum(np.maximum.accumulate(raw * [3, 2, 1]), 1)
            np.testing.assert_allclose(np.sort([float(row[f"{prefix}p_column"]) for row in here]), column)
    assert "correlation" not in rows[0]
    assert rows[0]["seeds"]


def test_a_declared_control_is_its_own_family(made_task, analysis_of):
    tasks = [
        (made_task(VAL, name=f"t{index}"), {label: picks(seed, 5 * seed, 35) for seed, label in enumerate("abc")})
        for index in range(2)
    ]
    analysis = analysis_of(*tasks, options=ReportOptions(control="b"))
    rows = rows_of(pairs_table(analysis))
    inside = [row for row in rows if "b" in (row["first"], row["second"])]
    assert len(inside) == 4
    assert {row["p_study"] for row in rows if row not in inside} == {""}
    p = np.sort([float(row["p"]) for row in inside])
    np.testing.assert_allclose(
        np.sort([float(row["p_study"]) for row in inside]), np.minimum(np.maximum.accumulate(p * [4, 3, 2, 1]), 1)
    )
    assert "Holm over the 4 comparisons with b × tasks of the study" in main_table(analysis).caption
    assert [(row["first"], row["second"]) for row in rows_of(across_table(analysis))] == [("a", "b"), ("b", "c")]
    with pytest.raises(UnknownNameError, match=r"unknown label 'B' in report.control"):
        analysis_of(*tasks, options=ReportOptions(control="B"))


def test_counts_over_tasks_use_the_family_of_the_study(made_task, analysis_of):
    tasks = [
        (made_task(VAL, TEST, name=f"t{index}"), {"good": picks(index, 28, 40), "bad": picks(99 - index, 0, 28)})
        for index in range(7)
    ]
    analysis = analysis_of(*tasks)
    (row,) = rows_of(across_table(analysis))
    assert [row[name] for name in ("tasks", "better", "worse", "undecided")] == ["7", "7", "0", "0"]
    assert [row[f"test_{name}"] for name in ("tasks", "better", "worse", "undecided")] == ["7", "0", "7", "0"]
    assert float(row["p_tasks"]) == pytest.approx(2 / 2**7)
    few = across_table(analysis_of(*tasks[:5]))
    assert "Fewer than 6 tasks: no test over tasks." in few.caption
    assert "p_tasks" not in rows_of(few)[0]
    short = analysis_of(*((task, {label: runs[:5] for label, runs in of_task.items()}) for task, of_task in tasks))
    assert "p_tasks" not in rows_of(across_table(short))[0]


def test_fewer_than_ten_seeds_give_no_p_and_no_interval_anywhere(made_task, analysis_of, tmp_path):
    tasks = [
        (made_task(VAL, name=f"t{index}"), {"a": picks(index, 20, 40, 3), "b": picks(9 - index, 0, 20, 3)})
        for index in range(6)
    ]
    folder = StudyFolder(tmp_path)
    names = write_report(folder, analysis_of(*tasks), "nasbench-harness compare", ("csv", "json", "markdown"))
    assert "across.csv" not in names
    (row, *_) = csv.DictReader(io.StringIO((folder.report_folder / "tiny-t0.csv").read_text().partition("\n")[2]))
    assert not {"optimal_low", "optimal_high"} & set(row)
    text = (folder.report_folder / "report.md").read_text()
    assert "Lines are means at every step, without bands below 10 seeds" in text
    assert "Holm" not in text


def test_an_undecided_pair_names_the_seeds_it_would_need():
    first, second = np.arange(20), np.arange(20) + 1
    (pair,) = compare_column({"a": first, "b": second}, 0.01, "mean", margin=0.05).pairs
    variance = np.var(first, ddof=1) * 0.01**2
    assert pair.num_seeds == np.ceil(7.85 * 2 * variance / 0.05**2)
    (pair,) = compare_column({"a": first, "b": second}, 0.01, "stochastic", margin=0.05).pairs
    assert pair.num_seeds == 364
    (pair,) = compare_column({"a": first, "b": second + 90}, 0.01, "mean", margin=0.05).pairs
    assert pair.num_seeds is None
    same = np.full(20, 137)
    (pair,) = compare_column({"a": same, "b": same}, 1 / 30, "mean", margin=0.05).pairs
    assert pair.num_seeds is None  # no spread: nothing to compute it from


def test_shared_noise_is_named(task, analysis_of, monkeypatch):
    strategies = {"a": picks(0, 0, 30), "b": picks(1, 0, 30)}
    analysis = replace(analysis_of((task, strategies)), protocol=Protocol(1, noise="per_run"))
    assert "share the table's noise" in main_table(analysis).caption
    assert "share the table's noise" not in main_table(analysis_of((task, strategies))).caption


def long_runs(seed, num_runs, num_rows=6):
    """Runs that differ in everything that a report reads."""
    rng = np.random.default_rng(seed)
    return Runs(
        seeds=np.arange(num_runs),
        row_picks=rng.integers(0, NUM, (num_runs, num_rows)).astype(np.int32),
        row_totals=np.broadcast_to(np.arange(1, num_rows + 1), (num_runs, num_rows)).copy(),
        row_times_s=rng.uniform(1, 50, (num_runs, num_rows)).cumsum(axis=1),
        chooses_itself=False,
        repeats=rng.integers(0, 5, (num_runs, 2)),
        num_overrun=rng.integers(0, 3, num_runs),
        num_rejected=rng.integers(0, 3, num_runs),
        num_lookups=rng.integers(0, 3, num_runs),
    )


def relabeled(runs, seed):
    """The same runs under other seeds, as they would be read from disk."""
    order = np.random.default_rng(seed).permutation(len(runs.seeds))
    moved = {name: getattr(runs, name)[order] for name in ("row_picks", "row_totals", "row_times_s", "repeats")}
    return replace(
        runs,
        num_overrun=runs.num_overrun[order],
        num_rejected=runs.num_rejected[order],
        num_lookups=runs.num_lookups[order],
        **moved,
    )


@pytest.mark.parametrize("estimand", fast_first(["stochastic", "mean", "interval"]))
def test_permuting_the_seeds_of_a_strategy_changes_no_byte(made_task, analysis_of, tmp_path, estimand):
    task, formats = made_task(VAL, TEST, cost_s=np.full(NUM, 30.0)), ("markdown", "latex", "csv", "json")
    formats += ("pdf",) if estimand == "mean" else ()  # figures know no estimand
    strategies = {label: long_runs(seed, 30) for seed, label in enumerate("abc")}

    def report(runs, name):
        analysis = analysis_of((task, runs), options=ReportOptions(estimand=estimand))
        folder = StudyFolder(tmp_path / name)
        names = write_report(folder, analysis, "a command", formats)
        return {name: (folder.report_folder / name).read_bytes() for name in names}

    before = report(strategies, "before")
    assert len(before) > 8
    for seed, label in enumerate("abc"):
        changed = strategies | {label: relabeled(strategies[label], seed)}
        assert not np.array_equal(changed[label].row_picks, strategies[label].row_picks)
        assert report(changed, f"after {label}") == before


def test_resamples_are_independent_between_strategies_and_tasks(made_task, analysis_of):
    """Equal runs of two strategies have different intervals: they share no count matrix."""
    same = picks(3, 0, 40, 300)
    analysis = analysis_of((made_task(VAL, name="s"), {"a": same, "b": same}), (made_task(VAL, name="t"), {"a": same}))
    ends = [
        (float(result.val.iqm.low), float(result.val.iqm.high)) for entry in analysis.tasks for result in entry.results
    ]
    assert len(set(ends)) == len(ends) == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('estimand = "median"', r"report.estimand: input should be 'mean', 'stochastic' or 'interval', not 'median'"),
        ("decimals = -1", r"report.decimals: input should be greater than or equal to 0, not -1"),
        ("margin = 0.0", r"report.margin: input should be greater than 0, not 0.0"),
        ('estimand = "mean"\ncells = "std"', r"report.cells is the former name of report.estimand: remove cells"),
        ("estimate = 1", r"unknown key 'estimate' in .*: did you mean 'estimand'"),
    ],
)
def test_report_options_are_checked(tmp_path, line, message):
    path = tmp_path / "study.toml"
    path.write_text(f"seeds = 3\n[report]\n{line}\n", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=message):
        read_study_file(path)


def test_report_options_survive_a_study_file(tmp_path):
    options = ReportOptions(("a",), ("b",), "stochastic", 500, 3, 0.2, "random-search")
    path = tmp_path / "study.toml"
    record = StudyRecord((), ("nb201-cifar10",), 3, Protocol(5), 0, options)
    path.write_text(record.to_toml(), encoding="utf-8")
    assert read_study_file(path).report == options
    path.write_text('[report]\ncells = "interval"\n', encoding="utf-8")
    assert read_study_file(path).report == ReportOptions(estimand="interval")


def test_the_report_names_what_it_compared(task, analysis_of, tmp_path):
    folder = StudyFolder(tmp_path / "s")
    write_report(folder, analysis_of((task, {"a": [1] * 12, "b": picks(0, 0, 9, 12)})), "a command", ("json",))
    report = json.loads((folder.report_folder / "report.json").read_text())
    assert (report["unit"], report["paired_by"], report["estimand"], report["control"]) == (
        "seed",
        "none",
        "mean",
        None,
    )
