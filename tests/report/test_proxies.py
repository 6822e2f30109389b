import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from kit.cases import fast_first
from scipy.stats import spearmanr

from nasbench_harness import Protocol, compare, load_task
from nasbench_harness.analysis import proxies
from nasbench_harness.analysis.proxies import analyze_proxies
from nasbench_harness.cli import main
from nasbench_harness.evaluation.task import Trained, make_task
from nasbench_harness.report.provenance import StrategySource
from nasbench_harness.report.render.text import to_markdown
from nasbench_harness.report.sections.proxies import proxy_tables
from nasbench_harness.spaces import NASBench201Space
from nasbench_harness.studies import reporting
from nasbench_harness.tables.proxies import shipped_scores
from nasbench_harness.tables.score_files import ScoreFile, read_scores
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

SCORES = {"meco": 0.3, "swap": 1.0, "nwot": 3.0}


@pytest.fixture(scope="module")
def small():
    """Noisy copies of the accuracy on 400 cells, under two initializations and two batches."""
    rows = np.arange(0, 15_625, 40)
    accuracy = load_task("nb201-cifar10").scores["val"].values[rows]
    rng = np.random.default_rng(0)
    scores = {
        name: accuracy + noise * rng.normal(size=(2, 2, len(rows))) * accuracy.std() for name, noise in SCORES.items()
    }
    scores["nwot"][:, :, :5] = np.nan
    shipped = read_scores().provenance
    provenance = {**shipped, "set": "a sample of 391 cells"}
    provenance["columns"] = {name: shipped["columns"][name] for name in SCORES}
    return ScoreFile(rows, (0, 1), (0, 1), scores, provenance, "digest")


@pytest.fixture(scope="module")
def analysis(small):
    return analyze_proxies(small, ["nb201-cifar10"], num_resamples=50)


def test_better_scores_correlate_more_and_size_stands_beside(analysis):
    (result,) = analysis.tasks
    names = [entry.name for entry in result.results]
    assert names == ["params", "flops", "meco", "swap", "nwot", "meco+swap"]
    rho = {entry.name: entry.spearman["all"].estimate for entry in result.results}
    assert rho["meco"] > rho["swap"] > rho["nwot"]
    assert {entry.name: entry.num_missing for entry in result.results}["nwot"] == 5
    for entry in result.results:
        for label in ("all", "connected", "top 10 %"):
            found = entry.kendall[label]
            assert found.low <= found.estimate <= found.high
    assert result.counts["all"] == 391
    assert result.counts["top 10 %"] == 39
    assert result.counts["connected"] < 391


def test_the_pick_is_a_mean_accuracy_with_random_search_beside(analysis):
    (result,) = analysis.tasks
    accuracy = result.task.scores["val"].values[analysis.file.architectures]
    pick = {entry.name: entry.top for entry in result.results}
    best = np.argsort(-analysis.file.scores["meco"][0, 0])[:10]
    assert pick["meco"][1] == pytest.approx(accuracy[best].mean())
    drawn = np.random.default_rng(0).choice(accuracy, (20_000, 10)).max(1).mean()
    assert result.random_best[1] == pytest.approx(drawn, abs=0.1)
    assert result.random_best[0] == pytest.approx(accuracy.mean())


def test_all_pairs_are_ranked(analysis):
    (result,) = analysis.tasks
    assert len(result.pairs) == 10
    values = [value for _, value in result.pairs]
    assert values == sorted(values, reverse=True)


def test_stability_is_agreement_with_itself(analysis):
    by_name = {entry.name: entry for entry in analysis.stability}
    assert by_name["meco"].initializations > by_name["swap"].initializations > by_name["nwot"].initializations
    assert by_name["meco"].batches > by_name["nwot"].batches
    assert by_name["nwot"].spread["nb201-cifar10"] > 0


def test_equal_scores_of_other_batches_count_once(small):
    """A score that reads no data is the same on every batch."""
    scores = {"meco": small.scores["meco"][:, [0, 0]]}
    columns = {"meco": {**small.provenance["columns"]["meco"], "data": "none"}}
    file = replace(small, scores=scores, provenance={**small.provenance, "columns": columns})
    (found,) = analyze_proxies(file, ["nb201-cifar10"], num_resamples=0).stability
    accuracy = load_task("nb201-cifar10").scores["val"].values[file.architectures]
    rho = [spearmanr(values, accuracy).statistic for values in scores["meco"][:, 0]]
    assert found.spread["nb201-cifar10"] == pytest.approx(np.std(rho, ddof=1))
    assert np.isnan(found.batches)
    assert found.initializations < 1


def task_of(values):
    """A task with these values of the first NAS-Bench-201 cells, and nothing else."""
    space, metric = NASBench201Space(), Metric("val_accuracy", "%", "maximize", "search")
    everything = np.full((space.num_architectures, 1, 1), np.nan)
    everything[: len(values), 0, 0] = values
    dataset = Dataset("One", space, {"val_accuracy": MetricArray(metric, everything)})
    return make_task(Table("mine", {"one": dataset}, Provenance("here", "1", "MIT")), "one")


def test_a_table_with_gaps_is_named_and_has_sizes_beside(monkeypatch):
    accuracy = load_task("nb201-cifar10").scores["val"].values[:40]
    monkeypatch.setattr(proxies, "load_task", lambda _: task_of(accuracy))
    file = read_scores()
    analysis = analyze_proxies(replace(file, scores={"meco": file.scores["meco"]}), ["mine"], num_resamples=20)
    (result,) = analysis.tasks
    assert [entry.name for entry in result.results] == ["params", "flops", "meco"]
    assert result.results[0].spearman["all"].estimate == pytest.approx(
        spearmanr(shipped_scores()["params"][:40], accuracy).statistic
    )
    for table in proxy_tables(analysis)[:3]:
        assert "the 40 architectures that have a result, of all 15,625 cells" in table.caption
        assert ("tuned on NAS-Bench-201" in table.caption) == (not table.name.startswith("pairs"))
    assert "(20 resamples; none for fewer than 10 architectures)" in proxy_tables(analysis)[0].caption
    assert result.counts["top 10 %"] == 4
    for entry in result.results:
        assert np.isnan([entry.spearman["top 10 %"].low, entry.kendall["top 10 %"].low]).all()
        assert np.isfinite(entry.spearman["all"].low)


def test_a_study_shows_no_scores_on_tasks_of_few_results_or_without_a_table(monkeypatch):
    monkeypatch.setattr(reporting, "analyze_proxies", lambda file, tasks, means, num_resamples: tasks)
    sources = [StrategySource("mine", "mine", {"score": "nwot"})]
    few, enough = (task_of(values).under(Protocol()) for values in ([1.0, 2.0], [1.0, 2.0, 3.0]))
    trained = replace(enough, task=replace(enough.task, name="trained", trained=Trained(None, enough.task.scores)))
    for tasks in ([few], [trained], [few, trained]):
        assert reporting._scores_of(sources, tasks) is None
    assert reporting._scores_of(sources, [few, trained, enough]) == ["mine-one"]


def test_every_table_names_the_set_of_architectures(analysis):
    tables = proxy_tables(analysis)
    assert [table.name.partition("_")[0] for table in tables] == [
        "correlations",
        "picks",
        "pairs",
        "settings",
        "stability",
    ]
    for table in tables:
        if table.name != "settings":
            assert "a sample of 391 cells" in table.caption
    assert "tuned on NAS-Bench-201" in tables[0].caption
    assert "meco (N=5, C=8)" in to_markdown(tables[0])


@pytest.mark.thorough
def test_a_report_in_the_current_folder_names_each_task_and_combination_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    twice = ["--tasks", "nb201-cifar10,nb201-cifar10", "--combine", "meco+swap,meco+swap"]
    result = CliRunner().invoke(main, ["proxies", "report", *twice, "--resamples", "0", "--out", "."])
    assert result.exit_code == 0, result.output
    tables = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["tables"]
    assert [table["name"] for table in tables].count("correlations_nb201-cifar10") == 1
    assert [row["score"] for row in tables[0]["rows"]].count("meco+swap") == 1


@pytest.mark.parametrize(("name", "code"), fast_first([("SIGTERM", 143), ("SIGINT", 130)]))
def test_a_signal_leaves_no_file_of_the_report(name, code, tmp_path, monkeypatch):
    def end(*_):
        assert list(tmp_path.iterdir())
        os.kill(os.getpid(), getattr(signal, name))

    monkeypatch.setattr("nasbench_harness.files.os.replace", end)
    options = ["--tasks", "nb201-cifar10", "--resamples", "0", "--out", str(tmp_path / "report")]
    result = CliRunner().invoke(main, ["proxies", "report", *options])
    assert (result.exit_code, result.output) == (
        code,
        "\nstopped; the same command goes on from the stored results, if there are any\n",
    )
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("width", [80, 40])
@pytest.mark.parametrize("verb", [["list"], ["info", "nwot"], ["info", "az_trainability"]])
def test_scores_are_described_within_the_width_of_the_terminal(verb, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    result = CliRunner().invoke(main, ["proxies", *verb])
    assert result.exit_code == 0
    assert max(len(line) for line in result.output.splitlines()) <= width
    words = " ".join(result.output.split())
    assert ("C = (ReLU input > 0)" in words) == (verb[-1] != "az_trainability")


@pytest.mark.thorough
def test_report_of_the_shipped_scores_as_files_and_json(tmp_path):
    arguments = ["proxies", "report", "--tasks", "nb201-cifar10", "--resamples", "0"]
    result = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "one")])
    assert result.exit_code == 0, result.output
    CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "two")])
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    assert {
        "report.html",
        "report.md",
        "report.json",
        "correlations.pdf",
        "correlations.png",
        "correlations_nb201-cifar10.csv",
    } <= set(files)
    record = json.loads(files["report.json"])
    assert record["set"] == "all 15,625 cells of NAS-Bench-201"
    assert record["command"] == "nasbench-harness proxies report --tasks nb201-cifar10 --resamples 0"
    assert files["report.md"].startswith(b"<!-- generated by: nasbench-harness proxies report")
    shown = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)
    assert shown["tables"] == record["tables"]
    rows = {row["score"]: row for row in record["tables"][0]["rows"]}
    assert rows["params"]["spearman_all"] == pytest.approx(0.712, abs=1e-3)


@pytest.mark.thorough
def test_the_page_of_a_study_shows_the_scores_that_its_strategies_read(tmp_path):
    names = ["best-by-score(score='swap+nwot', num_scored=20)", "random-search"]
    names.append("twice=best-by-score(score='swap+swap', num_scored=20)")  # one score is no mean of ranks
    two = compare(names, ["nb201-cifar10", "nb201-cifar100"], seeds=3, evaluations=2, out=tmp_path / "two")
    page = (two.folder.report_folder / "report.html").read_text(encoding="utf-8")
    text = page[page.index('id="training-free-scores"') :]
    for name in ("params", "flops", "swap (N=3, C=8)", "nwot (N=3, C=8)", "swap+nwot", "Pairs of scores, CIFAR-100"):
        assert f">{name}<" in text
    assert "meco" not in text
    assert "0 resamples" not in text
    accuracy = load_task("nb201-cifar10").scores["val"].values
    rho = spearmanr(shipped_scores()["swap"], accuracy).statistic
    assert f">{rho:.3f}<" in text
    one = compare(["random-search"], ["nb201-cifar10"], seeds=3, evaluations=2, out=tmp_path / "one")
    assert "Training-free" not in (one.folder.report_folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("parameters", "names", "means"),
    [
        ({"score": "swap + nwot"}, ["nwot", "swap"], ["swap+nwot"]),
        ({"prior": "meco+swap"}, ["meco", "swap"], ["meco+swap"]),
        ({"scores": "meco+swap", "prior": ""}, ["meco", "swap"], []),  # inputs of a model are no mean of ranks
        ({"score": "swap+swap"}, ["swap"], []),
        ({"score": "own_score", "prior": 0.5}, None, None),
    ],
)
def test_scores_are_shown_whichever_hyperparameter_names_them(monkeypatch, parameters, names, means):
    monkeypatch.setattr(reporting, "analyze_proxies", lambda file, tasks, means, num_resamples: (file, means))
    sources = [StrategySource("mine", "mine", parameters)]
    found = reporting._scores_of(sources, [load_task("nb201-cifar10").under(Protocol())])
    assert (found and (sorted(found[0].scores), found[1])) == (names and (names, means))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "graph-cora"], "no NAS-Bench-201 cells"),
        (["--tasks", "nb201-cifar11"], "did you mean"),
        (["--combine", "meco+swop"], "did you mean 'swap'"),
        (["--combine", "meco+meco"], "a mean of ranks is of different scores, such as meco+swap, not meco+meco"),
        (["--combine", "meco"], "a mean of ranks is of different scores"),
        (["--combine", ""], "--combine names no scores"),
        (["--tasks", "nb201-cifar10@without=none"], "leaves architectures out: name the whole task"),
        (["nothing.parquet"], "there is no file nothing.parquet: make one with proxies build"),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    result = CliRunner().invoke(main, ["proxies", "report", *arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1


def test_an_interval_is_none_if_a_resample_has_equal_scores_only(small):
    scores = np.zeros_like(small.scores["meco"])
    scores[..., 0] = 1.0
    found = analyze_proxies(replace(small, scores={"meco": scores}), ["nb201-cifar10"], num_resamples=20)
    assert "none if all scores of a resample are equal" in proxy_tables(found)[0].caption
    whole = analyze_proxies(replace(small, scores={"meco": small.scores["meco"]}), ["nb201-cifar10"], num_resamples=2)
    assert "of a resample are equal" not in proxy_tables(whole)[0].caption
