import dataclasses
import json
import subprocess
import sys
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol, ProtocolFields


def test_defaults():
    assert dataclasses.asdict(Protocol()) == {
        "evaluations": 200,
        "noise": "per_query",
        "duplicates": "charge",
        "selection": "own",
        "simulated_seconds": None,
        "overrun": "discard",
        "duplicates_by": "index",
        "fidelity": None,
        "workers": 1,
        "mode": "async",
        "epochs": None,
        "continuation": "checkpoint",
        "objectives": (),
        "constraints": (),
        "sources": (),
        "source_evaluations": None,
        "source_cost": "charged",
        "instances": "same",
    }


@pytest.mark.parametrize("evaluations", [0, -1, 1.5, 200.0, "200", True], ids=repr)
def test_evaluations_must_be_a_positive_whole_number(evaluations):
    with pytest.raises(InvalidInputError, match=r"whole number in 1 … 1,000,000, not "):
        Protocol(evaluations=evaluations)


@pytest.mark.parametrize(
    ("field", "most"),
    [("evaluations", 10**6), ("workers", 1_000), ("epochs", 10**9 - 1), ("fidelity", 10**9 - 1)],
)
@pytest.mark.parametrize("times", [1, 10**12, 10**400])
def test_whole_numbers_have_an_upper_bound(field, most, times):
    assert getattr(Protocol(**{field: most}), field) == most
    with pytest.raises(
        InvalidInputError, match=f"^{field} must be a whole number in 1 … {most:,}, not {most + times}$"
    ):
        Protocol(**{field: most + times})


@pytest.mark.parametrize("noise", ["per_query", "per_run", "mean", "replicate=0", "replicate=12"])
def test_noise_choices(noise):
    protocol = Protocol(noise=noise)
    assert protocol.replicate == (int(noise[10:]) if noise.startswith("replicate") else None)


@pytest.mark.parametrize(
    "noise",
    [
        "",
        "per-query",
        "replicate",
        "replicate=",
        "replicate=-1",
        "replicate=1.0",
        "replicate=0\n",
        "mean ",
        3,
        None,
        "replicate=" + "9" * 5_000,
    ],
    ids=repr,
)
def test_other_noise_is_refused(noise):
    with pytest.raises(InvalidInputError, match="noise must be per_query, per_run, replicate=k or mean, not"):
        Protocol(noise=noise)


@pytest.mark.parametrize("noise", ["replicate=01", "replicate=٣"])
def test_a_replicate_has_one_spelling(noise):
    """Else one protocol would have two identities."""
    with pytest.raises(InvalidInputError):
        Protocol(noise=noise)


@pytest.mark.parametrize(
    ("field", "value", "suggestion"),
    [
        ("duplicates", "charged", "charge"),
        ("duplicates", "Free", "free"),
        ("duplicates", None, "charge"),
        ("selection", "incumbents", "incumbent"),
        ("selection", "", "own"),
    ],
)
def test_unknown_choices_suggest(field, value, suggestion):
    with pytest.raises(UnknownNameError, match=f"unknown {field} .*{suggestion}"):
        Protocol(**{field: value})


def test_mappings():
    assert Protocol.from_mapping({"evaluations": 7, "noise": "mean"}, "study.toml") == Protocol(7, "mean")
    assert Protocol.from_mapping({}, "study.toml") == Protocol()
    with pytest.raises(UnknownNameError, match=r"'evaluation' in study\.toml: did you mean 'evaluations'"):
        Protocol.from_mapping({"evaluation": 7}, "study.toml")
    with pytest.raises(InvalidInputError):
        Protocol.from_mapping({"evaluations": 0}, "study.toml")


def test_protocols_are_frozen_and_hashable():
    protocol = Protocol()
    with pytest.raises(dataclasses.FrozenInstanceError):
        protocol.evaluations = 3
    assert {Protocol(), Protocol(200)} == {protocol}


def test_the_identity_is_pinned():
    """These texts are part of the identity of stored runs: whoever changes them orphans every result."""
    assert Protocol().identity() == '{"evaluations": 200}'
    assert Protocol(300, "mean", "free", "incumbent").identity() == (
        '{"duplicates": "free", "evaluations": 300, "noise": "mean", "selection": "incumbent"}'
    )
    assert Protocol(noise="replicate=1").identity() == '{"evaluations": 200, "noise": "replicate=1"}'


def test_naming_a_default_changes_no_identity():
    explicit = Protocol(evaluations=200, noise="per_query", duplicates="charge", selection="own")
    assert explicit.identity() == Protocol().identity()
    given = {"selection": "incumbent", "noise": "mean"}
    reordered = Protocol.from_mapping(dict(reversed(given.items())), "test")
    assert Protocol.from_mapping(given, "test").identity() == reordered.identity()


def test_a_new_field_with_a_default_changes_no_identity():
    @dataclasses.dataclass(frozen=True)
    class Later(Protocol):
        added: str = "off"

    assert Later(300, "mean").identity() == Protocol(300, "mean").identity()
    assert Later(300, "mean", added="on").identity() != Protocol(300, "mean").identity()


def test_every_field_enters_the_identity():
    variants = [
        Protocol(),
        Protocol(201),
        Protocol(noise="mean"),
        Protocol(noise="per_run"),
        Protocol(noise="replicate=0"),
        Protocol(noise="replicate=1"),
        Protocol(duplicates="free"),
        Protocol(duplicates="forbid"),
        Protocol(selection="incumbent"),
        Protocol(workers=8),
        Protocol(workers=8, mode="sync"),
        Protocol(epochs=100),
        Protocol(fidelity=12),
        Protocol(fidelity="all"),
        Protocol(fidelity="12,200"),
        Protocol(fidelity="all", continuation="restart"),
        Protocol(objectives="latency_ms"),
        Protocol(objectives="val_accuracy,latency_ms"),
        Protocol(objectives="latency_ms,val_accuracy"),
        Protocol(constraints="latency_ms<=5"),
        Protocol(constraints="latency_ms<=q5"),
    ]
    assert len({variant.identity() for variant in variants}) == len(variants)
    for variant in variants:
        assert Protocol.from_mapping(json.loads(variant.identity()), "test") == variant


def test_the_identity_is_the_same_in_another_process():
    code = "from nasbench_harness.evaluation.protocol import Protocol; print(Protocol(7, 'mean', 'forbid').identity())"
    found = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert found == [Protocol(7, "mean", "forbid").identity()] * 2


def test_captions_name_the_rules():
    assert Protocol(1_500, "mean", "free").describe() == "1,500 evaluations, noise mean, duplicates free"
    assert Protocol().describe() == "200 evaluations, noise per_query, duplicates charged"


def test_seconds_alone_leave_evaluations_unbounded():
    assert Protocol(simulated_seconds=20_000).evaluations is None
    assert Protocol(100, simulated_seconds=20_000).evaluations == 100
    assert Protocol(simulated_seconds=20_000) == Protocol(simulated_seconds=20_000.0)
    assert Protocol(simulated_seconds=9.5).identity() == '{"evaluations": null, "simulated_seconds": 9.5}'


@pytest.mark.parametrize("seconds", [0, -1.0, float("inf"), float("nan"), "9", True, 1.1e15, 10**400], ids=repr)
def test_seconds_must_be_a_number_within_bounds(seconds):
    assert Protocol(simulated_seconds=10**15).simulated_seconds == 1e15
    with pytest.raises(InvalidInputError, match=r"^simulated_seconds must be a number above 0, at most 1e15, not"):
        Protocol(simulated_seconds=seconds)


def test_rules_that_could_change_nothing_are_refused():
    with pytest.raises(InvalidInputError, match="duplicates_by=class needs duplicates=free or forbid"):
        Protocol(duplicates_by="class")
    for fidelity in ("all", "1,9", {"nb201-cifar10": "all"}):
        with pytest.raises(InvalidInputError, match="duplicates_by=class needs one fidelity"):
            Protocol(duplicates="free", duplicates_by="class", fidelity=fidelity)
    with pytest.raises(InvalidInputError, match="overrun=count needs a budget of simulated_seconds"):
        Protocol(overrun="count")


def test_every_budget_is_described():
    protocol = Protocol(100, duplicates="forbid", duplicates_by="class", simulated_seconds=20_000, fidelity=12)
    assert protocol.describe() == (
        "100 evaluations or 20,000 simulated seconds (overrun discarded), noise per_query, duplicates forbidden by "
        "isomorphism class, fidelity 12 epochs"
    )
    assert Protocol(workers=8, mode="sync").describe().endswith("duplicates charged, 8 workers (sync)")


def test_fidelities_have_one_spelling():
    assert Protocol(fidelity="200, 12,12") == Protocol(fidelity="12,200")
    assert Protocol(fidelity="12") == Protocol(fidelity="12,12") == Protocol(fidelity=12)
    for text in ("", "0", "-1", "1.5", "12;200", "All", "012", "12,,200"):
        with pytest.raises(InvalidInputError, match="fidelity must be a whole number of epochs, several with commas"):
            Protocol(fidelity=text)
    with pytest.raises(InvalidInputError, match="continuation=restart needs a choice of fidelities"):
        Protocol(fidelity=12, continuation="restart")


def test_each_task_may_have_its_own_fidelity():
    protocol = Protocol(10, fidelity={"b-two": "9, 1", "a-one": 12}, continuation="restart")
    assert protocol == Protocol(10, fidelity={"a-one": "12", "b-two": "1,9"}, continuation="restart")
    assert hash(protocol) == hash(Protocol(10, fidelity={"a-one": 12, "b-two": "1,9"}, continuation="restart"))
    assert protocol.of_task("a-one") == Protocol(10, fidelity=12)
    assert protocol.of_task("b-two") == Protocol(10, fidelity="1,9", continuation="restart")
    assert protocol.of_task("c-three") == Protocol(10)
    assert protocol.describe().endswith(", fidelity by task in epochs (a-one 12, b-two 1,9)")
    assert protocol.fields_to_store()["fidelity"] == {"a-one": 12, "b-two": "1,9"}
    assert Protocol(10, fidelity=12).of_task("a-one").fidelity_by_task == {}


@pytest.mark.parametrize(
    ("fidelity", "message"),
    [
        ({}, "must name at least one task"),
        ({"a-one": 0}, "task a-one: fidelity must be a whole number"),
        ({"a-one": "some"}, "task a-one: fidelity must be a whole number of epochs, several with commas"),
        ({"a-one": {"b-two": 1}}, "task a-one: fidelity must be a whole number of epochs or a text"),
        ({"a-one": None}, "task a-one: fidelity must be a whole number of epochs or a text, not None"),
        ([("a-one", 1)], "fidelity must be a whole number in 1"),
    ],
    ids=repr,
)
def test_a_mapping_of_fidelities_is_checked(fidelity, message):
    with pytest.raises(InvalidInputError, match=message):
        Protocol(fidelity=fidelity)


def test_epochs_are_a_budget():
    assert Protocol(epochs=100).evaluations is None
    assert Protocol(epochs=100, overrun="count").describe().startswith("100 epochs (overrun counted), noise")
    described = Protocol(5, fidelity="1,9", continuation="restart").describe()
    assert described.endswith(", fidelity of 1, 9 epochs chosen by the strategy (restart)")


def test_fields_for_editors_are_those_of_the_protocol():
    typed, declared = get_type_hints(ProtocolFields), [field.name for field in dataclasses.fields(Protocol)]
    assert list(typed) == declared
    assert not ProtocolFields.__required_keys__
    for name, hint in typed.items():
        if get_origin(hint) is Literal:
            for choice in get_args(hint):
                others = {
                    "duplicates_by": {"duplicates": "free"},
                    "mode": {"workers": 2},
                    "continuation": {"fidelity": "all"},
                    "source_cost": {"sources": "a", "source_evaluations": 1},
                }
                budget = others.get(name, {"simulated_seconds": 1.0})
                assert getattr(Protocol(**{**budget, name: choice}), name) == choice
            with pytest.raises(UnknownNameError) as error:
                Protocol(**{name: "nonsense"})
            assert all(choice in str(error.value) for choice in get_args(hint))
        else:
            assert hint == get_type_hints(Protocol)[name]
