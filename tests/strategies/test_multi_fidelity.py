"""Multi-fidelity strategies: rungs, brackets, plain versions, workers that finish out of order, and contracts."""

from pathlib import Path

import numpy as np
import pytest
from kit.cases import fast_first
from kit.contracts import InThisProcess, failures, traces_in_other_processes
from kit.curves import EPOCHS, curves  # noqa: F401 - a fixture
from nasbench_strategies._models.brackets import Bracket, hyperband_plans, rungs_of
from nasbench_strategies._models.kernel_density import KernelDensity
from nasbench_strategies.multi_fidelity.learning_curve_stopping import learning_curve_stopping

from nasbench_harness import Evaluation, HarnessError, InvalidInputError, RunStream, check_baseline, load_task, run
from nasbench_harness.engine.batches import Rules, run_seeds
from nasbench_harness.engine.lifting import LiftedGenerators
from nasbench_harness.engine.loop import run_batch
from nasbench_harness.engine.strategy import Proposal
from nasbench_harness.engine.streams import RunStreams, stream_keys
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.regression.baselines import find_subjects
from nasbench_harness.spaces import ProductSpace
from nasbench_harness.studies.catalog import names_of
from nasbench_harness.studies.references import parse_strategy, resolve

WITH_WORKERS = ("asha", "bohb", "hyperband", "successive-halving")
NAMES = tuple(sorted((*WITH_WORKERS, "dehb", "learning-curve-stopping")))
BASELINES = Path(__file__).parent / "multi_fidelity_baselines"
RUNGS = [0, 2, 4, 6]  # of EPOCHS: 1, 3, 9 and 27 epochs


def traces(text, task, num_seeds, **protocol):
    rules = Rules(Protocol(**{"fidelity": "all", **protocol}), 0)
    trace = run_seeds(resolve(parse_strategy(text)), load_task(task), rules, np.arange(num_seeds)).trace
    return [trace.rows(slice(run, run + 1)) for run in range(num_seeds)]


def plain_traces(search, name, task, num_seeds, **protocol):
    rules, loaded, seeds = Protocol(**{"fidelity": "all", **protocol}), load_task(task), np.arange(num_seeds)
    lifted = LiftedGenerators(loaded.problem(rules), stream_keys(0, name, task, seeds), search, {})
    trace = run_batch(lambda: lifted, loaded, rules, 0, seeds).trace
    return [trace.rows(slice(run, run + 1)) for run in range(num_seeds)]


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        for name in other:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def sampler(problem, rng):
    seen = set()

    def draw():
        while (architecture := problem.space.sample(rng)) in seen:
            pass
        seen.add(architecture)
        return architecture

    return draw


def halving(draw, size, rungs):
    """One bracket with one worker, written from the paper."""
    rung = [draw() for _ in range(size)]
    for place in rungs:
        answers = []
        for architecture in rung:
            answers.append((yield Proposal(architecture, fidelity=place)))
        answers.sort(key=lambda answer: answer.loss)
        rung = [answer.architecture for answer in answers[: len(rung) // 3]]


def plain_successive_halving(problem, rng):
    draw = sampler(problem, rng)
    while True:
        yield from halving(draw, 27, RUNGS)


def plain_hyperband(problem, rng):
    draw = sampler(problem, rng)
    while True:
        for size, rungs in ((27, RUNGS), (12, RUNGS[1:]), (6, RUNGS[2:]), (4, RUNGS[3:])):
            yield from halving(draw, size, rungs)


def plain_asha(problem, rng):
    draw, results, climbed = sampler(problem, rng), [[] for _ in RUNGS], [set() for _ in RUNGS]
    while True:
        level, architecture = 0, None
        for below in (2, 1, 0):
            best = sorted(results[below], key=lambda answer: answer.loss)[: len(results[below]) // 3]
            ready = [answer.architecture for answer in best if answer.architecture not in climbed[below]]
            if ready:
                level, architecture = below + 1, ready[0]
                climbed[below].add(architecture)
                break
        if architecture is None:
            architecture = draw()
        results[level].append((yield Proposal(architecture, fidelity=RUNGS[level])))


def plain_dehb(problem, rng):
    """Sizes written out; members are [key, architecture, point], kept in slots."""
    space, sizes = problem.space, [int(size) for size in problem.space.num_choices]
    brackets = [[(0, 27), (2, 9), (4, 3), (6, 1)], [(2, 12), (4, 4), (6, 1)], [(4, 6), (6, 2)], [(6, 4)]]
    slots = {0: 27, 2: 12, 4: 6, 6: 4}

    def random():
        architecture = space.sample(rng)
        choices = space.choices(np.array([architecture]))[0].tolist()
        return [
            None,
            architecture,
            [(choice + rng.uniform()) / size for choice, size in zip(choices, sizes, strict=True)],
        ]

    def child(target, pool):
        three = [pool[place] for place in rng.subset(len(pool), 3)]
        replacements, crossings = [rng.uniform() for _ in sizes], [rng.uniform() for _ in sizes]
        forced, point = int(rng.uniform() * len(sizes)), []
        for decision in range(len(sizes)):
            first, second, third = (member[2][decision] for member in three)
            mutant = first + 0.5 * (second - third)
            if not 0 <= mutant < 1:
                mutant = replacements[decision]
            crosses = decision == forced or crossings[decision] < 0.5
            point.append(mutant if crosses else target[2][decision])
        choices = [int(number * size) for number, size in zip(point, sizes, strict=True)]
        return [None, int(space.from_choices(np.array([choices]))[0]), point]

    seen = {place: [] for place in slots}
    for bracket in brackets:
        entrants = [random() for _ in range(bracket[0][1])]
        for place, size in bracket:
            entrants = [list(member) for member in entrants[:size]]
            for member in entrants:
                answer = yield Proposal(member[1], fidelity=place)
                member[0] = (not answer.feasible, answer.loss)
            entrants.sort(key=lambda member: member[0])
            seen[place] += entrants
    groups = {place: sorted(seen[place], key=lambda member: member[0])[:size] for place, size in slots.items()}
    turns = dict.fromkeys(slots, 0)
    while True:
        for bracket in brackets:
            source = bracket[0][0]
            for place, size in bracket:
                pool = sorted(groups[source], key=lambda member: member[0])[:size]
                everyone = [member for group in groups.values() for member in group]
                for _ in range(size):
                    added = [everyone[rng.integers(len(everyone))] for _ in range(3 - len(pool))]
                    slot = turns[place]
                    turns[place] = (slot + 1) % slots[place]
                    trial = child(groups[place][slot], pool + added)
                    answer = yield Proposal(trial[1], fidelity=place)
                    trial[0] = (not answer.feasible, answer.loss)
                    if trial[0] <= groups[place][slot][0]:
                        groups[place][slot] = trial
                source = place


def plain_learning_curve_stopping(problem, rng):
    complete = []
    while True:
        architecture, curve = problem.space.sample(rng), []
        for place in range(len(EPOCHS)):
            curve.append((yield Proposal(architecture, fidelity=place)).loss)
            means = [sum(other[: place + 1]) / (place + 1) for other in complete]
            if len(complete) >= 2 and min(curve) > np.median(means):
                break
        else:
            complete.append(curve)


PLAIN = {
    "asha": plain_asha,
    "dehb": plain_dehb,
    "hyperband": plain_hyperband,
    "learning-curve-stopping": plain_learning_curve_stopping,
    "successive-halving": plain_successive_halving,
}


def test_the_family_is_complete():
    assert tuple(names_of(["multi-fidelity"])) == NAMES


@pytest.mark.parametrize(
    ("fidelities", "eta", "min_epochs", "expected"),
    [
        (EPOCHS, 3, 0, [1, 3, 9, 27]),
        (EPOCHS, 3, 2, [3, 9, 27]),
        (EPOCHS, 2, 0, [2, 3, 9, 18, 27]),
        (range(1, 101), 3, 0, [1, 4, 11, 33, 100]),
        ((1, 12, 200), 3, 0, [1, 12, 200]),
        ((1, 12, 200), 3, 150, [200]),
        ((5,), 3, 0, [5]),
    ],
)
def test_rungs_are_the_nearest_fidelities(fidelities, eta, min_epochs, expected):
    assert [fidelities[place] for place in rungs_of(fidelities, eta, min_epochs)] == expected


def test_a_lowest_rung_above_the_highest_fidelity_is_refused(curves):  # noqa: F811
    with pytest.raises(InvalidInputError, match="min_epochs must be at most 27, the highest fidelity, not 28"):
        traces("hyperband(min_epochs=28)", curves, 1, evaluations=3)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "learning-curve-stopping"])
@pytest.mark.parametrize("parameters", ["eta=50", "min_epochs=27"])
def test_one_rung_is_refused_before_any_run(name, parameters, curves, tmp_path):  # noqa: F811
    """On it every architecture is trained to the end: the results would be those of random search."""
    message = r"two rungs are needed, and eta=\d+ with min_epochs=\d+ gives one \(27 of 1 to 27 epochs\)"
    with pytest.raises(HarnessError, match=message):
        run([f"{name}({parameters})"], tasks=[curves], seeds=2, fidelity="all", out=tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_the_brackets_are_those_of_the_paper():
    """Table 1 of the Hyperband paper: 81 epochs at most, reduction 3."""
    plans = hyperband_plans([0, 1, 2, 3, 4], 3)
    assert [(plan.num_architectures, plan.rungs[0]) for plan in plans] == [(81, 0), (34, 1), (15, 2), (8, 3), (5, 4)]


def test_a_bracket_keeps_the_best_feasible_ones():
    bracket = Bracket(6, [0, 3], 3)
    assert [bracket.start() for _ in range(6)] == [(-1, 0)] * 6
    for architecture, (loss, is_feasible) in enumerate([(1.0, False), (9.0, True), (5.0, True), (5.0, True)]):
        bracket.add(architecture, loss, is_feasible)
    assert not bracket.has_next
    bracket.add(4, np.inf, True)
    bracket.add(5, 7.0, True)
    assert [bracket.start(), bracket.start()] == [(2, 3), (3, 3)]
    assert not bracket.has_next
    bracket.add(3, 4.0, True)
    bracket.add(2, 4.0, True)
    assert bracket.is_done


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("rules", [{"epochs": 900}, {"evaluations": 130, "continuation": "restart"}])
def test_plain_versions_have_the_same_traces(name, rules, curves):  # noqa: F811
    assert_same(plain_traces(PLAIN[name], name, curves, 3, **rules), traces(name, curves, 3, **rules))


def test_learning_curve_stopping_ends_infeasible_and_bad_trainings(curves):  # noqa: F811
    """The median of the mean losses is 4.5 after the second fidelity: 4.5 goes on, 4.6 and a broken bound do not."""
    search = learning_curve_stopping(load_task(curves).problem(Protocol(fidelity="all")), RunStream(3))
    proposal = next(search)
    for curve in (
        [(8.0, True), (4.0, True), *[(2.0, True)] * 5],
        [(4.0, True), (2.0, True), *[(1.0, True)] * 5],
        [(6.0, True), (4.6, True)],
        [(6.0, True), (4.5, True), *[(2.0, True)] * 5],
        [(1.0, False)],
    ):
        for place, (loss, is_feasible) in enumerate(curve):
            assert proposal.fidelity == place
            proposal = search.send(Evaluation(proposal.architecture, loss, (loss,), 1, 0.0, 0.0, place, 0, is_feasible))
        assert proposal.fidelity == 0


@pytest.mark.parametrize("name", ["hyperband", "successive-halving"])
def test_with_workers_each_rung_is_complete_before_its_best_climb(name, curves):  # noqa: F811
    for rows in traces(name, curves, 3, evaluations=300, workers=4):
        assert len(np.unique(rows["architecture"][rows["fidelity"] == 0])) == (rows["fidelity"] == 0).sum()
        finished = {}
        for architecture, place, start, end, value in zip(
            *(rows[key].tolist() for key in ("architecture", "fidelity", "started_s", "finished_s")),
            rows["value_val_accuracy"].tolist(),
            strict=True,
        ):
            below = [entry for (_, at), entry in finished.items() if at == place - 2]
            if (architecture, place - 2) in finished:
                own_end, own_value = finished[architecture, place - 2]
                assert own_end <= start
                assert own_value >= np.median([entry_value for _, entry_value in below]) - 8
            finished[architecture, place] = (end, value)


def test_with_workers_asha_lets_the_best_third_climb(curves):  # noqa: F811
    """Each architecture that climbed was among the best third of the results that its rung had by then."""
    for rows in traces("asha", curves, 4, evaluations=300, workers=4):
        columns = [rows[key] for key in ("architecture", "fidelity", "started_s", "finished_s", "value_val_accuracy")]
        climbs = 0
        for architecture, place, start, *_ in zip(*columns, strict=True):
            if place:
                is_below = (rows["fidelity"] == place - 2) & (rows["finished_s"] <= start)
                values = rows["value_val_accuracy"][is_below]
                own = values[rows["architecture"][is_below] == architecture][0]
                assert (values > own).sum() < len(values) // 3
                climbs += 1
        assert climbs > 60
        idle = rows["started_s"][1:] - rows["finished_s"][:-1]
        assert idle.max() <= 0  # no worker ever waits


@pytest.mark.parametrize("name", WITH_WORKERS)
def test_workers_never_wait(name, curves):  # noqa: F811
    """Each training but the first four begins when another one ends."""
    for rows in traces(name, curves, 2, evaluations=200, workers=4):
        starts = np.sort(rows["started_s"])
        assert (starts[:4] == 0).all()
        assert np.isin(starts[4:], rows["finished_s"]).all()


def test_the_kernel_density_is_a_distribution():
    space = ProductSpace("small", [["a", "b"], ["c", "d", "e"]])
    density = KernelDensity(np.array([[0, 1], [1, 1], [0, 2]]), space.num_choices)
    everything = space.choices(np.arange(6))
    chances = density(everything)
    assert chances.sum() == pytest.approx(1)
    drawn = density.draw(space, 20_000, RunStreams(np.array([5, 7], dtype=np.uint64)), 1)
    counts = [(drawn == row).all(axis=1).mean() for row in everything]
    np.testing.assert_allclose(counts, chances, atol=5 * np.sqrt(0.25 / 20_000))
    np.testing.assert_allclose(KernelDensity(everything[:1], space.num_choices)(everything), 1 / 6)


def test_bohb_learns_which_architectures_are_good(curves):  # noqa: F811
    """Its later new architectures are better than those of BOHB without a model, by six standard errors."""
    accuracy = load_task(curves).under(Protocol(fidelity="all")).scores["val"].values

    def late(text):
        found = []
        for rows in traces(text, curves, 10, epochs=2_500):
            _, first = np.unique(rows["architecture"], return_index=True)
            found.append(accuracy[rows["architecture"][np.sort(first)][100:]].mean())
        return np.array(found)

    learned, random = late("bohb"), late("bohb(random_fraction=1.0)")
    error = np.sqrt((learned.var(ddof=1) + random.var(ddof=1)) / 10)
    assert learned.mean() > random.mean() + 6 * error


def test_they_find_better_architectures_than_random_search(curves):  # noqa: F811
    task = load_task(curves)
    view = task.under(Protocol(fidelity="all"))

    def accuracies(text):
        found = []
        for rows in traces(text, curves, 60, epochs=300):
            has_value = np.isfinite(rows["value_val_accuracy"])  # the last one may be an overrun
            is_highest = has_value & (rows["fidelity"] == rows["fidelity"][has_value].max())
            best = np.where(is_highest, rows["value_val_accuracy"], -np.inf)
            found.append(view.scores["val"].values[rows["architecture"][best.argmax()]])
        return np.array(found)

    random = accuracies("random-search")
    for name in NAMES:
        found = accuracies(name)
        error = np.sqrt((found.var(ddof=1) + random.var(ddof=1)) / 60)
        assert found.mean() > random.mean() + 3 * error, name


@pytest.mark.parametrize("name", NAMES)
def test_a_task_with_one_fidelity_is_refused(name):
    with pytest.raises(InvalidInputError, match=f"{name} needs several fidelities, and the table of task nb201"):
        traces(name, "nb201-cifar10", 1, evaluations=3, fidelity=None)


def contract_of(name, task):
    return type("Registered", (InThisProcess,), {"strategy": name, "tasks": (task,), "evaluations": 90})()


@pytest.mark.parametrize("name", fast_first(NAMES))
def test_contracts(name, curves):  # noqa: F811
    assert failures(contract_of(name, curves)) == {}


@pytest.mark.thorough
def test_other_processes_and_hash_seeds_give_the_same_traces(curves):  # noqa: F811
    """The rule that those contracts leave out."""
    assert len(set(traces_in_other_processes([contract_of(name, curves) for name in NAMES]))) == len(NAMES)


def test_none_has_changed(curves):  # noqa: F811
    """``save_baseline(NAMES, [curves], BASELINES, seeds=100, fidelity="all", epochs=600)`` wrote the baselines."""
    assert {subject.path.stem for subject in find_subjects(BASELINES)} == set(NAMES)
    assert {(check.verdict, check.by) for check in check_baseline(folder=BASELINES) if check.by == "trace"} == {
        ("equivalent", "trace")
    }
