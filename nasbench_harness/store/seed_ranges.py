"""Seeds of a study as ranges: those that no segment holds, and the segment that each stored one is read from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from nasbench_harness.store.folder import Segment
from nasbench_harness.store.segments import SEEDS_PER_SEGMENT

_MAX_RANGES = 3  # in a message


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


def seeds_text(seeds: Sequence[int]) -> str:
    """Seeds in words: ranges, the first few of many.

    Args:
        seeds: At least one seed, in any order.

    Example:
        >>> seeds_text([0, 1, 2, 7])
        'seeds 0-2, 7 (4 runs)'
    """
    ranges: list[list[int]] = []
    for seed in sorted(seeds):
        if ranges and ranges[-1][1] == seed - 1:
            ranges[-1][1] = seed
        else:
            ranges.append([seed, seed])
    shown = [f"{first}" if first == last else f"{first}-{last}" for first, last in ranges[:_MAX_RANGES]]
    more = ", …" if len(ranges) > _MAX_RANGES else ""
    count = f" ({len(seeds):,} runs)" if len(ranges) > 1 else ""
    return f"seed {shown[0]}" if len(seeds) == 1 else f"seeds {', '.join(shown)}{more}{count}"
