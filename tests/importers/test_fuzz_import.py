"""Damaged tables and specifications end in one clear error or in a correct table, never in anything else."""

import random
import string
import tomllib

import numpy as np
import pytest
from kit.cases import fast_first
from kit.files import rewrite

from nasbench_harness.errors import HarnessError
from nasbench_harness.importers.files.build import import_table
from nasbench_harness.importers.files.draft import draft_spec
from nasbench_harness.tables.registration import remove_table

NUM_MUTANTS = 1_200
CSV = """key,a,b,n,val_1,val_2,test,cost,energy
x:1,x,1,0,10.5,11.5,9,100,1.5
x:2,x,2,15624,20.25,21.25,19,200,
y:1,y,1,7,0.5,1.5,29,300,2.5
y:2,y,2,42,40,41,39,400,1e-3
"""
METRICS = """
[datasets.one]
title = "One"
fidelities = [1, 2]
[datasets.one.metrics.val_accuracy]
prefix = "val_"
unit = "%"
direction = "maximize"
role = "search"
resolution = "1/4"
[datasets.one.metrics.test_accuracy]
columns = { 2 = ["test"] }
unit = "%"
direction = "maximize"
role = "test"
[datasets.one.metrics.train_cost_s]
columns = "cost"
unit = "s"
direction = "minimize"
role = "cost"
proportional_to_epochs = true
[datasets.one.metrics.energy_mj]
columns = "energy"
unit = "mJ"
direction = "minimize"
role = "hardware"
free = true
may_be_missing = true
"""
SPACES = (
    'kind = "product"\ndecisions = { a = ["x", "y"], b = [1, 2] }\nnum_architectures = 4\n',
    'kind = "product"\nkey = "key"\nseparator = ":"\ndecisions = { a = ["x", "y"], b = [1, 2] }\n',
    'kind = "list"\nkey = "key"\ncolumns = ["a", "b"]\n',
    'kind = "nasbench201"\nkey = "n"\nkey_format = "index"\n',
)
SPICE = ["", ",", "\n", '"', "'", "=", "[", "]", "{", "}", "#", "\\", "/", "..", "\x00", "é", "\ud800", "\r", "\t", ";"]
SPICE += ["nan", "inf", "-1", "0", "1e999", "1e-320", "9" * 30, "true", "x", "val_1", "NA", "1/0", "0.1", "2" * 16, " "]


def mutate(text, rng):
    """One to three edits: characters, pieces, lines and cells are deleted, doubled, swapped or spiced."""
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.randint(0, 12))
        lines = text.splitlines(keepends=True)
        match rng.randrange(7):
            case 0:
                text = text[:start] + rng.choice(SPICE) + text[start:]
            case 1:
                text = text[:start] + text[end:]
            case 2:
                text = text[:start] + rng.choice(SPICE) + text[end:]
            case 3 if lines:
                lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
                text = "".join(lines)
            case 4 if lines:
                lines.pop(rng.randrange(len(lines)))
                text = "".join(lines)
            case 5 if lines:
                rng.shuffle(lines)
                text = "".join(lines)
            case _:
                text = text[:start] + rng.choice(string.printable) + text[end:]
    return text


def mutate_cell(text, rng):
    lines = text.splitlines()
    row = rng.randrange(len(lines))
    cells = lines[row].split(",")
    cells[rng.randrange(len(cells))] = rng.choice(SPICE).strip("\r\n")
    lines[row] = ",".join(cells)
    return "\n".join(lines) + "\n"


def check(table, csv, spec):
    """Every number of an imported table stands in its file, under the name that the specification gives it."""
    given = tomllib.loads(spec)
    texts = {
        float(cell) for line in csv.splitlines()[1:] for cell in line.replace('"', "").split(",") if is_float(cell)
    }
    for name, dataset in table.datasets.items():
        assert list(dataset.columns) == list(given["datasets"][name]["metrics"])
        for column in dataset.columns.values():
            assert column.values.shape[0] == dataset.space.num_architectures
            found = column.values[~np.isnan(column.values)]
            assert np.isfinite(found).all()
            if column.metric.role == "cost":
                found = column.values[:, :, -1][~np.isnan(column.values[:, :, -1])]
            near = 0.0 if column.metric.resolution is None else 0.011 * column.metric.resolution
            assert all(min(abs(value - text) for text in texts) <= near for value in found.tolist()), column.metric.name


def is_float(text):
    try:
        return np.isfinite(float(text))
    except ValueError:
        return False


@pytest.mark.parametrize("part", fast_first(range(4)))
def test_mutants_are_refused_or_right(cache, tmp_path, part):
    rng = random.Random(part)
    home = tmp_path / "home"
    home.mkdir()
    messages = []
    for number in range(NUM_MUTANTS // 4):
        csv, spec = CSV, 'name = "fuzzed"\nsource = "s"\nlicense = "l"\n[space]\n' + SPACES[part] + METRICS
        match rng.randrange(4):
            case 0:
                csv = mutate(csv, rng)
            case 1:
                csv = mutate_cell(csv, rng)
            case 2:
                spec = mutate(spec, rng)
            case _:
                csv, spec = mutate(csv, rng), mutate(spec, rng)
        rewrite(home / "t.csv", csv.encode("utf-8", "surrogatepass"))
        rewrite(home / "t.toml", spec.encode("utf-8", "surrogatepass"))
        try:
            table = import_table(home / "t.csv", home / "t.toml")
        except HarnessError as error:
            messages.append(str(error))
        except BaseException as error:
            raise AssertionError((number, csv, spec)) from error
        else:
            check(table, csv, spec)
            remove_table(table.name)
        assert {path.name for path in tmp_path.iterdir()} <= {"home", "cache"}
        assert {path.name for path in home.iterdir()} == {"t.csv", "t.toml"}
        assert not (cache / "imported").exists() or not list((cache / "imported").iterdir())
    assert all("\n" not in message for message in messages)
    assert 0.4 * NUM_MUTANTS / 4 < len(messages) < 0.98 * NUM_MUTANTS / 4


def test_drafts_of_mutants_are_toml_or_refused(tmp_path):
    rng = random.Random(0)
    drafted = 0
    for _ in range(400):
        csv = mutate(mutate(CSV, rng), rng)
        rewrite(tmp_path / "t.csv", csv.encode("utf-8", "surrogatepass"))
        try:
            text = draft_spec(tmp_path / "t.csv")
        except HarnessError:
            continue
        assert tomllib.loads(text)["datasets"]["data"]["metrics"], csv
        drafted += 1
    assert drafted > 100
