"""Fast scores equal the references, whatever the chunk; the closed form equals the reference at expected weights."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from nasbench_harness.trainer.proxies import (
    PROXIES,
    TABLE_COLUMNS,
    Macro,
    batched,
    closed_form,
    compute,
    load_score,
    make_batch,
    plan_columns,
)
from nasbench_harness.trainer.proxies.network import build_network, scored_layers
from nasbench_harness.trainer.proxies.size import l2_norms

from .conftest import KEYS, SMALL, SPACE, cell, choices, network

SAMPLE = [SPACE.to_key(index) for index in range(0, 15_625, 1_000)] + KEYS
MACROS = [SMALL, Macro(num_cells=3, channels=8, side=16, batch_size=4)]
BATCHED = {
    "nwot": batched.nwot_scores,
    "swap": batched.swap_scores,
    "meco": batched.meco_scores,
    "jacob_cov": batched.jacob_cov_scores,
    "zen": lambda *arguments, **options: sum(batched.zen_scores(*arguments, **options)),
    "zen_features": lambda *arguments, **options: batched.zen_scores(*arguments, **options)[0],
    "zen_norm": lambda *arguments, **options: batched.zen_scores(*arguments, **options)[1],
}


def alone(name, keys, macro, batch, dtype=torch.float32, seed=0):
    score = load_score(name)
    return np.array([score(build_network(cell(key), macro, seed).to(dtype), batch.to(dtype)) for key in keys])


# Convolutions in float32 round by the number of networks on some processors: up to 2.5e-6 was seen. In float64 the
# bound is 1e-9.
FLOAT32 = {"rtol": 1e-5, "atol": 1e-5, "equal_nan": True}


@pytest.mark.parametrize("macro", MACROS, ids=["N1", "N3"])
@pytest.mark.parametrize("name", BATCHED)
def test_many_networks_at_once_equal_one_at_a_time(name, macro):
    batch = make_batch("noise", macro, seed=4)
    together = BATCHED[name](choices(SAMPLE), macro, batch, 4, dtype=torch.float64)
    expected = alone(name, SAMPLE, macro, batch, torch.float64, 4)
    assert np.allclose(together, expected, rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("name", BATCHED)
def test_the_types_of_the_table_agree_too(name):
    macro = MACROS[0]
    batch = make_batch("noise", macro)
    together = BATCHED[name](choices(SAMPLE), macro, batch, 0)
    assert np.allclose(together, alone(name, SAMPLE, macro, batch), **FLOAT32)


@pytest.mark.parametrize("name", TABLE_COLUMNS)
def test_any_chunk_gives_the_same(name):
    overrides = {"num_cells": 1, "channels": 4, "side": 8}
    (plan,) = plan_columns([name], overrides=overrides)
    rows = np.array([SPACE.from_key(key) for key in SAMPLE])
    found = [compute([plan], rows, chunk=chunk)[:, 0] for chunk in (1, 7, 50)]
    for other in found[1:]:
        assert np.allclose(found[0], other, **FLOAT32)


@pytest.mark.parametrize("name", TABLE_COLUMNS)
def test_fast_scores_touch_no_global_generator(name):
    (plan,) = plan_columns([name], overrides={"num_cells": 1, "channels": 4, "side": 8})
    torch.manual_seed(5)
    state = torch.get_rng_state()
    compute([plan], np.arange(3))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("macro", [Macro(2, 4, 8), Macro(1, 8, 16, 100)], ids=["8px", "16px"])
@pytest.mark.parametrize("name", ["synflow", "logsynflow"])
def test_the_closed_form_is_the_reference_at_expected_weights(name, macro):
    many = {"synflow": closed_form.synflow_scores, "logsynflow": closed_form.logsynflow_scores}[name]
    batch = make_batch("noise", macro)
    expected = []
    for key in SAMPLE:
        net = network(key, macro)
        with torch.no_grad():
            for _, layer in scored_layers(net):
                layer.weight.fill_(0.5 / layer.weight[0].numel() ** 0.5)
        expected.append(load_score(name)(net, batch))
    assert np.allclose(many(choices(SAMPLE), macro), expected, rtol=2e-6, atol=1e-9, equal_nan=True)
    assert np.isnan(expected).sum() == (1 if name == "synflow" else 0)


def test_the_closed_form_ranks_as_drawn_weights_do():
    macro = Macro(5, 16, 16)
    keys = [SPACE.to_key(index) for index in range(7, 15_625, 260)]
    drawn = alone("synflow", keys, macro, make_batch("noise", macro))
    expected = closed_form.synflow_scores(choices(keys), macro)
    assert spearmanr(drawn, expected, nan_policy="omit").statistic > 0.98
    assert np.nanmax(np.abs(drawn - expected)) < 3


def test_norms_from_single_layers_are_the_references():
    macro = MACROS[1]
    expected = alone("l2_norm", KEYS, macro, make_batch("noise", macro), seed=2)
    assert np.allclose(l2_norms(choices(KEYS), macro, 2), expected, rtol=1e-12)


def test_nothing_merges_cells_that_compute_the_same():
    """Dead convolutions count for nwot, SWAP, l2_norm and size."""
    batch = make_batch("noise", SMALL)
    pair = choices(["000100", "303100"])  # two convolutions that do not reach the output
    for many in (batched.nwot_scores, batched.swap_scores):
        one, other = many(pair, SMALL, batch, 0)
        assert one != other
    one, other = l2_norms(pair, SMALL, 0)
    assert one != other
    one, other = batched.jacob_cov_scores(pair, SMALL, batch, 0)
    assert one == pytest.approx(other, rel=1e-9)


def test_a_batch_is_real_augmented_and_repeatable():
    macro = dataclasses.replace(SMALL, side=16, batch_size=8)
    first, again = make_batch("animals", macro), make_batch("animals", macro)
    other = make_batch("animals", macro, batch=1)
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert not torch.equal(first.images, first.next_images)
    assert torch.equal(first.images[:, 0], first.images[:, 2])  # gray
    assert abs(float(make_batch("animals", dataclasses.replace(macro, batch_size=512)).images.mean())) < 0.1
    assert first.labels is not None
    assert "animals" in first.source


def test_labels_are_kept_or_left_out_by_the_classes_of_the_data():
    """Not by the classes that one batch happens to hold."""
    for num_classes, is_kept in ((3, False), (10, True)):
        macro = dataclasses.replace(SMALL, batch_size=1, num_classes=num_classes)
        batches = [make_batch("animals", macro, batch=number) for number in range(8)]
        assert {batch.labels is not None for batch in batches} == {is_kept}
        assert {batch.next_labels is not None for batch in batches} == {is_kept}


def test_every_score_of_the_table_has_a_fast_form():
    assert set(TABLE_COLUMNS) == {name for name, proxy in PROXIES.items() if proxy.fast}
