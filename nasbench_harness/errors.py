"""Exceptions of the harness: one base class, so that callers can catch everything a user can fix.

HarnessError                 a mistake that the message explains; the command line exits with 2
├── InvalidInputError        a value, file or folder that cannot be used (also a ValueError)
│   ├── UnknownNameError     a task, strategy, key or choice that does not exist; suggests the nearest
│   └── MissingResultError   a result that a table behind an official interface does not have (also a KeyError)
├── TableError               a table whose source or cache is damaged
│   └── CorruptTableError    a cached table that is damaged
├── StoreError               a segment of runs that is truncated, incomplete or of another study
│   └── DamagedSegmentError  a segment that is truncated or altered
├── StrategyError            a strategy that broke its contract
└── RunsFailedError          some runs failed, the others are stored; the command line exits with 1
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST_NAME = 100  # letters of a name that does not exist, as messages show it


class HarnessError(Exception):
    """Base of every error whose message names the mistake, its place and the remedy."""


class InvalidInputError(HarnessError, ValueError):
    """A value, file or folder that cannot be used."""


class UnknownNameError(InvalidInputError):
    """A name that does not exist, with the nearest known one as a suggestion."""

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "", advice: str = "") -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
        shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
        super().__init__(f"unknown {kind} {shown!r}{f' in {where}' if where else ''}: {hint}{advice}")


class TableError(HarnessError):
    """A table whose source or cache is damaged."""


class StoreError(HarnessError):
    """A segment of runs that is truncated, incomplete or of another study."""


class StrategyError(HarnessError):
    """A strategy that broke its contract."""


class RunsFailedError(HarnessError):
    """Some runs failed; the others are stored. ``messages`` has one line for each batch."""

    def __init__(self, messages: Iterable[str]) -> None:
        self.messages = list(messages)
        super().__init__("\n".join(self.messages))
