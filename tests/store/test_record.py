import pytest

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.store.record import Quoted, ReportOptions, StrategyRecord, StudyRecord, TraceRecord
from nasbench_harness.store.study_file import read_record, read_study_file

RECORD = StudyRecord(
    (
        StrategyRecord("re", "regularized-evolution", {"population_size": 10, "rate": 0.5, "on": True, "none": None}),
        StrategyRecord('mine "é"', "m:f", {"names": ["a", 'b"'], "deep": {"x": 1}, "limit": float("inf")}),
    ),
    ("nb201-cifar10",),
    30,
    Protocol(noise="replicate=1", duplicates="free"),
    7,
    ReportOptions(("mine",), ("re",), "interval", 500),
    (Quoted("DARTS", "nb201-cifar10", "val_accuracy", 39.77, 'A "paper", Table 5', n=3),),
    (TraceRecord("mine", "0123456789abcdef" * 4, ("nb201-cifar10",)),),
)


def test_record_comes_back(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(RECORD.to_toml(), encoding="utf-8")
    file = read_study_file(path)
    assert (file.seeds, file.study_seed, file.tasks) == (30, 7, ("nb201-cifar10",))
    assert Protocol.from_mapping(file.protocol, "") == RECORD.protocol
    assert (file.report, file.quoted) == (RECORD.report, RECORD.quoted)
    assert file.traces == RECORD.traces
    for written, read in zip(RECORD.strategies, file.strategies, strict=True):
        assert (read.use, read.label) == (written.reference, written.label)
        assert read.parameters == {name: value for name, value in written.parameters.items() if value is not None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sedes = 3", "unknown key 'sedes' in .*: did you mean 'seeds'"),
        ("seeds = '3'", "seeds: .*not '3'"),
        ("tasks = 'nb201-cifar10'", "tasks: "),
        ("[[strategies]]\nlabel = 'x'", "strategies.0.use is missing"),
        ("[[strategies]]\nuse = 'x'\nparameter = {}", "unknown key 'parameter' in .*: did you mean 'parameters'"),
        ("[[traces]]\nlabel = 'x'\nsha256 = 'x'\ntasks = []", "traces.0.sha256: "),
        ("[[traces]]\nlabel = 'x'\nsha = 'x'\ntasks = []", "unknown key 'sha' in .*: did you mean 'sha256'"),
        ("seeds = ", "is no TOML"),
        ("[report]\ncels = 'std'", "unknown key 'cels' in .*: did you mean 'cells'"),
        ("[report]\ncells = 'sd'", "report.cells: .*'std' or 'interval', not 'sd'"),
        ("[report]\nresamples = 10", "report.resamples: .*100, not 10"),
        ("[[quoted]]\nmethod = 'x'", "quoted.0.task is missing"),
        *(
            (f"[[quoted]]\nmethod = {method}\ntask = 't'\nmetric = 'm'\nmean = 1.0\nsource = {source}", message)
            for method, source, message in (
                (r'"a\u001b[31m"', "'s'", "quoted.0.method: it holds a line break, an escape"),
                ("'m'", r'"a\nb"', "quoted.0.source: it holds a line break, an escape"),
                ("'<script>'", "'s'", "quoted.0.method: it holds an HTML tag"),
            )
        ),
        ("[[strategies]]\nuse = 'x'\nlabel = '<b>'", "strategies.0.label: it holds an HTML tag"),
        ("[[quoted]]\nmetod = 'x'", "unknown key 'metod' in .*: did you mean 'method'"),
    ],
)
def test_mistakes_are_explained(tmp_path, text, message):
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=message):
        read_study_file(path)


def test_missing_and_binary_files_are_named(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot read the study file"):
        read_study_file(tmp_path / "none.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        read_study_file(tmp_path / "b.toml")


def test_unknown_protocol_field_suggests():
    with pytest.raises(UnknownNameError, match="did you mean 'noise'"):
        Protocol.from_mapping({"noize": "mean"}, "study.toml")


def test_seconds_alone_come_back_without_a_bound_on_evaluations(tmp_path):
    record = StudyRecord(RECORD.strategies, RECORD.tasks, 1, Protocol(simulated_seconds=20_000), 0)
    (tmp_path / "study.toml").write_text(record.to_toml(), encoding="utf-8")
    file = read_study_file(tmp_path / "study.toml")
    assert Protocol.from_mapping(file.protocol, "") == record.protocol
    assert file.report == ReportOptions()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ('duplicates = "free"\nduplicates_by = "class"\nfidelity = "all"', "duplicates_by=class needs one fidelity: "),
        ('noise = "none"', "noise must be per_query, "),
        ("rounds = 3", "unknown protocol field 'rounds' in "),
    ],
)
def test_a_record_with_rules_of_an_earlier_version_is_named_with_a_remedy(tmp_path, rules, message):
    path = tmp_path / "study.toml"
    path.write_text(f'seeds = 1\ntasks = ["t"]\n[protocol]\n{rules}\n[[strategies]]\nuse = "random-search"\n')
    with pytest.raises(InvalidInputError) as caught:
        read_record(path)
    line = str(caught.value)
    assert message in line
    assert line.count(str(path)) == 1
    assert line.endswith("; if an earlier version wrote this record, run the study again in another folder")
