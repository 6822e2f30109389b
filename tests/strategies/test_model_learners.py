"""The learners of model-based strategies against plain versions written from their formulas."""

import numpy as np
import pytest
from nasbench_strategies._models.acquisition import expected_improvement
from nasbench_strategies._models.encoding import Encoding, standardized
from nasbench_strategies._models.forest import Forest
from nasbench_strategies._models.gaussian_process import GaussianProcess
from nasbench_strategies._models.history import History, new_candidates
from nasbench_strategies._models.perceptrons import Perceptrons
from nasbench_strategies._models.scores import mean_ranks
from scipy.stats import multivariate_normal

from nasbench_harness import Evaluation, Protocol, RunStream, Status, load_task


def problem(task="nb201-cifar10"):
    return load_task(task).problem(Protocol())


def plain_covariance(first, second, parameters):
    """Covariance of two architectures by the formula of the class, one pair at a time."""
    inverse_lengths, own = np.exp(parameters[:-2]), np.exp(parameters[-2])
    found = np.empty((len(first.architectures), len(second.architectures)))
    for row, one in enumerate(first.architectures):
        for column, other in enumerate(second.architectures):
            distances = [
                ((a[row] - b[column]) ** 2).sum() / 2 for a, b in zip(first.features, second.features, strict=True)
            ]
            found[row, column] = np.exp(-(inverse_lengths * distances).sum()) + own * (one == other)
    return found


def test_the_posterior_is_the_textbooks():
    encode = Encoding(problem())
    evaluated, candidates = encode(np.array([5, 90, 5, 700, 1_234])), encode(np.array([5, 8, 15_000]))
    losses = np.array([0.3, -1.2, 0.1, 0.9, -0.1])
    model = GaussianProcess(encode.num_blocks)
    model.fit(evaluated, losses, 3)
    noise = np.exp(model.parameters[-1]) * np.eye(5)
    covariance = plain_covariance(evaluated, evaluated, model.parameters) + noise
    amplitude = losses @ np.linalg.solve(covariance, losses) / 5
    between = plain_covariance(candidates, evaluated, model.parameters)
    prior = plain_covariance(candidates, candidates, model.parameters)
    explained = between @ np.linalg.solve(covariance, between.T)
    mean, deviation = model.predict(candidates)
    np.testing.assert_allclose(mean, between @ np.linalg.solve(covariance, losses), rtol=1e-8)
    np.testing.assert_allclose(deviation**2, amplitude * np.diag(prior - explained), rtol=1e-8)
    np.testing.assert_allclose(model.fitted_mean(), model.predict(evaluated)[0], rtol=1e-8, atol=1e-10)
    assert model.noise_variance == pytest.approx(amplitude * noise[0, 0])


def test_a_trend_is_a_linear_mean_whose_weight_is_integrated_out():
    """Rasmussen and Williams, equations 2.41 and 2.42, and the most likely amplitude."""
    encode = Encoding(problem(), prior="meco+swap")
    evaluated, candidates = encode(np.array([5, 90, 5, 700, 1_234])), encode(np.array([5, 8, 15_000]))
    losses = np.array([0.3, -1.2, 0.1, 0.9, -0.1])
    model = GaussianProcess(encode.num_blocks, encode.num_trends)
    model.fit(evaluated, losses, 3)
    *inverse_lengths, weight, own, noise = model.parameters
    without_trend = np.array([*inverse_lengths, own, noise])
    covariance = plain_covariance(evaluated, evaluated, without_trend) + np.exp(noise) * np.eye(5)
    between = plain_covariance(candidates, evaluated, without_trend)
    seen, asked = evaluated.trends, candidates.trends
    precision = np.exp(-weight) + seen.T @ np.linalg.solve(covariance, seen)
    slope = np.linalg.solve(precision, seen.T @ np.linalg.solve(covariance, losses))
    rest = asked - between @ np.linalg.solve(covariance, seen)
    expected = between @ np.linalg.solve(covariance, losses) + rest @ slope
    explained = between @ np.linalg.solve(covariance, between.T)
    variance = plain_covariance(candidates, candidates, without_trend) - explained + rest @ rest.T / precision
    whole = covariance + np.exp(weight) * seen @ seen.T
    amplitude = losses @ np.linalg.solve(whole, losses) / 5
    mean, deviation = model.predict(candidates)
    np.testing.assert_allclose(mean, expected, rtol=1e-8)
    np.testing.assert_allclose(deviation**2, amplitude * np.diag(variance), rtol=1e-8)


def test_losses_decide_how_much_a_trend_counts():
    generator = np.random.default_rng(0)
    encode = Encoding(problem(), prior="meco+swap")
    evaluated = encode(generator.integers(15_625, size=40))
    weights = {}
    for name, losses in (("score", -evaluated.trends[:, 0]), ("noise", generator.normal(size=40))):
        model = GaussianProcess(encode.num_blocks, encode.num_trends)
        model.fit(evaluated, standardized(losses, 1.0), 20)
        weights[name] = model.parameters[encode.num_blocks]
    assert weights["score"] > weights["noise"] + 2


def test_a_trend_is_the_standardized_mean_rank():
    encode = Encoding(problem(), prior="meco+swap")
    blocks = encode(np.arange(15_625))
    assert (encode.num_blocks, len(blocks.features), encode.num_trends) == (2, 2, 1)
    np.testing.assert_allclose([blocks.trends.mean(), blocks.trends.std()], [0, 1], atol=1e-12)
    order = mean_ranks(problem(), "meco+swap", np.arange(15_625))
    assert np.array_equal(np.argsort(order, kind="stable"), np.argsort(blocks.trends[:, 0], kind="stable"))
    assert Encoding(problem())(np.arange(3)).trends.shape == (3, 0)


def test_sweeps_raise_the_marginal_likelihood():
    encode = Encoding(problem("graph-cora"))
    architectures = np.arange(0, 20_000, 500)
    evaluated = encode(architectures)
    losses = standardized(evaluated.features[1][:, 12] + 0.1 * np.random.default_rng(0).normal(size=40), 1.0)

    def likelihood(parameters):
        covariance = plain_covariance(evaluated, evaluated, parameters) + np.exp(parameters[-1]) * np.eye(40)
        amplitude = losses @ np.linalg.solve(covariance, losses) / 40
        prior = 0.05 * ((parameters - [1.0, 1.0, -3.0, -4.0]) ** 2).sum()
        return multivariate_normal.logpdf(losses, cov=amplitude * covariance) - prior

    found = [likelihood(GaussianProcess(2).parameters)]
    for sweeps in (1, 2, 5):
        model = GaussianProcess(2)
        model.fit(evaluated, losses, sweeps)
        found.append(likelihood(model.parameters))
    assert found == sorted(found)
    assert found[-1] > found[0] + 1


@pytest.mark.parametrize(("spread", "is_noisy"), [(0.0, False), (1.0, True)])
def test_repeats_tell_noise_from_deviations(spread, is_noisy):
    """Without noise an architecture keeps its value; with noise its repeats are averaged."""
    generator = np.random.default_rng(0)
    encode = Encoding(problem())
    architectures = np.concatenate([generator.integers(15_625, size=30), np.full(6, 77)])
    losses = generator.normal(size=36)
    losses[30:] = -1.0 + spread * np.array([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
    model = GaussianProcess(encode.num_blocks)
    model.fit(encode(architectures), losses, 20)
    errors = np.abs(model.fitted_mean() - losses)
    assert errors.max() > 0.5 if is_noisy else errors.max() < 0.01


def test_blocks_are_shares_of_different_choices_and_of_different_counts():
    space, encode = problem().space, Encoding(problem())
    architectures = np.array([space.from_key(key) for key in ("333333", "333332", "233333", "000000")])
    choices, counts = encode(architectures).features
    halved = [((block[:, None] - block[None]) ** 2).sum(axis=2) / 2 for block in (choices, counts)]
    np.testing.assert_allclose(halved[0][0], np.array([0, 1, 1, 6]) / 6)
    np.testing.assert_allclose(halved[0][1, 2], 2 / 6)
    assert halved[1][1, 2] == pytest.approx(0)  # the same operations in other places
    assert halved[1][0, 1] > 0


def test_link_patterns_are_not_counted_as_operations():
    space, encode = problem("graph-cora").space, Encoding(problem("graph-cora"))
    counts = encode(np.arange(space.num_architectures)).features[1] * np.sqrt(5)
    np.testing.assert_allclose(counts.sum(axis=1), 5)
    assert counts.shape[1] == 9 + 9


def test_scores_are_a_block_of_ranks():
    encode = Encoding(problem(), "meco+swap")
    ranks = encode(np.arange(15_625)).features[2]
    assert (encode.num_blocks, ranks.shape) == (3, (15_625, 2))
    assert (ranks.min() >= 0, ranks.max() <= 1) == (True, True)


def test_losses_above_the_quantile_and_missing_ones_are_equal():
    targets = standardized([1.0, 2.0, 3.0, 50.0, np.inf], 0.5)
    assert targets[0] < targets[1] < targets[2] == targets[3] == targets[4]
    assert (targets.mean(), targets.std()) == (pytest.approx(0), pytest.approx(1))
    assert standardized([np.inf, np.inf], 0.5).tolist() == [0, 0]
    assert standardized([4.0, 4.0], 0.5).tolist() == [0, 0]


def test_expected_improvement_is_the_mean_of_simulated_gains():
    draws = 0.4 + 0.7 * np.random.default_rng(1).normal(size=400_000)
    simulated = np.maximum(0.1 - draws, 0).mean()
    assert expected_improvement(0.1, np.array([0.4]), np.array([0.7]))[0] == pytest.approx(simulated, abs=2e-3)


class PlainTree:
    """A tree that is checked one node at a time: its split has the largest gain, or one of several equal ones."""

    def __init__(self, hot, values, min_leaf, forest, node):
        self.mean, self.variance, self.split = values.mean(), values.var(), forest._splits[node]
        gains = np.zeros(hot.shape[1])
        for split in range(hot.shape[1]):
            yes = hot[:, split] > 0
            if min(yes.sum(), (~yes).sum()) >= min_leaf:
                left, right = values[~yes], values[yes]
                gains[split] = len(values) * values.var() - len(left) * left.var() - len(right) * right.var()
        if self.split < 0:
            assert gains.max() < 1e-6
        else:
            assert gains[self.split] > gains.max() - 1e-9
            yes, child = hot[:, self.split] > 0, forest._children[node]
            self.no = PlainTree(hot[~yes], values[~yes], min_leaf, forest, child)
            self.yes = PlainTree(hot[yes], values[yes], min_leaf, forest, child + 1)

    def leaf(self, hot):
        return self if self.split < 0 else (self.yes if hot[self.split] else self.no).leaf(hot)


@pytest.mark.parametrize("task", ["nb201-cifar10", "graph-cora"])
@pytest.mark.parametrize("min_leaf", [1, 3, 40])
def test_a_forest_predicts_as_trees_that_are_grown_node_by_node(task, min_leaf):
    generator = np.random.default_rng(0)
    space = problem(task).space
    architectures, targets = generator.integers(space.num_architectures, size=70), generator.normal(size=70)
    candidates = generator.integers(space.num_architectures, size=50)
    arguments = {"num_trees": 4, "min_leaf": min_leaf, "split_share": 1.0}
    forest = Forest(space.choices(architectures), targets, space.num_choices, np.random.default_rng(5), **arguments)
    rows = np.random.default_rng(5).integers(70, size=4 * 70).reshape(4, 70)
    hot = space.one_hot(architectures)
    trees = [PlainTree(hot[sample], targets[sample], min_leaf, forest, tree) for tree, sample in enumerate(rows)]
    leaves = [[tree.leaf(features) for tree in trees] for features in space.one_hot(candidates)]
    means = np.array([[leaf.mean for leaf in row] for row in leaves])
    variances = np.array([[leaf.variance for leaf in row] for row in leaves])
    mean, deviation = forest.predict(space.choices(candidates))
    np.testing.assert_allclose(mean, means.mean(axis=1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(deviation**2, means.var(axis=1) + variances.mean(axis=1), rtol=1e-6, atol=1e-10)


def test_a_node_tries_a_share_of_the_splits():
    space = problem().space
    architectures = np.arange(0, 15_625, 50)
    targets = space.choices(architectures)[:, 0] == 3

    def first_splits(share):
        generator = np.random.default_rng(0)
        forest = Forest(
            space.choices(architectures), targets * 1.0, space.num_choices, generator, num_trees=50, split_share=share
        )
        return forest._splits[:50]

    assert (first_splits(1.0) == 3).all()
    assert 5 < (first_splits(0.3) == 3).sum() < 30


def test_perceptrons_have_the_gradient_of_their_error():
    generator = np.random.default_rng(0)
    networks = Perceptrons(7, 3, 5, RunStream(1))
    networks._parameters += 0.1 * generator.normal(size=len(networks._parameters))  # no unit exactly at its kink
    features, targets = generator.normal(size=(11, 7)), generator.normal(size=11)
    networks._backward(networks._forward(features), targets)

    def error():
        return ((networks.predict(features) - targets) ** 2).mean(axis=1).sum() / 2

    for position in range(0, len(networks._parameters), 7):
        kept = networks._parameters[position]
        found = []
        for step in (1e-6, -1e-6):
            networks._parameters[position] = kept + step
            found.append(error())
        networks._parameters[position] = kept
        assert networks._gradient[position] == pytest.approx((found[0] - found[1]) / 2e-6, abs=1e-6)


def test_the_slopes_of_perceptrons_are_those_of_their_predictions():
    generator = np.random.default_rng(0)
    networks = Perceptrons(7, 3, 5, RunStream(1))
    networks._parameters += 0.1 * generator.normal(size=len(networks._parameters))
    features = generator.normal(size=(11, 7))
    slopes = networks.slopes(features)
    assert slopes.shape == (3, 11, 7)
    for position, step in enumerate(1e-6 * np.eye(7)):
        found = (networks.predict(features + step) - networks.predict(features - step)) / 2e-6
        np.testing.assert_allclose(slopes[:, :, position], found, atol=1e-6)


def test_perceptrons_learn_and_differ():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 7))
    targets = features[:, 0] * features[:, 1]
    networks = Perceptrons(7, 3, 16, RunStream(1))
    networks.train(features, targets, 300, 0.02)
    predictions = networks.predict(features)
    assert (((predictions - targets) ** 2).mean(axis=1) < 0.1 * targets.var()).all()
    assert np.abs(predictions[0] - predictions[1]).max() > 0


def evaluation(architecture, loss, status=Status.OK):
    return Evaluation(architecture, loss, (loss,), int(status), 0.0, 0.0, 0, 0)


def test_a_history_leaves_answers_without_news_out():
    history = History()
    for one in (evaluation(4, 2.0), evaluation(4, 2.0, Status.DUPLICATE), evaluation(4, np.inf, Status.REJECTED)):
        history.add(one)
    history.add(evaluation(9, np.inf, Status.FAILED))
    history.add(evaluation(7, 1.0))
    assert (history.architectures, history.losses) == ([4, 9, 7], [2.0, np.inf, 1.0])
    assert history.best(history.losses, 2).tolist() == [7, 4]
    assert history.seen == [4, 4, 4, 9, 7]


def test_infeasible_losses_are_the_worst():
    history = History()
    history.add(evaluation(4, 2.0))
    history.add(evaluation(9, 0.5)._replace(feasible=False))
    assert history.losses == [2.0, np.inf]
    assert history.best(history.losses, 2).tolist() == [4, 9]
    assert standardized(history.losses, 0.5).tolist() == [-1.0, 1.0]
    assert standardized([3.0, 3.0], 0.5).tolist() == standardized([np.inf, np.inf], 0.5).tolist() == [0.0, 0.0]


def test_a_history_starts_with_random_architectures_until_one_is_feasible():
    history, space = History(), problem().space
    start = history.start(space, RunStream(1), 3)
    proposals = [next(start)]
    for _ in range(4):
        proposals.append(start.send(evaluation(proposals[-1], 1.0)._replace(feasible=False)))
    with pytest.raises(StopIteration):
        start.send(evaluation(proposals[-1], 1.0))
    plain = RunStream(1)
    assert proposals == history.architectures == [space.sample(plain) for _ in range(5)]


def test_candidates_are_new_and_never_run_out():
    space = problem().space
    centers = np.array([3])
    neighbors = space.neighbors(centers)[0]
    found = new_candidates(space, centers, 0, neighbors[:5].tolist(), RunStream(1))
    assert found.tolist() == sorted(neighbors[5:].tolist())
    assert len(new_candidates(space, centers, 0, neighbors.tolist(), RunStream(1))) == 1
