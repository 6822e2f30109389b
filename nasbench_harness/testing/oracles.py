"""Contract of oracles."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise

import numpy as np

from nasbench_harness.arrays import AnyArray, Ints
from nasbench_harness.evaluation.oracle import Answers, Oracle
from nasbench_harness.evaluation.status import Status
from nasbench_harness.testing.contract import Contract, fail, global_generators_untouched


class OracleContract(Contract):
    """Sentences about an oracle; subclasses define ``make_oracle`` and its sizes.

    Attributes:
        num_architectures: Indices that may be asked for.
        num_fidelities: Length of the fidelity axis.
    """

    num_architectures = 1
    num_fidelities = 1

    def make_oracle(self) -> Oracle:
        """The oracle under test."""
        raise NotImplementedError("an OracleContract needs make_oracle(self), which returns the oracle")

    @cached_property
    def oracle(self) -> Oracle:
        """The oracle, made once."""
        return self.make_oracle()

    @cached_property
    def queries(self) -> tuple[Ints, Ints, Ints]:
        """Architectures, fidelities and replicates (some may not exist), shape (n,)."""
        rng = np.random.default_rng(0)
        architectures = rng.integers(self.num_architectures, size=min(64, 4 * self.num_architectures))
        fidelities = rng.integers(self.num_fidelities, size=len(architectures))
        return architectures, fidelities, rng.integers(-1, self.num_replicates, size=len(architectures))

    @cached_property
    def num_replicates(self) -> int:
        """Replicates that may be asked for: one more than the highest that any architecture has."""
        if self.oracle.replicate_order is not None:
            return int(self.oracle.replicate_order.max()) + 1
        return int(self.oracle.num_replicates(np.arange(self.num_architectures)).max())

    def answer(self, rows: AnyArray | slice = slice(None)) -> Answers:
        """Answers to some of the queries."""
        architectures, fidelities, replicates = (part[rows] for part in self.queries)
        return self.oracle.evaluate(architectures, fidelities, replicates)

    def test_answers_have_named_shapes(self) -> None:
        """Values are (n, num_objectives), cost_s and status (n,)."""
        answers, n = self.answer(), len(self.queries[0])
        shapes = answers.values.shape[:1], answers.cost_s.shape, answers.status.shape
        if answers.values.ndim != 2 or shapes != ((n,), (n,), (n,)):
            fail(f"(n, num_objectives), (n,), (n,) with n = {n}", str(shapes), "arrays lead with n", "a squeezed axis")

    def test_the_same_query_has_the_same_answer_in_any_order_and_batch(self) -> None:
        """An answer depends on its query only."""
        whole, n = self.answer(), len(self.queries[0])
        order = np.random.default_rng(1).permutation(n)
        _same(self.answer(order), _rows(whole, order), "in another order")
        for row in range(0, n, 7):
            _same(self.answer(slice(row, row + 1)), _rows(whole, slice(row, row + 1)), "alone")

    def test_missing_is_said_and_has_no_value(self) -> None:
        """A missing row or replicate is answered MISSING with NaN, everything else OK with numbers."""
        answers = self.answer()
        is_missing = answers.status == Status.MISSING
        is_nan = np.isnan(answers.values).any(axis=1)
        if not np.array_equal(is_missing, is_nan) or not np.isin(answers.status, (Status.OK, Status.MISSING)).all():
            fail(
                "status MISSING exactly where a value is NaN, else OK",
                f"{int(is_missing.sum())} missing, {int(is_nan.sum())} NaN",
                "a gap must never look like a result",
                "gaps are padded or averaged over",
            )

    def test_the_mean_is_over_the_replicates_that_exist(self) -> None:
        """Replicate −1 is the mean over those that exist, of the values and of the cost."""
        architectures, fidelities, _ = self.queries
        answers = [
            self.oracle.evaluate(architectures, fidelities, np.full(len(architectures), replicate))
            for replicate in range(-1, self.num_replicates)
        ]
        for name, found in (
            ("values", [answer.values for answer in answers]),
            ("cost_s", [answer.cost_s[:, None] for answer in answers]),
        ):
            single = np.stack(found[1:])
            count = (~np.isnan(single)).sum(axis=0)
            mean = np.where(count > 0, np.nansum(single, axis=0) / np.maximum(count, 1), np.nan)
            if not np.allclose(found[0], mean, rtol=1e-6, atol=1e-9, equal_nan=True):
                fail(
                    f"{name} of replicate −1 are the mean over 0 … {self.num_replicates - 1}",
                    "another number",
                    "runs are scored by the mean, and noise=mean shows it",
                    "the first replicate, or a mean over gaps",
                )

    def test_cost_does_not_fall_with_fidelity(self) -> None:
        """cost_s is that of the whole training up to the fidelity: it never falls, in the mean or in a replicate."""
        architectures = self.queries[0]
        costs = [
            np.stack(
                [
                    self.oracle.evaluate(architectures, np.full(len(architectures), fidelity), replicates).cost_s
                    for replicates in np.arange(-1, self.num_replicates)[:, None].repeat(len(architectures), axis=1)
                ]
            )
            for fidelity in range(self.num_fidelities)
        ]
        if any((later < earlier).any() for earlier, later in pairwise(costs)):
            fail("non-decreasing cost_s", "it falls", "increments would be negative", "cost of one epoch, not of all")

    def test_inputs_and_global_generators_are_untouched(self) -> None:
        """Evaluating changes neither its arguments nor global random generators."""
        queries = tuple(part.copy() for part in self.queries)
        for part in queries:
            part.flags.writeable = False
        with global_generators_untouched("evaluate"):
            self.oracle.evaluate(*queries)

    def test_answers_belong_to_the_caller(self) -> None:
        """Overwriting an answer changes no later answer."""
        first = self.answer()
        kept = Answers(first.values.copy(), first.cost_s.copy(), first.status.copy())
        for part in first:
            part[...] = 0
        _same(self.answer(), kept, "after the first answer was overwritten")


def _rows(answers: Answers, rows: AnyArray | slice) -> Answers:
    return Answers(answers.values[rows], answers.cost_s[rows], answers.status[rows])


def _same(found: Answers, expected: Answers, when: str) -> None:
    if not all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(found, expected, strict=True)):
        fail("the same answer to the same query", f"another one {when}", "an oracle is a pure function", "hidden state")
