"""Numbers of styles: each label of a study has its own, and no other strategy changes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256

# A known label has the style of its place, in every study. New names are added at the end only.
KNOWN_LABELS = (
    "genetic-algorithm",
    "local-search",
    "random-search",
    "regularized-evolution",
    "reinforce",
    "rnn-controller",
    "natural-gradient",
    "gumbel-softmax",
    "gaussian-process",
    "tpe",
    "random-forest",
    "bananas",
    "nsga2",
    "pareto-evolution",
    "pareto-local-search",
    "best-by-score",
    "score-ordered",
    "score-seeded-evolution",
    "optuna",
    "pymoo",
    "nevergrad",
    "darts-first",
    "darts-second",
    "enas",
    "gdas",
    "rsps",
    "setn",
    "successive-halving",
    "hyperband",
    "asha",
    "bohb",
    "npenas",
    "source-ordered",
    "source-seeded-evolution",
    "source-weighted-scores",
    "ranking-weighted-ensemble",
    "few-shot-predictor",
    "differential-evolution",
    "dehb",
    "learning-curve-stopping",
    "nao",
)
NUM_RESERVED = 89  # numbers for known labels, also for those to come
NUM_STYLES = NUM_RESERVED + 252


def style_numbers(labels: Iterable[str], kept: Mapping[str, int] | None = None) -> dict[str, int]:
    """Number of each label's style; the numbers of up to 252 labels that are not known differ.

    A known label has the number of its place. Any other label has the number of its hash. If an earlier label has that
    number, it takes the next free one.

    Args:
        labels: Labels in the order in which they became part of the study.
        kept: Numbers that labels have already, because they had to take another one than that of their hash.

    Example:
        >>> style_numbers(["random-search", "mine"])
        {'random-search': 2, 'mine': 266}
    """
    found: dict[str, int] = {}
    kept = kept or {}
    taken = set(kept.values())
    for label in dict.fromkeys(labels):
        if label in KNOWN_LABELS:
            found[label] = KNOWN_LABELS.index(label)
        elif label in kept:
            found[label] = kept[label]
        else:
            number = _of_hash(label)
            while number in taken and len(taken) < NUM_STYLES - NUM_RESERVED:
                number = NUM_RESERVED + (number + 1 - NUM_RESERVED) % (NUM_STYLES - NUM_RESERVED)
            taken.add(number)
            found[label] = number
    return found


def moved(numbers: Mapping[str, int]) -> dict[str, int]:
    """The labels that have another number than that of their hash: a study keeps them."""
    return {
        label: number for label, number in numbers.items() if label not in KNOWN_LABELS and number != _of_hash(label)
    }


def _of_hash(label: str) -> int:
    return NUM_RESERVED + int.from_bytes(sha256(label.encode()).digest()[:8], "big") % (NUM_STYLES - NUM_RESERVED)
