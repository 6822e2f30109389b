"""Kinds of figures, their styles, and the measures over time that some of them draw."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text

from nasbench_harness import compare
from nasbench_harness.analysis.anytime import anytime_measures
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.report.render.pictures import to_pdf, to_svg
from nasbench_harness.report.render.styles import styles_of
from nasbench_harness.report.sections.measures import measures_table

LABELS = st.lists(st.text("abcdefgh-", min_size=1, max_size=12), min_size=1, max_size=30, unique=True)
KINDS = ("anytime", "ecdf", "heatmap", "forest")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    tasks = ["nb201-cifar10", "nb201-cifar100", "graph-cora"]
    names = ["random-search", "local-search", "regularized-evolution"]
    return compare(names, tasks, seeds=12, evaluations=30, out=tmp_path_factory.mktemp("study"))


@given(LABELS, st.randoms())
@settings(deadline=None)
def test_no_two_styles_are_alike_in_any_order(labels, random):
    shuffled = list(labels)
    random.shuffle(shuffled)
    styles = styles_of(labels)
    assert styles == styles_of(shuffled)
    assert len(set(map(repr, styles.values()))) == len(labels)


def test_another_strategy_changes_no_style():
    names = [f"strategy-{number}" for number in range(12)] + ["random-search", "reinforce"]
    styles = styles_of(names)
    for name in names:
        assert styles_of([name])[name] == styles[name] == styles_of([*names, "another"])[name]


@pytest.mark.parametrize("kind", KINDS)
def test_figures_of_fewer_strategies_draw_the_same(study, kind):
    """Same lines and numbers for those that remain."""
    both = study.figure(kind, strategies=["random-search", "local-search"], tasks=["nb201-cifar10"])
    every = study.figure(kind, tasks=["nb201-cifar10"])
    if kind in ("anytime", "ecdf"):
        drawn = {line.get_label(): line for line in every.axes[0].lines}
        for line in both.axes[0].lines:
            other = drawn[line.get_label()]
            np.testing.assert_array_equal(line.get_ydata(), other.get_ydata())
            assert (line.get_color(), line.get_linestyle()) == (other.get_color(), other.get_linestyle())
    if kind == "heatmap":
        few, many = both.axes[0].images[0].get_array(), every.axes[0].images[0].get_array()
        assert few[0, 1] == many[0, 1]
    if kind == "forest":
        assert len(both.axes[0].get_yticks()) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", ["ieee-column", "neurips", "ieee-page", 4.0])
def test_text_has_at_least_seven_points_and_files_the_same_bytes(study, kind, width):
    figure = study.figure(kind, width=width)
    inches = {"ieee-column": 252 / 72.27, "neurips": 397 / 72.27, "ieee-page": 516 / 72.27}.get(width, width)
    assert figure.get_size_inches()[0] == pytest.approx(inches)
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
    assert min(sizes) >= 7
    again = study.figure(kind, width=width)
    assert to_pdf(figure, "c") == to_pdf(again, "c")
    assert to_svg(figure, "c") == to_svg(again, "c")


def test_axes_of_the_user_are_drawn_into(study):
    figure, axes = plt.subplots(1, 2)
    assert study.figure("ecdf", tasks=["nb201-cifar10"], ax=axes[0]) is figure
    assert [line.get_label() for line in axes[0].lines] == list(study.analysis.labels)
    assert not axes[1].lines
    with pytest.raises(InvalidInputError, match="ax holds one panel, and there are 3 tasks"):
        study.figure(ax=axes[0])
    plt.close(figure)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "pie"}, "pie"),
        ({"axis": "hours"}, "hours"),
        ({"tasks": ["nb201-cifar1"]}, "nb201-cifar1.*did you mean"),
        ({"strategies": ["random"]}, "random"),
    ],
)
def test_wrong_names_are_refused(study, options, message):
    with pytest.raises(UnknownNameError, match=message):
        study.figure(**options)


def test_the_exact_line_is_an_interquartile_mean(study):
    (line,) = [x for x in study.figure().axes[0].lines if x.get_label() == "random search, exact"]
    law = study.analysis.tasks[0].val.random_search.law
    assert line.get_ydata()[-1] == law.iqm_after([30])[0]
    assert law.iqm_after([30])[0] != pytest.approx(law.mean_after(30), rel=1e-3)


def test_measures_follow_from_the_runs(study):
    entry = study.analysis.tasks[0]
    for result in entry.results:
        found = anytime_measures(entry, result, "evaluations", study.analysis.options)
        curve = result.after_evaluations
        assert found.budgets == (7.5, 15.0, 30.0)
        assert found.regret == tuple(curve.mean[[6, 14, 29]])
        assert found.area == pytest.approx(curve.mean[:-1].mean())
        # The optimum by the end is a success, and a run that has left it again is one, too.
        assert found.success[-1].value >= result.share_optimal.value
        for target, row, time in zip(study.analysis.options.targets, curve.hits, found.running_time, strict=True):
            spent = np.where(row >= 0, row + 1, 30).sum()
            assert time == (spent / (row >= 0).sum() if (row >= 0).any() else np.inf), target


def test_hits_are_first_moments_at_or_below_a_target(made_task, analysis_of, runs_of):
    task = made_task([10.0, 9.5, 9.0, 8.0])
    runs = replace(runs_of([0, 1]), row_picks=np.array([[3, 1, 2, 0], [3, 3, 2, 2]]))
    runs = replace(runs, row_totals=np.tile(np.arange(1, 5), (2, 1)), row_times_s=np.full((2, 4), np.nan))
    analysis = analysis_of((task, {"a": runs}))
    hits = analysis.tasks[0].results[0].after_evaluations.hits
    assert analysis.options.targets == (1.0, 0.5, 0.2, 0.1, 0.0)
    hits = hits[:, np.argsort(analysis.tasks[0].results[0].seeds)]
    assert hits.tolist() == [[1, 2], [1, -1], [3, -1], [3, -1], [3, -1]]
    texts = [cell.numbers[""] for cell in measures_table(analysis).rows[0].cells[-5:]]
    assert texts == [(2 + 3) / 2, 2 + 4, 4 + 4, 4 + 4, 4 + 4]
