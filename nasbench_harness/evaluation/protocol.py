"""The rules of a comparison, as one frozen record."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nasbench_harness.errors import InvalidInputError, UnknownNameError

_CHOICES = {
    "duplicates": ("charge", "free", "forbid"),
    "selection": ("own", "incumbent"),
}


@dataclass(frozen=True)
class Protocol:
    """Everything that decides what a run may spend and sees; part of the identity of every result.

    Attributes:
        evaluations: Budget of a run, counted when an evaluation starts; exactly this many, never one more.
        noise: ``per_query`` every training draws one of the table's replicates; ``per_run`` one draw per architecture
            and run; ``replicate=k`` always the k-th (from 0); ``mean`` the mean over replicates.
        duplicates: A repeated architecture is ``charge``d as a new training, answered ``free`` with its first value
            (a run ends after 1,000 in a row), or ``forbid``den (rejected; a run ends after 100 in a row).
        selection: ``own`` scores what a strategy recommends, where it does, else the incumbent; ``incumbent`` always
            scores the best by what the run observed.

    Raises:
        InvalidInputError: A field has a value outside its choices.
    """

    evaluations: int = 200
    noise: str = "per_query"
    duplicates: str = "charge"
    selection: str = "own"

    def __post_init__(self) -> None:
        if not isinstance(self.evaluations, int) or isinstance(self.evaluations, bool) or self.evaluations < 1:
            raise InvalidInputError(f"evaluations must be a whole number of at least 1, not {self.evaluations!r}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UnknownNameError(name, str(getattr(self, name)), choices)
        if self.noise not in ("per_query", "per_run", "mean") and not re.fullmatch(
            "replicate=(0|[1-9][0-9]*)", str(self.noise)
        ):
            raise InvalidInputError(f"noise must be per_query, per_run, replicate=k or mean, not {self.noise!r}")

    @property
    def replicate(self) -> int | None:
        """The k of ``noise="replicate=k"``."""
        return int(self.noise.partition("=")[2]) if self.noise.startswith("replicate=") else None

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], where: str) -> Protocol:
        """Protocol with these fields, the others at their defaults.

        Raises:
            UnknownNameError: A key is no field; ``where`` says what was read.
        """
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise UnknownNameError("protocol field", key, known, where)
        return cls(**values)

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
        return f"{self.evaluations:,} evaluations, noise {self.noise}, {duplicates}"
