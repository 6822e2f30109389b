import numpy as np
import pandas as pd
import pytest
from nasbench_strategies._models.scores import mean_ranks

from nasbench_harness import HarnessError, load_task, run
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.store.segments import read_record

NAMES = {"best": "best-by-score", "ordered": "score-ordered", "warm": "score-seeded-evolution"}
TASK = "nb201-cifar10"


def proposals(tmp_path, label, parameters="", evaluations=60):
    run([f"{label}={NAMES[label]}{parameters}"], tasks=[TASK], seeds=4, evaluations=evaluations, out=tmp_path)
    return pd.concat([pd.read_parquet(path) for path in (tmp_path / "runs").rglob("*.parquet")])


def scores(architectures, score="meco+swap"):
    return mean_ranks(load_task(TASK).problem(Protocol()), score, architectures)


def test_best_of_n_trains_one_architecture_and_charges_the_scores(tmp_path):
    frame = proposals(tmp_path, "best", "(num_scored=200,seconds_per_score=2.0)")
    assert (frame.groupby("seed").size() == 1).all()
    assert (frame.finished_s > 400).all()
    accuracy = load_task(TASK).scores["val"].values
    assert accuracy[frame.architecture].mean() > accuracy.mean() + 3


@pytest.mark.parametrize("label", NAMES)
def test_only_architectures_that_exist_are_charged(label, tmp_path):
    """A sample of 20,000 out of 15,625 cells is the whole space."""
    seconds = [
        proposals(tmp_path / str(size), label, f"(num_scored={size},seconds_per_score=2.0)", 1).finished_s.to_numpy()
        for size in (15_625, 20_000)
    ]
    np.testing.assert_array_equal(*seconds)


def test_all_of_the_space_gives_the_best_score(tmp_path):
    frame = proposals(tmp_path, "best", '(num_scored=15625,score="swap")')
    swap = load_task(TASK).problem(Protocol()).lookup("swap", np.arange(15_625))
    assert (swap[frame.architecture] == swap.max()).all()


def test_score_ordered_goes_downwards_and_repeats_nothing(tmp_path):
    frame = proposals(tmp_path, "ordered", '(num_scored=100,score="swap")', 60)
    swap = load_task(TASK).problem(Protocol()).lookup("swap", np.arange(15_625))
    for _, run_rows in frame.groupby("seed"):
        values = swap[run_rows.sort_values("step").architecture.to_numpy()]
        assert (np.diff(values) <= 0).all()
        assert run_rows.architecture.is_unique
        assert len(run_rows) == 60


def test_the_first_population_has_the_best_scores_and_then_evolves(tmp_path):
    frame = proposals(tmp_path, "warm", '(num_scored=300,population_size=10,sample_size=3,score="swap")', 40)
    swap = load_task(TASK).problem(Protocol()).lookup("swap", np.arange(15_625))
    space = load_task(TASK).space
    for _, run_rows in frame.groupby("seed"):
        found = run_rows.sort_values("step").architecture.to_numpy()
        assert (np.diff(swap[found[:10]]) >= 0).all()
        assert np.median(swap[found[:10]]) > np.quantile(swap, 0.9)
        parents = set(found[:10].tolist())
        for child in found[10:].tolist():
            assert parents & set(space.neighbors(np.array([child]))[0].tolist())
            parents.add(child)


def test_mean_ranks_put_missing_scores_last():
    is_connected = load_task(TASK).space.is_connected()
    ranks = scores(np.arange(15_625), "jacob_cov")
    assert ranks[~is_connected].max() < ranks[is_connected].min()


@pytest.mark.parametrize("label", NAMES)
def test_wrong_parameters_are_refused(label, tmp_path):
    with pytest.raises(HarnessError, match=r"num_scored must be at least 1, not 0"):
        proposals(tmp_path, label, "(num_scored=0)")


@pytest.mark.parametrize("instances", ["same", "relabel"])
@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (
            "best-by-score(score='mecoo')",
            r"best-by-score\(score=mecoo\): unknown free metric 'mecoo': did you mean 'meco'",
        ),
        ("score-ordered(score='meco+swop')", "unknown free metric 'swop': did you mean 'swap'"),
        ("score-ordered(score='')", "unknown free metric '': known: flops, "),
        ("score-seeded-evolution(score='meco+')", "unknown free metric '': known: flops, "),
        ("gaussian-process(scores='mecoo')", "unknown free metric 'mecoo': did you mean 'meco'"),
        ("gaussian-process(prior='meco+swop')", "unknown free metric 'swop': did you mean 'swap'"),
    ],
)
def test_misspelt_scores_are_refused_before_any_run(strategy, message, instances, tmp_path):
    with pytest.raises(HarnessError, match=message):
        run([strategy], tasks=[TASK], seeds=2, evaluations=5, instances=instances, out=tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_scores_of_relabelled_tasks_are_accepted_and_the_check_counts_no_read(tmp_path):
    given = {"tasks": [TASK], "seeds": 2, "evaluations": 2}
    run(["best-by-score(num_scored=10,score='meco + swap')"], instances="relabel", out=tmp_path / "a", **given)
    (path,) = (tmp_path / "a" / "runs").rglob("*.parquet")
    assert read_record(path)["lookups"] == {"meco": [10, 10], "swap": [10, 10]}


@pytest.mark.parametrize("label", NAMES)
def test_a_task_without_scores_is_refused(label, tmp_path):
    with pytest.raises(HarnessError, match="needs training-free scores, and the table of task graph-cora has none"):
        run([NAMES[label]], tasks=["graph-cora"], seeds=2, out=tmp_path)


@pytest.mark.parametrize("option", ["scores", "prior"])
def test_the_gaussian_process_charges_the_scores_that_it_reads(tmp_path, option):
    """All 15,625 cells are scored before the first training; every value that is read is counted."""
    given = f"with=gaussian-process({option}='meco+swap',seconds_per_score=2.0,num_initial=3)"
    study = run([given, "plain=gaussian-process(num_initial=3)"], tasks=[TASK], seeds=2, evaluations=9, out=tmp_path)
    seconds = study.frame().groupby("strategy").simulated_s
    assert seconds.min()["with"] > 31_250 > seconds.max()["plain"]
    lookups = [read_record(path).get("lookups", {}) for path in (tmp_path / "runs").rglob("*.parquet")]
    assert sorted(lookups, key=len) == [{}, {"meco": [15_625] * 2, "swap": [15_625] * 2}]
