"""Halving: twice as many architectures train once, and the better half of them is verified with fresh seeds.

Every place, of candidates and of controls alike, is first held by two architectures: under the null hypothesis the
winners of a block's places are as exchangeable as single architectures are. What screened them enters no test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nasbench_harness.verification.design import Design
from nasbench_harness.verification.journal import Entry

_NOTE = (
    "halving: two architectures held each place, and the better of them after one training with a seed of its own went "
    "on; these trainings are not in the test"
)


def is_screened(design: Design, entries: Mapping[int, Sequence[Entry]]) -> bool:
    """Whether every architecture of a screening has its training."""
    return all(entries.get(architecture) for block in design.blocks for architecture in block)


def survivors(design: Design, entries: Mapping[int, Sequence[Entry]], training_seeds: int) -> Design:
    """The design that is verified: of blocks 1 and 2, 3 and 4, … the better architecture of each place.

    Args:
        design: Of the screening, with an even number of blocks.
        entries: Its trainings; where one is missing nothing survives but the first of each place, untrained.
        training_seeds: Fresh trainings of each survivor.
    """
    is_known = is_screened(design, entries)

    def better(first: int, second: int) -> int:
        if not is_known:
            return first
        return second if entries[second][0].accuracy > entries[first][0].accuracy else first

    candidates, controls, support = [], [], []
    for one in range(0, len(design.candidates), 2):
        pair = design.candidates[one : one + 2]
        winner = better(*pair)
        candidates.append(winner)
        support.append(design.num_supporting[one + pair.index(winner)])
        controls.append(tuple(better(*places) for places in zip(*design.controls[one : one + 2], strict=True)))
    return replace(
        design,
        candidates=tuple(candidates),
        controls=tuple(controls),
        num_supporting=tuple(support),
        training_seeds=training_seeds,
        purpose="verify",
        notes=(*design.notes, _NOTE),
        is_same_size=False,  # a place's two architectures may differ in size
    )
