"""The report of a study against the control loop: reading runs, every number, tables and figures."""

from nasbench_harness import compare, open_study

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
