"""Which architecture each row of a file is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nasbench_harness.arrays import Ints
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.importers.files.reader import Content
from nasbench_harness.importers.files.spec import SpaceSpec
from nasbench_harness.spaces import ListSpace, ProductSpace, SearchSpace, from_description


def text_columns(spec: SpaceSpec) -> tuple[str, ...]:
    """Columns that are read as text."""
    classes = (spec.classes,) if spec.classes is not None else ()
    if spec.key is None:
        return (*spec.decisions, *classes)
    return () if _is_index(spec) else (spec.key, *spec.columns, *classes)


def number_columns(spec: SpaceSpec) -> tuple[str, ...]:
    """Columns of architectures that are read as numbers."""
    return (spec.key,) if spec.key is not None and _is_index(spec) else ()


def rows_of(spec: SpaceSpec, content: Content, name: str) -> tuple[SearchSpace, Ints]:
    """The space, and the architecture of each row of the file, (num_rows,), all different.

    Raises:
        InvalidInputError: A row names no architecture or one that was named before, or the space has another size
            than the specification expects.
    """
    if spec.kind == "list":
        space, rows = _listed(spec, content, spec.name or name)
    elif spec.kind == "product":
        space, rows = _product(spec, content, spec.name or name)
    else:
        space = from_description({"kind": "nasbench201"})
        rows = key_rows(space, content, str(spec.key), spec.key_format)
    if spec.num_architectures not in (None, space.num_architectures):
        raise InvalidInputError(
            f"the space has {space.num_architectures:,} architectures but the specification expects "
            f"{spec.num_architectures:,} (num_architectures)"
        )
    lacks = "" if spec.key else "; does a column that describes it lack in decisions?"
    refuse_repeated(content, rows, spec.key or next(iter(spec.decisions)), lacks)
    return space, rows


def key_rows(space: SearchSpace, content: Content, column: str, key_format: str) -> Ints:
    """Architectures by a key column: as the short key, as the space's string, or as the index, shape (num_rows,)."""
    if key_format == "index":
        values = content.numbers[column]
        is_index = (values >= 0) & (values < space.num_architectures) & (values == np.floor(values))
        wanted = f"an index 0 … {space.num_architectures - 1:,}"
        content.refuse(~is_index, column, lambda row: f"{values[row]:.10g} is no {wanted[3:]}")
        return values.astype(np.int64)
    names = range(space.num_architectures)
    keys = list(map(space.to_key, names)) if key_format == "digits" else space.to_strings(names)
    return _positions(content, column, keys, "is no architecture of the space " + space.name)


def refuse_repeated(content: Content, rows: Ints, column: str, advice: str = "") -> None:
    """Raise InvalidInputError for the first row that repeats an earlier one; ``advice`` ends the message."""
    order = np.argsort(rows, kind="stable")
    is_repeated = np.zeros(len(rows), dtype=bool)
    is_repeated[order[1:]] = rows[order[1:]] == rows[order[:-1]]
    content.refuse(
        is_repeated,
        column,
        lambda row: f"the architecture stands in {content.place(int((rows == rows[row]).argmax()))} already{advice}",
    )


def _is_index(spec: SpaceSpec) -> bool:
    return spec.kind == "nasbench201" and spec.key_format == "index"


def _positions(content: Content, column: str, names: Sequence[str], message: str) -> Ints:
    """Position of each cell in ``names``, shape (num_rows,)."""
    texts = content.texts[column]
    found = pc.index_in(texts, value_set=pa.array(names, pa.string()))
    content.refuse(np.asarray(found.is_null()), column, lambda row: f"{texts[row].as_py()[:80]!r} {message}")
    positions: Ints = np.asarray(found).astype(np.int64)
    return positions


def _product(spec: SpaceSpec, content: Content, name: str) -> tuple[SearchSpace, Ints]:
    decisions = list(spec.decisions.values())
    space = ProductSpace(name, decisions, separator=spec.separator)
    rows = _product_rows(spec, space, content, name)
    if spec.classes is None:
        return space, rows
    return ProductSpace(name, decisions, separator=space.separator, classes=_classes(spec, content, rows, space)), rows


def _classes(spec: SpaceSpec, content: Content, rows: Ints, space: SearchSpace) -> Ints:
    """Smallest index of the architectures that the file says are the same network, (num_architectures,)."""
    classes = np.arange(space.num_architectures)
    same = np.asarray(_encoded(content.texts[str(spec.classes)]).indices)
    first = np.full(int(same.max()) + 1, space.num_architectures)
    np.minimum.at(first, same, rows)
    classes[rows] = first[same]
    return classes


def _product_rows(spec: SpaceSpec, space: ProductSpace, content: Content, name: str) -> Ints:
    if spec.key is not None:
        keys = list(map(spec.separator.join, product(*spec.decisions.values())))
        if len(set(keys)) < len(keys):
            raise InvalidInputError(
                f"with the separator {spec.separator!r} two architectures of space {name} have the same key"
            )
        return _positions(content, spec.key, keys, f"is no architecture of the space {name}, e.g. {keys[0]!r}")
    choices = [
        _positions(content, decision, names, f"is no choice of {decision} ({', '.join(names)[:80]})")
        for decision, names in spec.decisions.items()
    ]
    return space.from_choices(np.stack(choices, axis=1))


def _listed(spec: SpaceSpec, content: Content, name: str) -> tuple[SearchSpace, Ints]:
    keys = content.texts[str(spec.key)]
    refuse_repeated(content, np.asarray(_encoded(keys).indices), str(spec.key))
    columns = [_encoded(content.texts[column]) for column in spec.columns]
    for column, encoded in zip(spec.columns, columns, strict=True):
        if len(encoded.dictionary) < 2:
            raise InvalidInputError(
                f"{content.path}: column {column!r} has the same value in all rows: it describes no decision"
            )
    choices = np.stack([np.asarray(encoded.indices).astype(np.int64) for encoded in columns], axis=1)
    same = np.unique(choices, axis=0, return_inverse=True)[1].reshape(-1)
    try:
        refuse_repeated(content, same, spec.columns[0])
    except InvalidInputError as error:
        raise InvalidInputError(f"{error} under another key: name a column that tells them apart") from None
    decisions = [encoded.dictionary.to_pylist() for encoded in columns]
    rows = np.arange(content.num_rows)
    if content.num_rows < 2:
        raise InvalidInputError(f"{content.path}: a list needs at least two architectures")
    space = ListSpace(name, keys.to_pylist(), decisions, choices)
    if spec.classes is not None:
        classes = _classes(spec, content, rows, space)
        space = ListSpace(name, keys.to_pylist(), decisions, choices, classes)
    return space, rows


def _encoded(texts: Any) -> Any:
    """Dictionary of the texts in order of appearance, and indices into it."""
    return texts.dictionary_encode()
