import numpy as np
import pytest
from matplotlib.figure import Figure

from nasbench_harness.analysis.curves import Band, band_steps, curves
from nasbench_harness.report.render.pictures import to_pdf, to_png
from nasbench_harness.report.sections.anytime import _edge, anytime_figure
from nasbench_harness.report.sections.panels import _legend
from nasbench_harness.statistics import count_matrix, iqm

COUNTS = count_matrix(30, 200, 0)


@pytest.fixture(scope="module")
def task(made_task):
    return made_task(np.random.default_rng(0).permutation(500) / 10)


def picks_of(task, num_steps, seed=0):
    """Incumbents of 30 random searches."""
    order = np.argsort(task.scores["val"].grid_values)
    return order[np.maximum.accumulate(np.random.default_rng(seed).integers(500, size=(30, num_steps)), axis=1)]


def test_the_line_has_every_step_and_the_band_at_most_64(task):
    picks = picks_of(task, 1_000)
    (curve,) = curves(task.scores["val"], [picks], [np.arange(1, 1_001)], COUNTS)
    np.testing.assert_allclose(curve.mean, task.scores["val"].regret(picks).mean(axis=0))
    np.testing.assert_allclose(curve.iqm, iqm(task.scores["val"].regret(picks), axis=0))
    assert 40 < len(curve.band.steps) <= 64
    at_steps = curve.iqm[curve.band.steps]
    assert (curve.band.low <= at_steps + 1e-12).all()
    assert (at_steps <= curve.band.high + 1e-12).all()
    assert (curve.band.low < curve.band.high)[:-20].all()


@pytest.mark.parametrize(
    "moments", [np.arange(1, 201), np.geomspace(3.7, 9_000.0, 100), np.arange(1, 6), np.array([2.5])]
)
def test_band_steps_are_evenly_spaced_by_logarithm_and_hold_both_ends(moments):
    steps = band_steps(moments)
    assert (steps[0], steps[-1]) == (0, len(moments) - 1)
    assert (np.diff(steps) > 0).all()
    assert len(steps) <= 64
    if len(moments) > 1:
        # No gap is wider than one of the 63 equal parts and the step that it falls in.
        allowed = np.log(moments[-1] / moments[0]) / 63 + np.log(moments[1:] / moments[:-1]).max()
        assert (np.diff(np.log(moments[steps])) <= allowed + 1e-12).all()


def test_few_steps_all_have_a_band(task):
    (curve,) = curves(task.scores["val"], [picks_of(task, 6)], [np.arange(1, 7)], COUNTS)
    assert curve.band.steps.tolist() == [0, 1, 2, 3, 4, 5]


def test_the_order_of_the_runs_changes_no_bit(task):
    picks = picks_of(task, 50)
    shuffled = picks[np.random.default_rng(1).permutation(30)]
    (one,), (other,) = (
        curves(task.scores["val"], [chosen], [np.arange(1, 51)], COUNTS) for chosen in (picks, shuffled)
    )
    for here, there in ((one.mean, other.mean), (one.iqm, other.iqm), (one.band.low, other.band.low)):
        assert here.tobytes() == there.tobytes()


def test_curves_that_share_resamples_are_those_of_each_alone(task):
    picks = [picks_of(task, 40), picks_of(task, 70, seed=1)]
    moments = [np.arange(1, 41), np.geomspace(2.0, 90.0, 70)]
    together = curves(task.scores["val"], picks, moments, COUNTS)
    for curve, chosen, along in zip(together, picks, moments, strict=True):
        (alone,) = curves(task.scores["val"], [chosen], [along], COUNTS)
        for name in ("steps", "low", "high"):
            assert getattr(curve.band, name).tobytes() == getattr(alone.band, name).tobytes()


def test_a_curve_begins_once_every_run_has_a_result(task):
    picks = picks_of(task, 20)
    picks[3, :4] = -1
    (curve,) = curves(task.scores["val"], [picks], [np.arange(1, 21)], COUNTS)
    for line in (curve.mean, curve.iqm):
        assert np.flatnonzero(np.isnan(line)).tolist() == [0, 1, 2, 3]
    assert (curve.band.steps[0], curve.band.steps[-1]) == (4, 19)
    picks[3] = -1
    (curve,) = curves(task.scores["val"], [picks], [np.arange(1, 21)], COUNTS)
    assert np.isnan(curve.iqm).all()
    assert curve.band is None


def test_without_resamples_there_is_only_a_mean(task):
    (curve,) = curves(task.scores["val"], [picks_of(task, 20)], [np.arange(1, 21)], None)
    assert (curve.iqm, curve.band) == (None, None)
    assert len(curve.mean) == 20


def test_a_band_is_level_between_neighbors_and_straight_over_steps_without_one():
    band = Band(np.array([0, 1, 2, 4, 7]), np.array([9.0, 8.0, 7.0, 5.0, 2.0]), np.arange(5.0))
    assert _edge(band, band.steps, is_time=True).tolist() == [0, 1, 1, 2, 2, 4, 7]
    assert _edge(band, band.low).tolist() == [9, 9, 8, 8, 7, 5, 2]


def test_the_places_of_a_figure_are_computed_once(study, monkeypatch):
    from matplotlib import _constrained_layout, layout_engine

    calls = []
    solve = _constrained_layout.do_constrained_layout

    def counted(*arguments, **options):
        calls.append(arguments)
        return solve(*arguments, **options)

    monkeypatch.setattr(layout_engine, "do_constrained_layout", counted)
    figure = anytime_figure(study.analysis)
    to_pdf(figure, "command"), to_png(figure, "command")
    assert len(calls) == 1


def test_nothing_in_a_figure_overlaps_or_leaves_it(study):
    for axis in ("evaluations", "seconds"):
        figure = anytime_figure(study.analysis, axis)
        boxes = [panel.get_tightbbox() for panel in figure.axes] + [figure.legends[0].get_window_extent()]
        for position, box in enumerate(boxes):
            assert box.x0 >= -1
            assert box.y0 >= -1
            assert box.x1 <= figure.bbox.x1 + 1
            assert box.y1 <= figure.bbox.y1 + 1
            assert not any(box.overlaps(other) for other in boxes[:position])


def test_a_legend_has_fewer_columns_if_its_labels_are_long():
    for name, columns in (("walk", 4), ("evolution", 3), ("an-evolution-whose-name-is-long", 1)):
        figure = Figure(figsize=(5.5, 3))
        panel = figure.add_subplot()
        labels = [f"{name}-{number}" for number in range(22)]
        for label in labels:
            panel.plot([0, 1], label=label)
        _legend(figure, [panel], labels, 4)
        (legend,) = figure.legends
        assert legend.get_window_extent().width <= figure.bbox.width
        figure.draw_without_rendering()
        assert len({round(text.get_window_extent().x0) for text in legend.get_texts()}) == columns
