"""Golden cases and data that the statistics tests share."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def golden() -> Callable[[str, str], list[dict[str, Any]]]:
    """Returns the cases of one kind that expect a certain key, from every file of that kind."""

    def cases(kind: str, key: str) -> list[dict[str, Any]]:
        files = sorted(GOLDEN.glob(f"*__{kind}.json"))
        found = [case for file in files for case in json.loads(file.read_text())["cases"] if key in case["expected"]]
        assert found, f"no golden case of {kind} expects {key}"
        return found

    return cases
