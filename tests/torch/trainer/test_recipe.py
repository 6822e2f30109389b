import dataclasses
from itertools import pairwise

import pytest

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.trainer import RECIPES, recipe_of

TWELVE_EPOCHS = [0.1, 0.0983, 0.0933, 0.08536, 0.075, 0.06294, 0.05, 0.03706, 0.025, 0.01464, 0.0067, 0.0017]


def test_the_official_rates_change_once_an_epoch():
    recipe = recipe_of("nb201-12")
    rates = [recipe.rate(step, 98) for step in range(12 * 98)]
    assert rates[::98] == pytest.approx(TWELVE_EPOCHS, abs=5e-5)
    assert all(len(set(rates[start : start + 98])) == 1 for start in range(0, len(rates), 98))


def test_the_reduced_rates_rise_for_20_steps_and_fall_at_every_step():
    recipe = recipe_of("animals8-10")
    rates = [recipe.rate(step, 47) for step in range(470)]
    assert rates[0] == pytest.approx(0.1 / 20)
    assert max(rates) == rates[19] == pytest.approx(0.1, rel=0.005)
    assert all(a > b for a, b in pairwise(rates[19:]))
    assert 0 < rates[-1] < 1e-5


@pytest.mark.parametrize("name", ["nb201-200", "nb201-12", "nats-sss-90"])
def test_the_official_presets(name):
    recipe = recipe_of(name)
    assert (recipe.batch_size, recipe.momentum, recipe.nesterov, recipe.weight_decay) == (256, 0.9, True, 5e-4)
    assert (recipe.stack, recipe.warmup_steps, recipe.gpu_dtype, recipe.flip) == (1, 0, "float32", True)
    assert [side // recipe.padding_divisor for side in (32, 16)] == [4, 2]
    assert recipe.epochs == int(name.rpartition("-")[2])


def test_every_field_changes_the_digest():
    recipe = recipe_of("animals8-10")
    other = {str: "other", bool: False, int: 77, float: 0.77}
    for field in dataclasses.fields(recipe):
        changed = dataclasses.replace(recipe, **{field.name: other[type(getattr(recipe, field.name))]})
        assert changed.digest != recipe.digest, field.name
    assert len({recipe.digest for recipe in RECIPES.values()}) == len(RECIPES)


def test_cost_is_that_of_three_passes():
    assert recipe_of("animals8-10").cost_s(10**6, 3001) == pytest.approx(3 * 1e6 * 3001 * 10 / 1e10)


def test_recipes_that_cannot_be():
    with pytest.raises(UnknownNameError, match="did you mean 'animals8-10'"):
        recipe_of("animals8-100")
    with pytest.raises(InvalidInputError, match="stack must be at least 1"):
        dataclasses.replace(recipe_of("animals8-1"), stack=0)
