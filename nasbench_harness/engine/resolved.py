"""A strategy ready to run: its code, its hyperparameters and its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nasbench_harness.arrays import Ints
from nasbench_harness.engine.lifting import NOT_OF_STRATEGIES, LiftedGenerators, as_exception
from nasbench_harness.engine.strategy import Needs, Strategy
from nasbench_harness.engine.streams import RunStreams, stream_keys
from nasbench_harness.engine.tiles import Tiles
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.hashing import Words
from nasbench_harness.evaluation.problem import Problem


@dataclass(frozen=True)
class ResolvedStrategy:
    """A strategy ready to run.

    Attributes:
        label: Name in reports.
        reference: Registered name or ``module:attribute``; with the parameters, its identity.
        parameters: All hyperparameters, defaults included.
        target: The class or generator function.
        source_hash: Hash of the source that defines it, docstrings left out.
    """

    label: str
    reference: str
    parameters: Mapping[str, Any]
    target: Callable[..., Any]
    source_hash: str

    @property
    def is_generator(self) -> bool:
        """Whether one run is a generator, to be lifted."""
        return inspect.isgeneratorfunction(self.target)

    @property
    def max_runs(self) -> int | None:
        """At most so many runs may be alive at once; None: any number.

        Raises:
            InvalidInputError: The strategy declares something else.
        """
        declared: Any = getattr(self.target, "max_runs", None)
        if declared is not None and (not isinstance(declared, int) or isinstance(declared, bool) or declared < 1):
            raise InvalidInputError(
                f"strategy {self.reference}: max_runs must be a whole number of at least 1, or None, not {declared!r}"
            )
        return declared

    @property
    def needs(self) -> Needs:
        """Needs of the strategy; its class or generator function may have an attribute ``needs``.

        Raises:
            InvalidInputError: The attribute is something else.
        """
        declared: Any = getattr(self.target, "needs", Needs())
        if not isinstance(declared, Needs):
            raise InvalidInputError(f"strategy {self.label}: needs must be Needs(…), not {declared!r}")
        return declared

    def make(self, problem: Problem, task: str, study_seed: int, run_seeds: Ints) -> Strategy:
        """Build the strategy for these runs: a lockstep class as it is or in tiles, a generator function lifted.

        Args:
            problem: The task as strategies see it.
            task: Name of the task.
            study_seed: Seed of the whole study.
            run_seeds: Seed of each run, shape (num_runs,).

        Raises:
            InvalidInputError: A hyperparameter has no sensible value.
            StrategyError: The constructor called ``sys.exit``, or raised another error that is no Exception.
        """
        keys = stream_keys(study_seed, self.reference, task, run_seeds)
        if self.is_generator:
            return LiftedGenerators(problem, keys, self.target, dict(self.parameters))

        def make(tile_keys: Words) -> Strategy:
            view = problem if tile is None else problem.of_group()
            try:
                strategy: Strategy = self.target(view, RunStreams(tile_keys), **self.parameters)
            except (Exception, *NOT_OF_STRATEGIES):
                raise
            except BaseException as error:  # e.g. sys.exit, which would end the command with the strategy's exit code
                raise as_exception(self.label, error) from error
            return strategy

        tile = self.target.tile  # type: ignore[attr-defined]  # a Strategy class, checked when it was resolved
        return make(keys) if tile is None else Tiles(make, tile, keys, run_seeds)
