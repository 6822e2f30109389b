"""A command in a generated file repeats the study that the file shows."""

import shlex
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_harness.cli.studies import compare
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.store.identity import study_id
from nasbench_harness.store.record import ReportOptions, StrategyRecord, StudyRecord
from nasbench_harness.studies.commands import canonical_command

RECORD = StudyRecord((StrategyRecord("random-search", "random-search"),), ("nb201-cifar10",), 2, Protocol(), 0)


def options_of(command):
    """Options that the command line passes on."""
    words = shlex.split(command)
    assert words[:2] == ["nasbench-harness", "compare"]
    return compare.make_context("compare", words[2:]).params


@st.composite
def protocols(draw):
    """Protocols over every field."""
    budgets = {
        "evaluations": draw(st.none() | st.just(200) | st.integers(11, 1_000_000)),
        "simulated_seconds": draw(st.none() | st.floats(1e-6, 1e15)),
        "epochs": draw(st.none() | st.integers(1, 1_000)),
    }
    later = budgets["simulated_seconds"] is not None or budgets["epochs"] is not None
    fidelity = draw(st.sampled_from([None, 12, "all", "12,200"]))
    workers = draw(st.integers(1, 3))
    duplicates = draw(st.sampled_from(["charge", "free", "forbid"]))
    may_be_class = duplicates != "charge" and not isinstance(fidelity, str)
    has_sources = draw(st.booleans())
    return Protocol(
        **budgets,
        noise=draw(st.sampled_from(["per_query", "per_run", "replicate=1", "mean"])),
        duplicates=duplicates,
        duplicates_by=draw(st.sampled_from(["index", "class"])) if may_be_class else "index",
        selection=draw(st.sampled_from(["own", "incumbent"])),
        overrun=draw(st.sampled_from(["discard", "count"])) if later else "discard",
        fidelity=fidelity,
        continuation=draw(st.sampled_from(["checkpoint", "restart"])) if isinstance(fidelity, str) else "checkpoint",
        workers=workers,
        mode=draw(st.sampled_from(["async", "sync"])) if workers > 1 else "async",
        objectives=draw(st.sampled_from([(), ("val_accuracy", "latency_ms")])),
        constraints=draw(st.sampled_from([(), ("latency_ms<=5",), ("latency_ms<=q25", "params_m<=0.5")])),
        sources=("nb201-cifar100",) if has_sources else (),
        source_evaluations=10 if has_sources else None,
        source_cost=draw(st.sampled_from(["reported", "free"])) if has_sources else "charged",
        instances=draw(st.sampled_from(["same", "relabel"])),
    )


@given(protocols(), st.sampled_from([0, 7]))
def test_the_flags_of_a_command_give_its_protocol_back(protocol, study_seed):
    options = options_of(canonical_command(replace(RECORD, protocol=protocol, study_seed=study_seed)))
    flags = {field.name: options[field.name] for field in fields(Protocol) if options[field.name] is not None}
    assert study_id(Protocol(**flags), options["study_seed"] or 0) == study_id(protocol, study_seed)
    assert Protocol(**flags) == protocol


@pytest.mark.parametrize(("resamples", "is_in_file"), [(2_000, False), (10_000, False), (3_000, True)])
def test_resamples_that_no_flag_names_need_the_study_file(resamples, is_in_file):
    command = canonical_command(replace(RECORD, report=ReportOptions(resamples=resamples)))
    assert ("--config" in command) == is_in_file
    assert options_of(command)["paper"] == (resamples == 10_000)
