import numpy as np
import pytest

from nasbench_harness.errors import InvalidInputError
from nasbench_harness.evaluation.task import load_task
from nasbench_harness.verification.design import choose_candidates, make_design, training_seed


def live_convolutions(space):
    """1×1 and 3×3 convolutions on any of the four paths from input to output, counted path by path."""
    counts = []
    for index in range(space.num_architectures):
        edge = dict(zip(("01", "02", "12", "03", "13", "23"), space.to_key(index), strict=True))
        paths = (("01", "12", "23"), ("01", "13"), ("02", "23"), ("03",))
        live = {name for path in paths if all(edge[name] != "0" for name in path) for name in path}
        counts.append([sum(edge[name] == digit for name in live) for digit in "23"])
    return np.array(counts)


def design_of(task, finals, **options):
    defaults = {"top": 5, "kind": "matched", "num_controls": 3, "training_seeds": 2}
    return make_design(task, finals, lambda _: 0.0, 0, **{**defaults, **options})


def test_candidates_come_by_support_then_observed_loss_then_index():
    finals = np.array([7, 7, 3, 3, 5, 5, 9])
    losses = {7: 2.0, 3: 1.0, 5: 1.0, 9: 0.0}
    assert choose_candidates(np.arange(10), finals, losses.get) == ([3, 5, 7, 9], [2, 2, 2, 1])


def test_isomorphic_choices_are_one_candidate():
    classes = np.array([0, 1, 1, 3])
    finals = np.array([1, 2, 2, 3, 3])
    assert choose_candidates(classes, finals, lambda _: 0.0) == ([2, 3], [2, 2])


def test_only_runs_that_ended_with_the_very_architecture_support_it():
    """Six runs ended with the class of 1, 2 and 4, but only two with 2; three ended with 3."""
    classes = np.array([0, 1, 1, 3, 1])
    finals = np.array([1, 2, 2, 4, 4, 1, 3, 3, 3])
    assert choose_candidates(classes, finals, lambda _: 0.0) == ([3, 1], [3, 2])


def test_matched_controls_have_the_same_convolutions_and_are_connected(task, finals):
    design = design_of(task, finals)
    convolutions, connected = live_convolutions(task.space), task.space.is_connected()
    classes = task.space.canonical(np.arange(15_625))
    everyone = [architecture for block in design.blocks for architecture in block]
    assert len(set(everyone)) == 20
    assert not set(classes[list(design.candidates)]) & set(classes[[c for block in design.controls for c in block]])
    for candidate, controls in zip(design.candidates, design.controls, strict=True):
        assert (convolutions[list(controls)] == convolutions[candidate]).all()
        assert connected[list(controls)].all()
    assert design.notes == ()
    assert design == design_of(task, finals)


def test_dead_convolutions_of_a_control_do_not_count(task):
    """Node 2 of 300333 is dead, so its convolution 2 → 3 is a bias; 333000 has no path at all."""
    space = task.space
    for key, expected in (("333000", (0, 0)), ("300333", (0, 3)), ("330330", (0, 3)), ("023023", (1, 1))):
        assert tuple(space.num_live_convolutions()[space.from_key(key)]) == expected, key


def test_too_small_strata_fall_back_to_the_nearest_in_parameters(task):
    space = task.space
    full = space.from_key("333333")  # the only cell with six 3×3 convolutions
    design = design_of(task, np.array([full] * 3), top=1, num_controls=19)
    assert "fewer than 19 unused architectures have the size of 333333" in design.notes[0]
    sizes = space.params_m(10)
    assert np.abs(sizes[list(design.controls[0])] - sizes[full]).max() < 0.5


def test_random_controls_are_connected_and_no_candidates(task, finals):
    design = design_of(task, finals, kind="random", num_controls=1, top=3)
    controls = [architecture for block in design.controls for architecture in block]
    assert task.space.is_connected()[controls].all()
    assert not set(controls) & set(design.candidates)


def test_what_can_reach_no_significance_is_refused_with_what_would(task, finals):
    with pytest.raises(
        InvalidInputError, match=r"1 candidate with 3 matched controls each reach p = 0\.250 .* --top 3"
    ):
        design_of(task, finals, top=1)
    with pytest.raises(InvalidInputError, match=r"2 candidates with 1 random control each reach p = 0\.167"):
        design_of(task, finals, top=2, kind="random", num_controls=1)


def test_fewer_candidates_than_wanted_are_refused_with_their_number(task, finals):
    with pytest.raises(InvalidInputError, match=r"--top 11: .* ended with 10 different architectures only"):
        design_of(task, finals, top=11)


def test_more_controls_than_there_are(task, finals):
    with pytest.raises(InvalidInputError, match=r"--num-controls 4000: only 3,\d{3} architectures are left"):
        design_of(task, finals, kind="random", num_controls=4_000)


def test_tasks_that_cannot_be_trained_are_refused_by_name(finals):
    with pytest.raises(InvalidInputError, match="task graph-cora cannot be trained"):
        design_of(load_task("graph-cora"), finals)


def test_training_seeds_are_new_and_distinct():
    seeds = {training_seed(0, text, number) for text in ("a", "b") for number in range(10)}
    assert len(seeds) == 20
    assert training_seed(0, "a", 1) != training_seed(1, "a", 1)
    assert max(seeds) < 2**31
