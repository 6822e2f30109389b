"""Commands for the tests: forks of one process that has imported everything, so that none pays for the imports.

A fork has a memory, a folder, an environment and an end of its own, as a process from a shell has. Start the commands
whose start is the subject of a test (the hash seed, encodings, workers) as processes instead.

Each line of standard input is a request (arguments, folder, environment, files for the two outputs); each line of
standard output answers with the exit code.
"""

import atexit
import gc
import json
import os
import sys
from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points

del sys.path[0]  # the folder of the tests, in which tests/torch would stand for torch
PRELOADED = (
    "email.parser",  # reads the entry points of packages
    "jinja2",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "nasbench_harness.api",
    "nasbench_harness.analysis.study",
    "nasbench_harness.cli",
    "nasbench_harness.report.files",
    "nasbench_harness.report.render.terminal",
    "nasbench_harness.studies.export",
    "nasbench_harness.studies.origins",
    "nasbench_harness.studies.reporting",
    "nasbench_harness.testing",
    "nasbench_harness.verification.verify",
    "nasbench_harness.verification.winners",
    "pandas",
    "pyarrow.csv",
    "pyarrow.parquet",
    "pydantic.json_schema",
    "pydantic.type_adapter",
    "scipy.special",
    "tomli_w",
)


def serve():
    """Answer requests until standard input ends; returns a request in the fork that has to run it."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            return request
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return None


def become(arguments, folder, environment, outputs):
    """Turn this process into a command that was started in a folder."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, folder)  # as python -m does
    sys.argv = ["nasbench-harness", *arguments]
    nothing = os.open(os.devnull, os.O_RDONLY)
    files = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in outputs]
    for number, file in enumerate((nothing, *files)):
        os.dup2(file, number)
        os.close(file)


if __name__ == "__main__":
    for module in PRELOADED:
        import_module(module)
    for entry in entry_points(group="nasbench_harness.strategies"):
        with suppress(Exception):  # some need packages that are not installed
            entry.load()
    gc.collect()
    gc.freeze()
    request = serve()
    if request is not None:
        become(*request)
        from nasbench_harness.cli import main

        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        sys.stdout.flush()
        sys.stderr.flush()
        atexit._run_exitfuncs()
        os._exit(code)  # tearing down what was imported would cost more than most commands
