"""Strategies written as a generator of one run, lifted to the lockstep contract."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any

import numpy as np

from nasbench_harness.arrays import Bools, Ints
from nasbench_harness.engine.strategy import (
    Evaluation,
    Progress,
    Proposal,
    Proposals,
    Results,
    SearchGenerator,
    Strategy,
)
from nasbench_harness.engine.streams import RunStream
from nasbench_harness.errors import StrategyError
from nasbench_harness.evaluation.hashing import Words
from nasbench_harness.evaluation.problem import Problem
from nasbench_harness.evaluation.status import Status


class LiftedGenerators(Strategy):
    """One generator per run behind the lockstep contract.

    Args:
        problem: The search view.
        keys: Key of each run's stream, shape (num_runs,).
        search: ``search(problem, rng, **hyperparameters)``, a generator function.
        hyperparameters: Its keyword arguments.
    """

    def __init__(
        self, problem: Problem, keys: Words, search: Callable[..., SearchGenerator], hyperparameters: dict[str, Any]
    ) -> None:
        self.problem = problem
        self._name = getattr(search, "__name__", str(search))
        self._generators = [search(problem, RunStream(key), **hyperparameters) for key in keys.tolist()]
        self._answers: list[Evaluation | None] = [None] * len(keys)
        self._recommended = np.full(len(keys), -1)

    @property
    def name(self) -> str:
        """Name of the generator function."""
        return self._name

    def ask(self, idle: Bools) -> Proposals:
        """Resume the generator of every idle run."""
        architectures = [-1] * len(self._generators)
        fidelities: dict[int, int] = {}
        extra_cost_s: dict[int, float] = {}
        for run in np.flatnonzero(idle).tolist():
            try:
                proposal = self._generators[run].send(self._answers[run])
            except StopIteration as stop:
                self._recommend(run, stop.value)
                continue
            if type(proposal) is int:  # the common case first: this loop is the cost of a generator
                architectures[run] = proposal
            elif isinstance(proposal, Progress):
                self._check_progress(proposal)
                extra_cost_s[run] = proposal.cost_s
                self._answers[run] = None
                self._recommend(run, proposal.recommendation)
            else:
                proposal = self._as_proposal(proposal)
                architectures[run] = proposal.architecture
                if proposal.fidelity is not None:
                    fidelities[run] = proposal.fidelity
                if proposal.extra_cost_s != 0:
                    extra_cost_s[run] = proposal.extra_cost_s
                self._recommend(run, proposal.recommendation)
        return Proposals(
            self._as_indices(architectures),
            self._scatter(fidelities, np.int64) if fidelities else None,
            self._scatter(extra_cost_s, np.float64) if extra_cost_s else None,
        )

    def tell(self, results: Results) -> None:
        """Keep each run's evaluation for the next time it is resumed."""
        columns = zip(
            results.architectures.tolist(),
            results.losses.tolist(),
            map(tuple, results.values.tolist()),
            results.status.tolist(),
            results.cost_s.tolist(),
            results.finished_s.tolist(),
            results.fidelities.tolist(),
            results.ticket.tolist(),
            strict=True,
        )
        for run, evaluation in enumerate(map(Evaluation._make, columns)):
            if evaluation.status != Status.NONE:
                self._answers[run] = evaluation

    def recommend(self) -> Ints:
        """Last recommendation of each run, −1 where it made none."""
        return self._recommended.copy()

    def close(self) -> None:
        """End every generator where it stands; its last recommendation stands."""
        for generator in self._generators:
            generator.close()

    def _recommend(self, run: int, architecture: Any) -> None:
        if architecture is not None:
            self._recommended[run] = self._as_index(architecture, "recommended")

    def _as_proposal(self, proposal: Any) -> Proposal:
        if not isinstance(proposal, Proposal):
            return Proposal(self._as_index(proposal, "yielded"))
        return proposal._replace(architecture=self._as_index(proposal.architecture, "yielded"))

    def _as_index(self, architecture: Any, verb: str) -> int:
        try:
            return index(architecture)
        except TypeError:
            raise StrategyError(
                f"{self._name} {verb} {architecture!r}: yield an architecture (an integer index), a Proposal "
                "or Progress"
            ) from None

    def _as_indices(self, architectures: list[int]) -> Ints:
        try:
            return np.array(architectures, dtype=np.int64)
        except OverflowError:
            size = self.problem.space.num_architectures
            raise StrategyError(
                f"{self._name} yielded {max(architectures, key=abs)}: an architecture lies in −1 … {size - 1}"
            ) from None

    def _check_progress(self, progress: Progress) -> None:
        if not progress.cost_s > 0:
            raise StrategyError(
                f"{self._name} yielded Progress of {progress.cost_s!r} s: progress must cost simulated seconds"
            )

    def _scatter(self, values: dict[int, Any], dtype: Any) -> Any:
        array = np.zeros(len(self._generators), dtype=dtype)
        array[list(values)] = list(values.values())
        return array
