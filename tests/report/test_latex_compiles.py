"""LaTeX of every table fits into the columns of papers, keeps its bold, and holds the numbers of the JSON."""

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from nasbench_harness import run
from nasbench_harness.report.render.latex import LatexStyle, notes_text, to_latex
from nasbench_harness.report.render.text import to_json
from nasbench_harness.report.sections.main import main_tables
from nasbench_harness.report.sections.overview import overview_tables
from nasbench_harness.report.sections.paper import paper_table
from nasbench_harness.report.sections.task import task_table
from nasbench_harness.store.record import Quoted

needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is missing: apt install texlive")
CLASSES = {
    "neurips": r"\documentclass{article}\usepackage[textwidth=397pt,textheight=9in]{geometry}",
    "icml": r"\documentclass[twocolumn]{article}\usepackage[textwidth=487pt,textheight=9in,columnsep=17pt]{geometry}",
    "ieee-column": r"\documentclass{IEEEtran}",
    "ieee-page": r"\documentclass{IEEEtran}",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    strategies = ["random-search", "regularized-evolution", "local-search", "reinforce"]
    tasks = ["nb201-cifar10", "nb201-cifar100", "nb201-imagenet16-120", "graph-cora", "graph-cs", "graph-proteins"]
    return run(strategies, tasks, seeds=12, evaluations=15, out=tmp_path_factory.mktemp("study"))


def with_options(study, **options):
    analysis = replace(study.analysis, options=replace(study.analysis.options, **options))
    quoted = Quoted("DARTS & co", "nb201-cifar10", "val_accuracy", 39.77, "A paper, Table 5", 0.0, 3)
    return replace(analysis, quoted=(quoted,))


def paper(study, **options):
    groups = {"multi-trial": ("random-search", "local-search"), "weight sharing": ("DARTS & co",)}
    chosen = {"groups": groups, "architectures": {"ResNet": "303101"}, "cost": True} | options
    return paper_table(with_options(study, **chosen))


def compiled(text, width, folder):
    """Log of the compiled tables, and the fonts of the PDF."""
    head = CLASSES[width] + r"\usepackage{booktabs,siunitx}\begin{document}"
    (folder / "paper.tex").write_text(f"{head}\n{text}\n\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    return (folder / "paper.log").read_text(encoding="utf-8", errors="replace")


@pytest.mark.thorough
@needs_latex
@pytest.mark.parametrize("width", CLASSES)
def test_no_table_overruns_its_column(study, tmp_path, width):
    analysis = with_options(study)
    tables = [paper(study), paper(study, columns=("nb201-*:val", "graph-*:val,test"), estimand="stochastic")]
    tables += [*main_tables(analysis), *overview_tables(analysis), *(task_table(analysis, e) for e in analysis.tasks)]
    style = LatexStyle(width, "below" if width == "neurips" else "apart")
    text = "\n\\clearpage\n".join(to_latex(table, style) for table in tables) + notes_text(tables)
    log = compiled(text, width, tmp_path)
    assert "Overfull" not in log, [line for line in log.splitlines() if "Overfull" in line]
    assert "Undefined control sequence" not in log


@needs_latex
def test_bold_is_not_lost(study, tmp_path):
    compiled(to_latex(paper(study)), "neurips", tmp_path)
    fonts = subprocess.run(["pdffonts", tmp_path / "paper.pdf"], capture_output=True, text=True).stdout
    assert re.search("CMBX|SFBX", fonts), fonts


def test_the_tex_file_holds_the_numbers_of_the_json(study):
    table = paper(study, groups={})
    found = {}
    for line in to_latex(table, LatexStyle("ieee-column")).splitlines():
        name, *cells = line.removesuffix(r" \\").split(" & ")
        numbers = [re.search(r"(\d+\.\d+)(?:\((\d+)\))?", cell) for cell in cells]
        found.setdefault(name.replace(r"\&", "&"), []).extend(match.groups() for match in numbers if match)
    keys = [column.key for column in table.columns[2:]]
    for row in to_json(table)["rows"]:
        expected = [
            (f"{row[f'{key}_mean']:.2f}", str(round(100 * row[f"{key}_std"])) if row[f"{key}_std"] else None)
            for key in keys
            if row[f"{key}_mean"] is not None
        ]
        assert expected
        assert found[row["strategy"]] == expected, row["strategy"]
