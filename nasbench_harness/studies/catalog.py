"""The installed strategies by family, read from their source without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from nasbench_harness.errors import HarnessError, UnknownNameError
from nasbench_harness.tables.registry import syntax_tree

GROUP = "nasbench_harness.strategies"
# The strategies of a study that names none: they finish in seconds and run on every table.
DEFAULT_STRATEGIES = ("genetic-algorithm", "local-search", "random-search", "regularized-evolution", "reinforce")
UNREADABLE = "not-readable"
_WORDS = {
    "torch": "torch",
    "fidelities": "several fidelities",
    "sources": "source tasks",
    "training_data": "training data",
    "proxies": "training-free scores",
}


@dataclass(frozen=True)
class Description:
    """An installed strategy.

    Attributes:
        name: Registered name.
        family: Name of the folder that holds its file.
        text: Docstring of its file.
        needs: Things that it cannot do without, in words.
    """

    name: str
    family: str
    text: str
    needs: tuple[str, ...]

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return self.text.partition("\n")[0]

    @property
    def paper(self) -> str:
        """Second paragraph of the docstring."""
        return self._paragraphs[1] if len(self._paragraphs) > 1 else ""

    @property
    def reference(self) -> str:
        """Measured numbers, and the conditions under which they hold; empty if the docstring has none."""
        found = [part for part in self._paragraphs if part.startswith("Reference: ")]
        return found[0].removeprefix("Reference: ") if found else ""

    @property
    def _paragraphs(self) -> list[str]:
        return [" ".join(part.split()) for part in self.text.split("\n\n")]


@cache
def strategy_entry_points() -> dict[str, EntryPoint]:
    """Entry point of every installed strategy, by name."""
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)}


def describe(name: str) -> Description:
    """Describe an installed strategy.

    Raises:
        UnknownNameError: No such strategy.
        HarnessError: Its module cannot be read.
    """
    if name not in strategy_entry_points():
        raise UnknownNameError("strategy", name, strategy_entry_points())
    entry = strategy_entry_points()[name]
    tree = syntax_tree(entry)
    parents = entry.module.split(".")[:-1] or [entry.module]
    return Description(name, parents[-1].replace("_", "-"), ast.get_docstring(tree) or "", tuple(_needs(tree)))


def families() -> dict[str, list[Description]]:
    """Installed strategies by family, both in alphabetical order.

    Strategies whose module cannot be read form a family of their own; their text is the reason.
    """
    found: dict[str, list[Description]] = {}
    for name in strategy_entry_points():
        try:
            description = describe(name)
        except HarnessError as error:
            description = Description(name, UNREADABLE, str(error), ())
        found.setdefault(description.family, []).append(description)
    return dict(sorted(found.items()))


def names_of(chosen: Sequence[str]) -> list[str]:
    """Installed strategies of some families.

    Raises:
        UnknownNameError: There is no such family.
    """
    known = families()
    for family in chosen:
        if family not in known:
            raise UnknownNameError("family", family, known)
    return sorted(description.name for family in set(chosen) for description in known[family])


def _needs(tree: ast.Module) -> Iterator[str]:
    """Needs that stand in ``Needs(…)``, in words; one whose value is no literal counts as a need."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Needs":
            for keyword in call.keywords:
                try:
                    value = ast.literal_eval(keyword.value)
                except ValueError:
                    value = ["other packages"] if keyword.arg == "packages" else "several"
                if keyword.arg == "num_objectives":
                    yield f"{value} objectives"
                elif keyword.arg == "packages":
                    yield from value
                elif value and keyword.arg in _WORDS:
                    yield _WORDS[keyword.arg]
