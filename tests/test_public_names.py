"""Every name that a public signature speaks of is public itself."""

import ast
import builtins
import inspect
import re
import sys
from functools import cache

import pytest

import nasbench_harness

# Made by the harness only: users read their public attributes and call their public methods.
RECEIVED = {
    "Metric",
    "Objective",
    "Problem",
    "RunStream",
    "RunStreams",
    "Source",
    "Sources",
    "Study",
    "Table",
    "Task",
    "TaskCheck",
    "TaskView",
    "Verification",
}
# Members that speak of names which stay inside, and the reason.
INSIDE = {
    # Users print, draw or unpack these results; nobody writes the name of their class.
    *("Study.analysis", "Study.figure", "Study.run_sets", "Study.table", "Study.write_report"),
    *("TaskCheck.verdict", "TaskCheck.difference", "Verification.outcome", "Verification.progressed"),
    # Arrays of a table and their use by the engine: strategies must not read them, reports use ``scores``.
    *("Table.column", "Table.metrics", "Table.datasets", "Task.trained"),
    *("TaskView.oracle", "TaskView.search", "TaskView.measures"),
    # A trainer of the user's returns the estimate that the shipped one makes.
    "Trainer.estimate",
    # RandomSource is an alias of Any: a space takes RunStream and RunStreams alike, both of which are public.
    *("SearchSpace.sample", "SearchSpace.mutate", "SearchSpace.crossover"),
}


def annotated(name):
    """(member, annotation as text, module) of every annotation of a public function or class."""
    value = getattr(nasbench_harness, name)
    module = sys.modules.get(getattr(value, "__module__", ""))
    if inspect.isfunction(value):
        for text in value.__annotations__.values():
            yield name, text, module
    elif inspect.isclass(value):
        if name not in RECEIVED and "__init__" in vars(value):
            for text in value.__init__.__annotations__.values():
                yield name, text, module
        for member, text in vars(value).get("__annotations__", {}).items():
            if not member.startswith("_"):
                yield f"{name}.{member}", text, module
        for member, found in vars(value).items():
            found = found.fget if isinstance(found, property) else found
            found = getattr(found, "__func__", getattr(found, "func", found))
            if not member.startswith("_") and inspect.isfunction(found) and found.__module__ == value.__module__:
                for text in found.__annotations__.values():
                    yield f"{name}.{member}", text, module


@cache
def tree_of(module):
    return ast.parse(inspect.getsource(module))


def own_names(text, module):
    """Names in an annotation that the package defines."""
    text = text if isinstance(text, str) else getattr(text, "__forward_arg__", getattr(text, "__name__", str(text)))
    used = {node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)}
    tree = tree_of(module)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported = {a.asname or a.name: (node.module, a.name) for node in imports for a in node.names}
    defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    aliases = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    for node in aliases:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        defined |= {target.id for target in targets if isinstance(target, ast.Name)}
    variables = {ast.unparse(node.targets[0]) for node in aliases if "= TypeVar(" in ast.unparse(node)}
    for name in used - variables:
        home, own = imported.get(name, (module.__name__ if name in defined else "", name))
        if home.startswith("nasbench_harness"):
            yield own


@cache
def hidden_names(name):
    """(member, name) where a member of a public name speaks of one that is not public."""
    return {
        (member, own)
        for member, text, module in annotated(name)
        for own in own_names(text, module)
        if own not in nasbench_harness.__all__
    }


@pytest.mark.parametrize("name", nasbench_harness.__all__)
def test_names_in_public_signatures_are_public(name):
    assert not {f"{member} speaks of {own}" for member, own in hidden_names(name) if member not in INSIDE}


def test_every_exception_is_one():
    found = {member for name in nasbench_harness.__all__ for member, _ in hidden_names(name)}
    assert found >= INSIDE
    assert set(nasbench_harness.__all__) >= RECEIVED


def raised(value):
    """Names of exceptions in the ``Raises:`` section of a docstring."""
    section = (inspect.getdoc(value) or "").partition("\nRaises:\n")[2].partition("\n\n")[0]
    return re.findall(r"^    (\w+): ", section, flags=re.MULTILINE)


@pytest.mark.parametrize("name", nasbench_harness.__all__)
def test_exceptions_that_docstrings_name_can_be_imported(name):
    value = getattr(nasbench_harness, name)
    members = list(vars(value).values()) if inspect.isclass(value) else []
    names = {error for one in (value, *members) for error in raised(one)}
    assert {error for error in names if not hasattr(builtins, error)} <= set(nasbench_harness.__all__)
