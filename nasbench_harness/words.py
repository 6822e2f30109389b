"""Words of messages and reports."""

from __future__ import annotations


def plural(number: int, noun: str) -> str:
    """A number and its noun.

    Example:
        >>> plural(1, "task"), plural(2_000, "strategy"), plural(3, "batch")
        ('1 task', '2,000 strategies', '3 batches')
    """
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith('ch') else 's'}"
