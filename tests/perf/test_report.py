"""The report of a study against the control loop: reading runs, every number, tables and figures."""

import io

import matplotlib as mpl
from matplotlib.figure import Figure

from nasbench_harness import compare, open_study
from nasbench_harness.report.render.pictures import FIGURE_STYLE, to_pdf

from .conftest import gates, least_cpu_seconds, least_ratio

TASKS = ["nb201-cifar10", "nb201-cifar100", "nb201-imagenet16-120"]


@gates(gate=750, bar=500)
def test_a_report_costs_at_most_so_many_control_loops(tmp_path, control_loop, benchmark, gate):
    path = compare(tasks=TASKS, seeds=200, out=tmp_path / "study").path  # imports, tables, runs

    def report():
        open_study(path).write_report()

    def measure():
        seconds, control = least_cpu_seconds(report, control_loop, repeats=3)
        benchmark.extra_info.update(report_cpu_s=seconds, control_cpu_s=control, ratio_to_control=seconds / control)
        return seconds / control

    ratio = least_ratio(measure, gate)
    benchmark.pedantic(lambda: None)
    assert ratio <= gate


@gates(gate=0.95, bar=0.85)
def test_minor_ticks_of_files_are_drawn_at_once(benchmark, gate):
    """A page of panels with logarithmic axes as PDF against Matplotlib's own, whose minor ticks exist already."""
    with mpl.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(5.5, 8))
        for panel in figure.subplots(4, 3).flat:
            panel.plot([1, 200], [1, 2])
            panel.set_xscale("log")

    def plain():
        with mpl.rc_context(FIGURE_STYLE):
            figure.savefig(io.BytesIO(), format="pdf")

    def measure():
        ours, theirs = least_cpu_seconds(lambda: to_pdf(figure, "x"), plain, repeats=3)
        benchmark.extra_info.update(ours_cpu_s=ours, plain_cpu_s=theirs, ratio=ours / theirs)
        return ours / theirs

    ratio = least_ratio(measure, gate)
    benchmark.pedantic(lambda: None)
    assert ratio <= gate
