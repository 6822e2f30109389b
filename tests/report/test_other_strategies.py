"""Files of a report about one strategy do not depend on the other strategies, nor on any order."""

import csv
import json

import pytest

from nasbench_harness import compare

TASKS = ["nb201-cifar10", "graph-cora"]
EVERY = ["random-search", "local-search", "regularized-evolution"]
KEPT = ["random-search", "regularized-evolution"]


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Three strategies; two of them in another order; all of them and the tasks in another order."""

    def study(name, strategies, tasks):
        return compare(strategies, tasks, seeds=12, evaluations=25, out=tmp_path_factory.mktemp(name))

    return study("every", EVERY, TASKS), study("fewer", KEPT[::-1], TASKS), study("turned", EVERY[::-1], TASKS[::-1])


def text_of(study, name):
    return (study.folder.report_folder / name).read_text(encoding="utf-8")


def numbers_of(study):
    """Value of each row of report.json by strategy, task, metric and statistic."""
    rows = json.loads(text_of(study, "report.json"))["rows"]
    return {(row["strategy"], row["task"], row["metric"], row["statistic"]): row["value"] for row in rows}


def is_about_others(key):
    """Ranks, wins and the chance to be better than the others."""
    return key[2] in ("rank", "comparisons") or key[3] == "mean_a12"


def lines_of(study, name):
    """Lines of a CSV in an order of their own."""
    return sorted(tuple(row.items()) for row in csv.DictReader(text_of(study, name).splitlines()[1:]))


def cells_of(study, label):
    """Cells of a strategy in main.tex, without bold, mark and rank."""
    line = next(line for line in text_of(study, "main.tex").splitlines() if line.startswith(f"{label} &"))
    return [cell.replace("\\bfseries", "").replace("$^\\dagger$", "").strip() for cell in line.split("&")[1:-1]]


def rows_of_page(study, labels):
    """Rows of the page's tables of measures and of spending for these strategies."""
    part = text_of(study, "report.html").partition('id="measures"')[2].partition('id="over-time"')[0]
    rows = [line for line in part.splitlines() if any(f">{label}</td>" in line for label in labels)]
    assert len(rows) == 5 * len(labels)  # spending and evaluations of two tasks, and seconds of one of them
    return sorted(rows)


def looks_of(study):
    """Color, dashes and marker of each label in both figures of curves."""
    figures = (study.figure(), study.figure(axis="seconds"))
    return {
        (line.get_label(), number): (line.get_color(), line.get_linestyle(), line.get_marker())
        for number, figure in enumerate(figures)
        for line in figure.axes[0].lines
    }


def test_another_strategy_changes_no_number_about_the_others_in_any_file(studies):
    every, fewer, _ = studies
    remaining = {key: value for key, value in numbers_of(every).items() if key[0] in KEPT and not is_about_others(key)}
    assert {key: value for key, value in numbers_of(fewer).items() if not is_about_others(key)} == remaining
    assert ("random-search", "graph-cora", "test_regret", "iqm_low") in remaining
    for name in ("anytime.csv", "anytime_seconds.csv", "measures.csv", "spending.csv"):
        kept = [line for line in lines_of(every, name) if ("strategy", "local-search") not in line]
        assert lines_of(fewer, name) == kept, name
    for label in KEPT:
        assert cells_of(fewer, label) == cells_of(every, label) != []
    assert rows_of_page(fewer, KEPT) == rows_of_page(every, KEPT)
    looks = looks_of(every)
    assert looks_of(fewer) == {key: look for key, look in looks.items() if key[0] != "local-search"}


def test_no_order_changes_a_number_in_any_file(studies):
    every, _, turned = studies
    assert numbers_of(turned) == pytest.approx(numbers_of(every), rel=1e-12, nan_ok=True)
    for name in ("anytime.csv", "anytime_seconds.csv", "measures.csv", "spending.csv"):
        assert lines_of(turned, name) == lines_of(every, name)
    assert rows_of_page(turned, EVERY) == rows_of_page(every, EVERY)
    assert looks_of(turned) == looks_of(every)
