"""Transfer strategies: what they read of their sources, what they do with it, and how little they can do without."""

import numpy as np
import pytest
from nasbench_strategies._models.encoding import Encoding
from nasbench_strategies._models.few_shot import FewShotPredictor, source_models
from nasbench_strategies._models.gaussian_process import GaussianProcess
from nasbench_strategies._models.ranking_weights import ranking_weights
from nasbench_strategies._models.sources import SourceSample, normal_scores
from scipy.stats import kendalltau, rankdata

from nasbench_harness import HarnessError, Protocol, RunStream, load_task

SOURCE = {"sources": ("nb201-cifar10",), "source_evaluations": 200, "source_cost": "reported"}
SOURCES = {**SOURCE, "sources": ("nb201-cifar10", "nb201-imagenet16-120")}
TASK = "nb201-cifar100"
NAMES = (
    "source-ordered",
    "source-seeded-evolution",
    "source-weighted-scores",
    "ranking-weighted-ensemble",
    "few-shot-predictor",
)


def by_run(columns, num_runs):
    return columns["architecture"].reshape(num_runs, -1)


def accuracy(task):
    return load_task(f"nb201-{task}").scores["val"].values


def test_zero_shot_goes_down_the_mean_rank_of_the_sources(run):
    """Without noise the order is that of the tables."""
    found = by_run(run("source-ordered", TASK, 3, evaluations=100, noise="mean", **SOURCES), 3)
    for architectures in found:
        assert len(set(architectures.tolist())) == 100
        ranks = [rankdata(-accuracy(name)[architectures]) for name in ("cifar10", "imagenet16-120")]
        assert (np.diff(np.mean(ranks, axis=0)) >= 0).all()


def test_zero_shot_goes_on_at_random_when_its_sample_is_used_up(run):
    found = by_run(run("source-ordered", TASK, 2, evaluations=230, noise="mean", **SOURCE), 2)
    values = accuracy("cifar10")[found]
    assert (np.diff(values[:, :200]) <= 0).all()
    assert not (np.diff(values[:, 200:]) <= 0).all()


def test_zero_shot_may_have_several_workers(run):
    found = by_run(run("source-ordered", TASK, 2, evaluations=40, workers=4, noise="mean", **SOURCE), 2)
    assert found.shape == (2, 40)


def test_the_first_population_is_the_best_of_the_source(run):
    text = "source-seeded-evolution(population_size=10,sample_size=3)"
    for architectures in by_run(run(text, TASK, 3, evaluations=60, noise="mean", **SOURCE), 3):
        first = accuracy("cifar10")[architectures[:10]]
        assert (np.diff(first) >= 0).all()
        assert first.min() > np.quantile(accuracy("cifar10"), 0.85)
        parents = set(architectures[:10].tolist())
        for child in architectures[10:].tolist():
            assert parents & set(load_task(TASK).space.neighbors(child))
            parents.add(child)


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name in NAMES if name != "source-weighted-scores"])
def test_sources_help_where_the_data_sets_agree(run, name):
    """After 30 evaluations, mean of 12 seeds."""
    regrets = []
    for use in ("true", "false"):
        columns = run(f"{name}(use_sources={use})", TASK, 12, evaluations=30, **SOURCES)
        best = columns["value_val_accuracy"].reshape(12, 30).argmax(axis=1)
        regrets.append(load_task(TASK).scores["val"].regret(by_run(columns, 12)[np.arange(12), best]).mean())
    assert regrets[0] < regrets[1] - 0.1


@pytest.mark.parametrize("name", NAMES)
def test_without_sources_nothing_depends_on_them(run, name):
    text = f"{name}(use_sources=false)"
    one = run(text, TASK, 2, evaluations=30, **SOURCE)
    other = run(text, TASK, 2, evaluations=30, **{**SOURCE, "sources": ("nb201-imagenet16-120",)})
    assert one["architecture"].tolist() == other["architecture"].tolist()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [1, 3])
def test_very_few_source_evaluations_are_survived(run, name, number):
    rules = {**SOURCES, "source_evaluations": number, "source_cost": "charged"}
    columns = run(name, TASK, 2, evaluations=40, **rules)
    assert (columns["status"] == 8).sum() <= 2 * number
    assert len(columns["status"]) == 80


@pytest.mark.parametrize("name", NAMES)
def test_a_study_without_sources_is_refused(run, name):
    with pytest.raises(HarnessError, match="needs sources, and the protocol names none for task nb201-cifar100"):
        run(name, TASK, 2, evaluations=30)


def test_weighted_scores_learn_which_scores_predict(run):
    """A score that ranks the source badly is worth little, also if it is one of two."""
    task, size = load_task(TASK), 15_625
    text = 'source-weighted-scores(scores="meco+jacob_cov",num_scored=15625,num_read=200)'
    (architectures,) = by_run(run(text, TASK, 1, evaluations=50, noise="mean", **SOURCE), 1)
    scores = {name: task.problem(Protocol()).lookup(name, np.arange(size)) for name in ("meco", "jacob_cov")}
    ranks = {name: rankdata(np.nan_to_num(column, nan=-np.inf)) / size for name, column in scores.items()}
    assert ranks["meco"][architectures].mean() > ranks["jacob_cov"][architectures].mean() > 0.5


def test_weights_belong_to_the_model_that_ranks_best():
    rng, losses = np.random.default_rng(0), np.arange(30.0)
    noise = rng.normal(size=(3, 30))
    weights = ranking_weights(losses + np.array([[3.0], [30.0], [100.0]]) * noise, losses, 200, RunStream(5))
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > 0.95
    assert weights[1] == 0, "worse than almost every resample of the target's model, or beaten by the first"


def test_a_source_that_ranks_worse_than_the_target_gets_no_weight():
    rng, losses = np.random.default_rng(1), np.arange(40.0)
    good, bad = losses + rng.normal(size=40), rng.normal(size=40)
    assert ranking_weights(np.array([bad, -losses, good]), losses, 100, RunStream(2)).tolist() == [0, 0, 1]
    assert ranking_weights(np.array([good, good]), losses, 100, RunStream(2)).tolist() == [0, 1], "the target wins ties"


def test_sources_are_dropped_as_the_budget_is_spent():
    """A source that always ranks better is kept with the share of the budget that is left."""
    losses = np.arange(20.0)
    both = np.array([losses, np.random.default_rng(3).normal(size=20)])
    for spent, low, high in ((0.0, 200, 200), (0.75, 30, 70), (1.0, 0, 0)):
        kept = sum(ranking_weights(both, losses, 20, RunStream(seed), spent)[0] > 0 for seed in range(200))
        assert low <= kept <= high


def test_left_out_means_are_those_of_smaller_processes():
    problem = load_task(TASK).problem(Protocol())
    encode, architectures = Encoding(problem), np.array([5, 90, 700, 3_000, 9_999, 15_000])
    losses = np.array([0.3, -1.0, 0.5, 1.2, -0.4, -0.6])
    whole = GaussianProcess(encode.num_blocks)
    whole.fit(encode(architectures), losses, 0)
    for place, found in enumerate(whole.left_out_mean()):
        kept = np.delete(np.arange(6), place)
        smaller = GaussianProcess(encode.num_blocks)
        smaller.fit(encode(architectures[kept]), losses[kept], 0)
        assert found == pytest.approx(smaller.predict(encode(architectures[[place]]))[0][0])


def test_a_predictor_without_evaluations_is_the_mean_of_its_sources():
    rng, problem = np.random.default_rng(0), load_task(TASK).problem(Protocol())
    encode, drawn = Encoding(problem), rng.choice(15_625, 80, replace=False)
    sample = SourceSample(drawn, np.array([-accuracy("cifar10")[drawn], -accuracy("imagenet16-120")[drawn]]))
    models, others = source_models(encode, sample), rng.choice(15_625, 300, replace=False)
    predictor = FewShotPredictor(encode, models, 5.0)
    expected = np.mean([model.predict(encode(others))[0] for model in models], axis=0)
    np.testing.assert_allclose(predictor.predict(others), expected)
    assert kendalltau(expected, -accuracy("cifar100")[others])[0] > 0.5


def test_a_predictor_turns_from_a_source_that_misleads():
    """Twenty evaluations turn the weight of a source with the opposite ranking."""
    rng, problem = np.random.default_rng(0), load_task(TASK).problem(Protocol())
    encode, drawn = Encoding(problem), rng.choice(15_625, 80, replace=False)
    truth = -accuracy("cifar100")
    models = source_models(encode, SourceSample(drawn, np.array([-truth[drawn]])))
    predictor, evaluated = FewShotPredictor(encode, models, 5.0), rng.choice(15_625, 20, replace=False)
    predictor.fit(evaluated, truth[evaluated])
    assert predictor.weights[0] < 0
    others = rng.choice(15_625, 300, replace=False)
    assert kendalltau(predictor.predict(others), truth[others])[0] > 0.4


def test_normal_scores_depend_on_ranks_alone():
    losses = np.array([3.0, 1.0, np.inf, 2.0])
    assert normal_scores(losses).tolist() == normal_scores(np.array([30.0, -1.0, 99.0, 29.0])).tolist()
