"""A budget in seconds that no training fits into: search time alone makes a curve."""

from nasbench_harness import Progress, compare


def searches_without_training(problem, rng):
    """Spends 90 seconds, and recommends two architectures on the way."""
    for architecture in (5, 6, 6):
        yield Progress(30.0, architecture)
    return 6


def test_a_report_is_written_if_no_training_fits_into_the_budget(tmp_path):
    options = {"seeds": 3, "simulated_seconds": 100.0, "overrun": "count"}
    study = compare(["random-search", searches_without_training], ["nb201-cifar10"], out=tmp_path / "s", **options)
    curve = next(r.over("seconds") for r in study.analysis.tasks[0].results if r.label != "random-search")
    assert curve is not None
    assert (study.path / "report" / "report.md").is_file()
    assert set(study.frame().set_index("strategy").evaluations["random-search"]) == {1}
