"""The diagram of critical differences."""

import re
from dataclasses import replace
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.text import Text

from nasbench_harness import open_study, run
from nasbench_harness.analysis.comparison import ALPHA
from nasbench_harness.cli import main
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.report.render.pictures import to_pdf
from nasbench_harness.report.sections.critical import _bars, critical_difference_caption, critical_difference_figure
from nasbench_harness.statistics import RankTests, rank_tests

VAL = range(50, 91)


@pytest.fixture
def analysis(made_task, analysis_of):
    """Eight tasks on which a, b, c, d and e always end in this order; a and b take turns."""

    def runs(task):
        ends = {"a": 40 - task % 2, "b": 39 + task % 2, "c": 30, "d": 20, "e": 10}
        return {label: [end] * 12 for label, end in ends.items()}

    return analysis_of(*((made_task(VAL, name=f"t{task}"), runs(task)) for task in range(8)))


def bars_of(panel):
    return [[round(float(x), 2) for x in line.get_xdata()] for line in panel.lines if line.get_linewidth() > 2]


def test_bars_join_what_does_not_differ(analysis):
    """Mean ranks 1.5, 1.5, 3, 4, 5; differences from 2.5 are significant (Holm over 10 pairs, deviation .79)."""
    panel = critical_difference_figure(analysis).axes[0]
    assert bars_of(panel) == [[1.46, 3.04], [2.96, 5.04]]
    assert [text.get_text() for text in panel.texts] == ["a 1.50", "b 1.50", "c 3.00", "4.00 d", "5.00 e"]
    assert "8 tasks" in critical_difference_caption(analysis)
    assert "p < .001" in critical_difference_caption(analysis)


def test_one_bar_without_any_difference(made_task, analysis_of):
    same = {"a": [3] * 12, "b": [3] * 12, "c": [3] * 12}
    analysis = analysis_of(*((made_task(VAL, name=f"t{task}"), same) for task in range(6)))
    assert bars_of(critical_difference_figure(analysis).axes[0]) == [[1.96, 2.04]]
    assert "Friedman's test (p = 1)" in critical_difference_caption(analysis)


def test_pairs_count_only_if_friedman_finds_a_difference():
    tests = RankTests(np.array([1.0, 3.0, 2.0]), 0.01, np.array([[1, 0.01, 0.2], [0.01, 1, 0.3], [0.2, 0.3, 1]]))
    assert _bars(tests, [0, 2, 1]) == [(0, 1), (1, 2)]
    assert _bars(replace(tests, p=0.06), [0, 2, 1]) == [(0, 2)]


def test_no_bar_covers_a_significant_pair():
    rng, num_bars = np.random.default_rng(0), []
    for _ in range(200):
        tests = rank_tests(rng.integers(0, 9, (6, 10)) + 2 * np.arange(6)[:, None])
        order = np.argsort(tests.mean_ranks, kind="stable").tolist()
        bars = _bars(tests, order)
        num_bars.append(len(bars))
        for first, last in bars:
            assert (
                tests.p > ALPHA
                or (tests.p_pairs[np.ix_(order[first : last + 1], order[first : last + 1])] > ALPHA).all()
            )
    assert max(num_bars) > 2


@pytest.mark.parametrize(
    ("num_tasks", "labels", "num_seeds", "message"),
    [
        (5, "abc", 12, "needs at least 6 tasks, and the study has 5"),
        (6, "ab", 12, "needs at least 3 strategies, and there are 2"),
        (6, "abc", 9, "needs at least 10 seeds of every strategy on every task"),
    ],
)
def test_too_little_is_refused(made_task, analysis_of, num_tasks, labels, num_seeds, message):
    runs = {label: [3] * num_seeds for label in labels}
    few = analysis_of(*((made_task(VAL, name=f"t{task}"), runs) for task in range(num_tasks)))
    with pytest.raises(InvalidInputError, match=message):
        critical_difference_figure(few)


@pytest.mark.thorough
def test_a_report_shows_it_or_stays_as_it_was(tmp_path):
    tasks = ["nb201-cifar10", "nb201-cifar100", "nb201-imagenet16-120", "graph-cora", "graph-citeseer", "graph-pubmed"]
    study = run(["random-search", "local-search", "reinforce"], tasks, seeds=10, evaluations=20, out=tmp_path)
    for width in ("ieee-column", "neurips"):
        figure = study.figure("critical-difference", width=width)
        figure.canvas.draw()
        texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
        assert min(text.get_fontsize() for text in texts) >= 7
        assert min(text.get_window_extent().x0 for text in texts) >= 0
        assert max(text.get_window_extent().x1 for text in texts) <= figure.bbox.width
        assert to_pdf(figure, "c") == to_pdf(study.figure("critical-difference", width=width), "c")
    arguments = ["report", str(tmp_path), "--format", "png", "--format", "html", "--figure", "critical-difference"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "report" / "critical-difference.png").is_file()
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert len(re.findall("<figcaption>Mean ranks over 6 tasks; 1 is best", page)) == 1
    figure, panel = plt.subplots()
    assert study.figure("critical-difference", ax=panel) is figure
    assert len(panel.texts) == 3
    plt.close(figure)
    few = run(["random-search", "local-search", "reinforce"], tasks[:5], seeds=10, evaluations=20, out=tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "report").iterdir()}
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert "a critical-difference figure needs at least 6 tasks, and the study has 5" in result.output
    assert {path.name: path.read_bytes() for path in (tmp_path / "report").iterdir()} == before
    assert np.isfinite(open_study(tmp_path).analysis.mean_ranks).all()
    assert few.figure("forest") is not None


@pytest.mark.parametrize(("num", "width", "ticks"), [(6, None, [1, 2, 3, 4, 5, 6]), (12, 3.5, [1, 3, 5, 7, 9, 12])])
def test_the_axis_of_ranks_names_both_ends(made_task, analysis_of, num, width, ticks):
    """Labels of ticks keep apart, also in a column beside long names."""
    runs = {f"regularized-evolution-{place}": [40 - place] * 12 for place in range(num)}
    analysis = analysis_of(*((made_task(VAL, name=f"t{task}"), runs) for task in range(6)))
    figure = critical_difference_figure(analysis, width=width)
    figure.canvas.draw()
    axis = figure.axes[0].xaxis
    assert [round(place) for place in axis.get_ticklocs()] == ticks
    boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
    assert all(first.x1 < second.x0 for first, second in pairwise(boxes))
