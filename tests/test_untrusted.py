"""Names, texts, paths and cells that come from elsewhere."""

import csv
import io
import os
from pathlib import Path

import pytest

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.report.model import ReportCell, ReportColumn, ReportRow, ReportTable
from nasbench_harness.report.render.text import to_csv
from nasbench_harness.untrusted import below, bounded_lines, fault_of_text, is_name, read_text, spreadsheet_cell


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/a", "A", "a b", "-a", "a\n", "a" * 65, None, 3, "é"])
def test_names_that_could_lead_elsewhere_are_none(name):
    assert not is_name(name)


@pytest.mark.parametrize("name", ["cifar10", "imagenet16-120", "a.b_c-d", "0", "a" * 64])
def test_names(name):
    assert is_name(name)


@pytest.mark.parametrize(
    "text", ["a\nb", "a\x1b[31mb", "a\u202eb", "<b>bold</b>", "<!-- x", "</td>", "x" * 2_001, "a\x00"]
)
def test_texts_that_cannot_be_printed(text):
    assert fault_of_text(text)


@pytest.mark.parametrize("text", ["", "CIFAR-10", "accuracy < 5 % and > 3", "Tïny – 100 µJ", "a & b"])
def test_texts(text):
    assert fault_of_text(text) == ""


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a\\b", "../../x", "a\x00b", "a\nb", "x" * 256])
def test_paths_stay_below_their_folder(name):
    with pytest.raises(InvalidInputError, match="cannot name a file or folder below"):
        below(Path("study"), "runs", name)


def test_paths_below_a_folder():
    assert below(Path("study"), "runs", "nb201-cifar10") == Path("study/runs/nb201-cifar10")


@pytest.mark.parametrize("text", ["=1+1", "+SUM(A1)", "-cmd|'/C calc'!A0", "@x", "\t=1", "\r=1", "-", "+-1"])
def test_cells_that_a_spreadsheet_would_run(text):
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-0.5", "+1e-3", "-1", "-inf", "nan", ".5", -0.25, 3, None, "a=b", "1-2", ""])
def test_numbers_and_other_cells_stay(value):
    assert spreadsheet_cell(value) is value


def test_a_label_cannot_run_in_a_spreadsheet():
    columns = [ReportColumn("strategy", "Strategy", is_number=False), ReportColumn("regret", "Regret", is_number=True)]
    row = ReportRow((ReportCell("-2+3"), ReportCell("-0.5", numbers={"": -0.5})))
    text = to_csv(ReportTable("t", "caption", tuple(columns), (row,)))
    assert list(csv.reader(io.StringIO(text)))[1] == ["strategies", "'-2+3", "-0.5"]


def test_only_so_much_of_a_file_is_read(tmp_path):
    (tmp_path / "a").write_text("12345")
    assert read_text(tmp_path / "a", 5) == "12345"
    with pytest.raises(InvalidInputError, match="larger than 4 bytes"):
        read_text(tmp_path / "a", 4)
    os.mkfifo(tmp_path / "pipe")
    for special in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(InvalidInputError, match="is a device or a pipe"):
            read_text(special, 5)


def test_lines_have_a_longest_length():
    assert list(bounded_lines(io.StringIO("ab\ncd"), Path("f"), 3)) == ["ab\n", "cd"]
    with pytest.raises(InvalidInputError, match="f, line 2: it has more than 3 characters"):
        list(bounded_lines(io.StringIO("ab\ncdef\n"), Path("f"), 3))
