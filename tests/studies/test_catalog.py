"""Families and needs of the installed strategies, read from their source."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from nasbench_harness import InvalidInputError, Needs, Protocol, UnknownNameError
from nasbench_harness.cli.catalog import as_markdown
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.catalog import (
    DEFAULT_STRATEGIES,
    Description,
    describe,
    families,
    names_of,
    strategy_entry_points,
)
from nasbench_harness.studies.choosing import strategy_refs, usable_strategies
from nasbench_harness.studies.references import resolve


def test_every_installed_strategy_is_in_one_family():
    found = [entry.name for entries in families().values() for entry in entries]
    assert sorted(found) == list(strategy_entry_points())
    assert describe("best-by-score").family == "training-free"


def resolvable():
    """Names of the installed strategies; those that need torch cannot be imported without it."""
    has_torch = find_spec("torch") is not None
    return [name for name in strategy_entry_points() if has_torch or "torch" not in describe(name).needs]


@pytest.mark.thorough
def test_needs_in_the_source_are_those_of_the_code():
    for name in resolvable():
        needs = getattr(resolve(StrategyRef(name)).target, "needs", Needs())
        assert len(describe(name).needs) == (
            (needs.num_objectives > 1)
            + len(needs.packages)
            + sum([needs.fidelities, needs.sources, needs.torch, needs.training_data, needs.proxies])
        ), name


def test_the_catalog_imports_no_strategy():
    code = (
        "import sys; from nasbench_harness.studies.catalog import families; families(); "
        "print([name for name in sys.modules if name.startswith('nasbench_strategies.') or name == 'numpy'])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_modules_and_packages_of_others_are_described_wherever_their_file_is(installed):
    folder = installed("strategies", walk="walking:walk", jump="jumping:jump", fly="deep.down.flying:fly")
    for path in ("walking.py", "jumping/__init__.py", "deep/down/flying.py"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f'"""{path}."""\nNeeds(torch=HAS_TORCH, packages=NAMES, num_objectives=2)\n')
    needs = ("torch", "other packages", "2 objectives")
    assert describe("walk") == Description("walk", "walking", "walking.py.", needs)
    assert describe("jump") == Description("jump", "jumping", "jumping/__init__.py.", needs)
    assert describe("fly") == Description("fly", "down", "deep/down/flying.py.", needs)


def test_a_strategy_that_cannot_be_read_leaves_the_others_listed(installed):
    folder = installed("strategies", gone="nowhere:gone", torn="torn:torn")
    (folder / "torn.py").write_text("def torn(")
    found = families()
    gone, torn = found.pop("not-readable")
    assert (gone.name, torn.name) == ("gone", "torn")
    assert gone.summary == "entry point gone: module nowhere does not exist: reinstall its package"
    assert torn.summary.startswith(f"entry point torn: {folder / 'torn.py'} cannot be read: ")
    assert "random" in found
    assert "random-search" in names_of(["random"])


def test_a_strategy_that_cannot_be_imported_is_left_out_with_the_reason(installed):
    folder = installed("strategies", gone="nowhere:gone", broken="breaking:search", walk="treading:search")
    search = "def search(problem, rng):\n    yield 0\n"
    (folder / "breaking.py").write_text(f"import math\nmath.sqrt(-1)\n{search}")
    (folder / "treading.py").write_text(search)
    families = ["not-readable", "breaking", "treading"]
    entries, left_out = usable_strategies(families, ["nb201-cifar10"], Protocol())
    assert [entry.use for entry in entries] == ["walk"]
    assert left_out == [
        "left out: strategy broken cannot be imported: ValueError: math domain error",
        "left out: strategy gone needs nowhere, which is not installed",
    ]


def test_the_default_study_has_five_strategies():
    assert [entry.use for entry in strategy_refs(None)] == list(DEFAULT_STRATEGIES)
    assert set(DEFAULT_STRATEGIES) < set(strategy_entry_points())


def test_families_choose_and_unknown_ones_are_refused():
    assert names_of(["evolution", "local", "local"]) == [
        name for name in strategy_entry_points() if describe(name).family in ("evolution", "local")
    ]
    with pytest.raises(UnknownNameError, match="unknown family 'evolutoin': did you mean 'evolution'"):
        names_of(["evolutoin"])


def test_strategies_that_cannot_run_are_left_out_with_the_reason():
    entries, left_out = usable_strategies(["training-free", "local"], ["nb201-cifar10", "graph-cora"], Protocol())
    assert "local-search" in [entry.use for entry in entries]
    assert not {"best-by-score", "score-ordered"} & {entry.use for entry in entries}
    reason = "left out: strategy best-by-score needs training-free scores, and the table of task graph-cora has none"
    assert left_out[0].startswith(reason)
    with pytest.raises(InvalidInputError, match=r"none of these strategies can run on these tasks\nleft out: "):
        usable_strategies(["training-free"], ["graph-cora"], Protocol())


def test_the_markdown_row():
    reference = "Reference: 1.0 / 2.0 / 3.0 % (accuracy, mean of 1,000 seeds at 50 evaluations)."
    text = f"Walk: goes | on.\n\nA, 1999.\n\n{reference}"
    shown = as_markdown({"local": [Description("walk", "local", text, ("torch", "optuna"))]})
    assert "| `walk` | goes ¦ on. | A, 1999. | torch, optuna | 1.0 | 2.0 | 3.0 | 50 | 1,000 |\n" in shown
    bare = as_markdown({"local": [Description("walk", "local", "Walk.", ())]})
    assert "| `walk` | Walk. |  |  |  |  |  |  |  |\n" in bare
