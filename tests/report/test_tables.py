import io

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import ttest_ind

from nasbench_harness import compare
from nasbench_harness.errors import InvalidInputError, StoreError
from nasbench_harness.report.model import ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.report.render.latex import to_latex
from nasbench_harness.report.render.terminal import print_report, print_table
from nasbench_harness.report.render.text import to_csv, to_markdown
from nasbench_harness.report.sections.figures import figure_of
from nasbench_harness.report.sections.main import main_tables
from nasbench_harness.report.sections.overview import overview_tables
from nasbench_harness.report.sections.spending import spending_table
from nasbench_harness.report.sections.task import task_table
from nasbench_harness.spaces import ListSpace
from nasbench_harness.store.record import Quoted, ReportOptions

VAL, TEST = [50.0, 60.0, 70.0, 65.0], [80.0, 95.0, 85.0, 90.0]


@pytest.fixture
def task(made_task):
    return made_task(VAL, TEST)


def row_of(table, name):
    (row,) = [row for row in table.rows if row.cells[0].text == name]
    return {column.key: cell for column, cell in zip(table.columns, row.cells, strict=True)}


def test_test_stands_beside_validation_and_chooses_nothing(task, analysis_of):
    """The second strategy is better by validation and worse by test: each column has its own bold."""
    analysis = analysis_of((task, {"by test": [1] * 12, "by val": [2] * 11 + [3]}))
    table = task_table(analysis, analysis.tasks[0])
    by_test, by_val = row_of(table, "by test"), row_of(table, "by val")
    assert by_test["test_accuracy"].numbers["mean"] == 95.0
    assert by_val["test_accuracy"].numbers["mean"] == pytest.approx((11 * 85 + 90) / 12)
    assert by_val["regret"].numbers["mean"] == pytest.approx(5 / 12)
    assert by_val["test_regret"].numbers["mean"] == pytest.approx(95 - (11 * 85 + 90) / 12)
    assert (by_val["val_accuracy"].is_bold, by_test["val_accuracy"].is_bold) == (True, False)
    assert by_test["test_accuracy"].text == "= opt"
    assert not by_val["test_accuracy"].is_bold


def test_both_optima_are_reported(task, analysis_of):
    analysis = analysis_of((task, {"a": [1] * 10}))
    (main,) = main_tables(analysis)
    by_val, by_test = row_of(main, "optimum by val"), row_of(main, "optimum by test")
    values = [
        row[f"tiny-one_{name}"].numbers["mean"]
        for row in (by_val, by_test)
        for name in ("val_accuracy", "test_accuracy")
    ]
    assert values == [70.0, 85.0, 60.0, 95.0]
    assert "Test: of the same choice; validation alone chooses." in main.caption


def test_a_choice_without_test_accuracy_is_an_error(made_task, analysis_of):
    task = made_task(VAL, [80.0, np.nan, 85.0, 90.0])
    with pytest.raises(StoreError, match="3 of 12 final choices have no test_accuracy in the table"):
        analysis_of((task, {"a": [1] * 3 + [2] * 9}))


def test_a_strategy_may_miss_a_task(task, made_task, analysis_of):
    other = made_task(VAL, name="two")
    analysis = analysis_of((task, {"a": [1] * 12, "b": [2] * 12}), (other, {"a": [3] * 12}), replayed=["b"])
    (overview,) = overview_tables(analysis)
    assert row_of(overview, "Two")["b"].text == "–"
    assert row_of(overview, "mean rank")["b"].text == "–"
    assert row_of(overview, "mean rank")["a"].text == "1.00"
    assert "Ran elsewhere, replayed under this protocol: b." in overview.caption
    assert "| b | 12 |" in to_markdown(main_tables(analysis)[0])


def test_every_run_of_a_replayed_trace_counts(task, analysis_of, runs_of):
    """Runs are independent samples: common seeds do not matter, and neither does having none."""
    everyone, some = runs_of([1, 2, 3] * 10), runs_of([3, 1] * 10, seeds=range(100, 120))
    analysis = analysis_of((task, {"all": everyone, "some": some}), replayed=["some"])
    (pair,) = analysis.tasks[0].comparison.pairs
    assert pair.p == pytest.approx(ttest_ind([100, 0, 50] * 10, [50, 100] * 10, equal_var=False).pvalue)
    assert "replayed under this protocol: some (20 seeds)." in main_tables(analysis)[0].caption
    assert row_of(main_tables(analysis)[0], "some")["seeds"].text == "20"


def test_quoted_rows_stand_in_a_block_of_their_own(task, analysis_of):
    quoted = [
        Quoted("DARTS", "tiny-one", "test_accuracy", 99.9, "A paper, Table 1", std=0.1, n=3),
        Quoted("DARTS", "tiny-one", "val_accuracy", 99.8, "A paper, Table 1"),
    ]
    analysis = analysis_of((task, {"a": [1] * 12}), quoted=quoted)
    for table in (main_tables(analysis)[0], task_table(analysis, analysis.tasks[0])):
        (row,) = [row for row in table.rows if row.block == "quoted"]
        assert [cell.text for cell in row.cells][:2] == ["DARTS (quoted)", "–"] or row.cells[1].text == "3"
        texts = {cell.text for cell in row.cells}
        assert {"99.90 ± 0.10", "99.80"} <= texts
        assert not any(cell.is_bold or cell.is_marked for cell in row.cells)
        assert "not tested (DARTS: A paper, Table 1, N = 3)" in table.caption
        latex = to_latex(table)
        assert latex.index("a & ") < latex.index("DARTS (quoted)") < latex.index("optimum by val")


def test_order_and_highlight(task, analysis_of):
    options = ReportOptions(order=("c", "a"), highlight=("a",))
    analysis = analysis_of((task, {"a": [1] * 12, "b": [2] * 12, "c": [3] * 12}), options=options)
    assert analysis.labels == ("c", "a", "b")
    assert [result.label for result in analysis.tasks[0].results] == ["c", "a", "b"]
    assert analysis.tasks[0].result("b").val.regret.tolist() == [0.0] * 12  # the picks stay with their labels
    assert "| *a* |" in to_markdown(main_tables(analysis)[0])
    assert r"\textit{a} &" in to_latex(main_tables(analysis)[0])


def test_tasks_with_test_take_two_columns_of_the_main_table(made_task, analysis_of):
    tasks = [(made_task(VAL, TEST if index else None, name=f"t{index}"), {"a": [1] * 10}) for index in range(4)]
    assert [len(table.columns) for table in main_tables(analysis_of(*tasks))] == [3 + 3, 3 + 4]


def test_the_overview_has_five_strategies_abreast(task, analysis_of):
    analysis = analysis_of((task, {label: [1] * 10 for label in "abcdefg"}))
    assert [len(table.columns) for table in overview_tables(analysis)] == [6, 3]
    assert [table.name for table in overview_tables(analysis)] == ["overview_1", "overview_2"]


def test_spending_shows_what_happened(study):
    table = spending_table(study.analysis)
    lines = to_csv(table).splitlines()
    assert lines[0] == (
        "block,task,strategy,evaluations,simulated_h,repeats_by_index,repeats_by_class,overrun,rejected"
    )
    frame = study.frame().groupby(["task", "strategy"]).mean(numeric_only=True)
    for row in table.rows:
        expected = frame.loc[(row.cells[0].text, row.cells[1].text)]
        assert row.cells[2].numbers[""] == pytest.approx(60)
        assert row.cells[3].numbers[""] == pytest.approx(expected.simulated_s / 3600)
        assert row.cells[4].numbers[""] == pytest.approx(expected.repeats_by_index)
        assert row.cells[5].numbers[""] == pytest.approx(expected.repeats_by_class)
    assert [column.key for column in table.columns if column.is_extra] == ["overrun", "rejected"]


def looks_sizes_up(problem, rng, *, num_values=3):
    """Random search that reads sizes before each proposal."""
    while True:
        architecture = problem.space.sample(rng)
        problem.lookup("params_m", np.full(num_values, architecture))
        yield architecture


def test_free_values_that_were_read_are_shown(tmp_path):
    two = compare([looks_sizes_up, "random-search"], ["graph-cora"], seeds=12, evaluations=5, out=tmp_path / "study")
    rows = {row.cells[1].text: row for row in spending_table(two.analysis).rows}
    assert [row.cells[-1].numbers[""] for row in rows.values()] == [15, 0]
    one = compare(["random-search"], ["graph-cora"], seeds=12, evaluations=5, out=tmp_path / "another")
    assert "lookups" not in [column.key for column in spending_table(one.analysis).columns]


@pytest.mark.parametrize("estimand", ["stochastic", "interval"])
@pytest.mark.parametrize("num_tasks", [2, 6])
@pytest.mark.parametrize("width", [80, 100, 160])
def test_wide_cells_are_shortened_not_cut_off(made_task, analysis_of, width, num_tasks, estimand):
    labels = ("genetic-algorithm", "local-search", "random-search", "regularized-evolution", "reinforce")
    rng, tasks = np.random.default_rng(0), []
    for index in range(num_tasks):
        runs = {label: rng.integers(0, 4, 20) for label in labels}
        tasks.append((made_task(VAL, TEST, name=f"dataset-{index}"), runs))
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    print_report(console, analysis_of(*tasks, options=ReportOptions(estimand=estimand)))
    text = console.file.getvalue()
    assert "…" not in text
    assert all(label in "".join(text.split()) for label in labels if num_tasks == 2)
    rows = [line for line in text.splitlines() if line.startswith((" Dataset-", " random", *(f" {x}" for x in labels)))]
    assert len(rows) >= 2 * num_tasks
    for line in rows:
        assert line.count("[") == line.count("]"), line
        assert line.count("(") == line.count(")"), line


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("num_tasks", [2, 6])
def test_the_terminal_report_fits(made_task, analysis_of, width, num_tasks):
    labels = ("genetic-algorithm", "local-search", "random-search", "regularized-evolution", "reinforce")
    runs = {label: [1, 2, 3] * 4 for label in labels}
    tasks = [(made_task(VAL, TEST, name=f"dataset-{index}"), runs) for index in range(num_tasks)]
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    print_report(console, analysis_of(*tasks))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert "Repeated proposals a run" in text or "repeats" in text
    assert text.count("5.0") >= 5
    assert "Bold and *: smallest mean regret" in text
    assert ("A12" in text) == (num_tasks == 2)  # no column is cut off
    assert ("[95 %]" in text) == (num_tasks == 2 and width == 160)
    assert ("a wider terminal shows regret IQM" in text) == (num_tasks == 2 and width == 80)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_no_terminal_is_too_narrow_for_a_number(width):
    """Names, every estimate and every header are there; spreads are there or said to be left out."""
    headers = ("architecture", "trained (%)", "table (%)", "parameters", "table, parameters (M)")
    columns = [ReportColumn("block", "block", is_number=False)]
    columns += [ReportColumn(f"c{index}", header, is_number=index > 0) for index, header in enumerate(headers)]
    texts = [[str(row), f"33313{row}", f"8{row}.41", f"9{row}.61 ± 0.17", f"6888{row}", f"1.07{row}"] for row in "123"]
    rows = [ReportRow(tuple(ReportCell(text) for text in cells)) for cells in texts]
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    print_table(console, ReportTable("name", "title", tuple(columns), tuple(rows)), "A heading")
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert all(part.split(" ±")[0] in text for cells in texts for part in cells)
    assert "architecture" in text
    assert text.count("± 0.17") == 3 or "a wider terminal shows their spread" in text


def test_a_terminal_names_the_group_of_a_column():
    columns = (
        ReportColumn("score", "score", is_number=False),
        *(ReportColumn(f"{group}_rho", "ρ", group) for group in ("all (15,625)", "top 10 % (1,562)")),
    )
    row = ReportRow((ReportCell("nwot"), ReportCell("0.71"), ReportCell("0.05")))
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    print_table(console, ReportTable("name", "title", columns, (row,)), "correlations")
    text = console.file.getvalue()
    assert all(part in text for part in ("all", "(15,625)", "top 10 %", "(1,562)"))


def test_a_peculiar_space_is_named_below_its_own_table_only(made_task, analysis_of):
    choices = [[0, 0], [1, 1], [2, 2], [3, 3]]
    space = ListSpace("listed", ["k0", "k1", "k2", "k3"], [list("abcd"), list("wxyz")], choices)
    peculiar, plain = made_task(VAL, TEST, "few", space=space), made_task(VAL, TEST, "many")
    analysis = analysis_of((peculiar, {"a": [1] * 12, "b": [2] * 12}), (plain, {"a": [1] * 12, "b": [2] * 12}))
    few, many = (task_table(analysis, entry) for entry in analysis.tasks)
    assert "4 of 4 architectures have fewer than 3 neighbors" in space.note
    assert few.notes[-1] == f"tiny-few: {space.note}."
    assert space.note in to_markdown(few)
    assert space.note in to_latex(few)
    assert "architectures have fewer" not in to_markdown(many)


def test_numbers_of_runs_of_quoted_rows_are_a_range(task, analysis_of):
    counts = {"val_accuracy": 3, "test_accuracy": 500}
    quoted = [Quoted("DARTS", "tiny-one", name, 99.9, "A paper", n=n) for name, n in counts.items()]
    table = main_tables(analysis_of((task, {"a": [1] * 12}), quoted=quoted, options=ReportOptions(decimals=1)))[0]
    (row,) = [row for row in table.rows if row.block == "quoted"]
    assert [cell.text for cell in row.cells] == ["DARTS (quoted)", "3–500", "99.9", "99.9"]
    assert "not tested (DARTS: A paper, N = 3–500)" in table.caption


@pytest.mark.parametrize(
    ("num_optimal", "text"), [(0, "0 %"), (1, "< 1 %"), (2, "1 %"), (198, "99 %"), (199, "> 99 %"), (200, "100 %")]
)
def test_a_share_of_0_or_100_percent_is_no_rounding(task, analysis_of, num_optimal, text):
    analysis = analysis_of((task, {"a": [2] * num_optimal + [1] * (200 - num_optimal)}))
    cell = row_of(task_table(analysis, analysis.tasks[0]), "a")["optimal"]
    assert cell.text == text
    assert cell.numbers["share"] == num_optimal / 200
    # A column of LaTeX has one unit: shares.
    assert cell.latex == {"< 1 %": "{$<$ 0.01}", "> 99 %": "{$>$ 0.99}"}.get(text, f"{num_optimal / 200:.2f}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": ("random-search", "random-search")}, r"report\.order names random-search 2 times: name it once"),
        (
            {"groups": {"one": ("random-search",), "two": ("random-search",)}},
            r"report\.groups names random-search 2 ti",
        ),
    ],
)
def test_a_label_counts_once(tmp_path, options, message):
    """Twice in ``order`` it would have two ranks, and twice in ``groups`` two places."""
    rules = {"tasks": ["nb201-cifar10"], "seeds": 1, "evaluations": 1, "out": tmp_path / "s"}
    with pytest.raises(InvalidInputError, match=message):
        compare(["random-search"], report=ReportOptions(**options), **rules)
    assert not (tmp_path / "s").exists()


def test_a_quoted_number_has_one_value(tmp_path):
    quoted = [Quoted("DARTS", "nb201-cifar10", "val_accuracy", value, "A paper") for value in (39.77, 54.3)]
    with pytest.raises(
        InvalidInputError, match=r"quoted names DARTS \(A paper\) on nb201-cifar10 by val_accuracy 2 times"
    ):
        compare(["random-search"], tasks=["nb201-cifar10"], seeds=1, quoted=quoted, out=tmp_path / "s")


def test_a_figure_shows_a_strategy_once(task, analysis_of):
    analysis = analysis_of((task, {"a": [1] * 12, "b": [2] * 12}))
    with pytest.raises(InvalidInputError, match="strategies names a 2 times"):
        figure_of(analysis, strategies=["a", "a"])


def test_a_negative_interquartile_mean_of_few_runs_is_a_number_for_siunitx(made_task, analysis_of):
    analysis = analysis_of((made_task([-5.5, -4.0, 1.0]), {"a": [0] * 3}), options=ReportOptions(estimand="interval"))
    (main,) = main_tables(analysis)
    cell = row_of(main, "a")["tiny-one_val_accuracy"]
    assert (cell.text, cell.latex) == ("−5.50", "-5.50")
    assert "−" not in to_latex(main)
