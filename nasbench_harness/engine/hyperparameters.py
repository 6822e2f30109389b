"""Declared ranges of hyperparameters: checked before anything runs, and shown by ``strategies info``.

A declaration is written beside the type, in a class's constructor or in a generator function:
``population_size: Annotated[int, Range(1)] = 30``.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, get_type_hints

from nasbench_harness.errors import InvalidInputError, UnknownNameError

Bound = float | str | None


@dataclass(frozen=True)
class Range:
    """Allowed values of a number; a bound may be the name of another hyperparameter.

    Example:
        >>> print(Range(1, "population_size"))
        1 … population_size
        >>> print(Range(0, below=1))
        0 … 1 (1 excluded)

    Attributes:
        low: Smallest allowed value.
        high: Largest allowed value.
        above: Lower bound that is itself excluded.
        below: Upper bound that is itself excluded.
    """

    low: Bound = None
    high: Bound = None
    above: Bound = None
    below: Bound = None

    def __str__(self) -> str:
        lower, upper = self._ends()
        if lower is None or upper is None:
            words = {"low": "at least", "high": "at most", "above": "above", "below": "below"}
            return " and ".join(f"{word} {getattr(self, end)}" for end, word in words.items() if self._has(end))
        excluded = [str(bound) for bound in (self.above, self.below) if bound is not None]
        return f"{lower} … {upper}" + (f" ({' and '.join(excluded)} excluded)" if excluded else "")

    def check(self, name: str, value: Any, parameters: Mapping[str, Any], strategy: str) -> None:
        """Refuse a value outside.

        Raises:
            InvalidInputError: The value is outside, or no finite number.
        """
        if not isinstance(value, int | float) or math.isinf(value):
            raise InvalidInputError(f"{strategy}: {name} must be a finite number, not {value!r}")
        low, high, above, below = (self._number(end, name, parameters, strategy) for end in vars(self))
        if not (low <= value <= high and (value > above or not self._has("above")) and value < below):
            known = {end: self._shown(getattr(self, end), parameters) for end in vars(self)}
            verb = "be in" if None not in self._ends() else "be"
            raise InvalidInputError(f"{strategy}: {name} must {verb} {Range(**known)}, not {value}")

    def _number(self, end: str, name: str, parameters: Mapping[str, Any], strategy: str) -> float:
        bound = getattr(self, end)
        if isinstance(bound, str):
            if bound not in parameters:
                raise UnknownNameError("hyperparameter", bound, parameters, f"the range of {name} in {strategy}")
            bound = parameters[bound]
        if bound is not None:
            return float(bound)
        return -math.inf if end in ("low", "above") else math.inf

    def _shown(self, bound: Bound, parameters: Mapping[str, Any]) -> Bound:
        return f"{bound} {parameters[bound]}" if isinstance(bound, str) else bound

    def _ends(self) -> tuple[Bound, Bound]:
        return self.low if self.above is None else self.above, self.high if self.below is None else self.below

    def _has(self, end: str) -> bool:
        return getattr(self, end) is not None


@dataclass(frozen=True, init=False)
class OneOf:
    """Allowed values of a text.

    Example:
        >>> print(OneOf("first", "steepest"))
        first or steepest
    """

    choices: tuple[str, ...]

    def __init__(self, *choices: str) -> None:
        object.__setattr__(self, "choices", choices)

    def __str__(self) -> str:
        return " or ".join(self.choices)

    def check(self, name: str, value: Any, parameters: Mapping[str, Any], strategy: str) -> None:  # noqa: ARG002
        """Refuse another text.

        Raises:
            UnknownNameError: It is none of the choices.
        """
        if value not in self.choices:
            raise UnknownNameError(name, str(value), self.choices, strategy)


def declared(target: Callable[..., Any], strategy: str) -> dict[str, Range | OneOf]:
    """Declarations of a strategy's hyperparameters, by name.

    Args:
        target: A Strategy class or a generator function.
        strategy: Its name, for messages.

    Raises:
        InvalidInputError: An annotation with a declaration cannot be read.
    """
    function = inspect.unwrap(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    names = getattr(function, "__globals__", {})
    found: dict[str, Range | OneOf] = {}
    for parameter in list(inspect.signature(target).parameters.values())[2:]:
        annotation = parameter.annotation
        if isinstance(annotation, str):
            if "Annotated" not in annotation:
                continue
            try:  # this one alone: the others may name types that are imported for checkers only
                hints = get_type_hints(SimpleNamespace(__annotations__={"it": annotation}), names, include_extras=True)
                annotation = hints["it"]
            except NameError as error:
                raise InvalidInputError(
                    f"strategy {strategy}: the annotation of {parameter.name} cannot be read ({error}): import the "
                    "names of a declared range outside `if TYPE_CHECKING`"
                ) from None
        for item in getattr(annotation, "__metadata__", ()):
            if isinstance(item, Range | OneOf):
                found[parameter.name] = item
    return found


def check_ranges(target: Callable[..., Any], strategy: str, parameters: Mapping[str, Any]) -> None:
    """Refuse hyperparameters outside their declared ranges; None counts as not set.

    Args:
        target: A Strategy class or a generator function.
        strategy: Its name, for messages.
        parameters: All hyperparameters, defaults included.

    Raises:
        InvalidInputError: Names the first one that is outside.
    """
    for name, allowed in declared(target, strategy).items():
        if parameters[name] is not None:
            allowed.check(name, parameters[name], parameters, strategy)
