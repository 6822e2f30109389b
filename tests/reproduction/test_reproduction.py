"""Published numbers: the presets pass on the published table, and a wrong rule fails."""

import io
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kit.cases import fast_first
from rich.console import Console

from nasbench_harness.cli.reproducing import PRESETS as NAMES
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.importers.files.build import import_table
from nasbench_harness.report.render.terminal import print_table
from nasbench_harness.reproduction.presets import NASWOT, PRESETS, STEEPEST, TABLE4, TABLE5
from nasbench_harness.reproduction.running import Measured, dataset_task, reproduce
from nasbench_harness.reproduction.table import reproduction_json, reproduction_table
from nasbench_harness.tables.proxies import shipped_scores
from nasbench_harness.tables.registration import register_table
from nasbench_harness.tables.registry import load_table
from nasbench_harness.testing.rules import with_fidelities

HEAD = 'name = "published"\nsource = "published"\nlicense = "MIT"\n[space]\nkind = "nasbench201"\nkey = "key"\n'
METRIC = '[datasets.{}.metrics.{}]\ncolumns = "{}"\nunit = "{}"\ndirection = "{}"\nrole = "{}"\n'
SUFFIX = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet16_120"}


def spec():
    text = HEAD
    for dataset, suffix in SUFFIX.items():
        for epochs, cost in ((200, "train_time200_s"), (12, "cost12_s")):
            name = f"{dataset}-{epochs}"
            text += f'[datasets.{name}]\ntitle = "{name}"\nfidelities = [{epochs}]\n'
            text += METRIC.format(name, "val_accuracy", f"val{epochs}_{suffix}", "%", "maximize", "search")
            text += METRIC.format(name, "test_accuracy", f"test{epochs}_{suffix}", "%", "maximize", "test")
            text += METRIC.format(name, "train_cost_s", f"{cost}_{suffix}", "s", "minimize", "cost")
    return text


@pytest.fixture
def published(cache, tmp_path, reference):
    """The published table with trainings of 12 and of 200 epochs, imported under the name ``published``."""
    source = tmp_path / "reference.csv"
    reference.to_csv(source, index=False)
    (tmp_path / "spec.toml").write_text(spec(), encoding="utf-8")
    return import_table(source, tmp_path / "spec.toml").name


def test_every_cell_of_table_5_is_reproduced(published):
    rows = reproduce(TABLE5, published)
    assert [(row.published, row.mean) for row in rows if not row.passes] == []
    assert len(rows) == 12
    assert {row.num_runs for row in rows} == {500}


def test_a_wrong_population_fails_table_5(published):
    strategies = {**TABLE5.strategies, "regularized-evolution": "random-search"}
    rows = reproduce(replace(TABLE5, strategies=strategies), published)
    failed = {(row.published.strategy, row.published.dataset) for row in rows if not row.passes}
    assert ("regularized-evolution", "cifar10") in failed


def test_recalled_numbers_are_shown_and_nothing_is_decided(published):
    rows = reproduce(TABLE4, published, num_runs=100)
    assert {row.passes for row in rows} == {None}
    # An independent program gave these means; the tolerance is four standard errors.
    known = [91.07, 91.31, 91.12, 71.54, 72.28, 71.84, 45.04, 45.67, 45.29]
    assert [row.mean for row in rows] == pytest.approx(known, abs=0.45)
    assert "bohb" not in {row.published.strategy for row in rows}


@pytest.mark.thorough
def test_a_strategy_that_needs_several_epochs_is_run_if_the_table_has_them(cache, published):
    """The tasks of 12 epochs with values after 1, 3 and 9 more: BOHB is run on them, and the others read the last."""
    table = load_table(published)
    datasets = dict(table.datasets)
    for name in SUFFIX:
        task = with_fidelities(load_task(f"{published}-{name}-12"))
        datasets[f"{name}-12"] = replace(task.table.datasets[task.dataset], fidelities=(1, 4, 12))
    register_table(replace(table, name="curves", datasets=datasets))
    rows = reproduce(TABLE4, "curves", num_runs=5)
    assert [row.published.strategy for row in rows[:4]] == list(TABLE4.strategies)
    assert len(rows) == len(TABLE4.published) == 12
    assert {row.passes for row in rows} == {None}
    assert all(row.mean > 30 for row in rows)


@pytest.mark.slow
def test_steepest_local_search_needs_the_published_number_of_evaluations():
    (row,) = reproduce(STEEPEST, "nb201")
    assert row.passes
    assert row.mean == pytest.approx(123.8, abs=12)
    assert np.isnan(row.error)


@pytest.mark.parametrize(("evaluations", "all_arrive"), fast_first([(90, False), (5_000, True)]))
def test_runs_that_never_reach_the_optimum_fail_the_number(evaluations, all_arrive):
    """Otherwise a search that reaches it in a part of its runs, but fast, would pass."""
    (search,), (cell,) = STEEPEST.searches, STEEPEST.published
    short = replace(search, protocol=replace(search.protocol, evaluations=evaluations))
    preset = replace(STEEPEST, searches=(short,), published=(replace(cell, tolerance=1e9),))
    (row,) = reproduce(preset, "nb201", num_runs=12)
    assert row.passes == all_arrive
    assert row.num_runs + row.num_left_out == 12
    table = reproduction_table(preset, [row])
    text = f"{row.num_left_out} of 12 runs never evaluated the best cell; they are not in the mean, and the number"
    assert any(text in note for note in table.notes) != all_arrive
    assert table.rows[0].cells[-1].text.startswith("pass" if all_arrive else "fail")


def test_a_clock_that_is_not_the_papers_is_named():
    """The output and the page say what an official archive does not charge."""
    page = " ".join((Path(__file__).parents[2] / "docs" / "reproduce.md").read_text(encoding="utf-8").split())
    for preset in PRESETS.values():
        has_clock = any(search.protocol.simulated_seconds for search in preset.searches)
        assert ("one pass over the validation images" in preset.note) == has_clock
        assert (
            not has_clock or f"`{preset.name}`" in page.partition("also charge one pass")[0].rpartition("papers of")[2]
        )


def test_a_narrow_terminal_shows_the_tolerance():
    (cell,) = STEEPEST.published
    table = reproduction_table(STEEPEST, [Measured(cell, 3, 108.0, 5.0, 2.0, 85.28)])
    console = Console(width=80, file=io.StringIO())
    print_table(console, table, "local-search-steepest · nb201")
    assert "pass (85.28)" in console.file.getvalue()


@pytest.mark.thorough
def test_table_and_json_hold_the_same_numbers():
    rows = reproduce(STEEPEST, "nb201", num_runs=20)
    table = reproduction_table(STEEPEST, rows)
    values = reproduction_json(STEEPEST, "nb201", rows)["rows"]
    assert len(table.rows) == len(values) == 1
    cells = dict(zip([column.key for column in table.columns], table.rows[0].cells, strict=True))
    assert cells["measured"].numbers["mean"] == values[0]["measured_mean"]
    assert cells["verdict"].text.startswith("pass" if values[0]["passes"] else "fail")
    json.dumps(values, allow_nan=False)


@pytest.mark.thorough
def test_rows_that_are_not_run_are_quoted_beside(published):
    rows = reproduce(TABLE4, published, num_runs=2)
    table = reproduction_table(TABLE4, rows)
    quoted = [[cell.text for cell in row.cells] for row in table.rows[len(rows) :]]
    assert ["bohb", "cifar100 val", "72.04 ± 0.93", "–", "–", "quoted (500)"] in quoted
    assert ["ENAS (2021)", "cifar10 test", "93.76", "–", "–", "quoted (3)"] in quoted
    values = reproduction_json(TABLE4, "published", rows)["quoted"]
    assert [(row["method"], f"{row['dataset']} {row['split']}") for row in values] == [
        (row[0], row[1]) for row in quoted
    ]
    assert "Quoted" not in reproduction_table(STEEPEST, reproduce(STEEPEST, "nb201", num_runs=2)).title


def test_quoted_rows_of_weight_sharing_are_those_of_the_results():
    """The rows for study files in results/supernets hold the same numbers."""
    path = Path(__file__).parents[2] / "results" / "supernets" / "published.toml"
    stored = {
        (row["method"], row["metric"].removesuffix("_accuracy")): (row["mean"], row.get("std"), row["n"])
        for row in tomllib.loads(path.read_text(encoding="utf-8"))["quoted"]
    }
    shown = {
        (row["method"], row["split"]): (row["published_mean"], row["published_std"], row["runs"])
        for preset in (TABLE5, TABLE4)
        for row in reproduction_json(preset, "published", [])["quoted"]
        if row["method"] not in preset.strategies
    }
    assert shown == stored


@pytest.mark.slow
def test_fewer_runs_have_a_larger_tolerance():
    few, many = (reproduce(STEEPEST, "nb201", num_runs=runs)[0].tolerance for runs in (20, 500))
    assert many == pytest.approx(12)
    assert few == pytest.approx(12 * ((1 / 500 + 1 / 20) / (2 / 500)) ** 0.5)


def test_a_table_without_the_data_set_is_refused():
    with pytest.raises(InvalidInputError, match=r"nb201 has no data set of cifar10 after 12 epochs.*cifar10-valid-12"):
        reproduce(TABLE5, "nb201")
    with pytest.raises(UnknownNameError, match="nb201"):
        dataset_task("nb2001", "cifar10", 12)


def test_the_command_names_every_preset():
    assert tuple(PRESETS) == NAMES


@pytest.mark.thorough
def test_the_command_prints_and_writes(cli, tmp_path):
    done = cli("reproduce", "local-search-steepest", "--table", "nb201", "--runs", 50, "--out", tmp_path / "rows.md")
    assert done.returncode == 0, done.stderr
    assert "127.00" in done.stdout
    assert (
        (tmp_path / "rows.md").read_text(encoding="utf-8").startswith("<!-- generated by: nasbench-harness reproduce")
    )
    refused = cli("reproduce", "nb201-table5", "--table", "nb201")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1


def test_the_best_of_n_by_nwot_stands_beside_its_published_rows():
    rows = reproduce(NASWOT, "nb201", num_runs=60)
    found = {(row.published.strategy, row.published.dataset): row for row in rows}
    assert len(found) == 9
    assert {row.passes for row in rows} == {None}
    for (strategy, dataset), row in found.items():
        task = dataset_task("nb201", dataset, 200)
        scores, accuracy = shipped_scores()["nwot"], task.scores["val"].values
        size, rng = int(strategy.partition("-")[2]), np.random.default_rng(0)
        samples = [rng.choice(15_625, size, replace=False) for _ in range(200)]
        picks = [sample[np.nan_to_num(scores[sample], nan=-np.inf).argmax()] for sample in samples]
        error = accuracy[picks].std() * (1 / 60 + 1 / 200) ** 0.5
        assert row.mean == pytest.approx(accuracy[picks].mean(), abs=4 * error), (strategy, dataset)
