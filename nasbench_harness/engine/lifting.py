"""Strategies written as a generator of one run, lifted to the lockstep contract."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from inspect import GEN_CLOSED, getgeneratorstate
from itertools import repeat
from operator import index
from typing import Any, Never

import numpy as np

from nasbench_harness.arrays import Bools, Ints
from nasbench_harness.engine.checks import fidelity_refusal
from nasbench_harness.engine.limits import OutOfTimeError, TimeLimit
from nasbench_harness.engine.strategy import (
    HIGHEST,
    Evaluation,
    Progress,
    ProgressGenerator,
    Proposal,
    Proposals,
    Results,
    Strategy,
)
from nasbench_harness.engine.streams import RunStream
from nasbench_harness.errors import StrategyError
from nasbench_harness.evaluation.hashing import Words
from nasbench_harness.evaluation.problem import Problem
from nasbench_harness.evaluation.status import Status
from nasbench_harness.untrusted import first_line

# Anything that a strategy raises costs a run, but these, which are not its own: Ctrl-C and the limit of a caller.
NOT_OF_STRATEGIES = (KeyboardInterrupt, OutOfTimeError)
_MAX_CLOSINGS = 10  # a generator may yield while it is closed, and again when it is closed again
_NONE = int(Status.NONE)
_STATUSES = tuple(Status)  # by number
_evaluation = partial(tuple.__new__, Evaluation)  # twice as fast as Evaluation._make


def as_exception(name: str, error: BaseException) -> Exception:
    """A strategy's error as an Exception: one that would end the process becomes a StrategyError."""
    if isinstance(error, SystemExit):
        found = StrategyError(f"{name} called sys.exit({'' if error.code is None else repr(error.code)})")
    elif isinstance(error, GeneratorExit):
        found = StrategyError(f"{name} raised GeneratorExit")
    elif isinstance(error, Exception):
        return error
    else:
        found = StrategyError(f"{name} raised {type(error).__name__}: {first_line(error)}")
    found.__cause__ = error
    return found


class LiftedGenerators(Strategy):
    """One generator per run behind the lockstep contract.

    A generator that raises, or yields anything else than the contract allows, fails alone: its run ends, its error is
    kept, and the others go on.

    Args:
        problem: The search view.
        keys: Key of each run's stream, shape (num_runs,).
        search: ``search(problem, rng, **hyperparameters)``, a generator function.
        hyperparameters: Its keyword arguments.

    Attributes:
        failures: Error of each run that failed, by its position.
    """

    def __init__(
        self, problem: Problem, keys: Words, search: Callable[..., ProgressGenerator], hyperparameters: dict[str, Any]
    ) -> None:
        self.problem = problem
        self.failures: dict[int, Exception] = {}
        self._name = getattr(search, "__name__", str(search))
        self._generators = [
            search(problem.of_run(run), RunStream(key), **hyperparameters) for run, key in enumerate(keys.tolist())
        ]
        self._sends = [generator.send for generator in self._generators]
        self._answers: list[Evaluation | None] = [None] * len(keys)
        self._recommended = np.full(len(keys), -1)
        self._limit: TimeLimit | None = None

    @property
    def name(self) -> str:
        """Name of the generator function."""
        return self._name

    def limit(self, seconds: float | None) -> None:
        """Let every run fail that uses more real seconds than this; None: no limit."""
        self._limit = None if seconds is None else TimeLimit(seconds, self._name)

    def ask(self, idle: Bools) -> Proposals:
        """Resume the generator of every idle run."""
        sends, answers = self._sends, self._answers
        architectures = [-1] * len(sends)
        fidelities: dict[int, int] = {}
        extra_cost_s: dict[int, float] = {}
        for run in np.flatnonzero(idle).tolist():
            try:
                proposal = sends[run](answers[run]) if self._limit is None else self._resume(run, self._limit)
                if type(proposal) is int:  # the common case first: this loop is the cost of a generator
                    architectures[run] = proposal if proposal >= 0 else self._refuse_negative(proposal)
                elif isinstance(proposal, Progress):
                    self._check_progress(proposal)
                    self._recommend(run, proposal.recommendation)
                    extra_cost_s[run] = proposal.cost_s
                    answers[run] = None
                else:
                    proposal = self._as_proposal(proposal)
                    self._recommend(run, proposal.recommendation)
                    architectures[run] = proposal.architecture
                    if proposal.fidelity is not None:
                        fidelities[run] = proposal.fidelity
                    if proposal.extra_cost_s != 0:
                        extra_cost_s[run] = proposal.extra_cost_s
            except StopIteration as stop:
                self._end(run, stop.value)
            except NOT_OF_STRATEGIES:
                raise
            except BaseException as error:
                self._fail(run, error)
        return Proposals(
            self._as_indices(architectures),
            self._scatter(fidelities, HIGHEST) if fidelities else None,
            self._scatter(extra_cost_s, 0.0) if extra_cost_s else None,
        )

    def tell(self, results: Results) -> None:
        """Keep each run's evaluation for the next time it is resumed."""
        losses, status = results.losses.tolist(), results.status.tolist()
        values = zip(losses, strict=True) if results.values.shape[1] == 1 else map(tuple, results.values.tolist())
        columns = zip(
            results.architectures.tolist(),
            losses,
            values,
            map(_STATUSES.__getitem__, status),
            results.cost_s.tolist(),
            results.finished_s.tolist(),
            results.fidelities.tolist(),
            results.ticket.tolist(),
            results.feasible.tolist() if self.problem.constraints else repeat(True, len(losses)),
            strict=True,
        )
        evaluations: list[Evaluation | None] = list(map(_evaluation, columns))
        if _NONE not in status:
            self._answers = evaluations
            return
        for run, evaluation in enumerate(evaluations):
            if status[run] != _NONE:
                self._answers[run] = evaluation

    def recommend(self) -> Ints:
        """Last recommendation of each run, −1 if it made none."""
        return self._recommended.copy()

    def close(self) -> None:
        """End every generator; its last recommendation stands."""
        for run, generator in enumerate(self._generators):
            if getgeneratorstate(generator) != GEN_CLOSED:
                self._close(run)

    def _resume(self, run: int, limit: TimeLimit) -> Any:
        return limit.call(run, self._sends[run], self._answers[run])

    def _end(self, run: int, recommendation: Any) -> None:
        """A generator returned."""
        try:
            self._recommend(run, recommendation)
        except StrategyError as error:
            self._fail(run, error)

    def _fail(self, run: int, error: BaseException) -> None:
        """Keep the first error of a run and end its generator."""
        self.failures.setdefault(run, as_exception(self._name, error))
        self._close(run)

    def _close(self, run: int) -> None:
        """End a generator, even one that yields in a ``finally``: then its run has failed."""
        close = self._generators[run].close
        for _ in range(_MAX_CLOSINGS):
            try:
                if self._limit is None:
                    close()
                else:
                    self._limit.call(run, close)
            except RuntimeError as error:
                is_ignored = "ignored GeneratorExit" in first_line(error)
                self.failures.setdefault(run, self._yields_in_finally() if is_ignored else error)
                if getgeneratorstate(self._generators[run]) == GEN_CLOSED:
                    return
            except NOT_OF_STRATEGIES:
                raise
            except BaseException as error:
                self.failures.setdefault(run, as_exception(self._name, error))
                return
            else:
                return

    def _yields_in_finally(self) -> StrategyError:
        return StrategyError(
            f"{self._name} yields while it is closed after its budget: no yield in finally or after GeneratorExit; "
            "give a recommendation with Proposal(…, recommendation=…)"
        )

    def _recommend(self, run: int, architecture: Any) -> None:
        if architecture is not None:
            recommended = self._as_index(architecture, "recommended", "recommend (or return)")
            if not 0 <= recommended < self.problem.space.num_architectures:
                raise self._out_of_range("recommended", recommended)
            self._recommended[run] = recommended

    def _as_proposal(self, proposal: Any) -> Proposal:
        if not isinstance(proposal, Proposal):
            return Proposal(self._checked_yield(proposal))
        num_fidelities = max(1, len(self.problem.fidelities))
        fidelity = proposal.fidelity
        is_place = isinstance(fidelity, int | np.integer) and HIGHEST <= fidelity < num_fidelities
        if fidelity is not None and not is_place:
            did = f"it yielded {proposal.fidelity!r}"
            raise StrategyError(f"{self._name}: {fidelity_refusal('the task', num_fidelities, did)}")
        if not self._is_time(proposal.extra_cost_s):
            raise StrategyError(f"{self._name}: extra_cost_s must be finite and not negative")
        architecture = self._as_index(proposal.architecture, "yielded")
        return proposal._replace(
            architecture=architecture if architecture >= 0 else self._refuse_negative(architecture)
        )

    def _as_index(self, architecture: Any, verb: str, advice: str = "yield") -> int:
        try:
            return index(architecture)
        except TypeError:
            others = ", a Proposal or Progress" if advice == "yield" else ""
            if isinstance(architecture, Evaluation):
                raise StrategyError(
                    f"{self._name} {verb} an Evaluation: {advice} its architecture, evaluation.architecture"
                ) from None
            if isinstance(architecture, str):
                others += "; problem.space.from_string(text) gives the index of an official string"
            raise StrategyError(
                f"{self._name} {verb} {architecture!r}: {advice} an architecture (an integer index){others}"
            ) from None

    def _checked_yield(self, architecture: Any) -> int:
        found = self._as_index(architecture, "yielded")
        return found if found >= 0 else self._refuse_negative(found)

    def _refuse_negative(self, architecture: int) -> Never:
        raise self._out_of_range("yielded", architecture)

    def _as_indices(self, architectures: list[int]) -> Ints:
        """Architectures as an array; runs that yielded none of the space fail."""
        size = self.problem.space.num_architectures
        with suppress(OverflowError):
            array = np.array(architectures, dtype=np.int64)
            # Seen as unsigned, a negative number is huge: one comparison covers both ends.
            if (array + 1).view(np.uint64).max(initial=0) <= size:
                return array
        for run, architecture in enumerate(architectures):
            if not -1 <= architecture < size:
                self._fail(run, self._out_of_range("yielded", architecture))
                architectures[run] = -1
        return np.array(architectures, dtype=np.int64)

    def _out_of_range(self, verb: str, architecture: int) -> StrategyError:
        last = self.problem.space.num_architectures - 1
        return StrategyError(
            f"{self._name} {verb} {architecture}: an architecture is in 0 … {last}; return ends a run early"
        )

    def _check_progress(self, progress: Progress) -> None:
        if not self._is_time(progress.cost_s) or progress.cost_s == 0:
            raise StrategyError(
                f"{self._name} yielded Progress of {progress.cost_s!r} s: progress must cost simulated seconds"
            )

    @staticmethod
    def _is_time(seconds: Any) -> bool:
        try:
            return bool(0 <= seconds < np.inf)
        except (TypeError, ValueError):
            return False

    def _scatter(self, values: dict[int, Any], default: Any) -> Any:
        array = np.full(len(self._generators), default)
        array[list(values)] = list(values.values())
        return array
