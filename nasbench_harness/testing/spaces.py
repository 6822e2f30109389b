"""Contract of search spaces."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, cast

import numpy as np

from nasbench_harness.arrays import Ints
from nasbench_harness.engine.streams import RunStream, RunStreams, stream_keys
from nasbench_harness.spaces import RandomSource, SearchSpace, from_description
from nasbench_harness.testing.contract import Contract, fail

NUM_RUNS = 200


class SpaceContract(Contract):
    """Sentences about a search space; subclasses define ``make_space``.

    Attributes:
        has_description: Whether ``from_description`` knows the kind, so that tables over the space can be cached.
    """

    has_description = True

    def make_space(self) -> SearchSpace:
        """The space under test."""
        raise NotImplementedError("a SpaceContract needs make_space(self), which returns the space")

    @cached_property
    def space(self) -> SearchSpace:
        """The space, made once."""
        return self.make_space()

    @property
    def has_all_combinations(self) -> bool:
        """Whether each combination of choices is an architecture."""
        return bool(np.prod(self.space.num_choices, dtype=np.float64) == self.space.num_architectures)

    @property
    def architectures(self) -> Ints:
        """As many architectures as there are runs, spread over the space."""
        return np.linspace(0, self.space.num_architectures - 1, NUM_RUNS).astype(np.int64)

    def streams(self) -> RunStreams:
        """Fresh streams of all runs."""
        return RunStreams(stream_keys(0, "contract", "contract", np.arange(NUM_RUNS)))

    def operators(self) -> dict[str, Any]:
        """Every operator that draws, as a function of (streams, indices of runs or None, architectures)."""
        space = self.space
        return {
            "sample": lambda rng, runs, _: space.sample(rng, runs),
            "mutate": lambda rng, runs, archs: space.mutate(archs, rng, runs),
            "crossover": lambda rng, runs, archs: space.crossover(archs, archs[::-1].copy(), rng, runs),
        }

    def test_operators_return_one_architecture_per_run(self) -> None:
        """sample, mutate and crossover return integers 0 … num_architectures − 1, one per run."""
        for name, operator in self.operators().items():
            found = np.asarray(operator(self.streams(), None, self.architectures))
            is_index = found.shape == (NUM_RUNS,) and found.dtype.kind in "iu"
            low = -1 if name == "crossover" else 0  # crossover may say that there is no such child
            if not is_index or found.min() < low or found.max() >= self.space.num_architectures:
                fail(
                    f"{name} returns integers of shape ({NUM_RUNS},) in 0 … {self.space.num_architectures - 1}",
                    f"{found.dtype} of shape {found.shape}"
                    + (f" from {found.min()} to {found.max()}" if is_index else ""),
                    "an architecture is its row in every table over the space",
                    "choices or codes are returned instead of indices",
                )

    def test_one_run_draws_the_same_as_many(self) -> None:
        """With the stream of one run an operator gives the same result as for that run among many."""
        keys = stream_keys(0, "contract", "contract", np.arange(NUM_RUNS))
        archs, partners = self.architectures.tolist(), self.architectures[::-1].tolist()
        together = {name: call(self.streams(), None, self.architectures) for name, call in self.operators().items()}
        for run in (0, 1, NUM_RUNS - 1):
            alone = {
                "sample": self.space.sample(_one(keys[run])),
                "mutate": self.space.mutate(archs[run], _one(keys[run])),
                "crossover": self.space.crossover(archs[run], partners[run], _one(keys[run])),
            }
            for name, found in alone.items():
                if not isinstance(found, int) or found != int(together[name][run]):
                    fail(
                        f"{name} gives {int(together[name][run])} for run {run}, as a plain integer",
                        repr(found),
                        "the same algorithm has the same trace whether it is written for one run or for many",
                        "the two branches draw in a different order, or a NumPy integer is returned",
                    )

    def test_a_draw_for_some_runs_leaves_the_others_alone(self) -> None:
        """Drawing for some runs consumes nothing of the other runs' streams."""
        some = np.arange(0, NUM_RUNS, 3)
        others = np.setdiff1d(np.arange(NUM_RUNS), some)
        for name, operator in self.operators().items():
            whole, part = self.streams(), self.streams()
            expected = np.asarray(operator(whole, None, self.architectures))
            reversed_partner = self.architectures[::-1].copy()
            if name == "crossover":
                found = self.space.crossover(self.architectures[some], reversed_partner[some], part, some)
            else:
                found = operator(part, some, self.architectures[some])
            moved = part.uniform(runs=others) != self.streams().uniform(runs=others)
            if not np.array_equal(found, expected[some]) or moved.any():
                fail(
                    f"{name}(…, runs=some) draws for these runs only, and gives them what it gives among all",
                    f"{int((np.asarray(found) != expected[some]).sum())} runs differ, "
                    f"{int(moved.sum())} other streams moved",
                    "a run's trace must not depend on which other runs share its batch",
                    "rng is called without runs=, or with runs that need no draw",
                )

    def test_mutate_never_returns_the_parent(self) -> None:
        """A mutation is another architecture, and one of the parent's neighbors."""
        rng, archs, neighbors = self.streams(), self.architectures, self.space.neighbors(self.architectures)
        for _ in range(20):
            children = np.asarray(self.space.mutate(archs, rng))
            same, strange = children == archs, ~(neighbors == children[:, None]).any(axis=1)
            if same.any() or (strange & ~same).any():
                fail(
                    "every child differs from its parent and stands among the parent's neighbors",
                    f"{int(same.sum())} children equal their parents, {int(strange.sum())} are no neighbors",
                    "a mutation that changes nothing wastes an evaluation and slows evolution down unseen",
                    "the new choice is drawn from all choices instead of the others",
                )

    def test_mutate_reaches_every_decision(self) -> None:
        """Among many mutations every decision changes, if all combinations of choices exist."""
        if not self.has_all_combinations:
            return
        rng, archs, changed = self.streams(), self.architectures, np.zeros(self.space.num_decisions, dtype=bool)
        for _ in range(20):
            children = np.asarray(self.space.mutate(archs, rng))
            changed |= (self.space.choices(children) != self.space.choices(archs)).any(axis=0)
        stuck = np.flatnonzero(~changed & (self.space.num_choices > 1))
        if len(stuck):
            fail(
                "each decision changes in some of 4,000 mutations",
                f"decision {stuck[0]} never does",
                "evolution would search a part of the space",
                "the decision is drawn from a range that is too small",
            )

    def test_crossover_takes_every_choice_from_a_parent(self) -> None:
        """A child has no choice that neither parent has, if all combinations of choices exist."""
        if not self.has_all_combinations:
            return
        first, second = self.architectures, self.architectures[::-1].copy()
        families = first, second, np.asarray(self.space.crossover(first, second, self.streams()))
        ours, theirs, child = map(self.space.choices, families)
        strange = ((child != ours) & (child != theirs)).any(axis=1)
        if strange.any():
            fail(
                "children whose choices are those of their parents",
                f"{int(strange.sum())} of {len(strange)} have others",
                "crossover would be sampling",
                "indices are mixed instead of choices",
            )

    def test_neighbors_differ_in_one_decision(self) -> None:
        """Neighbors ascend by decision, then by choice, if all combinations of choices exist."""
        if not self.has_all_combinations:
            return
        some = self.architectures[::20]
        for own, row in zip(some.tolist(), self.space.neighbors(some), strict=True):
            expected = _neighbors(self.space, own)
            if not np.array_equal(row[row >= 0], expected):
                fail(
                    f"neighbors of {own}: {expected[:8]}…",
                    f"{row[:8]}…",
                    "a local search that takes the first better one depends on their order",
                    "choices vary before decisions, or two decisions change",
                )

    def test_neighbors_are_distinct_others_padded_with_minus_one(self) -> None:
        """Neighbors are distinct, none is the architecture itself, and −1 pads at the end."""
        neighbors = self.space.neighbors(self.architectures)
        for own, row in zip(self.architectures.tolist(), neighbors.tolist(), strict=True):
            real = [index for index in row if index >= 0]
            if own in real or len(set(real)) < len(real) or row != real + [-1] * (len(row) - len(real)):
                fail(
                    f"distinct neighbors of {own}, without itself, −1 behind them",
                    str(row),
                    "local search walks over them and stops where none is better",
                    "a choice is 'changed' to itself, or rows are not compacted",
                )
            alone = self.space.neighbors(own)
            if alone != real or not all(type(index) is int for index in alone):
                fail(
                    f"neighbors({own}) of one architecture is the list {real}",
                    repr(alone),
                    "a strategy of one run handles plain integers",
                    "there is no branch for a plain integer, or it keeps the padding",
                )

    def test_strings_come_back(self) -> None:
        """from_string inverts to_string, and different architectures have different strings."""
        texts = self.space.to_strings(self.architectures.tolist())
        back = [self.space.from_string(text) for text in texts]
        if back != self.architectures.tolist():
            wrong = next(index for index, found in enumerate(back) if found != self.architectures[index])
            fail(
                f"from_string({texts[wrong]!r}) is {self.architectures[wrong]}",
                str(back[wrong]),
                "traces and tables name architectures by strings",
                "the order of decisions differs between the two directions",
            )

    def test_choices_come_back(self) -> None:
        """from_choices inverts choices, and choices are below num_choices."""
        choices = self.space.choices(self.architectures)
        back = self.space.from_choices(choices)
        if not np.array_equal(back, self.architectures) or (choices >= self.space.num_choices).any():
            fail(
                "from_choices(choices(architectures)) are the architectures",
                f"{int((np.asarray(back) != self.architectures).sum())} differ",
                "policies and models see architectures as choices",
                "decisions are ordered differently in the two directions",
            )

    def test_one_hot_marks_every_choice(self) -> None:
        """one_hot has one 1 for each decision, in float32, of width sum(num_choices)."""
        hot, width = self.space.one_hot(self.architectures), int(self.space.num_choices.sum())
        ends = np.cumsum(self.space.num_choices)
        if hot.shape != (NUM_RUNS, width) or hot.dtype != np.float32:
            fail(f"float32 of shape ({NUM_RUNS}, {width})", f"{hot.dtype} of shape {hot.shape}", "models", "a slip")
        sums = np.stack([part.sum(axis=1) for part in np.split(hot, ends[:-1], axis=1)], axis=1)
        if not (sums == 1).all() or not np.isin(hot, (0, 1)).all():
            fail("exactly one 1 for each decision", f"sums {sums.min()} … {sums.max()}", "models read it", "an offset")
        places = self.space.choices(self.architectures) + ends - self.space.num_choices
        if not (np.take_along_axis(hot, places, axis=1) == 1).all():
            fail("the 1 of a decision at its choice", "others", "models read it", "choices in another order")

    def test_canonical_names_a_member_of_the_class(self) -> None:
        """The canonical index is the smallest of the class, so that a class names itself."""
        everyone = np.arange(self.space.num_architectures)
        classes = self.space.canonical(everyone)
        if (classes > everyone).any() or not np.array_equal(classes[classes], classes):
            fail(
                "canonical(canonical(x)) is canonical(x), and at most x",
                f"{int((classes[classes] != classes).sum())} classes do not name themselves",
                "duplicates are counted by class",
                "the class is numbered instead of named by its first member",
            )
        if len(everyone) > 1 and not classes.any():
            fail("several classes", "one", "all architectures would be repeats of one", "a constant")

    def test_inputs_are_never_changed(self) -> None:
        """No operator writes into its arguments."""
        archs = self.architectures
        archs.flags.writeable = False
        for operator in self.operators().values():
            operator(self.streams(), None, archs)
        for read in (self.space.neighbors, self.space.choices, self.space.one_hot, self.space.canonical):
            read(archs)

    def test_a_description_builds_the_same_space(self) -> None:
        """from_description(description()) is the same space, by way of JSON."""
        if not self.has_description:
            return
        again = from_description(json.loads(json.dumps(self.space.description())))
        samples = self.architectures.tolist()
        if again.to_strings(samples) != self.space.to_strings(samples):
            fail("the same architectures in the same order", "others", "tables are cached with it", "an argument")


def _neighbors(space: SearchSpace, architecture: int) -> Ints:
    """Neighbors of an architecture, ascending by decision, then by choice."""
    choices = space.choices(np.array([architecture]))[0].tolist()
    others = [
        [*choices[:at], other, *choices[at + 1 :]]
        for at, number in enumerate(space.num_choices.tolist())
        for other in range(number)
        if other != choices[at]
    ]
    return np.asarray(space.from_choices(np.array(others)))


def _one(key: int) -> RandomSource:
    """The stream of one run, as operators use it."""
    return cast(RandomSource, RunStream(int(key)))
