"""Counter-based randomness: SplitMix64's finalizer and NumPy's SeedSequence over arrays of run seeds.

Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014. O'Neill, "Developing a seed_seq
Alternative", 2015, is the source of SeedSequence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nasbench_harness.arrays import AnyArray, Floats, Ints
from nasbench_harness.errors import InvalidInputError

Words = npt.NDArray[np.uint64]
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
OTHER_ODD = np.uint64(0xD1B54A32D192ED03)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_U11, _U27, _U30, _U31 = (np.uint64(shift) for shift in (11, 27, 30, 31))
_TO_UNIT = 2.0**-53


def mix(words: Words) -> Words:
    """SplitMix64's finalizer, in place; returns its argument."""
    words ^= words >> _U30
    words *= _MULTIPLY_1
    words ^= words >> _U27
    words *= _MULTIPLY_2
    words ^= words >> _U31
    return words


def to_unit(words: Words) -> Floats:
    """The upper 53 bits as a number in [0, 1)."""
    # Seen as signed (the upper bits are 0), the conversion to float is three times faster.
    return (words >> _U11).view(np.int64) * _TO_UNIT


def name_hash(name: str) -> int:
    """First 8 bytes of sha256 of a name, big-endian."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def seed_sequence_keys(entropy: Sequence[int], last: Ints) -> Words:
    """``SeedSequence([*entropy, s]).generate_state(1, uint64)`` for every s in ``last``, shape (len(last),).

    NumPy makes one key at a time, which for short runs costs as much as the runs themselves.

    Args:
        entropy: Non-negative integers shared by all keys.
        last: Integers 0 … 2³² − 1, shape (num_runs,).

    Raises:
        InvalidInputError: A number is negative or too large.
    """
    last = np.asarray(last)
    if min(entropy, default=0) < 0 or (last.size and (last.min() < 0 or last.max() >= 2**32)):
        raise InvalidInputError("seeds must be in 0 … 2³² − 1, and no seed may be negative")
    words: list[Any] = [np.uint32(word) for number in entropy for word in _words_of(number)]
    words.append(last.astype(np.uint32))
    constant = _Constant(0x43B0D7E5, 0x931E8875)
    padded = words + [np.uint32(0)] * (4 - len(words))
    with np.errstate(over="ignore"):
        pool = [constant.hash(word) for word in padded[:4]]
        for source in range(4):
            for target in range(4):
                if source != target:
                    pool[target] = _combine(pool[target], constant.hash(pool[source]))
        for word in padded[4:]:
            for target in range(4):
                pool[target] = _combine(pool[target], constant.hash(word))
        constant = _Constant(0x8B51F9DD, 0x58F38DED)
        low, high = (np.asarray(constant.hash(pool[index])).astype(np.uint64) for index in (0, 1))
    return np.broadcast_to(low | (high << np.uint64(32)), np.shape(last)).copy()


class _Constant:
    """The hash multiplier that SeedSequence advances with every word."""

    def __init__(self, start: int, multiplier: int) -> None:
        self.value, self.multiplier = start, multiplier

    def hash(self, word: AnyArray) -> AnyArray:
        hashed = word ^ np.uint32(self.value)
        self.value = self.value * self.multiplier & 0xFFFFFFFF
        hashed *= np.uint32(self.value)
        return hashed ^ (hashed >> np.uint32(16))


def _combine(first: AnyArray, second: AnyArray) -> AnyArray:
    result: AnyArray = np.uint32(0xCA01F9DD) * first - np.uint32(0x4973F715) * second
    result ^= result >> np.uint32(16)
    return result


def _words_of(number: int) -> list[int]:
    words = [number & 0xFFFFFFFF]
    while number := number >> 32:
        words.append(number & 0xFFFFFFFF)
    return words
