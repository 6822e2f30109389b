"""With torch installed the core behaves as without it: it neither loads it nor touches its generator."""

import subprocess
import sys

import pytest


def test_the_main_job_does_not_load_torch(tmp_path):
    script = (
        "import sys, importlib.util\n"
        "assert importlib.util.find_spec('torch')\n"
        "from nasbench_harness import compare\n"
        f"compare(['random-search'], ['nb201-cifar10'], seeds=10, evaluations=10, out={str(tmp_path)!r})\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_study_leaves_the_generator_of_torch_alone(tmp_path):
    torch = pytest.importorskip("torch")
    from nasbench_harness import compare

    state = torch.get_rng_state()
    compare(["regularized-evolution"], ["nb201-cifar10"], seeds=10, evaluations=40, out=tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
