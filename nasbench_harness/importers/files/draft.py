"""A first draft of a specification, guessed from a file's header and first rows."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.importers.files.columns import Group, datasets_of, groups_of, guess
from nasbench_harness.importers.files.reader import TableFile
from nasbench_harness.importers.files.spec import UNCHECKED

_NUM_ROWS = 1_000
_KEY_NAMES = re.compile(r"key|arch|hash|string|cell|genotype|config|name|id", re.IGNORECASE)
_KEY_WORDS = re.compile(r"(.*[_.\- ])?(key|arch\w*|hash|cell|genotype|config\w*|name|id|index)", re.IGNORECASE)
_EPOCH_WORDS = re.compile(r"(num[_ ]?)?epochs?", re.IGNORECASE)
_SCORES = ("search", "test")
_UNBOUNDED = re.compile(r"loss|perplexity|nll|entropy", re.IGNORECASE)  # no shares of 100, even if all are below it
_UNITS = {"ms": "ms", "s": "s", "seconds": "s", "mj": "mJ", "m": "million", "mb": "MB", "time": "s"}


def draft_spec(path: Path) -> str:
    """Text of a commented specification for a file; guesses are marked with CHECK.

    Raises:
        InvalidInputError: The file cannot be read, or has no column of numbers.
    """
    cells = TableFile(path).first_rows(_NUM_ROWS)
    numeric = [name for name, values in cells.items() if values and all(map(_is_number, values))]
    space, used = _space(cells, numeric)
    epochs, epoch_columns = _epochs(path, cells, numeric)
    metrics = [name for name in numeric if name not in used | epoch_columns]
    if not metrics:
        alone = next(iter(cells), "")
        is_joined = len(cells) == 1 and any(mark in alone for mark in ";\t|")
        remedy = "write it with commas, or write a specification that names its delimiter"
        why = f": it has the single column {alone!r}; {remedy}" if is_joined else ""
        raise InvalidInputError(f"{path} has no column of numbers that could be a metric{why}")
    lines = [
        f"# Draft for {path.name}, guessed from its header and first rows. Check every line marked CHECK, then:",
        f"#   nasbench-harness tables import {shlex.quote(path.name)} --spec THIS_FILE",
        f"name = {json.dumps(_identifier(path.name.partition('.')[0], '-'))}",
        'source = "CHECK: what this table is and where it comes from; tables list prints this line"',
        'license = "CHECK: the license of the data"',
        "",
        *space,
        "",
        "# CHECK: one file may hold several data sets: one [datasets.NAME] each. The task is called <table>-NAME.",
        "# CHECK unit, direction and role of every metric. Roles: search (validation: what strategies see), test",
        "# (sealed), cost (seconds from the start up to each epoch), hardware, proxy. A resolution (grid step of",
        '# values, e.g. resolution = "100/25000") makes equal accuracies ties; scale = 100 turns fractions into %.',
        "# Delete the metrics you do not need.",
    ]
    taken: set[str] = set()
    for dataset, columns in datasets_of(metrics).items():
        lines += ["", *_dataset(dataset, groups_of(columns), cells, epochs, taken)]
    return "\n".join(lines) + "\n"


def _space(cells: Mapping[str, list[str]], numeric: Iterable[str]) -> tuple[list[str], set[str]]:
    """Lines of [space], and the columns that it takes."""
    for key_format, pattern in (("digits", r"[0-4]{6}"), ("string", r"\|\w+~0\|\+\|\w+~0\|\w+~1\|\+\|.*\|")):
        for name, values in cells.items():
            if values and all(re.fullmatch(pattern, value) for value in values):
                kind = 'kind = "nasbench201"  # CHECK: the keys look like it; else "product" or "list"'
                head = ["[space]", kind, f"key = {_text(name)}"]
                return [*head, f'key_format = "{key_format}"  # digits, string, or index (official)'], {name, "index"}
    texts = [name for name in cells if name not in set(numeric)]
    candidates = [*texts, *(name for name in numeric if _is_digit_key(name, cells[name]))]
    keys = [name for name in candidates if cells[name] and len(set(cells[name])) == len(cells[name])]
    keys.sort(key=lambda name: not _KEY_NAMES.search(name))
    few = [name for name in cells if name not in keys and 1 < len(set(cells[name])) <= _few(cells[name])]
    few = [name for name in few if name in texts or not guess(name)[0]]
    if keys:
        decisions = few or keys[:1]
        head = [
            "[space]",
            'kind = "list"  # CHECK: or "product" where all combinations exist',
            f"key = {_text(keys[0])}",
        ]
        line = f"columns = {json.dumps(decisions)}  # CHECK: the columns that describe an architecture"
        return [*head, line], {keys[0], *decisions}
    seen = f"columns and choices are those of the first {_NUM_ROWS:,} rows"
    head = [
        "[space]",
        'kind = "product"  # CHECK: all combinations of the choices below',
        f"[space.decisions]  # CHECK: {seen}",
    ]
    lines = [f"{_text(name)} = {json.dumps(sorted(set(cells[name]), key=_order), ensure_ascii=False)}" for name in few]
    return [*head, *(lines or ["# CHECK: no column of a few choices was found: decision = [choices]"])], set(few)


def _is_digit_key(name: str, values: Sequence[str]) -> bool:
    """Whether a column of digits names architectures: its name says so, or zeros that a number would not have do."""
    are_digits = all(value.isascii() and value.isdigit() for value in values)
    has_zeros = any(len(value) > 1 and value[0] == "0" for value in values)
    return are_digits and (has_zeros or _KEY_WORDS.fullmatch(name) is not None)


def _few(values: list[str]) -> int:
    return max(2, min(20, len(values) // 2))


def _epochs(path: Path, cells: Mapping[str, list[str]], numeric: Iterable[str]) -> tuple[list[int], set[str]]:
    """Epochs that a column tells, and that column: its one value holds for all rows."""
    for name in numeric:
        if not _EPOCH_WORDS.fullmatch(name) or not all(value.isdigit() for value in cells[name]):
            continue
        values = sorted({int(value) for value in cells[name]})
        if len(values) == 1 and values[0]:
            return values, {name}
        keys = [cells[key] for key in cells if _KEY_WORDS.fullmatch(key)]
        if keys and len(set(keys[0])) < len(keys[0]):
            raise InvalidInputError(
                f"{path} has a row for each architecture and value of {name!r}: make it one row for each architecture, "
                "with one column for each epoch (pandas: DataFrame.pivot)"
            )
    return [], set()


def _dataset(
    name: str, groups: list[Group], cells: Mapping[str, list[str]], epochs: list[int], taken: set[str]
) -> list[str]:
    key = _identifier(name, "-") if name else "data"
    while key in taken:
        key += "-2"
    taken.add(key)
    title = f"{UNCHECKED}: the name that papers print{f', for {name}' if name else ''}"
    lines = [f"[datasets.{_key(key)}]", f"title = {_text(title)}"]
    if epochs:
        lines.append(f"fidelities = {epochs}  # CHECK: the epochs after which values were read")
    elif not any(group.is_by_epoch for group in groups):
        lines.append("# fidelities = [200]  # CHECK: the epochs after which values were read")
    return [*lines, *_metrics(key, groups, cells)]


def _metrics(dataset: str, groups: list[Group], cells: Mapping[str, list[str]]) -> list[str]:
    guesses = [guess(group.name) for group in groups]
    num_searched = sum(role == "search" for role, _, _ in guesses)
    if not num_searched:
        guesses[0] = ("search", guesses[0][1], False)
    costs = [group.name for group, (role, _, _) in zip(groups, guesses, strict=True) if role == "cost"]
    costs.sort(key=lambda name: "train" not in name.lower())
    lines: list[str] = []
    taken: set[str] = set()
    for group, (role, direction, is_free) in zip(groups, guesses, strict=True):
        name = _identifier(group.name, "_")
        while name in taken:
            name += "_2"
        taken.add(name)
        lines += ["", f"[datasets.{_key(dataset)}.metrics.{name}]", _columns(group)]
        unit = _unit(group, cells)
        if role == "cost" and unit == "ms":
            unit = "s"
            lines.append('scale = "1/1000"  # CHECK: the file holds milliseconds')
        lines += [
            f'unit = "{unit}"' + ("  # CHECK: the name tells no unit" if unit == "1" and role in _SCORES else ""),
            f'direction = "{direction}"' + ("" if role else "  # CHECK: the name tells nothing"),
            _role("second cost" if group.name in costs[1:] else role, num_searched),
        ]
        if is_free and role:
            lines.append("free = true  # strategies may read it without a query")
        if _has_gaps(group, cells):
            lines.append("may_be_missing = true  # CHECK: cells are empty")
        if _has_marker(group, cells):
            lines.append("missing_value = -1  # CHECK: the only negative value")
        if group.name in costs[:1] and any(other.is_by_epoch for other in groups) and not group.is_by_epoch:
            lines.append("proportional_to_epochs = true  # CHECK: the cost of the whole training, growing evenly")
    return lines


def _role(role: str, num_searched: int) -> str:
    doubt = {
        "": "the name tells nothing",
        "proxy": "training values compare no architectures",
        "second cost": "only one metric can be the cost",
        "search": "" if num_searched == 1 else "the first metric of this role is the objective",
    }.get(role)
    return f'role = "{"proxy" if role in ("", "second cost") else role}"' + (f"  # CHECK: {doubt}" if doubt else "")


def _columns(group: Group) -> str:
    if group.prefix:
        return f"prefix = {_text(group.prefix)}  # CHECK: the number that follows is the epoch"
    if group.is_by_epoch:
        by_epoch = ", ".join(f"{epoch} = {_names(names)}" for epoch, names in group.columns.items())
        return f"columns = {{ {by_epoch} }}  # CHECK: columns of each epoch"
    names = group.names()
    return f"columns = {_names(names)}" + ("  # CHECK: replicates" if len(names) > 1 else "")


def _unit(group: Group, cells: Mapping[str, list[str]]) -> str:
    last = re.split(r"[_\W]+", group.name.lower().rstrip("_0123456789"))[-1]
    if last in _UNITS or guess(group.name)[0] == "cost":
        return _UNITS.get(last, "s")
    if guess(group.name)[0] not in _SCORES or _UNBOUNDED.search(group.name):
        return "1"
    values = _values(group, cells) - ({-1.0} if _has_marker(group, cells) else set())
    if any(not 0 <= value <= 100 for value in values):
        return "1"
    return "fraction" if max(values, default=100.0) <= 1 else "%"


def _has_gaps(group: Group, cells: Mapping[str, list[str]]) -> bool:
    most = max(map(len, cells.values()))
    return any(len(cells[name]) < most for name in group.names())


def _has_marker(group: Group, cells: Mapping[str, list[str]]) -> bool:
    """Whether -1 stands among values that are positive otherwise."""
    values = _values(group, cells)
    return -1.0 in values and all(value > 0 for value in values - {-1.0}) and len(values) > 1


def _values(group: Group, cells: Mapping[str, list[str]]) -> set[float]:
    return {float(value) for name in group.names() for value in cells[name]}


def _names(names: Sequence[str]) -> str:
    return json.dumps(list(names), ensure_ascii=False)


def _key(text: str) -> str:
    """A key of TOML, quoted if it must be."""
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _text(text)


def _identifier(text: str, filler: str) -> str:
    """Small letters, digits and ``filler``, beginning with a letter."""
    name = re.sub(r"[^a-z0-9]+", filler, text.lower()).strip(filler)[:60].strip(filler)
    return name if name[:1].isalpha() else f"x{filler}{name}".rstrip(filler)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _order(text: str) -> tuple[float, str]:
    return (float(text), "") if _is_number(text) else (float("inf"), text)


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf") and "_" not in text
    except ValueError:
        return False
