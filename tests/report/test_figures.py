"""Kinds of figures, their styles, and the measures over time that some of them draw."""

import io
from dataclasses import replace
from itertools import pairwise

import matplotlib as mpl
import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.cases import fast_first
from matplotlib.text import Text

from nasbench_harness import compare, open_study, run
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.report.render.pictures import FIGURE_STYLE, to_pdf, to_png, to_svg
from nasbench_harness.report.render.styles import style_of_number, styles_of
from nasbench_harness.report.sections.effects import forest_caption, heatmap_caption
from nasbench_harness.report.sections.measures import measures_table
from nasbench_harness.report.sections.task import task_table
from nasbench_harness.report.shown import ShownTable
from nasbench_harness.store.record import ReportOptions, StrategyRecord, StudyRecord
from nasbench_harness.store.study_file import read_study_file
from nasbench_harness.store.styles import KNOWN_LABELS, NUM_STYLES, style_numbers
from nasbench_harness.studies.catalog import strategy_entry_points
from nasbench_harness.studies.planning import plan_study

LABELS = st.lists(st.text("abcdefgh-", min_size=1, max_size=12), min_size=1, max_size=30, unique=True)
KINDS = ("anytime", "ecdf", "heatmap", "forest")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    tasks = ["nb201-cifar10", "nb201-cifar100", "graph-cora"]
    names = ["random-search", "local-search", "regularized-evolution"]
    return run(names, tasks, seeds=12, evaluations=30, out=tmp_path_factory.mktemp("study"))


@given(LABELS)
@settings(deadline=None)
def test_no_two_styles_are_alike(labels):
    styles = styles_of(labels)
    assert list(styles) == labels
    assert len(set(map(repr, styles.values()))) == len(labels)


def test_every_number_has_a_look_of_its_own():
    looks = [style_of_number(number) for number in range(NUM_STYLES)]
    assert len(set(map(repr, looks))) == NUM_STYLES
    known = [style_of_number(number) for number in range(len(KNOWN_LABELS))]
    assert len({(style.color, style.marker, style.is_filled) for style in known[5:]}) == len(known) - 5


def test_every_registered_strategy_has_a_style_of_its_own():
    assert set(strategy_entry_points()) <= set(KNOWN_LABELS)


HISTORIES = st.lists(
    st.lists(st.sampled_from(["cb", "dg", "a", "b", "reinforce", "c"]), min_size=1, unique=True), min_size=1
)


@given(HISTORIES)
@settings(deadline=None)
def test_no_change_of_a_study_changes_the_style_of_a_label_that_stays(history):
    """Strategies come, go and change their order; the hashes of cb and dg are equal."""
    record, styles = None, {}
    for labels in history:
        strategies = tuple(StrategyRecord(label, label) for label in labels)
        record = StudyRecord(strategies, ("nb201-cifar10",), 3, Protocol(5), 0).with_styles(record)
        numbers = style_numbers(record.labels, record.styles)
        assert len(set(numbers.values())) == len(labels)
        for label in set(styles) & set(numbers):
            assert numbers[label] == styles[label]
        styles = numbers


@pytest.mark.thorough
def test_a_study_keeps_the_style_of_a_label_that_had_to_move(tmp_path):
    names = ["cb=random-search", "dg=local-search"]
    tasks = ["nb201-cifar10"]
    both = compare(names, tasks, seeds=2, evaluations=2, out=tmp_path)
    assert list(both.record.styles) == ["dg"]
    assert "[styles]" in both.folder.study_file.read_text(encoding="utf-8")
    looks = {line.get_label(): line.get_color() for line in both.figure().axes[0].lines}
    last = compare(names[1:], tasks, seeds=2, evaluations=2, out=tmp_path)
    (line,) = [line for line in last.figure().axes[0].lines if line.get_label() == "dg"]
    assert line.get_color() == looks["dg"]
    assert last.command == "nasbench-harness compare --config study.toml"
    text = both.folder.study_file.read_text(encoding="utf-8")
    both.folder.study_file.write_text(text.replace("[styles]", "[styles]\nx = 340\ny = 340"), encoding="utf-8")
    with pytest.raises(InvalidInputError, match="two labels have the same number"):
        open_study(tmp_path)


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
@pytest.mark.parametrize("width", fast_first(["ieee-column", "neurips", "ieee-page", 4.0]))
def test_text_has_at_least_seven_points(study, kind, width):
    figure = study.figure(kind, width=width)
    inches = {"ieee-column": 252 / 72.27, "neurips": 397 / 72.27, "ieee-page": 516 / 72.27}.get(width, width)
    assert figure.get_size_inches()[0] == pytest.approx(inches)
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
    assert min(sizes) >= 7


@pytest.mark.parametrize("kind", fast_first(KINDS, 2))
def test_files_have_the_same_bytes_again(study, kind):
    figure, again = (study.figure(kind, width="neurips") for _ in range(2))
    assert to_pdf(figure, "c") == to_pdf(again, "c")
    assert to_svg(figure, "c") == to_svg(again, "c")


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    names = [f"a-long-name-of-{size}=local-search(num_initial={size})" for size in range(1, 21)]
    return run(names, ["nb201-cifar10", "graph-cora"], seeds=2, evaluations=5, out=tmp_path_factory.mktemp("many"))


@pytest.mark.parametrize("width", fast_first(["ieee-column", "neurips", "ieee-page"]))
@pytest.mark.parametrize("kind", ["anytime", "ecdf"])
def test_many_lines_have_their_names_beside_their_ends(many, kind, width):
    figure = many.figure(kind, width=width)
    assert not figure.legends
    figure.canvas.draw()
    for panel in figure.axes:
        lines = {line.get_label(): line for line in panel.get_legend_handles_labels()[0]}
        assert set(many.analysis.labels) <= set(lines)
        assert {text.get_text() for text in panel.texts} == set(lines)
        boxes = [text.get_window_extent() for text in panel.texts]
        assert all(upper.y0 > lower.y0 + 0.6 * lower.height for upper, lower in pairwise(boxes))
        assert max(box.x1 for box in boxes) <= figure.bbox.width
        ends = [lines[text.get_text()].get_ydata()[-1] for text in panel.texts]
        assert ends == sorted(ends, reverse=True)
        samples = [line for line in panel.lines if not line.get_clip_on()]
        assert [line.get_color() for line in samples] == [lines[text.get_text()].get_color() for text in panel.texts]
        assert panel.bbox.width > figure.dpi
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 7


def test_a_legend_takes_no_height_from_the_panels(many):
    heights = []
    for number in (4, 12):
        figure = many.figure(strategies=many.analysis.labels[:number], width="ieee-column")
        assert len(figure.legends) == 1
        heights.append(figure.axes[0].bbox.height)
    assert heights[1] > 0.9 * heights[0]


@pytest.mark.thorough
def test_a_heat_map_of_many_strategies_shows_colors_or_is_refused(many):
    with pytest.raises(InvalidInputError, match=r"a heat map of 20 strategies needs 4.5 inches and has 3.5"):
        many.figure("heatmap", width="ieee-column")
    wide, narrow = (many.figure("heatmap", width=width) for width in ("ieee-page", "neurips"))
    assert [len(figure.axes) for figure in (wide, narrow)] == [2, 4]  # the narrow one has scales
    numbers = [{text.get_text() for text in figure.axes[0].texts} for figure in (wide, narrow)]
    assert "" not in numbers[0]
    assert numbers[1] == {""}  # nothing is significant


def test_names_of_pairs_leave_room_for_panels(many):
    """Of a figure as wide as a column, too."""
    study = many.figure("forest", strategies=many.analysis.labels[:4], width="ieee-column")
    study.canvas.draw()
    assert all(panel.bbox.width > 0.5 * study.dpi for panel in study.axes)
    assert all(panel.title.get_window_extent().x1 <= study.bbox.width for panel in study.axes)


def test_minor_ticks_of_files_look_like_those_of_matplotlib(study):
    figure, plain = study.figure(), io.BytesIO()
    locators = [panel.xaxis.get_minor_locator() for panel in figure.axes]
    artists = [panel.get_children() for panel in figure.axes]
    picture = to_png(figure, "x")
    assert [panel.xaxis.get_minor_locator() for panel in figure.axes] == locators
    assert [panel.get_children() for panel in figure.axes] == artists
    with mpl.rc_context(FIGURE_STYLE):
        figure.savefig(plain, format="png", dpi=200)
    assert any(len(panel.xaxis.get_minor_ticks()) > 10 for panel in figure.axes)
    np.testing.assert_array_equal(*(mpl.image.imread(io.BytesIO(data)) for data in (picture, plain.getvalue())))


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
        found, curve = result.measures["evaluations"], result.after_evaluations
        assert found.budgets == (7.5, 15.0, 30.0)
        assert found.regret == pytest.approx(tuple(curve.mean[[6, 14, 29]]))
        assert found.area == pytest.approx(curve.mean[:-1].mean())
        # The optimum by the end is a success, and a run that has left it again is one, too.
        assert found.success[-1].value >= result.share_optimal.value
        for row, share, time in zip(found.hits, found.success, found.running_time, strict=True):
            assert share.value == np.isfinite(row).mean()
            assert time == (np.minimum(row, 30).sum() / np.isfinite(row).sum() if np.isfinite(row).any() else np.inf)


def test_the_caption_of_measures_names_the_charge_and_the_ends_of_axes(study):
    title = measures_table(study.analysis).title
    assert "or of the whole axis for a run that misses it, over the number of runs that reach it" in title
    timed = next(entry for entry in study.analysis.tasks if entry.times_s is not None)
    assert f"{timed.task.title} {30 * timed.task.typical_cost_s:,.0f} s" in title
    assert "The axis of seconds begins with the table's median cost of one training and ends with the budget" in title
    assert "axis of evaluations" not in title  # it is that of the budget
    by_seconds = replace(study.analysis, protocol=Protocol(simulated_seconds=100.0))
    assert "The axis of evaluations ends with the longest run of all strategies" in measures_table(by_seconds).title


def test_captions_of_pairs_name_runs_test_and_family(made_task, analysis_of):
    task, picks = made_task(range(50, 91)), np.random.default_rng(0).integers(0, 41, (3, 20))
    several = {"a": picks[0], "b": picks[1], "c": picks[2, :12]}
    analysis = analysis_of((task, several), options=ReportOptions(margin=0.3))
    heatmap, forest = heatmap_caption(analysis), forest_caption(analysis)
    assert "N = 12–20 runs" in heatmap
    assert "(Welch's t-test, Holm over the 3 pairs of a column (one metric of a task), alpha = 0.05)" in heatmap
    assert "N = 12–20 runs" in forest
    assert "intervals, not corrected" in forest
    assert "(Welch's t-test, Holm over the 3 pairs × tasks of the study, alpha = 0.05)" in forest
    assert "the margin of 0.3 pp" in forest
    few = analysis_of((task, {"a": picks[0, :5], "b": picks[1, :5]}))
    assert "significant" not in heatmap_caption(few) + forest_caption(few)


def lines_of(figure, panel=0):
    return {line.get_label(): line for line in figure.axes[panel].lines}


def test_curves_by_test_of_values_on_linear_axes(study):
    figure = study.figure(curves=["test", "value", "linear"])
    (axes,) = [axes for axes in figure.axes if axes.get_title()]
    assert axes.get_title() == "Cora"
    assert axes.get_ylabel() == "test accuracy (%)"
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")
    entry = study.analysis.tasks[2]
    view = entry.task.scores["test"]
    for result in entry.results:
        last = lines_of(figure)[result.label].get_ydata()[-1]
        assert last == pytest.approx(view.best_value - float(result.scores["test"].iqm.point))
    exact = lines_of(figure)["random search, exact"].get_ydata()[-1]
    assert exact == pytest.approx(view.best_value - entry.score("test").random_search.law.iqm_after([30])[0])
    assert lines_of(figure)["optimum"].get_ydata()[0] == view.best_value
    assert "reinforce" not in lines_of(figure)
    # The tables are the same whatever curves show; the measures are those of the curves.
    by_test = study._analysis_with(replace(study.record.report, curves=("test",)))
    assert ShownTable.of(task_table(by_test, by_test.tasks[2])) == study.table("graph-cora")
    measures = measures_table(by_test)
    assert {row.cells[0].text for row in measures.rows} == {"graph-cora"}
    assert measures.title.startswith("Measures over time, of the noiseless test regret of the choice.")


def test_epochs_are_evaluations_if_every_training_has_as_many(study):
    by_epochs = lines_of(study.figure(axis="epochs"))["local-search"]
    by_steps = lines_of(study.figure())["local-search"]
    np.testing.assert_array_equal(by_epochs.get_xdata(), 200 * by_steps.get_xdata())
    np.testing.assert_array_equal(by_epochs.get_ydata(), by_steps.get_ydata())


def test_words_on_curves_are_checked(study, tmp_path):
    with pytest.raises(UnknownNameError, match="unknown curve 'tests' in figures: did you mean 'test'"):
        study.figure(curves=["tests"])
    text = (
        study.folder.study_file.read_text(encoding="utf-8")
        .replace(', "graph-cora"', "")
        .replace('    "graph-cora",\n', "")
    )
    (tmp_path / "study.toml").write_text(f'{text}\n[report]\ncurves = ["test"]\n', encoding="utf-8")
    with pytest.raises(InvalidInputError, match="no task of this study has a test metric: leave the word test out"):
        plan_study(read_study_file(tmp_path / "study.toml"), tmp_path / "new")
    (tmp_path / "study.toml").write_text(f'{text}\n[report]\ncurves = ["tset"]\n', encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"report\.curves"):
        read_study_file(tmp_path / "study.toml")


def test_fronts_show_the_set_of_every_run(tmp_path):
    names = ["random-search", "local-search"]
    two = compare(
        names, ["nb201-cifar10"], seeds=12, evaluations=20, objectives="val_accuracy,latency_ms", out=tmp_path
    )
    figure = two.figure("front")
    assert [axes.get_title() for axes in figure.axes] == names
    assert len({axes.get_xlim() + axes.get_ylim() for axes in figure.axes}) == 1
    entry = two.analysis.tasks[0]
    for axes, result in zip(figure.axes, entry.results, strict=True):
        (thin,) = axes.collections
        drawn = {tuple(map(tuple, np.unique(np.round(path.vertices[::2], 9), axis=0))) for path in thin.get_paths()}
        losses = [entry.task.noiseless_losses[members] for members in result.sets.members]
        fronts = [[x for x in rows if not ((rows <= x).all(1) & (rows < x).any(1)).any()] for rows in losses]
        assert drawn == {tuple(sorted({(round(b, 9), round(100 - a, 9)) for a, b in front})) for front in fronts}
        assert set(lines_of(figure, list(entry.results).index(result))) == {"true front", result.label}
    together, axes = plt.subplots()
    assert two.figure("front", ax=axes) is together
    assert [line.get_label() for line in axes.lines] == ["true front", *names]
    plt.close(together)


def test_a_true_front_of_one_point_is_drawn(tmp_path):
    """Warnings are errors: both axes have a width although every value is the same."""
    rules = {"objectives": ["val_accuracy", "latency_ms"], "constraints": ["val_accuracy>=q100"], "evaluations": 5}
    study = compare(["random-search"], ["nb201-cifar10"], 3, tmp_path, **rules)
    (axes,) = study.figure(kind="front").axes
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert low < high
    assert bottom < top
