"""Old scripts, run as they are or with the lines changed that docs/keep-your-script.md names."""

from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "scripts"
NAMES = sorted(path.stem for path in SCRIPTS.glob("*.py"))


@pytest.fixture
def old_script():
    """Function (name, {line: its replacement}, names that the script reads) -> its global names after it ran."""

    def run(name, replaced, **names):
        lines = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8").splitlines()
        assert set(replaced) <= set(lines), "a line to be replaced is not in the script"
        text = "\n".join(replaced.get(line, line) for line in lines)
        settings = {"SEED": 0, "DATASET": "cifar10", "TIME_BUDGET": 0.0, **names}
        exec(compile(text, name, "exec"), settings)  # noqa: S102 - the script is part of the tests
        return settings

    return run
