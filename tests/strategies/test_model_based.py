"""Model-based strategies: traces of plain versions, recommendations, and the reference points of the literature."""

from functools import partial

import numpy as np
import pytest
from nasbench_strategies._models.encoding import Encoding, standardized
from nasbench_strategies._models.gaussian_process import GaussianProcess
from nasbench_strategies._models.kernel_density import KernelDensity
from nasbench_strategies._models.perceptrons import Perceptrons
from nasbench_strategies.model_based.bananas import bananas
from nasbench_strategies.model_based.npenas import npenas

from nasbench_harness import Evaluation, InvalidInputError, Protocol, RunStream, RunStreams, load_task
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.evaluation.task import make_task
from nasbench_harness.spaces import ListSpace
from nasbench_harness.studies.references import parse_strategy, resolve
from nasbench_harness.tables.table import Dataset, Metric, MetricArray, Provenance, Table

NAMES = ("gaussian-process", "tpe", "random-forest", "bananas", "npenas")
# Accuracy of the incumbent on nb201-cifar10 without noise, at 150 evaluations, mean of 100 seeds: at least.
REFERENCE_POINTS = {"gaussian-process": 91.50, "tpe": 91.20, "random-forest": 91.50, "bananas": 91.50}


def plain_tpe(problem, rng, *, num_initial=20, good_fraction=0.15, num_candidates=24, prior_weight=1.0):
    space, seen = problem.space, []
    while True:
        if len(seen) < num_initial:
            architecture = space.sample(rng)
        else:
            ranked = [choices for _, choices in sorted(seen, key=lambda item: item[0])]
            num_good = int(np.ceil(good_fraction * len(ranked)))
            good, others = ranked[:num_good], ranked[num_good:]

            def chance(group, decision, choice):
                count = sum(choices[decision] == choice for choices in group)
                return (count + prior_weight / space.num_choices[decision]) / (len(group) + prior_weight)

            uniforms = rng.uniform(num_candidates * space.num_decisions).reshape(num_candidates, -1)
            best, architecture = -np.inf, None
            for draws in uniforms:
                candidate, ratio = [], 0.0
                for decision, draw in enumerate(draws):
                    limit, choice = chance(good, decision, 0), 0
                    while limit <= draw and choice < space.num_choices[decision] - 1:
                        choice += 1
                        limit += chance(good, decision, choice)
                    candidate.append(choice)
                    ratio += np.log(chance(good, decision, choice) / chance(others, decision, choice))
                found = int(space.from_choices(np.array([candidate]))[0])
                is_new = found >= 0 and all(tuple(space.choices(np.array([found]))[0]) != c for _, c in seen)
                if is_new and ratio > best + 1e-9:
                    best, architecture = ratio, found
            if architecture is None:
                architecture = space.sample(rng)
        evaluation = yield architecture
        seen.append((evaluation.loss, tuple(space.choices(np.array([architecture]))[0])))


@pytest.mark.parametrize("task", ["nb201-cifar100", "graph-proteins"])
def test_a_plain_tpe_has_the_same_traces(run, run_plain, assert_same_traces, task):
    lockstep = run("tpe", task, 2, evaluations=35)
    assert_same_traces(run_plain(plain_tpe, "tpe", task, 2, evaluations=35), lockstep)


def test_the_gaussian_process_recommends_its_best_posterior_mean(run):
    columns = run("gaussian-process", "nb201-cifar100", 2, evaluations=40)
    problem = load_task("nb201-cifar100").problem(Protocol())
    for seed in range(2):
        rows = columns["run"] == seed
        architectures, losses = columns["architecture"][rows], 100 - columns["value_val_accuracy"][rows]
        assert len(set(architectures[14:18].tolist()) - set(architectures[:15].tolist())) == 0  # three repeats
        encode = Encoding(problem)
        model, sweeps = GaussianProcess(encode.num_blocks), 5
        for count in range(18, 40):
            model.fit(encode(architectures[:count]), standardized(losses[:count], 0.5), sweeps)
            best = architectures[:count][model.fitted_mean().argmin()]
            assert columns["recommended"][rows][count] == best
            sweeps = int((count + 1) % 5 == 0)


@pytest.mark.thorough
def test_without_noise_the_gaussian_process_returns_the_best_value_it_saw(run):
    columns = run("gaussian-process", "graph-cora", 4, evaluations=60)
    values = columns["value_val_accuracy"].reshape(4, 60)
    architectures, recommended = (columns[name].reshape(4, 60) for name in ("architecture", "recommended"))
    accuracy = load_task("graph-cora").scores["val"].values
    np.testing.assert_allclose(accuracy[recommended[:, -1]], values[:, :59].max(axis=1))
    assert (architectures[:, 15:18] == architectures[:, 15:16]).all()


def played(search, task, losses, num_evaluations):
    """Architectures that one run proposes if these are the losses of the space."""
    generator = search(load_task(task).problem(Protocol()), RunStream(5))
    proposals = [next(generator)]
    while len(proposals) < num_evaluations:
        loss = float(losses[proposals[-1]])
        proposals.append(generator.send(Evaluation(proposals[-1], loss, (loss,), 1, 0.0, 0.0, 0, len(proposals) - 1)))
    return np.array(proposals)


def test_npenas_evaluates_the_most_promising_children_of_the_best(monkeypatch):
    """Every child is one mutation of the ten best, and none that the predictor likes better is left out."""
    space = load_task("nb201-cifar100").space
    weights, losses = np.random.default_rng(3).normal(size=30), np.random.default_rng(4).random(15_625)
    offered = []

    def predict(self, features):
        offered.append(features @ weights)
        return np.stack([offered[-1] - 1, offered[-1] + 1, offered[-1]])

    monkeypatch.setattr("nasbench_strategies.model_based.npenas.Perceptrons.train", lambda *_: None)
    monkeypatch.setattr("nasbench_strategies.model_based.npenas.Perceptrons.predict", predict)
    proposals = played(npenas, "nb201-cifar100", losses, 80)
    for number, start in enumerate(range(20, 80, 10)):
        before, batch = proposals[:start], proposals[start : start + 10]
        best = before[np.argsort(losses[before])][:10]
        assert np.isin(batch, space.neighbors(best)).all()
        expected = np.sort(offered[number])[:10]
        np.testing.assert_allclose(space.one_hot(batch).astype(float) @ weights, expected)
        assert len(offered[number]) > 50


def test_bananas_trains_on_paths_of_evaluated_architectures_only(monkeypatch):
    """Candidates bring paths, too, and a column that is zero in training would keep its random weights."""
    trained = []
    train = Perceptrons.train
    monkeypatch.setattr(
        Perceptrons, "train", lambda self, features, *rest: trained.append(features) or train(self, features, *rest)
    )
    played(partial(bananas, encoding="path"), "nb201-cifar100", np.random.default_rng(4).random(15_625), 51)
    assert [len(features) for features in trained] == [20, 30, 40, 50]
    assert all(features.any(axis=0).all() for features in trained)
    assert trained[0].shape[1] < trained[-1].shape[1]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_evaluated_twice_beyond_the_repeats(run, name):
    columns = run(name, "graph-proteins", 2, evaluations=60)
    for seed in range(2):
        learned = columns["architecture"][columns["run"] == seed][20:]
        assert len(set(learned.tolist())) == len(learned)


SOURCES = {"sources": "nb201-cifar100", "source_evaluations": 50, "source_cost": "reported"}
WITH_HISTORY = {name: {} for name in (*NAMES, "nao")}  # and the protocol that they need
WITH_HISTORY |= dict.fromkeys(["few-shot-predictor", "ranking-weighted-ensemble"], SOURCES)
CONSTRAINED = {"evaluations": 60, "constraints": "latency_ms<=q25"}


def feasible_of(columns):
    """Whether each row of runs under CONSTRAINED is among the fastest quarter."""
    lookup = load_task("nb201-cifar10").problem(Protocol()).lookup
    return lookup("latency_ms", columns["architecture"]) <= np.quantile(lookup("latency_ms", np.arange(15_625)), 0.25)


@pytest.mark.thorough
@pytest.mark.parametrize("name", WITH_HISTORY)
def test_constraints_lead_the_search(run, name):
    """The fastest quarter: a uniform sample meets it in a quarter of the evaluations."""
    columns = run(name, "nb201-cifar10", 10, **CONSTRAINED, **WITH_HISTORY[name])
    is_feasible = feasible_of(columns).reshape(10, 60)
    # Five standard errors of a uniform sample.
    assert is_feasible[:, -30:].mean() > 0.25 + 5 * np.sqrt(0.25 * 0.75 / 300)


def test_the_gaussian_process_recommends_feasible_architectures(run):
    columns = run("gaussian-process", "nb201-cifar10", 10, **CONSTRAINED)
    recommended = columns["recommended"] >= 0
    assert recommended.sum() > 10 * 35
    assert feasible_of({"architecture": columns["recommended"][recommended]}).all()


@pytest.mark.parametrize("name", WITH_HISTORY)
@pytest.mark.parametrize("duplicates", ["free", "forbid"])
def test_repeats_of_a_class_are_not_proposed_again(run, name, duplicates):
    protocol = {"evaluations": 80, "duplicates": duplicates, "duplicates_by": "class", **WITH_HISTORY[name]}
    columns = run(name, "nb201-cifar10", 2, **protocol)
    for seed in range(2):
        proposed = columns["architecture"][columns["run"] == seed][20:]
        assert len(np.unique(proposed)) == len(proposed)
        assert (columns["status"][columns["run"] == seed] == 1).sum() == 80


@pytest.fixture(scope="module")
def listed():
    """A sample of 400 of 5⁸ architectures: nearly no combination of choices is one of them."""
    rows = np.unique(np.random.default_rng(0).integers(0, 5, (400, 8)), axis=0)
    space = ListSpace("sample", [f"k{index}" for index in range(len(rows))], [list("abcde")] * 8, rows)
    values = 60 + 3.0 * (rows == 2).sum(axis=1)[:, None, None]
    column = MetricArray(Metric("val_accuracy", "%", "maximize", "search"), values)
    datasets = {"one": Dataset("One", space, {"val_accuracy": column})}
    return make_task(Table("sample", datasets, Provenance("s", "1", "l")), "one")


def test_tpe_learns_in_a_list_of_architectures(listed):
    rules = Rules(Protocol(evaluations=100), study_seed=0)
    rows = run_seeds(resolve(parse_strategy("tpe")), listed, rules, np.arange(10)).trace.rows(slice(0, 10))
    found = listed.scores["val"].values[rows["architecture"]].reshape(10, 100)
    assert found[:, 20:60].mean() > found[:, :20].mean() + 2


def test_densities_draw_from_a_list_of_architectures(listed):
    space, runs = listed.space, RunStreams(np.arange(2, dtype=np.uint64))
    rows = space.choices(np.array([3, 200, 399] * 100))
    drawn = KernelDensity(rows, space.num_choices).draw(space, 2_000, runs, 1)
    assert (space.from_choices(drawn) >= 0).all()
    density = KernelDensity(rows, space.num_choices)
    uniform = space.choices(np.arange(space.num_architectures))
    assert density(drawn).mean() > 5 * density(uniform).mean()
    choice_of_first = np.bincount(drawn[:, 0], minlength=5) / 2_000
    leaves = 0.8 * 300 ** (-2 / 12)
    expected = np.mean([np.where(np.arange(5) == row[0], 1 - leaves, leaves / 4) for row in rows], axis=0)
    np.testing.assert_allclose(choice_of_first, expected, atol=0.05)


@pytest.mark.parametrize("name", ["gaussian-process", "random-forest", "bananas", "npenas", "nao"])
def test_a_quantile_of_zero_is_refused_as_all_losses_would_be_equal(name):
    with pytest.raises(InvalidInputError, match=f"{name}: quantile must be in 0 … 1 \\(0 excluded\\), not 0"):
        resolve(parse_strategy(f"{name}(quantile=0.0)"))


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCE_POINTS)
def test_reference_points(run, incumbents_of, name):
    columns = run(name, "nb201-cifar10", 100, evaluations=150, noise="mean")
    found = load_task("nb201-cifar10").scores["val"].values[incumbents_of(columns, 100, 150)].mean()
    assert found >= REFERENCE_POINTS[name]
