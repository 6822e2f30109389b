"""Outputs for programs, notebooks and narrow terminals."""

import io
import json
import sys
import types

import pytest
from click.testing import CliRunner
from rich.console import Console

from nasbench_harness import compare, open_study
from nasbench_harness.cli import main
from nasbench_harness.report.model import ReportCell, ReportColumn, ReportRow
from nasbench_harness.report.render.terminal import print_report
from nasbench_harness.report.shown import ShownTable
from nasbench_harness.studies import notebook
from nasbench_harness.tables.proxies import shipped_digest

LABELS = ("genetic-algorithm", "local-search", "random-search", "regularized-evolution")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    names = ["random-search", "local-search"]
    folder = tmp_path_factory.mktemp("study")
    return compare(names, ["nb201-cifar10", "graph-cora"], seeds=12, evaluations=20, out=folder)


def test_json_has_a_schema_and_rows_of_single_numbers(study):
    record = json.loads((study.folder.report_folder / "report.json").read_text(encoding="utf-8"))
    assert (record["schema"], record["schema_version"]) == ("nasbench-harness/report", 1)
    assert record["harness_version"] == record["versions"]["nasbench-harness"]
    assert [source["label"] for source in record["sources"]["strategies"]] == study.labels
    assert all(len(source["code"]) == 64 for source in record["sources"]["strategies"])
    rows = {(row["strategy"], row["task"], row["metric"], row["statistic"]): row["value"] for row in record["rows"]}
    assert len(rows) == len(record["rows"])
    for (label, task), runs in study.frame().groupby(["strategy", "task"]):
        assert rows[label, task, "regret", "mean"] == pytest.approx(runs.regret_pp.mean())
        assert rows[label, task, "val_accuracy", "std"] == pytest.approx(runs.val_accuracy.std())
        assert rows[label, task, "regret", "n"] == 12
        assert ((label, task, "test_accuracy", "mean") in rows) == (task == "graph-cora")
    assert rows["local-search", None, "rank", "mean"] in (1.0, 1.5, 2.0)


def test_tables_and_studies_show_themselves_in_notebooks(study, tmp_path):
    columns = (ReportColumn("name", "<b>", is_number=False), ReportColumn("x", "x"))
    row = ReportRow((ReportCell("<script>"), ReportCell("1.0", {"": 1.0}, is_bold=True)))
    text = ShownTable("t", "a & b", columns, (row,))._repr_html_()
    assert "&lt;script&gt;" in text
    assert '<th scope="col">&lt;b&gt;</th>' in text
    assert "<strong>1.0</strong>" in text
    assert "a &amp; b" in text
    assert "<button" not in text
    assert "local-search" in study._repr_html_()
    assert "white-space: nowrap" in study._repr_html_()  # a notebook has no style sheet of ours
    assert "| Strategy | N |" in repr(study.table())
    assert repr(study) == f"Study({str(study.path)!r})"
    text = study.folder.study_file.read_text(encoding="utf-8")
    (tmp_path / "study.toml").write_text(text.replace("seeds = 12", "seeds = 13"), encoding="utf-8")
    more = open_study(tmp_path)
    assert more._repr_html_() == "<p>52 of 52 runs missing.</p>"


def test_figures_show_themselves_in_notebooks(study):
    assert study.figure()._repr_png_().startswith(b"\x89PNG")


def test_a_notebook_counts_the_runs(monkeypatch, tmp_path, capsys):
    lines = []

    class Handle:
        def update(self, data, raw):
            lines.append(data["text/plain"])

    def display(data, raw, display_id):
        lines.append(data["text/plain"])
        return Handle()

    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    ipython = types.ModuleType("IPython")
    ipython.get_ipython, ipython.version_info = lambda: None, (9, 0)  # pyplot asks for them if it is loaded meanwhile
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    fake = types.ModuleType("IPython.display")
    fake.display = display
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    compare(["random-search"], ["nb201-cifar10", "nb201-cifar100"], seeds=3, evaluations=2, out=tmp_path)
    assert lines == ["0 of 6 runs", "3 of 6 runs", "6 of 6 runs"]
    assert capsys.readouterr().out == ""
    monkeypatch.undo()
    assert not notebook.in_notebook()


@pytest.mark.parametrize("width", [30, 45])
@pytest.mark.parametrize("num_tasks", [2, 6])
def test_a_narrow_terminal_shows_names_and_numbers_whole(made_task, analysis_of, width, num_tasks):
    runs = {label: [1 + place, 2 + place, 3 + place] * 4 for place, label in enumerate(LABELS)}
    tasks = [(made_task(range(50, 62), name=f"data-{index}", cost_s=[1.0] * 12), runs) for index in range(num_tasks)]
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    print_report(console, analysis_of(*tasks))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for label in LABELS:
        assert sum(label in line for line in lines) >= num_tasks
    assert "…" not in "".join(lines)
    assert any("*" in line for line in lines)


def test_the_best_is_marked_without_color(made_task, analysis_of):
    task = made_task(range(50, 62))
    console = Console(width=160, file=io.StringIO(), force_terminal=False)
    print_report(console, analysis_of((task, {"a": [1, 2] * 6, "b": [10, 11] * 6})))
    (line,) = [line for line in console.file.getvalue().splitlines() if line.startswith(" b ")][:1]
    assert "60.50 ± 0.52*" in line


def test_status_shows_where_the_numbers_come_from(study):
    runner = CliRunner()
    found = json.loads(runner.invoke(main, ["status", str(study.path), "--provenance", "--json"]).output)
    assert [table["table"] for table in found["tables"]] == ["graph", "nb201"]
    assert all(table["is_shipped"] for table in found["tables"])
    assert found["scores_sha256"] == shipped_digest()
    assert found["other_runs"] == []
    assert found["command"] == study.command
    compare(["random-search"], ["nb201-cifar10"], seeds=12, evaluations=20, out=study.path)
    text = runner.invoke(main, ["status", str(study.path), "--provenance"]).output
    assert text.count("runs of another study: ") == 3
    assert "version: numpy" in text
    assert f"scores: those that come with nasbench-harness, sha256 {shipped_digest()[:12]}" in text
