"""The table of a paper: chosen columns, groups of rows, reference rows."""

import re
from dataclasses import replace

import pytest

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.report.render.latex import LatexStyle, notes_text, to_latex
from nasbench_harness.report.render.text import to_markdown
from nasbench_harness.report.render.widths import layout
from nasbench_harness.report.sections.paper import paper_table
from nasbench_harness.store.record import Quoted, ReportOptions, check_width
from nasbench_harness.store.study_file import read_study_file

VAL, TEST = range(50, 62), range(40, 52)


def paper(analysis_of, made_task, quoted=(), **options):
    runs = {"a": [11] * 8 + [10] * 8, "b": [3, 4] * 8, "c": [11] * 7 + [9] * 9}
    tasks = [(made_task(VAL, TEST, name="one", cost_s=[60.0] * 12), runs), (made_task(VAL, name="two"), runs)]
    return paper_table(analysis_of(*tasks, options=ReportOptions(**options), quoted=quoted))


def test_columns_are_tasks_and_scores(analysis_of, made_task):
    keys = ["tiny-one_val_accuracy", "tiny-one_test_accuracy", "tiny-two_val_accuracy"]
    assert [column.key for column in paper(analysis_of, made_task).columns[1:]] == keys
    only = paper(analysis_of, made_task, columns=("tiny-t*:val,test", "tiny-one:test"))
    assert [column.key for column in only.columns[1:]] == [keys[2], keys[1]]  # no copy of val stands in for test


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ("cifar*", InvalidInputError, "match no task of the study: its tasks are tiny-one, tiny-two"),
        ("tiny-one:tset", UnknownNameError, "tset.*did you mean 'test'"),
        ("tiny-two:test", InvalidInputError, "have no test metric"),
    ],
)
def test_wrong_columns_are_refused(analysis_of, made_task, columns, error, message):
    with pytest.raises(error, match=message):
        paper(analysis_of, made_task, columns=(columns,))


def test_rows_stand_in_their_groups(analysis_of, made_task):
    quoted = (Quoted("DARTS", "tiny-one", "val_accuracy", 54.0, "A paper"),)
    groups = {"multi-trial": ("b", "a"), "weight sharing": ("DARTS",)}
    table = paper(analysis_of, made_task, quoted, groups=groups, architectures={"mine": "choice2"})
    blocks = [(row.block, row.cells[0].text) for row in table.rows]
    assert blocks == [
        ("reference", "mine"),
        ("reference", "random sampling"),
        ("reference", "random search, exact"),
        ("strategies", "c"),
        ("multi-trial", "a"),
        ("multi-trial", "b"),
        ("weight sharing", "DARTS (quoted)"),
        ("optimum", "optimum by val"),
        ("optimum", "optimum by test"),
    ]
    assert [cell.text for cell in table.rows[0].cells[1:]] == ["52.00", "42.00", "52.00"]
    assert "| *multi-trial* |" in to_markdown(table)
    assert r"{\emph{multi-trial}}" in to_latex(table)
    with pytest.raises(UnknownNameError, match=r"report\.groups\.all"):
        paper(analysis_of, made_task, groups={"all": ("d",)})
    with pytest.raises(InvalidInputError, match=r"no chosen task has the architecture 'x' \(mine\)"):
        paper(analysis_of, made_task, architectures={"mine": "x"})


def test_a_label_without_a_run_on_the_chosen_tasks_has_no_row(analysis_of, made_task):
    tasks = [
        (made_task(VAL, name="one"), {"a": [11] * 8, "trace": [3] * 8}),
        (made_task(VAL, name="two"), {"a": [10] * 8}),
    ]
    for columns, labels in ((("tiny-two",), ["a"]), ((), ["a", "trace"])):
        table = paper_table(analysis_of(*tasks, options=ReportOptions(columns=columns)))
        assert [row.cells[0].text for row in table.rows if row.block == "strategies"] == labels


def test_marks_stand_in_every_column_of_values(analysis_of, made_task):
    table = paper(analysis_of, made_task)
    rows = {row.cells[0].text: row.cells[1:] for row in table.rows}
    assert [cell.is_bold for cell in rows["a"]] == [True, True, True]
    assert [cell.is_marked for cell in rows["b"]] == [False, False, False]


def test_the_method_in_full_stands_apart_or_below(analysis_of, made_task):
    table = paper(analysis_of, made_task, caption="Mine.")
    short, below = to_latex(table), to_latex(table, LatexStyle(notes="below"))
    (caption,) = re.findall(r"\\caption\{(.*)\}", short)
    assert caption.startswith("Mine. Mean $\\pm$ std of 16 runs, 1 evaluation. Bold: best")
    assert "Welch's t-test" not in short
    assert below.index("Welch's t-test") > below.index(r"\end{tabular}")
    assert notes_text([table, replace(table, name="other")]).startswith(
        r"\noindent Table~\ref{tab:paper}, Table~\ref{tab:other}: Mean"
    )


def test_columns_of_a_group_stay_in_one_panel():
    chosen = layout([10, 6, 6, 6, 6], ["", "one", "one", "two", "two"], 200)
    assert chosen.panels == ((0, 1, 2), (0, 3, 4))
    assert layout([10, 6, 6, 6, 6], ["", "one", "one", "two", "two"], 400).panels == ((0, 1, 2, 3, 4),)
    assert layout([10, 9, 9], ["", "one", "one"], 170).panels == ((0, 1), (0, 2))


def test_the_study_file_holds_the_layout(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(
        '[report]\ncolumns = ["nb201-*:val"]\nwidth = "300"\ncost = true\ncaption = "Mine."\nnotes = "below"\n'
        '[report.groups]\n"multi-trial" = ["a"]\n[report.architectures]\nResNet = "303101"\n',
        encoding="utf-8",
    )
    assert read_study_file(file).report == ReportOptions(
        columns=("nb201-*:val",),
        width="300",
        groups={"multi-trial": ("a",)},
        architectures={"ResNet": "303101"},
        cost=True,
        caption="Mine.",
        notes="below",
    )
    file.write_text('[report]\nwidth = "wide"\n', encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"report\.width"):
        read_study_file(file)
    with pytest.raises(InvalidInputError, match="width must be neurips"):
        check_width("wide")
