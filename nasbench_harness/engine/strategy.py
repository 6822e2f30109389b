"""The contract of strategies: one class whose arrays lead with num_runs, or one generator function of one run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, TypeVar

import numpy.typing as npt

from nasbench_harness.arrays import Bools, Floats, Ints
from nasbench_harness.engine.streams import RunStreams
from nasbench_harness.evaluation.problem import Problem
from nasbench_harness.evaluation.status import Status

Search = TypeVar("Search", bound=Callable[..., Any])
HIGHEST = -1  # a fidelity: the highest that the task has


@dataclass(frozen=True)
class Needs:
    """Needs of a strategy; it is refused if the task or the installation does not meet them.

    Attributes:
        num_objectives: Objectives.
        fidelities: Several fidelities.
        sources: Tasks whose values it may read.
        torch: PyTorch.
        training_data: Data to train networks on.
        proxies: Training-free scores of the architectures, as columns of the table.
        packages: Other packages, by the name that is installed and imported.
    """

    num_objectives: int = 1
    fidelities: bool = False
    sources: bool = False
    torch: bool = False
    training_data: bool = False
    proxies: bool = False
    packages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the kinds of the two fields that are no switches.

        Raises:
            TypeError: One has another kind.
        """
        if type(self.num_objectives) is not int:
            raise TypeError(f"Needs: num_objectives must be an integer, got {self.num_objectives!r}")
        if isinstance(self.packages, str) or not all(isinstance(name, str) for name in self.packages):
            raise TypeError(f"Needs: packages must be a tuple of names, got {self.packages!r}")


class Proposals(NamedTuple):
    """Proposals of a strategy.

    Attributes:
        architectures: Index to evaluate, −1 for nothing now, shape (num_runs,); read for idle runs only.
        fidelities: Index on the task's fidelity axis, −1 for the highest, shape (num_runs,); None: the highest for all.
        extra_cost_s: Seconds that the search itself spent, shape (num_runs,); None: none.
    """

    architectures: Ints
    fidelities: Ints | None = None
    extra_cost_s: Floats | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """Results of proposals: at most one finished evaluation per run; all shapes (num_runs,) but ``values``.

    Attributes:
        ticket: Which of the run's own proposals this answers, from 0; −1 if nothing finished.
        architectures: The architecture, −1 if nothing finished.
        fidelities: Index on the task's fidelity axis.
        values: Losses, smaller is better, in the metric's unit, shape (num_runs, num_objectives); +inf if there is
            no value.
        cost_s: Seconds charged.
        finished_s: Simulated time when it finished.
        status: See Status; NONE if nothing finished.
        feasible: Whether the evaluation meets the protocol's constraints; true if there are none.
    """

    ticket: Ints
    architectures: Ints
    fidelities: Ints
    values: Floats
    cost_s: Floats
    finished_s: Floats
    status: npt.NDArray[Any]
    feasible: Bools

    @property
    def losses(self) -> Floats:
        """First objective, shape (num_runs,)."""
        return self.values[:, 0]


class Strategy(ABC):
    """A search strategy that advances all runs of a batch together.

    Hyperparameters are keyword arguments of the constructor, after ``problem`` and ``rng``. The actions of a run may
    depend on its own stream and results only, never on the other runs of the batch.

    Attributes:
        needs: Its needs.
        reproducible: "exact": the same on every machine; "platform": on one machine with one set of libraries.
        tile: Number of runs that its arithmetic needs together; None: any number.
        max_runs: At most so many runs are alive at once, and are stored when they end; None: any number. A generator
            function may have an attribute of this name.
    """

    needs: ClassVar[Needs] = Needs()
    reproducible: ClassVar[Literal["exact", "platform"]] = "exact"
    tile: ClassVar[int | None] = None
    max_runs: ClassVar[int | None] = None

    def __init__(self, problem: Problem, rng: RunStreams) -> None:
        self.problem = problem
        self.rng = rng

    @abstractmethod
    def ask(self, idle: Bools) -> Proposals:
        """Propose for idle runs, shape (num_runs,); only they may draw from their streams."""

    @abstractmethod
    def tell(self, results: Results) -> None:
        """Take the evaluations that finished since the last call."""

    @property
    def name(self) -> str:
        """How messages call the strategy."""
        return type(self).__name__

    @property
    def can_recommend(self) -> bool:
        """Whether its class defines ``recommend``; its runs then have a column for it."""
        return type(self).recommend is not Strategy.recommend

    def recommend(self) -> Ints | None:
        """Architecture that each run would return now, −1 for the incumbent; None: the incumbent for all."""
        return None

    def close(self) -> None:  # noqa: B027 - most strategies hold nothing that has to be closed
        """Every run has ended."""


class Evaluation(NamedTuple):
    """One finished evaluation, as a generator receives it."""

    architecture: int
    loss: float
    values: tuple[float, ...]
    status: Status
    cost_s: float
    finished_s: float
    fidelity: int
    ticket: int
    feasible: bool = True


class Proposal(NamedTuple):
    """A proposal with more than an architecture, for generators.

    Example: ``evaluation = yield Proposal(7, extra_cost_s=2.5)`` charges 2.5 simulated seconds beside the training.

    Attributes:
        architecture: Index to evaluate.
        fidelity: Place on the fidelity axis; None: the protocol's, or the highest.
        extra_cost_s: Simulated seconds of the search itself.
        recommendation: Architecture that the run would return now; None: no change.
    """

    architecture: int
    fidelity: int | None = None
    extra_cost_s: float = 0.0
    recommendation: int | None = None


class Progress(NamedTuple):
    """The search itself spent time: nothing is evaluated, the generator receives None.

    Example: ``yield Progress(3600.0, recommendation=7)`` after an hour of training a supernet.

    Attributes:
        cost_s: Simulated seconds.
        recommendation: Architecture that the run would return now; None: no change.
    """

    cost_s: float
    recommendation: int | None = None


def declare(
    *, needs: Needs = Needs(), max_runs: int | None = None, reproducible: Literal["exact", "platform"] = "exact"
) -> Callable[[Search], Search]:
    """Declare for a generator function the things that a class declares by its attributes (see Strategy).

    Example: ``@declare(needs=Needs(proxies=True))`` above ``def my_search(problem, rng): …``.
    """

    def mark(search: Search) -> Search:
        for name, value in (("needs", needs), ("max_runs", max_runs), ("reproducible", reproducible)):
            setattr(search, name, value)
        return search

    return mark


# Return types of a generator function, which is one run; what it returns, unless None, is its recommendation.
SearchGenerator: TypeAlias = Generator["int | Proposal", "Evaluation", "int | None"]
# The same for one that also yields Progress, to which the answer is None.
ProgressGenerator: TypeAlias = Generator["int | Proposal | Progress", "Evaluation | None", "int | None"]
