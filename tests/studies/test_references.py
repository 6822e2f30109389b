"""How strategies are written, and how the words become code."""

import sys
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from textwrap import dedent

import pytest

from nasbench_harness import open_study, run
from nasbench_harness.engine.resolved import ResolvedStrategy
from nasbench_harness.engine.strategy import Strategy
from nasbench_harness.errors import HarnessError, InvalidInputError, UnknownNameError
from nasbench_harness.store.record import StrategyRef
from nasbench_harness.studies.catalog import describe, strategy_entry_points
from nasbench_harness.studies.references import parse_strategy, resolve, resolve_all, source_hash, split_list

GENERATOR = '''
"""A module."""

STEP = 1


def my_search(problem, rng, *, temperature=1.0, name="x", wide=False):
    """Search."""
    while True:
        yield rng.integers(10)  # draw
'''
_numbers = count()


def defined_without_arguments():
    yield 1


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Write a module of a fresh name into the current folder, which is empty at first; returns the name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names = []

    def write(text: str = GENERATOR, name: str | None = None) -> str:
        name = name or f"written_module_{next(_numbers)}"
        Path(f"{name}.py").write_text(dedent(text), encoding="utf-8")
        names.append(name)
        return name

    yield write
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        (" , ,", []),
        ("a", ["a"]),
        ("a,b , c", ["a", "b", "c"]),
        ("a(x=1,y=2),b", ["a(x=1,y=2)", "b"]),
        ("a(x=[1,2],y='u,v'),b(z={p=1,q=2})", ["a(x=[1,2],y='u,v')", "b(z={p=1,q=2})"]),
        ("""a(x="),("),b(y="it's, so")""", ["""a(x="),(")""", """b(y="it's, so")"""]),
        ("mine=m:f(a=1), other=r", ["mine=m:f(a=1)", "other=r"]),
    ],
)
def test_lists_are_split_at_commas_outside_brackets_and_quotes(text, parts):
    assert split_list(text) == parts


@pytest.mark.parametrize(("text", "what"), [("a(x=1,b", "bracket"), ("a),b", "bracket"), ("a(x='1),b", "quote")])
def test_an_open_bracket_or_quote_is_refused(text, what):
    with pytest.raises(InvalidInputError, match=f"a {what} is left open"):
        split_list(text)


@pytest.mark.parametrize(
    ("text", "use", "label", "parameters"),
    [
        ("random-search", "random-search", None, {}),
        (" random-search ", "random-search", None, {}),
        ("random-search()", "random-search", None, {}),
        ("re 10.3_a-b = regularized-evolution", "regularized-evolution", "re 10.3_a-b", {}),
        ("my_package.search:my_search(temperature=0.5)", "my_package.search:my_search", None, {"temperature": 0.5}),
        ("a=m:f(b=1,c='x=(1)')", "m:f", "a", {"b": 1, "c": "x=(1)"}),
        ("m:f(b = true, c = [1, 2], d = 1e-3, e = -5)", "m:f", None, {"b": True, "c": [1, 2], "d": 1e-3, "e": -5}),
        ("m:f(a={b=1})", "m:f", None, {"a": {"b": 1}}),
    ],
)
def test_entries_are_label_reference_and_a_toml_table(text, use, label, parameters):
    entry = parse_strategy(text)
    assert (entry.use, entry.label, entry.parameters) == (use, label, parameters)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no name before the parameters"),
        ("(a=1)", "no name before the parameters"),
        ("label=", "no name before the parameters"),
        ("f(a=1", r"must end with '\)'"),
        ("f(a=1)x", r"must end with '\)'"),
        ("f(a=x)", "cannot read the parameters .* strings in quotes, true and false in lower case"),
        ("f(a=True)", "cannot read the parameters"),
        ("f(a)", "cannot read the parameters"),
        ("f(a=1,a=2)", "cannot read the parameters"),
        ("lab/el=f", "label 'lab/el': use letters, digits"),
        ("=f", "label"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(InvalidInputError, match=message):
        parse_strategy(text)


@pytest.mark.parametrize("label", ["", "a/b", "a:b", "é", "a\nb", "a=b"])
def test_labels_have_letters_digits_and_four_signs(label):
    with pytest.raises(InvalidInputError, match=r"use letters, digits, '\.', '_', '-' and spaces only"):
        resolve(StrategyRef("random-search", label))


def test_a_registered_name_is_resolved_with_its_defaults():
    spec = resolve(parse_strategy("regularized-evolution(sample_size=3)"))
    assert spec.reference == "regularized-evolution"
    assert spec.parameters == {"population_size": 30, "sample_size": 3}
    assert spec.label == "regularized-evolution(sample_size=3)"
    assert spec.target.__name__ == "RegularizedEvolution"
    assert not spec.is_generator


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("regularized-evolution", "regularized-evolution"),
        ("regularized-evolution(population_size=30)", "regularized-evolution"),
        (  # in the order of the signature: the same strategy has the same label however it is written
            "regularized-evolution(sample_size=3,population_size=10)",
            "regularized-evolution(population_size=10,sample_size=3)",
        ),
        ("re-10-3=regularized-evolution(population_size=10,sample_size=3)", "re-10-3"),
        ("local-search(acceptance='steepest',num_initial=10)", "local-search(acceptance=steepest)"),
    ],
)
def test_the_default_label_names_what_differs_from_the_defaults(text, label):
    assert resolve(parse_strategy(text)).label == label


def test_the_label_is_no_part_of_reference_or_parameters():
    first, second = (resolve(parse_strategy(text)) for text in ("random-search", "mine=random-search"))
    assert (first.reference, first.parameters, first.source_hash) == (
        second.reference,
        second.parameters,
        second.source_hash,
    )


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown strategy 'random-serch': did you mean 'random-search'\?"):
        resolve(StrategyRef("random-serch"))
    with pytest.raises(UnknownNameError, match=r"known: .*local-search, .*random-search, .*regularized-evolution"):
        resolve(StrategyRef("zzz"))
    with pytest.raises(UnknownNameError, match=r"code of your own is written my_package\.search:NAME"):
        resolve(StrategyRef("my_package.search.MySearch"))
    with pytest.raises(
        UnknownNameError,
        match=r"hyperparameter 'population' in strategy regularized-evolution: did you mean 'population_size'\?",
    ):
        resolve(parse_strategy("regularized-evolution(population=10)"))


def test_every_registered_strategy_resolves_and_is_described():
    assert {"random-search", "local-search", "regularized-evolution"} <= set(strategy_entry_points())
    for name in strategy_entry_points():
        assert describe(name).text
        if find_spec("torch") is None and "torch" in describe(name).needs:
            with pytest.raises(InvalidInputError, match=r"needs torch.*: pip install"):
                resolve(StrategyRef(name))
        else:
            assert resolve(StrategyRef(name)).reference == name
    with pytest.raises(UnknownNameError, match="unknown strategy 'nope'"):
        describe("nope")


def test_a_class_that_is_registered_has_its_registered_name():
    by_name = resolve(StrategyRef("random-search"))
    assert resolve(StrategyRef(by_name.target)) == by_name


def test_code_of_the_current_folder_is_found(write_module):
    name = write_module()
    spec = resolve(parse_strategy(f"mine={name}:my_search(temperature=0.5)"))
    assert spec.reference == f"{name}:my_search"
    assert spec.label == "mine"
    assert spec.parameters == {"temperature": 0.5, "name": "x", "wide": False}
    assert spec.is_generator


def test_the_current_folder_comes_first(write_module, tmp_path, monkeypatch):
    name = write_module()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{name}.py").write_text("raise RuntimeError('the wrong module')")
    monkeypatch.syspath_prepend(elsewhere)
    assert resolve(StrategyRef(f"{name}:my_search")).target.__module__ == name


def test_attributes_of_attributes_are_found(write_module):
    name = write_module("class Box:\n    @staticmethod\n    def search(problem, rng):\n        yield 1\n")
    assert resolve(StrategyRef(f"{name}:Box.search")).is_generator


def test_missing_modules_and_attributes_are_named(write_module):
    name = write_module()
    with pytest.raises(
        InvalidInputError, match=r"strategy no_such_module:f: no module 'no_such_module' in .* installed packages$"
    ):
        resolve(StrategyRef("no_such_module:f"))
    with pytest.raises(InvalidInputError, match=r"installed packages: write the module without \.py$"):
        resolve(StrategyRef(f"{name}.py:my_search"))
    with pytest.raises(UnknownNameError, match=f"unknown attribute 'my_serch' in {name}: did you mean 'my_search'"):
        resolve(StrategyRef(f"{name}:my_serch"))
    with pytest.raises(UnknownNameError, match="unknown attribute ''"):
        resolve(StrategyRef(f"{name}:"))


def test_a_module_that_fails_is_told_apart_from_one_that_is_missing(write_module):
    lacks = write_module("import a_package_that_is_not_here\n")
    with pytest.raises(HarnessError, match=f"importing {lacks} needs a_package_that_is_not_here: install it"):
        resolve(StrategyRef(f"{lacks}:f"))
    breaks = write_module("1 / 0\n")
    with pytest.raises(HarnessError, match=f"importing {breaks} failed with ZeroDivisionError: division by zero"):
        resolve(StrategyRef(f"{breaks}:f"))
    says_more = write_module("raise RuntimeError('one\\x1b[31m\\ntwo')\n")
    with pytest.raises(HarnessError, match=r"failed with RuntimeError: one\N{REPLACEMENT CHARACTER}\[31m$"):
        resolve(StrategyRef(f"{says_more}:f"))


def test_an_abstract_class_is_refused_naming_what_it_lacks(write_module):
    name = write_module("""
        from nasbench_harness.engine.strategy import Strategy
        class Half(Strategy):
            def ask(self, idle):
                return None
        """)
    with pytest.raises(InvalidInputError, match=f"strategy {name}:Half: the class does not define tell"):
        resolve(StrategyRef(f"{name}:Half"))
    with pytest.raises(InvalidInputError, match="the class does not define ask, tell"):
        resolve(StrategyRef(Strategy))


@pytest.mark.parametrize(
    "text",
    [
        "def thing(problem, rng):\n    return 3\n",
        "thing = 5\n",
        "class thing:\n    pass\n",
        "thing = lambda problem, rng: 3\n",
        "import math as thing\n",
        "from functools import partial as thing\n",
        "async def thing(problem, rng):\n    yield 1\n",
    ],
)
def test_what_is_no_strategy_is_refused_with_how_to_write_one(write_module, text):
    name = write_module(text)
    with pytest.raises(
        InvalidInputError,
        match=r"neither a Strategy class nor a generator function: .* must yield architectures, e\.g\. `evaluation",
    ):
        resolve(StrategyRef(f"{name}:thing"))


def test_objects_that_are_no_strategy_are_refused_the_same_way():
    def plain(problem, rng):
        return 3

    with pytest.raises(InvalidInputError, match="neither a Strategy class nor a generator function"):
        resolve(StrategyRef(plain))
    with pytest.raises(InvalidInputError, match="neither a Strategy class nor a generator function"):
        resolve(StrategyRef(len))


@pytest.mark.parametrize(
    "thing", [object(), partial(defined_without_arguments), 5], ids=["object", "partial", "number"]
)
def test_objects_without_a_name_are_refused_the_same_way(thing):
    with pytest.raises(InvalidInputError, match="neither a Strategy class nor a generator function"):
        resolve(StrategyRef(thing))


def test_a_hyperparameter_without_default_needs_a_value(write_module):
    name = write_module("def f(problem, rng, size, *, rate):\n    yield size\n")
    with pytest.raises(
        InvalidInputError, match=f"strategy {name}:f: hyperparameter rate has no default: give it a value"
    ):
        resolve(parse_strategy(f"{name}:f(size=1)"))
    assert resolve(parse_strategy(f"{name}:f(size=1,rate=2)")).parameters == {"size": 1, "rate": 2}
    assert resolve(parse_strategy(f"{name}:f(size=1,rate=2)")).label == f"{name}:f(size=1,rate=2)"


@pytest.mark.parametrize(("text", "fault"), [("<b>", "holds an HTML tag"), ("a\nb", "holds a line break")])
def test_a_default_label_that_no_study_may_have_is_refused_at_once(write_module, text, fault):
    name = write_module("def f(problem, rng, *, text=''):\n    yield 0\n")
    with pytest.raises(InvalidInputError, match=f"strategy {name}:f: the label made of its hyperparameters {fault}"):
        resolve(StrategyRef(f"{name}:f", parameters={"text": text}))
    assert resolve(StrategyRef(f"{name}:f", "mine", {"text": text})).label == "mine"


def test_studies_of_local_functions_can_be_opened_again(tmp_path):
    def local(problem, rng):
        while True:
            yield problem.space.sample(rng)

    home = f"{__name__}:test_studies_of_local_functions_can_be_opened_again"
    given = run([local], ["nb201-cifar10"], seeds=2, evaluations=4, out=tmp_path)
    assert given.analysis.labels == open_study(tmp_path).analysis.labels == (f"{home}.local",)


def test_a_function_must_take_problem_and_rng(write_module):
    name = write_module("def f(problem):\n    yield 1\n")
    with pytest.raises(InvalidInputError, match=r"must take \(problem, rng, \*, hyperparameters\)"):
        resolve(StrategyRef(f"{name}:f"))


def test_hyperparameters_must_be_json_values(write_module):
    name = write_module()
    with pytest.raises(InvalidInputError, match="hyperparameters must be JSON values"):
        resolve(parse_strategy(f"{name}:my_search(temperature=2020-01-01)"))


def test_two_entries_with_one_identity_are_refused():
    entries = [parse_strategy("a=regularized-evolution(population_size=30)"), parse_strategy("b=regularized-evolution")]
    with pytest.raises(
        InvalidInputError, match=r"strategies 'a' and 'b' are the same \(regularized-evolution with equal"
    ):
        resolve_all(entries)


def test_numbers_are_the_same_by_value():
    entries = [parse_strategy("a=reinforce(learning_rate=1)"), parse_strategy("b=reinforce(learning_rate=1.0)")]
    with pytest.raises(InvalidInputError, match=r"strategies 'a' and 'b' are the same \(reinforce with equal"):
        resolve_all(entries)
    entries[1] = parse_strategy("b=reinforce(learning_rate=1.5)")
    assert [spec.label for spec in resolve_all(entries)] == ["a", "b"]


def test_two_entries_with_one_label_are_refused():
    with pytest.raises(InvalidInputError, match="two strategies have the label 'a': give one another label="):
        resolve_all([parse_strategy("a=random-search"), parse_strategy("a=local-search")])


def test_entries_are_resolved_in_order_and_at_least_one_is_needed():
    texts = ["local-search", "random-search", "local-search(num_initial=1)"]
    specs = resolve_all([parse_strategy(text) for text in texts])
    assert [spec.label for spec in specs] == texts
    assert all(isinstance(spec, ResolvedStrategy) for spec in specs)
    with pytest.raises(InvalidInputError, match="no strategies given: name at least one"):
        resolve_all([])


def hash_of(write_module, text):
    return resolve(StrategyRef(f"{write_module(text)}:my_search")).source_hash


def test_docstrings_comments_and_layout_change_no_hash(write_module):
    original = hash_of(write_module, GENERATOR)
    assert hash_of(write_module, GENERATOR.replace("# draw", "# another comment")) == original
    assert hash_of(write_module, GENERATOR.replace('"""Search."""', '"""Search, documented better."""')) == original
    assert hash_of(write_module, GENERATOR.replace('    """Search."""\n', "")) == original
    assert hash_of(write_module, GENERATOR.replace('"""A module."""', "")) == original
    assert (
        hash_of(write_module, GENERATOR.replace("\n\n\n", "\n\n\n\n\n").replace("STEP = 1", "STEP  =  1")) == original
    )


@pytest.mark.parametrize(
    ("old", "new"), [("integers(10)", "integers(11)"), ("STEP = 1", "STEP = 2"), ("temperature=1.0", "temperature=2.0")]
)
def test_code_of_the_same_file_changes_the_hash(write_module, old, new):
    assert hash_of(write_module, GENERATOR.replace(old, new)) != hash_of(write_module, GENERATOR)


def run_in_main(tmp_path, text):
    """Hash of ``my_search`` of a script that is run."""
    import subprocess

    script = tmp_path / "script.py"
    script.write_text(
        text + "\nfrom nasbench_harness.studies.references import source_hash\nprint(source_hash(my_search))\n"
    )
    return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout


@pytest.mark.thorough
def test_in_a_script_only_the_object_itself_counts(tmp_path):
    original = run_in_main(tmp_path, GENERATOR)
    assert run_in_main(tmp_path, GENERATOR.replace("STEP = 1", "STEP = 2")) == original
    assert run_in_main(tmp_path, GENERATOR.replace("# draw", "")) == original
    assert run_in_main(tmp_path, GENERATOR.replace("Search.", "Find.")) == original
    assert run_in_main(tmp_path, GENERATOR.replace("integers(10)", "integers(11)")) != original


def defined_without_source(text, name="f"):
    namespace = {"__name__": "no_file_at_all"}
    exec(text, namespace)  # noqa: S102 - code without a file is what is tested
    return namespace[name]


ANONYMOUS = "def f(problem, rng):\n    for _ in range(9):\n        yield rng.integers(10)\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [("integers(10)", "integers(11)"), ("rng.integers", "rng.uniform"), ("yield rng", "yield 1 + rng")],
    ids=["constant", "name", "operation"],
)
def test_bytecode_stands_in_where_there_is_no_source(old, new):
    original = source_hash(defined_without_source(ANONYMOUS))
    assert source_hash(defined_without_source(ANONYMOUS)) == original
    assert source_hash(defined_without_source(ANONYMOUS.replace(old, new))) != original


def test_bytecode_of_a_classs_methods_stands_in_too():
    text = "class f:\n    def ask(self, idle):\n        return idle + {}\n"
    first, again, other = (source_hash(defined_without_source(text.format(number))) for number in ("1", "1", "idle"))
    assert first == again
    assert first != other


def test_functions_of_functions_are_hashed_with_their_file():
    def local(problem, rng):
        yield 1

    spec = resolve(StrategyRef(local))
    assert spec.reference.endswith(":test_functions_of_functions_are_hashed_with_their_file.<locals>.local")
    assert spec.source_hash == source_hash(defined_in_this_file)


def defined_in_this_file(problem, rng):
    yield 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_hyperparameter_without_a_place_in_json_is_refused(value):
    def search(problem, rng, *, rate=value):
        yield problem.space.sample(rng)

    with pytest.raises(InvalidInputError, match="rate must be a finite number, got"):
        resolve(StrategyRef(search))


def test_values_of_an_enclosing_function_belong_to_a_strategy():
    def made(size, helper):
        def search(problem, rng):
            yield problem.space.sample(rng) % size
            yield helper

        return search

    first, again, other = (source_hash(made(size, object())) for size in (1, 1, 5000))
    assert first == again != other
    assert source_hash(made(1, object())) == first  # an object without a value is known by its kind
    circle = []
    circle.append(circle)
    assert source_hash(made(1, circle)) == source_hash(made(1, circle))
