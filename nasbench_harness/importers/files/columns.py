"""Data set, metric, epoch and replicate from the names of a file's columns, for drafts of specifications."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_MOST_REPLICATES = 5  # more columns of one name are taken for epochs
_LAST_EPOCH = 400  # larger numbers that do not follow each other are seeds
_GAP = r"[_.\-@ ]"
_EPOCH = re.compile(
    rf"(?:^|{_GAP})(?:epochs?|ep|e)[_-]?(\d{{1,4}})(?![A-Za-z0-9])"
    r"|(?<!\d)(\d{1,4})[_-]?(?:epochs?|ep)(?![a-z0-9])",
    re.IGNORECASE,
)
_SEED = re.compile(rf"(?:^|{_GAP})(?:seed|replicate|rep|run|trial)[_-]?(\d{{1,9}})(?![A-Za-z0-9])", re.IGNORECASE)
# A number without a mark, at the end of the name or else behind a word.
_NUMBERS = (re.compile(r"(?<![A-Za-z0-9])(\d{1,9})$"), re.compile(r"(?<=[a-z])(\d{1,4})(?=$|_)"))
_TEST = r"(?:(?<![a-z])|acc|val|err|loss|score)test"  # no "fastest"
# (pattern of the name, role, direction, free), the first that fits
_ROLES = (
    (r"(infer\w*|(?<![a-z])test).*(time|seconds)", "hardware", "minimize", True),
    (r"(train|cost|time|seconds).*(_s$|seconds|time)|cost|^(run)?_?(seconds?|secs|time)$", "cost", "minimize", False),
    (r"^(?=.*(?<![a-z])train).*(loss|err|perplexity)", "proxy", "minimize", False),
    (r"^(?=.*(?<![a-z])train).*(acc|perf|score)", "proxy", "maximize", False),
    (r"latency|energy|param|flops|macs|size|memory", "hardware", "minimize", True),
    (r"_(time|seconds)$", "cost", "minimize", False),
    (rf"^(?=.*{_TEST}).*(loss|err|perplexity)", "test", "minimize", False),
    (_TEST, "test", "maximize", False),
    (r"loss|err|perplexity", "search", "minimize", False),
    (r"acc|val|perf|score", "search", "maximize", False),
)
# Words that describe a metric and so name no data set.
_METRIC_WORDS = re.compile(
    r"acc\w*|val\w*|test\w*|train\w*|loss\w*|err\w*|perplexity|perf\w*|score\w*|top[15]|cost\w*|time\w*|seconds?|"
    r"latency|energy|param\w*|flops|macs|size|memory|epochs?\d*|ep\d*|e\d+|seed\w*|rep\w*|run\w*|trial\w*|"
    r"mean|std|min|max|avg|median|best|last|final|first|s|ms|mj|m|mb|gb|\d.*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Group:
    """Columns that are one metric of one data set.

    Attributes:
        name: Without data set, epoch and replicate.
        columns: By epoch, one column for each replicate; None stands for the only epoch.
        prefix: Text before the epoch in every column's name; empty if more than the epoch differs.
    """

    name: str
    columns: Mapping[int | None, Sequence[str]]
    prefix: str = ""

    @property
    def is_by_epoch(self) -> bool:
        """Whether the columns say their epochs."""
        return None not in self.columns

    def names(self) -> list[str]:
        """All columns."""
        return [name for names in self.columns.values() for name in names]


def guess(name: str) -> tuple[str, str, bool]:
    """Role, direction and whether it is free, as a metric's name suggests; an empty role if it suggests none."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)  # of finalTestAcc
    for pattern, role, direction, is_free in _ROLES:
        if re.search(pattern, words, re.IGNORECASE):
            return role, direction, is_free
    return "", "maximize", False


def datasets_of(columns: Iterable[str]) -> dict[str, dict[str, str]]:
    """Data set -> {name without it: column}; one data set with the empty name if the columns name none.

    Names that have no data set in them belong to every one.
    """
    columns = list(columns)
    found: dict[str, set[str]] = {}
    for column in columns:
        for stem, dataset in _parts(column):
            if guess(stem)[0] == "search":
                found.setdefault(stem, set()).add(dataset)
    known = {dataset for datasets in found.values() if len(datasets) > 1 for dataset in datasets}
    owned = [
        next(((stem, dataset) for stem, dataset in _parts(column) if dataset in known), None) for column in columns
    ]
    # A name that could be two data sets belongs to one of them, so the other one may end without a column.
    datasets = list(dict.fromkeys(own[1] for own in owned if own is not None))
    split: dict[str, dict[str, str]] = {dataset: {} for dataset in datasets} or {"": {}}
    for column, own in zip(columns, owned, strict=True):
        for dataset, names in split.items():
            if own is None:
                names[column] = column
            elif own[1] == dataset:
                names[own[0]] = column
    return split


def groups_of(columns: Mapping[str, str]) -> list[Group]:
    """Metrics of a data set; ``columns`` has {name without the data set: column}."""
    parsed = {name: _numbers(name) for name in columns}
    seeds: dict[str, set[int | None]] = {}
    for stem, _, seed in parsed.values():
        seeds.setdefault(stem, set()).add(seed)
    stems: dict[str, dict[tuple[int | None, int | None], str]] = {}
    for name, column in columns.items():
        stem, epoch, seed = parsed[name]
        if len(seeds[stem]) == 1 and not _SEED.search(name):  # a number that never changes is part of the name: cifar10
            stem, epoch, seed = _numbers(name, may_be_unmarked=False)
        if (epoch, seed) in stems.get(stem, {}):  # two names that differ in nothing that is understood
            stem, epoch, seed = name, None, None
        stems.setdefault(stem, {})[epoch, seed] = column
    named = {column: name for name, column in columns.items()}
    return [group for stem, members in stems.items() for group in _groups(stem, members, named)]


def _parts(column: str) -> Iterator[tuple[str, str]]:
    """(rest, data set) for every end or beginning of a column's name that may be a data set, the longest first."""
    words = re.split(r"([_.\-/ ])", column)  # words and what stands between them
    for count in (3, 2, 1):
        if len(words) <= 2 * count:
            continue
        for taken, rest in (
            (words[-2 * count + 1 :], words[: -2 * count]),
            (words[: 2 * count - 1], words[2 * count :]),
        ):
            if _is_dataset(taken[::2]):
                yield "".join(rest), "".join(taken)


def _is_dataset(words: Sequence[str]) -> bool:
    is_metric = any(_METRIC_WORDS.fullmatch(word) for word in words[:1]) or not words[0][:1].isalpha()
    return not is_metric and all(word.isdigit() or not _METRIC_WORDS.fullmatch(word) for word in words[1:])


def _numbers(name: str, may_be_unmarked: bool = True) -> tuple[str, int | None, int | None]:
    """Name without its numbers, the epoch that is marked as one, and the replicate or unmarked number."""
    stem, epoch, seed = name, None, None
    if match := _EPOCH.search(stem):
        epoch, stem = int(match[1] or match[2]), _without(stem, match)
    patterns = (_SEED, *(_NUMBERS if may_be_unmarked else ()))
    if match := next(filter(None, (pattern.search(stem) for pattern in patterns)), None):
        seed, stem = int(match[1]), _without(stem, match)
    return (stem, epoch, seed) if stem else (name, None, None)


def _without(text: str, match: re.Match[str]) -> str:
    return re.sub(rf"{_GAP}+$|^{_GAP}+", "", text[: match.start()] + text[match.end() :])


def _groups(stem: str, members: Mapping[tuple[int | None, int | None], str], named: Mapping[str, str]) -> list[Group]:
    columns = list(members.values())
    epochs = {epoch for epoch, _ in members}
    seeds = {seed for _, seed in members}
    if epochs == {None} and _are_epochs(columns, sorted(seed for seed in seeds if seed is not None)):
        members = {(seed, None): column for (_, seed), column in members.items()}
        epochs, seeds = seeds, {None}
    is_grid = None not in epochs and len(epochs) * len(seeds) == len(members)
    if is_grid and 0 not in epochs and len(columns) > 1:
        by_epoch: dict[int | None, Sequence[str]] = {
            epoch: [column for (other, _), column in members.items() if other == epoch]
            for epoch in sorted(epoch for epoch in epochs if epoch is not None)
        }
        return [Group(stem, by_epoch, _prefix(by_epoch))]
    if epochs == {None} and len(columns) > 1 and None not in seeds:
        return [Group(stem, {None: columns})]
    return [Group(named[column], {None: [column]}) for column in columns]


def _are_epochs(columns: Sequence[str], numbers: Sequence[int]) -> bool:
    """Whether unmarked numbers count epochs: many of them, or a few that neither follow each other nor are seeds."""
    if len(numbers) < len(columns) or len(numbers) < 2 or numbers[0] == 0 or any(map(_SEED.search, columns)):
        return False
    follow = numbers[-1] - numbers[0] == len(numbers) - 1
    return len(numbers) > _MOST_REPLICATES or (not follow and numbers[-1] <= _LAST_EPOCH)


def _prefix(by_epoch: Mapping[int | None, Sequence[str]]) -> str:
    """The common beginning of columns that differ in the number at their end only."""
    beginnings = set()
    for epoch, names in by_epoch.items():
        match = re.fullmatch(r"(.*?)0*(\d+)", names[0])
        if len(names) > 1 or match is None or int(match[2]) != epoch:
            return ""
        beginnings.add(match[1])
    return beginnings.pop() if len(beginnings) == 1 else ""
