"""Requests of small studies."""

from nasbench_harness.store.study_file import StudyRequest
from nasbench_harness.studies.choosing import strategy_refs


def request(strategies, tasks, seeds, evaluations=4, **others):
    """A request of these strategies, as ``compare`` takes them, on these tasks."""
    return StudyRequest(
        tuple(strategy_refs(strategies)), tuple(tasks), seeds, protocol={"evaluations": evaluations}, **others
    )
