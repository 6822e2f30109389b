"""Seeds of a study as ranges: those that no segment holds, and the segment that each stored one is read from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from nasbench_harness.store.folder import Segment
from nasbench_harness.store.segments import SEEDS_PER_SEGMENT


def missing_seeds(
    segments: Iterable[Segment], num_seeds: int, among: Collection[int] | None = None
) -> list[tuple[int, int]]:
    """Ranges (first, last) of seeds 0 … num_seeds − 1 that no segment holds, each inside one cell of the grid.

    Args:
        segments: Stored segments.
        num_seeds: Seeds of the study.
        among: Only these seeds are wanted; None: all.
    """
    done = {seed for segment in segments for seed in range(segment.first, segment.last + 1)}
    wanted = range(num_seeds) if among is None else sorted(seed for seed in among if seed < num_seeds)
    return seed_ranges(seed for seed in wanted if seed not in done)


def first_holders(segments: Iterable[Segment], seeds: Iterable[int]) -> Iterator[tuple[Segment, set[int]]]:
    """Each segment with the wanted seeds that no earlier one holds: segments of concurrent commands may overlap.

    Args:
        segments: Segments in the order in which they count.
        seeds: Seeds that are wanted.
    """
    wanted = set(seeds)
    for segment in segments:
        here = wanted.intersection(range(segment.first, segment.last + 1))
        wanted -= here
        yield segment, here


def seed_ranges(seeds: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending seeds as ranges (first, last), each inside one cell of the grid."""
    ranges: list[tuple[int, int]] = []
    for seed in seeds:
        if ranges and ranges[-1][1] == seed - 1 and seed % SEEDS_PER_SEGMENT:
            ranges[-1] = (ranges[-1][0], seed)
        else:
            ranges.append((seed, seed))
    return ranges
