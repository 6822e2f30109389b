"""Kinds of search spaces, as the metadata of tables names them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from nasbench_harness.errors import UnknownNameError
from nasbench_harness.spaces.base import SearchSpace
from nasbench_harness.spaces.listed import ListSpace
from nasbench_harness.spaces.nasbench201 import NASBench201Space
from nasbench_harness.spaces.nasbench_graph import NASBenchGraphSpace
from nasbench_harness.spaces.product import ProductSpace
from nasbench_harness.spaces.restricted import restrict


def _restricted(space: Mapping[str, Any], without: Sequence[str]) -> SearchSpace:
    return restrict(from_description(space), without)[0]


_KINDS: Mapping[str, Callable[..., SearchSpace]] = {
    "nasbench-graph": NASBenchGraphSpace,
    "list": ListSpace,
    "nasbench201": NASBench201Space,
    "product": ProductSpace,
    "restricted": _restricted,
}


def from_description(description: Mapping[str, Any]) -> SearchSpace:
    """The space that ``SearchSpace.description`` described; equal descriptions give the same object.

    Raises:
        UnknownNameError: The kind is not known, e.g. because a newer version wrote it.
    """
    return _from_text(json.dumps(description, sort_keys=True))


@cache
def _from_text(text: str) -> SearchSpace:
    arguments = json.loads(text)
    kind = arguments.pop("kind", "")
    if kind not in _KINDS:
        raise UnknownNameError("kind of search space", str(kind), _KINDS)
    return _KINDS[kind](**arguments)
