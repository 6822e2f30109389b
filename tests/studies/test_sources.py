"""Studies with sources: identity, workers, reports, study files and the command line."""

import json

import numpy as np
import pytest

from nasbench_harness import InvalidInputError, Needs, compare, declare, open_study, run
from nasbench_harness.errors import TableError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.evaluation.task import load_task, open_task
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.store.segments import read_record
from nasbench_harness.studies.batches import SentPlan, plan_batches
from nasbench_harness.studies.references import resolve

TASKS = ("nb201-cifar10", "nb201-cifar100")


@declare(needs=Needs(sources=True))
def best_first(problem, rng):
    drawn = np.array([problem.space.sample(rng) for _ in range(20)])
    source = next(iter(problem.sources.values()))
    for architecture in drawn[source.evaluate(drawn).argsort(kind="stable")].tolist():  # noqa: UP028
        yield architecture


RULES = {"sources": list(TASKS), "source_evaluations": 20, "source_cost": "reported"}


def study_of(tmp_path, seeds=12, **rules):
    return compare([best_first, "random-search"], TASKS, seeds, tmp_path, evaluations=10, **{**RULES, **rules})


def test_a_study_counts_and_reports_its_sources(tmp_path):
    study = study_of(tmp_path)
    (mine, chance) = (study.run_sets(label, "nb201-cifar10")[0] for label in study.labels)
    assert set(mine.identity["sources"]) == {"nb201-cifar100"}
    record = read_record(mine.segments()[0].path)
    assert record["sources"]["evaluations"] == {"nb201-cifar100": [20] * 12}
    assert min(record["sources"]["seconds"]) > 0
    assert "sources" not in read_record(chance.segments()[0].path)
    text = (study.folder.report_folder / "report.md").read_text(encoding="utf-8")
    assert "up to 20 evaluations of the sources nb201-cifar10, nb201-cifar100 (reported)" in text
    assert "No task is its own source (left out on nb201-cifar10, nb201-cifar100)." in text
    spending = next(line for line in text.splitlines() if "source hours" in line)
    assert "source evaluations" in spending
    assert "their evaluations and hours come on top of the budget" in text
    assert open_study(tmp_path).missing() == []
    assert "--source-evaluations 20" in study.command


def test_charged_sources_begin_the_curves_later(tmp_path):
    study = run([best_first], TASKS[:1], 12, tmp_path, **{**RULES, "source_cost": "charged", "evaluations": 30})
    (result,) = study.analysis.tasks[0].results
    assert np.isnan(result.after_evaluations.mean[:20]).all()
    assert np.isfinite(result.after_evaluations.mean[20:]).all()
    assert result.spending.evaluations == 30
    assert result.spending.source_evaluations == 20
    rows = study.export(formats=("csv",))
    assert ',"source",' in rows[0].read_text(encoding="utf-8")


@pytest.mark.thorough
def test_workers_give_the_same_bytes(tmp_path):
    """The strategy must be importable in a worker, so an installed one stands in."""
    rules = {**RULES, "evaluations": 10}
    one, two = (run(["source-ordered"], TASKS, 110, tmp_path / str(jobs), jobs=jobs, **rules) for jobs in (1, 2))
    for first, second in zip(one.run_sets(), two.run_sets(), strict=True):
        for segment, other in zip(first.segments(), second.segments(), strict=True):
            assert segment.path.read_bytes() == other.path.read_bytes()


def test_a_sent_plan_names_its_sources_and_opens_no_scores():
    protocol = Protocol(sources=TASKS, source_evaluations=5, source_cost="reported")
    (plan,) = plan_batches(resolve(StrategyRef("random-search")), load_task(TASKS[0]), [(0, 9)], protocol)
    sent = SentPlan.of(plan)
    assert sent.sources == ((TASKS[1], load_task(TASKS[1]).table.digest),)
    wrong = SentPlan(sent.strategy, sent.task, sent.digest, sent.segments, ((TASKS[1], "0" * 64),))
    with pytest.raises(TableError, match="the study's has 000000000000"):
        wrong.opened(None)
    task = open_task(TASKS[1], sent.digest)
    task.__dict__.pop("scores", None)
    sent.opened(None)
    assert "scores" not in task.__dict__


def test_another_number_of_source_evaluations_is_another_study(tmp_path):
    run(["random-search"], TASKS, 10, tmp_path, evaluations=10, **RULES)
    with pytest.raises(InvalidInputError, match="source"):
        run(["random-search"], TASKS, 10, tmp_path, evaluations=10, **{**RULES, "source_evaluations": 21})


@pytest.mark.thorough
def test_a_study_file_holds_the_sources(tmp_path, cli):
    study = run(["random-search"], TASKS, 10, tmp_path / "study", evaluations=10, **RULES)
    text = study.folder.study_text().decode()
    assert 'source_cost = "reported"' in text
    done = cli("run", "--config", tmp_path / "study" / "study.toml", "--out", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    assert open_study(tmp_path / "again").record.protocol == study.record.protocol


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sources", "nb201-cifar100"], "sources need source_evaluations"),
        (["--sources", "graph-cora", "--source-evaluations", "5"], "has another search space"),
        (["--sources", "nb201-cifar1", "--source-evaluations", "5"], "did you mean"),
        (["--source-cost", "nothing"], "charged"),
    ],
)
def test_mistakes_get_one_line_and_change_nothing(tmp_path, cli, options, message):
    done = cli("run", "--strategies", "random-search", "--tasks", "nb201-cifar10", "--out", tmp_path / "x", *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()


def test_the_command_line_writes_sources(tmp_path, cli):
    done = cli(
        *("run", "--strategies", "random-search", "--tasks", "nb201-cifar10", "--seeds", 10, "--evaluations", 10),
        *("--sources", "nb201-cifar100,nb201-imagenet16-120", "--source-evaluations", 5, "--out", tmp_path / "x"),
    )
    assert done.returncode == 0, done.stderr
    protocol = open_study(tmp_path / "x").record.protocol
    assert protocol.sources == ("nb201-cifar100", "nb201-imagenet16-120")
    assert (protocol.source_evaluations, protocol.source_cost) == (5, "charged")
    assert json.loads(protocol.identity())["source_evaluations"] == 5
