"""Declared ranges: their words, the refusals, and the same for classes and generator functions."""

from typing import Annotated

import pytest

from nasbench_harness import OneOf, Range, Strategy
from nasbench_harness.engine.hyperparameters import declared
from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.references import parse_strategy, resolve


def walk(
    problem,
    rng,
    *,
    size: Annotated[int, Range(1, 9)] = 3,
    part: Annotated[int, Range(1, "size")] = 2,
    rate: Annotated[float, Range(above=0, below=1)] = 0.5,
    kind: Annotated[str, OneOf("first", "steepest")] = "first",
    limit: Annotated[float | None, Range(0)] = None,
    free: float = 0.0,
):
    yield 0


class Walk(Strategy):
    def __init__(self, problem, rng, *, size: Annotated[int, Range(1)] = 3):
        super().__init__(problem, rng)

    def ask(self, idle):
        raise NotImplementedError

    def tell(self, results):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (Range(1), "at least 1"),
        (Range(high=5), "at most 5"),
        (Range(above=0), "above 0"),
        (Range(below="size"), "below size"),
        (Range(0, 1), "0 … 1"),
        (Range(0, below=1), "0 … 1 (1 excluded)"),
        (Range(above=0, below=1), "0 … 1 (0 and 1 excluded)"),
        (OneOf("a", "b", "c"), "a or b or c"),
    ],
)
def test_words(allowed, words):
    assert str(allowed) == words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size=0", "size must be in 1 … 9, not 0"),
        ("size=10", "size must be in 1 … 9, not 10"),
        ("size=4,part=5", "part must be in 1 … size 4, not 5"),
        ("size=1", "part must be in 1 … size 1, not 2"),  # the default no longer fits
        ("rate=0.0", r"rate must be in 0 … 1 \(0 and 1 excluded\), not 0.0"),
        ("rate=1.0", r"rate must be in 0 … 1 \(0 and 1 excluded\), not 1.0"),
        ("rate=nan", r"rate must be in 0 … 1 \(0 and 1 excluded\), not nan"),
        ("limit=-1.0", "limit must be at least 0, not -1.0"),
        ("limit=inf", "limit must be a finite number, not inf"),
        ("limit='much'", "limit must be a finite number, not 'much'"),
    ],
)
def test_values_outside_are_refused(text, message):
    parameters = parse_strategy(f"x({text})").parameters
    with pytest.raises(InvalidInputError, match=f"walk: {message}$"):
        resolve(StrategyRef(walk, parameters=parameters))


def test_values_at_the_bounds_and_none_are_allowed():
    chosen = {"size": 9, "part": 9, "rate": 1e-9, "limit": 0, "free": -1.0}
    assert resolve(StrategyRef(walk, parameters=chosen)).parameters["limit"] == 0
    assert resolve(StrategyRef(walk)).parameters["limit"] is None


def test_a_choice_is_suggested():
    with pytest.raises(UnknownNameError, match=r"unknown kind 'fist' in .*walk: did you mean 'first'\?"):
        resolve(StrategyRef(walk, parameters={"kind": "fist"}))


def test_a_class_declares_in_its_constructor_and_its_subclasses_inherit():
    subclass = type("Sub", (Walk,), {})
    assert declared(Walk, "walk") == declared(subclass, "walk") == {"size": Range(1)}
    with pytest.raises(InvalidInputError, match="size must be at least 1, not -2"):
        resolve(StrategyRef(Walk, parameters={"size": -2}))


def test_a_bound_must_name_a_hyperparameter():
    def search(problem, rng, *, part: Annotated[int, Range(1, "sice")] = 1, size: int = 3):
        yield 0

    with pytest.raises(UnknownNameError, match=r"'sice' in the range of part in .*: did you mean 'size'"):
        resolve(StrategyRef(search))


def test_an_annotation_that_cannot_be_read_is_refused_with_advice():
    def search(problem, rng, *, part: "Annotated[int, Renge(1)]" = 1):  # noqa: F821
        yield 0

    with pytest.raises(InvalidInputError, match=r"annotation of part cannot be read .*Renge.*TYPE_CHECKING"):
        resolve(StrategyRef(search))
