"""The package stays a house: small modules and classes, and imports without a circle."""

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import nasbench_harness

ROOT = Path(nasbench_harness.__file__).parent
MAX_MODULE, MAX_CLASS, MAX_MEMBERS = 350, 250, 20


@cache
def modules():
    """(path below the package, syntax tree) of every module."""
    return {path.relative_to(ROOT): ast.parse(path.read_text("utf-8")) for path in sorted(ROOT.rglob("*.py"))}


def test_modules_and_classes_are_small():
    for path, tree in modules().items():
        num_lines = len((ROOT / path).read_text("utf-8").splitlines())
        assert num_lines <= MAX_MODULE, f"{path} has {num_lines} lines"
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                size = node.end_lineno - node.lineno + 1
                assert size <= MAX_CLASS, f"{path}: {node.name} has {size} lines"
                public = {
                    member.name
                    for member in node.body
                    if isinstance(member, ast.FunctionDef) and not member.name.startswith("_")
                }
                assert len(public) <= MAX_MEMBERS, f"{path}: {node.name}: {len(public)} members"


def imports_of(tree, names):
    """Modules of the package that a module imports when it runs, also inside functions."""
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in hidden and (node.module or "").startswith(ROOT.name):
            home = node.module.removeprefix(f"{ROOT.name}").lstrip(".")
            for alias in node.names:
                inside = f"{home}.{alias.name}".lstrip(".")
                yield inside if inside in names else home


def test_no_module_imports_itself_in_a_circle():
    found = modules()
    names = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): tree for path, tree in found.items()}
    graph = {name: set(imports_of(tree, names)) - {name} for name, tree in names.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle
