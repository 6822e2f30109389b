"""A first draft of a specification, guessed from a file's header and first rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.tables.importing.reader import TableFile

_NUM_ROWS = 1_000
_MOST_REPLICATES = 5  # more columns of one name are taken for epochs
_KEY_NAMES = re.compile(r"key|arch|hash|string|cell|genotype|config|name|id", re.IGNORECASE)
# (what the name must contain, role, direction, free), the first that fits
_ROLES = (
    (r"(train|cost|time|seconds).*(_s|seconds|time)|cost", "cost", "minimize", False),
    (r"latency|energy|param|flops|macs|size|memory", "hardware", "minimize", True),
    (r"test.*(loss|err|perplexity)", "report", "minimize", False),
    (r"test", "report", "maximize", False),
    (r"loss|err|perplexity", "search", "minimize", False),
    (r"acc|val|perf|score", "search", "maximize", False),
)
_UNITS = {"ms": "ms", "s": "s", "seconds": "s", "mj": "mJ", "m": "million", "mb": "MB", "time": "s"}


@dataclass(frozen=True)
class _Group:
    """Columns that are one metric: names by the number they end in, or a single name."""

    name: str
    columns: tuple[str, ...]
    is_by_epoch: bool


def draft_spec(path: Path) -> str:
    """Text of a commented specification for a file; what was guessed is marked with CHECK.

    Raises:
        InvalidInputError: The file cannot be read, or has no column of numbers.
    """
    file = TableFile(path)
    cells = _first_cells(file)
    numeric = [name for name, values in cells.items() if values and all(map(_is_number, values))]
    space, used = _space(cells, numeric)
    groups = _groups([name for name in numeric if name not in used])
    if not groups:
        raise InvalidInputError(f"{path} has no column of numbers that could be a metric")
    lines = [
        f"# Draft for {path.name}, guessed from its header and first rows. Check every line marked CHECK, then:",
        f"#   nasbench-harness tables import {path.name} --spec THIS_FILE",
        f"name = {json.dumps(_identifier(path.name.partition('.')[0], '-'))}",
        'source = "CHECK: what this table is and where it comes from; tables list prints this line"',
        'license = "CHECK: the license of the data"',
        "",
        *space,
        "",
        "# CHECK: one file may hold several data sets: one [datasets.NAME] each. The task is called <table>-NAME.",
        "[datasets.data]",
        'title = "CHECK: the name that papers print"',
        "# fidelities = [200]  # CHECK: the epochs after which values were read, where the columns do not say",
        "",
        "# CHECK unit, direction and role of every metric. Roles: search (validation: what strategies see), report",
        "# (test, sealed), cost (seconds from the start up to each epoch), hardware, proxy. A resolution (grid step of",
        '# values, e.g. resolution = "100/25000") makes equal accuracies ties. Delete the metrics you do not need.',
        *_metrics(groups, cells),
    ]
    return "\n".join(lines) + "\n"


def _first_cells(file: TableFile) -> dict[str, list[str]]:
    """Non-empty cells of every column in the first rows, as text."""
    if file.is_parquet:
        columns = file.first_rows(_NUM_ROWS)
        return {name: [str(value) for value in values if value is not None] for name, values in columns.items()}
    records = [record for _, record in islice(file.records(), 1, _NUM_ROWS + 1)]
    return {
        name: [record[position] for record in records if position < len(record) and record[position] != ""]
        for position, name in enumerate(file.header)
    }


def _space(cells: Mapping[str, list[str]], numeric: Iterable[str]) -> tuple[list[str], set[str]]:
    """Lines of [space], and the columns that it takes."""
    for key_format, pattern in (("digits", r"[0-4]{6}"), ("string", r"\|\w+~0\|\+\|\w+~0\|\w+~1\|\+\|.*\|")):
        for name, values in cells.items():
            if values and all(re.fullmatch(pattern, value) for value in values):
                kind = 'kind = "nasbench201"  # CHECK: the keys look like it; else "product" or "list"'
                head = ["[space]", kind, f"key = {_text(name)}"]
                return [*head, f'key_format = "{key_format}"  # digits, string, or index (official)'], {name, "index"}
    texts = [name for name in cells if name not in set(numeric)]
    keys = [name for name in texts if cells[name] and len(set(cells[name])) == len(cells[name])]
    keys.sort(key=lambda name: not _KEY_NAMES.search(name))
    few = [name for name in cells if name not in keys and 1 < len(set(cells[name])) <= _few(cells[name])]
    few = [name for name in few if name in texts or not _guess(name)[0]]
    if keys:
        decisions = few or keys[:1]
        head = [
            "[space]",
            'kind = "list"  # CHECK: or "product" where all combinations exist',
            f"key = {_text(keys[0])}",
        ]
        line = f"columns = {json.dumps(decisions)}  # CHECK: the columns that describe an architecture"
        return [*head, line], {keys[0], *decisions}
    head = ["[space]", 'kind = "product"  # CHECK: all combinations of the choices below', "[space.decisions]  # CHECK"]
    lines = [f"{_text(name)} = {json.dumps(sorted(set(cells[name]), key=_order), ensure_ascii=False)}" for name in few]
    return [*head, *(lines or ["# CHECK: no column of a few choices was found: decision = [choices]"])], set(few)


def _few(values: list[str]) -> int:
    return max(2, min(20, len(values) // 2))


def _groups(columns: list[str]) -> list[_Group]:
    """Columns whose names differ in the number at their end belong together."""
    stems: dict[str, list[str]] = {}
    for column in columns:
        match = re.fullmatch(r"(.*(?:[_.-]|seed|rep|run|epoch|ep))(\d{1,9})", column, re.IGNORECASE)
        stems.setdefault(match[1] if match else column, []).append(column)
    groups = []
    for stem, names in stems.items():
        if len(names) == 1:
            groups.append(_Group(names[0], tuple(names), False))
        elif len(names) > _MOST_REPLICATES and "seed" not in stem and not any(name.endswith("_0") for name in names):
            groups.append(_Group(stem, (stem,), True))
        else:
            groups.append(_Group(stem, tuple(names), False))
    return groups


def _metrics(groups: list[_Group], cells: Mapping[str, list[str]]) -> list[str]:
    guesses = [_guess(group.name) for group in groups]
    if not any(role == "search" for role, _, _ in guesses):
        guesses[0] = ("search", "maximize", False)
    lines, taken = [], set()
    for group, (role, direction, is_free) in zip(groups, guesses, strict=True):
        name = _identifier(group.name, "_")
        while name in taken:
            name += "_2"
        taken.add(name)
        lines += ["", f"[datasets.data.metrics.{name}]"]
        if group.is_by_epoch:
            lines.append(f"prefix = {_text(group.columns[0])}  # CHECK: the number that follows is the epoch")
        else:
            is_many = len(group.columns) > 1
            lines.append(f"columns = {json.dumps(group.columns)}" + ("  # CHECK: replicates" if is_many else ""))
        lines += [
            f'unit = "{_unit(group, cells)}"',
            f'direction = "{direction}"',
            f'role = "{role}"' if role else 'role = "proxy"  # CHECK: the name tells nothing',
        ]
        if is_free:
            lines.append("free = true  # strategies may read it without a query")
        if _has_gaps(group, cells):
            lines.append("may_be_missing = true  # CHECK: cells are empty")
        if role == "cost" and any(other.is_by_epoch for other in groups) and not group.is_by_epoch:
            lines.append("proportional_to_epochs = true  # CHECK: the cost of the whole training, growing evenly")
    return lines


def _guess(name: str) -> tuple[str, str, bool]:
    for pattern, role, direction, is_free in _ROLES:
        if re.search(pattern, name, re.IGNORECASE):
            return role, direction, is_free
    return "", "maximize", False


def _unit(group: _Group, cells: Mapping[str, list[str]]) -> str:
    last = re.split(r"[_\W]+", group.name.lower().rstrip("_0123456789"))[-1]
    if last in _UNITS or _guess(group.name)[0] == "cost":
        return _UNITS.get(last, "s")
    values = [float(value) for name in _names(group, cells) for value in cells[name]]
    is_share = bool(values) and max(values) <= 1
    return ("fraction" if is_share else "%") if _guess(group.name)[0] in ("search", "report") else "1"


def _has_gaps(group: _Group, cells: Mapping[str, list[str]]) -> bool:
    most = max(map(len, cells.values()))
    return any(len(cells[name]) < most for name in _names(group, cells))


def _names(group: _Group, cells: Mapping[str, list[str]]) -> list[str]:
    """All columns of a metric."""
    return [name for name in cells if name.startswith(group.columns[0])] if group.is_by_epoch else list(group.columns)


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
