"""The landscape of one task: all its parts, or the reason why one is not there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.grid import Means, exact_means
from nasbench_harness.evaluation.scores import scored_fidelity
from nasbench_harness.evaluation.view import TaskView
from nasbench_harness.landscape.agreement import ReplicateNoise, best_tenth, replicate_noise, spearman
from nasbench_harness.landscape.choices import Quality, Shrinking, Values, quality_by_choice, shrink
from nasbench_harness.landscape.effects import Effects, effects_of_decisions
from nasbench_harness.landscape.optima import (
    LocalOptima,
    fitness_distance,
    local_optima,
    nearest_optimum,
    share_of_known_neighbors,
)
from nasbench_harness.landscape.walks import Walks, random_walks
from nasbench_harness.spaces import ListSpace, NASBench201Space, NASBenchGraphSpace, ProductSpace, SearchSpace
from nasbench_harness.spaces.link_patterns import NUM_NODES
from nasbench_harness.spaces.nasbench201 import EDGES
from nasbench_harness.spaces.nasbench_graph import LINK_PATTERNS
from nasbench_harness.spaces.restricted import RestrictedSpace
from nasbench_harness.tables.table import MetricArray

_MOST_FIDELITIES = 8


@dataclass(frozen=True)
class Agreement:
    """How well another value ranks the architectures of the task.

    Attributes:
        name: The other value.
        kind: ``data set``, ``fidelity``, ``test`` or ``free metric``.
        num_architectures: Architectures that have both values.
        rank_correlation: Spearman's.
        rank_correlation_of_best: The same among the best tenth of the task.
        regret_of_best: Regret on the task of the architecture that is best there; NaN for free metrics.
    """

    name: str
    kind: str
    num_architectures: int
    rank_correlation: float
    rank_correlation_of_best: float
    regret_of_best: float


@dataclass(frozen=True)
class Landscape:
    """Everything about the search space of a task that its table tells.

    Attributes:
        task: The task.
        values: Noiseless values at the fidelity that is searched, shape (num_architectures,).
        exists: Which architectures have one.
        whole: Quality of a random draw.
        optima: Local optima.
        distances: Decisions between each architecture and the nearest of the best ones, shape (num_architectures,).
        fitness_distance: Correlation of quality (larger is better) and distance.
        walks: Random walks.
        noise: Noise of replicates; None if no architecture has two.
        agreements: Agreement with other data sets, fidelities, test and free metrics.
        decisions: Name of each decision.
        choices: Names of the choices of each decision.
        effects: Effect of decisions; None if it is not defined here.
        qualities: Quality of random draws by decision and choice.
        shrinkings: Ways to leave choices out; empty if the space cannot be restricted.
        notes: Parts that are not there, each with the reason.
    """

    task: TaskView
    values: Floats
    exists: Bools
    whole: Quality
    optima: LocalOptima
    distances: Ints
    fitness_distance: float
    walks: Walks
    noise: ReplicateNoise | None
    agreements: tuple[Agreement, ...]
    decisions: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]
    effects: Effects | None
    qualities: list[list[Quality | None]]
    shrinkings: list[Shrinking]
    notes: tuple[str, ...] = field(default=())


def landscape_of(task: TaskView, seed: int = 0) -> Landscape:
    """Analyze the search space of a task.

    Args:
        task: The task; it must have a table.
        seed: Seed of the random walks.

    Raises:
        InvalidInputError: Fewer than two architectures have a value, or all values are equal.
    """
    means, space = exact_means(task.search), task.space
    known = means.grid_values[means.exists]
    if len(known) < 2 or known.min() == known.max():
        raise InvalidInputError(f"task {task.name} has fewer than two different values: there is no landscape to show")
    is_maximized = task.search.metric.direction == "maximize"
    sign = 1 if is_maximized else -1
    goodness, quality = sign * means.grid_values, sign * means.values
    choices = space.choices(np.arange(space.num_architectures))
    values = Values(means.values, is_maximized)
    distances = nearest_optimum(space, goodness, means.exists)
    noise = replicate_noise(sign * task.search.values[:, :, 0], quality)
    effects = effects_of_decisions(means.values, choices, space.num_choices)
    names = _choices(space)
    can_shrink = isinstance(space, ProductSpace | ListSpace) and not isinstance(space, RestrictedSpace)
    return Landscape(
        task,
        means.values,
        means.exists,
        values.quality(means.exists),
        local_optima(space, goodness, means.exists),
        distances,
        fitness_distance(quality[means.exists], distances[means.exists]),
        random_walks(space, means.values, means.exists, task.name, seed),
        noise,
        tuple(_agreements(task, means, quality)),
        _decisions(space),
        names,
        effects,
        quality_by_choice(values, choices, space.num_choices),
        shrink(values, choices, names) if can_shrink else [],
        tuple(_notes(task, means.exists, noise, effects, can_shrink)),
    )


def _agreements(task: TaskView, means: Means, quality: Floats) -> list[Agreement]:
    top = best_tenth(quality)
    best = quality[means.exists].max()
    found = []

    def compare(name: str, kind: str, column: MetricArray, position: int = -1) -> None:
        other = exact_means(column, position)
        sign = 1 if column.metric.direction == "maximize" else -1
        ranks = other.values if kind == "free metric" else sign * other.values
        both = means.exists & other.exists
        regret = math.nan
        if kind != "free metric" and both.any():
            chosen = np.where(both, sign * other.grid_values, np.iinfo(np.int64).min).argmax()
            regret = float(best - quality[chosen])
        found.append(
            Agreement(name, kind, int(both.sum()), spearman(quality, ranks), spearman(quality[top], ranks[top]), regret)
        )

    for key, dataset in task.table.datasets.items():
        search = [column for column in dataset.columns.values() if column.metric.role == "search"]
        if key != task.dataset and dataset.space is task.space and search:
            compare(f"{task.table.name}-{key}", "data set", search[0], scored_fidelity(search[0]))
    own = task.table.datasets[task.dataset]
    column = own.columns[task.search.metric.name]
    for position in _spread(own.fidelities, column):
        if own.fidelities[position] != task.fidelity:
            compare(f"epoch {own.fidelities[position]}", "fidelity", column, position)
    if "test" in task.scores:
        sealed = own.columns[task.scores["test"].metric.name]
        compare(sealed.metric.name, "test", sealed, scored_fidelity(sealed))
    for column in own.columns.values():
        if column.metric.free:
            compare(column.metric.name, "free metric", column)
    return found


def _spread(fidelities: Sequence[int], column: MetricArray) -> list[int]:
    """Some places on the fidelity axis, denser at its beginning."""
    if column.values.shape[2] == 1:
        return []
    last = len(fidelities) - 1
    places = np.unique(np.rint(np.geomspace(1, last + 1, _MOST_FIDELITIES)).astype(int) - 1)
    return [int(place) for place in places if not np.isnan(column.values[:, :, place]).all()]


def _decisions(space: SearchSpace) -> tuple[str, ...]:
    if isinstance(space, RestrictedSpace):
        names = _decisions(space.base)
        return tuple(names[position] for position in space.positions)
    if isinstance(space, NASBench201Space):
        return tuple(f"{target}←{source}" for source, target in EDGES)
    if isinstance(space, NASBenchGraphSpace):
        return ("links", *(f"node {node}" for node in range(1, NUM_NODES + 1)))
    return tuple(str(position) for position in range(space.num_decisions))


def _choices(space: SearchSpace) -> tuple[tuple[str, ...], ...]:
    if isinstance(space, ProductSpace | ListSpace):
        return space.decisions
    if isinstance(space, NASBenchGraphSpace):
        return (LINK_PATTERNS, *[space.operations] * NUM_NODES)
    return tuple(tuple(map(str, range(count))) for count in space.num_choices)


def _notes(
    task: TaskView, exists: Bools, noise: ReplicateNoise | None, effects: Effects | None, can_shrink: bool
) -> list[str]:
    notes = []
    if not exists.all():
        share = 100 * share_of_known_neighbors(task.space, exists)
        notes.append(
            f"optima, basins and steps of the whole space: only {share:.0f} % of the neighbors of architectures with a "
            "value have one, and the others are left out"
        )
    if noise is None:
        notes.append("noise of replicates: the table has one value for each architecture")
    if effects is None:
        reason = (
            "some architectures have no value"
            if isinstance(task.space, ProductSpace)
            else f"the space {task.space.name} is not every combination of its choices"
        )
        notes.append(f"effects of decisions: {reason}")
    if isinstance(task.space, NASBenchGraphSpace):
        notes.append(
            "distances and quality by choice: read off the key, one of several descriptions of an architecture"
        )
    if isinstance(task.space, RestrictedSpace):
        notes.append("agreement with other data sets: only a whole space is compared with them")
    if not can_shrink:
        reason = (
            "choices are left out already"
            if isinstance(task.space, RestrictedSpace)
            else f"several descriptions lead to one architecture of the space {task.space.name}"
            if isinstance(task.space, NASBenchGraphSpace)
            else f"the space {task.space.name} is neither a product of choices nor a list"
        )
        notes.append(f"shrinking: {reason}")
    return notes
