"""Every name that a public signature speaks of is public itself."""

import ast
import inspect
import sys

import pytest

import nasbench_harness

# Made by the harness only: users read their public attributes and call their public methods.
RECEIVED = {
    "Metric",
    "Objective",
    "Problem",
    "RunStream",
    "RunStreams",
    "Study",
    "Table",
    "Task",
    "TaskCheck",
    "TaskView",
    "Verification",
}
# Steps of the harness's own commands, and results that people print, draw or unpack without their class's name.
INSIDE = {
    "Study.run_sets",
    *("Study.analysis", "Study.table", "Study.figure"),
    *("Table.column", "Table.metrics", "Table.datasets", "Table.provenance", "Task.provenance", "Task.trained"),
    *(
        "TaskView.oracle",
        "TaskView.search",
        "TaskView.provenance",
        "TaskView.measures",
        "TaskCheck.verdict",
        "TaskCheck.difference",
    ),
    *("Verification.outcome", "Verification.progressed"),
    *("Trainer.estimate", "Metric.direction", "Metric.role", "Objective.metric"),
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


def own_names(text, module):
    """Names in an annotation that the package defines."""
    text = text if isinstance(text, str) else getattr(text, "__forward_arg__", getattr(text, "__name__", str(text)))
    used = {node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)}
    tree = ast.parse(inspect.getsource(module))
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


@pytest.mark.parametrize("name", nasbench_harness.__all__)
def test_names_in_public_signatures_are_public(name):
    hidden = {
        f"{member} speaks of {own}"
        for member, text, module in annotated(name)
        if member not in INSIDE
        for own in own_names(text, module)
        if own not in nasbench_harness.__all__
    }
    assert not hidden
