"""The rules of a comparison, as one frozen record."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypedDict

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.wording import canonical_constraints, canonical_objectives, canonical_sources

DEFAULT_EVALUATIONS = 200
MAX_EVALUATIONS = 1_000_000  # of one run
_MOST = {
    "evaluations": MAX_EVALUATIONS,
    "fidelity": 999_999_999,
    "workers": 1_000,
    "epochs": 999_999_999,
    "source_evaluations": MAX_EVALUATIONS,
}
_MAX_SECONDS = 1e15
_NUM_FIRST_FIELDS = 8  # all that the first study files held: these are always written
_CHOICES = {
    "duplicates": ("charge", "free", "forbid"),
    "duplicates_by": ("index", "class"),
    "overrun": ("discard", "count"),
    "selection": ("own", "incumbent"),
    "mode": ("async", "sync"),
    "continuation": ("checkpoint", "restart"),
    "source_cost": ("charged", "reported", "free"),
    "instances": ("same", "relabel"),
}


class ProtocolFields(TypedDict, total=False):
    """Keyword arguments that are fields of Protocol, for editors and type checkers (see Protocol for their meaning)."""

    evaluations: int | None
    noise: str
    duplicates: Literal["charge", "free", "forbid"]
    selection: Literal["own", "incumbent"]
    simulated_seconds: float | None
    overrun: Literal["discard", "count"]
    duplicates_by: Literal["index", "class"]
    fidelity: int | str | Mapping[str, int | str] | None
    workers: int
    mode: Literal["async", "sync"]
    epochs: int | None
    continuation: Literal["checkpoint", "restart"]
    objectives: str | Sequence[str]
    constraints: str | Sequence[str]
    sources: str | Sequence[str]
    source_evaluations: int | None
    source_cost: Literal["charged", "reported", "free"]
    instances: Literal["same", "relabel"]


@dataclass(frozen=True)
class Protocol:
    """All rules about budget and information of a run; part of the identity of every result.

    Attributes:
        evaluations: Budget of a run, counted when an evaluation starts; exactly this many, never one more; at most
            1,000,000. None: no bound; if no other budget is set either, 200.
        noise: ``per_query`` every training draws one of the table's replicates; ``per_run`` one draw per architecture
            and run; ``replicate=k`` always the k-th (from 0); ``mean`` the mean over replicates.
        duplicates: A repeated architecture. ``charge``: a new training; ``free``: its first value, and a run ends after
            1,000 in a row; ``forbid``: rejected, and a run ends after 100 in a row.
        selection: ``own`` scores the recommendation of a strategy, if it makes one, else the incumbent; ``incumbent``
            always scores the best by the observed values.
        simulated_seconds: Budget of a run by the table's own training times; the first budget to bind ends a run.
        overrun: An evaluation that would finish after the seconds is stored but its value used by nobody and spends
            the rest (``discard``), or finishes late and counts (``count``).
        duplicates_by: A duplicate repeats an architecture's ``index``, or its isomorphism ``class`` (``free`` then
            answers with the value of the first of the class that was trained).
        fidelity: Epochs at which evaluations are read; must be named if a table has several. ``all``, or several with
            commas between them, lets the strategy choose among these. A mapping gives each task its own.
        workers: Evaluations of one run that may be under way at once, at most 1,000.
        mode: With several workers a run starts the next evaluation when one finishes (``async``) or when all have
            finished (``sync``).
        epochs: Budget of a run in epochs of training; an evaluation that needs more than are left is an overrun.
        continuation: A proposal above the fidelity that an architecture's training has reached continues the training
            and pays the increment (``checkpoint``), or pays the whole training and draws a new replicate (``restart``).
        objectives: Search metrics, free metrics and functions of both (see ``derived_objective``), with commas between
            them or as a list; none: the task's first search metric. Several: a run returns a set.
        constraints: Bounds such as ``latency_ms<=5`` or, as a quantile of the table, ``latency_ms<=q25``.
        sources: Other tasks of the same space whose search values strategies may read through ``problem.sources``. A
            task is never its own source.
        source_evaluations: Most evaluations of sources that a run may read, all sources together; must be named if
            there are sources.
        source_cost: An evaluation of a source counts as one of the run's and takes its training time (``charged``),
            stands beside the budget in reports (``reported``), or is declared to cost nothing (``free``).
        instances: All runs see the ``same`` space, or each sees it under labels of its own (``relabel``), so that a
            remembered architecture is worthless.

    Raises:
        InvalidInputError: A field has a value outside its choices.
    """

    evaluations: int | None = None
    noise: str = "per_query"
    duplicates: str = "charge"
    selection: str = "own"
    simulated_seconds: float | None = None
    overrun: str = "discard"
    duplicates_by: str = "index"
    fidelity: int | str | Mapping[str, int | str] | None = None
    workers: int = 1
    mode: str = "async"
    epochs: int | None = None
    continuation: str = "checkpoint"
    objectives: str | Sequence[str] = ()
    constraints: str | Sequence[str] = ()
    sources: str | Sequence[str] = ()
    source_evaluations: int | None = None
    source_cost: str = "charged"
    instances: str = "same"

    def __post_init__(self) -> None:
        if self.evaluations is None and self.simulated_seconds is None and self.epochs is None:
            object.__setattr__(self, "evaluations", DEFAULT_EVALUATIONS)
        self._check_whole("evaluations")
        if isinstance(self.fidelity, str):
            object.__setattr__(self, "fidelity", _read_fidelities(self.fidelity))
        elif isinstance(self.fidelity, Mapping):
            object.__setattr__(self, "fidelity", _fidelity_by_task(self.fidelity))
        else:
            self._check_whole("fidelity")
        self._check_whole("workers")
        self._check_whole("epochs")
        object.__setattr__(self, "objectives", canonical_objectives(self.objectives))
        object.__setattr__(self, "constraints", canonical_constraints(self.constraints))
        if self.simulated_seconds is not None:
            seconds = self.simulated_seconds
            if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds <= _MAX_SECONDS:
                raise InvalidInputError(f"simulated_seconds must be a number above 0, at most 1e15, not {seconds!r}")
            object.__setattr__(self, "simulated_seconds", float(seconds))
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UnknownNameError(name, str(getattr(self, name)), choices)
        if self.noise not in ("per_query", "per_run", "mean") and not re.fullmatch(
            "replicate=(0|[1-9][0-9]{0,8})", str(self.noise)
        ):
            raise InvalidInputError(f"noise must be per_query, per_run, replicate=k or mean, not {self.noise!r}")
        if self.duplicates_by == "class" and self.duplicates == "charge":
            raise InvalidInputError("duplicates_by=class needs duplicates=free or forbid: charge treats no two alike")
        if self.overrun == "count" and self.simulated_seconds is None and self.epochs is None:
            raise InvalidInputError(
                "overrun=count needs a budget of simulated_seconds or epochs: nothing else can be overrun"
            )
        chosen = [self.fidelity, *self.fidelity_by_task.values()]
        has_choice = any(isinstance(fidelity, str) for fidelity in chosen)
        if self.duplicates_by == "class" and has_choice:
            raise InvalidInputError(
                "duplicates_by=class needs one fidelity: a choice of fidelities would continue the training of another "
                "architecture; leave duplicates_by out, or name one number of epochs"
            )
        if self.continuation != "checkpoint" and not has_choice:
            raise InvalidInputError(
                "continuation=restart needs a choice of fidelities: fidelity=all, or several epochs with commas"
            )
        if self.mode != "async" and self.workers == 1:
            raise InvalidInputError("mode=sync needs workers of at least 2: one worker has nothing to wait for")
        object.__setattr__(self, "sources", canonical_sources(self.sources))
        self._check_sources()

    def _check_sources(self) -> None:
        self._check_whole("source_evaluations")
        if not self.sources:
            for name, default in (("source_evaluations", None), ("source_cost", "charged")):
                if getattr(self, name) != default:
                    raise InvalidInputError(f"{name} needs sources: name other tasks, e.g. sources=nb201-cifar10")
            return
        if self.source_evaluations is None:
            raise InvalidInputError(
                "sources need source_evaluations: the number of their evaluations that a run may read, e.g. 100"
            )
        if self.source_cost != "charged":
            return
        if self.epochs is not None:
            raise InvalidInputError(
                "source_cost=charged counts evaluations and seconds, not epochs: leave epochs out, or use "
                "source_cost=reported"
            )
        if self.evaluations is not None and self.source_evaluations >= self.evaluations:
            raise InvalidInputError(
                f"source_evaluations must be below the {self.evaluations:,} evaluations of a run, which they are "
                f"charged to, not {self.source_evaluations:,}: lower them, or use source_cost=reported"
            )

    def _check_whole(self, name: str) -> None:
        value, most = getattr(self, name), _MOST[name]
        if value is None and name != "workers":
            return
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise InvalidInputError(f"{name} must be a whole number in 1 … {most:,}, not {value!r}")

    @property
    def fidelity_by_task(self) -> Mapping[str, int | str]:
        """Fidelity of each task that the protocol names; empty if it has one for all tasks."""
        return self.fidelity if isinstance(self.fidelity, Mapping) else {}

    def fidelity_of(self, task: str) -> int | str | None:
        """Fidelity on a task.

        >>> Protocol(fidelity={"nats-cifar10-12": 12}).fidelity_of("nats-cifar10-12")
        12
        """
        return self.fidelity.get(task) if isinstance(self.fidelity, Mapping) else self.fidelity

    def of_task(self, task: str) -> Protocol:
        """The protocol on one task: with the task's fidelity in place of a mapping."""
        if not isinstance(self.fidelity, Mapping):
            return self
        fidelity = self.fidelity_of(task)
        return replace(
            self, fidelity=fidelity, continuation=self.continuation if isinstance(fidelity, str) else "checkpoint"
        )

    @property
    def replicate(self) -> int | None:
        """The k of ``noise="replicate=k"``."""
        return int(self.noise.partition("=")[2]) if self.noise.startswith("replicate=") else None

    @property
    def only_evaluations(self) -> int | None:
        """The budget of evaluations if no other budget may end a run; None otherwise.

        >>> Protocol(evaluations=100, simulated_seconds=2e4).only_evaluations is None
        True
        """
        return self.evaluations if self.simulated_seconds is None and self.epochs is None else None

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], where: str) -> Protocol:
        """Protocol with these fields, the others at their defaults.

        Raises:
            UnknownNameError: A key is no field; ``where`` names the source.
        """
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise UnknownNameError("protocol field", key, known, where)
        return cls(**values)

    def fields_to_store(self) -> dict[str, Any]:
        """The fields as study files and reports hold them; those of later versions only if they were changed."""
        later = fields(Protocol)[_NUM_FIRST_FIELDS:]
        defaults = {field.name: field.default for field in later}
        return {name: value for name, value in asdict(self).items() if name not in defaults or value != defaults[name]}

    def identity(self) -> str:
        """Canonical text of the fields that differ from their defaults (so new fields change no old identity)."""
        defaults = {field.name: field.default for field in fields(self)}
        changed = {name: value for name, value in asdict(self).items() if value != defaults[name]}
        return json.dumps({"evaluations": self.evaluations, **changed}, sort_keys=True)

    def describe(self) -> str:
        """One line for captions."""
        duplicates = {
            "charge": "duplicates charged",
            "free": "duplicates free",
            "forbid": "duplicates forbidden",
        }[self.duplicates]
        by = " by isomorphism class" if self.duplicates_by == "class" else ""
        at = f", fidelity {self.fidelity} epochs" if self.fidelity is not None else ""
        if isinstance(self.fidelity, str):
            epochs = f" of {self.fidelity.replace(',', ', ')} epochs" if self.fidelity != "all" else ""
            at = f", fidelity{epochs} chosen by the strategy ({self.continuation})"
        if self.fidelity_by_task:
            each = ", ".join(f"{task} {epochs}" for task, epochs in self.fidelity_by_task.items())
            at = f", fidelity by task in epochs ({each})"
        workers = f", {self.workers} workers ({self.mode})" if self.workers > 1 else ""
        objectives = f", objective{'s' * (len(self.objectives) > 1)} {', '.join(self.objectives)}"
        constraints = f", constraint{'s' * (len(self.constraints) > 1)} {', '.join(self.constraints)}"
        goals = (objectives if self.objectives else "") + (constraints if self.constraints else "")
        goals += ", choices relabeled in each run" if self.instances == "relabel" else ""
        return f"{self.describe_budget()}, noise {self.noise}, {duplicates}{by}{at}{workers}{goals}{self._of_sources()}"

    def describe_budget(self) -> str:
        """The limits of a run, as captions name them."""
        late = "discarded" if self.overrun == "discard" else "counted"
        budgets = []
        if self.evaluations is not None:
            budgets.append(f"{self.evaluations:,} evaluation{'s' if self.evaluations > 1 else ''}")
        if self.simulated_seconds is not None:
            budgets.append(f"{self.simulated_seconds:,.15g} simulated seconds (overrun {late})")
        if self.epochs is not None:
            budgets.append(f"{self.epochs:,} epochs (overrun {late})")
        return " or ".join(budgets)

    def _of_sources(self) -> str:
        """Sources of the caption; empty without sources."""
        if self.source_evaluations is None:
            return ""
        number = f"{self.source_evaluations:,} evaluation{'s' if self.source_evaluations > 1 else ''}"
        return f", up to {number} of the sources {', '.join(self.sources)} ({self.source_cost})"


def _read_fidelities(text: str) -> int | str:
    """A fidelity as it is written on the command line: ``all``, one number of epochs, or several with commas.

    Raises:
        InvalidInputError: It is written in another way.
    """
    if text == "all":
        return text
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[1-9][0-9]{0,8}", part) for part in parts):
        raise InvalidInputError(
            f"fidelity must be a whole number of epochs, several with commas between them, or all, not {text!r}"
        )
    epochs = sorted(set(map(int, parts)))
    return ",".join(map(str, epochs)) if len(epochs) > 1 else epochs[0]


class _FidelityByTask(dict[str, int | str]):
    """Epochs by task in the order of the names; protocols are keys of dictionaries, so it has a hash."""

    def __hash__(self) -> int:  # type: ignore[override]  # dict has none
        return hash(tuple(self.items()))


def _fidelity_by_task(fidelities: Mapping[str, int | str]) -> _FidelityByTask:
    """The fidelity of each task as it is written in one spelling.

    Raises:
        InvalidInputError: There are none, or one is written in another way.
    """
    if not fidelities:
        raise InvalidInputError("fidelity as a mapping must name at least one task")
    found = _FidelityByTask()
    for task, fidelity in sorted(fidelities.items()):
        try:
            plain = Protocol(fidelity=fidelity).fidelity
        except InvalidInputError as error:
            raise InvalidInputError(f"task {task}: {error}") from None
        if not isinstance(plain, int | str):
            raise InvalidInputError(f"task {task}: fidelity must be a whole number of epochs or a text, not {plain!r}")
        found[task] = plain
    return found
