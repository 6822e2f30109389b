import dataclasses

import pytest
import torch

from nasbench_harness.trainer.data.batches import DeviceImages, draw_epoch
from nasbench_harness.trainer.recipe import recipe_of

from ..conftest import small_data

CPU = torch.device("cpu")


def images_of(data, **changes):
    return DeviceImages(data, dataclasses.replace(recipe_of("animals8-10"), **changes), CPU, torch.float64)


def normalized(images, data):
    mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (data.mean, data.std))
    return (images.double() - mean) / std


@pytest.mark.parametrize("channels", [1, 3])
def test_every_crop_is_that_of_a_padded_image(channels):
    data = small_data(channels=channels, side=16)
    images = images_of(data)
    draws = draw_epoch([4, 9], 0, 22, images.padding, True)
    batch = images.crops(draws.order, draws.top, draws.left, draws.is_flipped)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    padded = torch.nn.functional.pad(data.train_images, [2, 2, 2, 2])
    for position in range(22):
        for seed in range(2):
            top, left = int(draws.top[position, seed]), int(draws.left[position, seed])
            crop = padded[draws.order[position, seed], :, top : top + 16, left : left + 16]
            crop = crop.flip(2) if draws.is_flipped[position, seed] else crop
            actual = batch[position, seed * channels : (seed + 1) * channels]
            assert torch.allclose(actual, normalized(crop, data))


def test_black_is_padded_before_normalizing():
    data = small_data()
    images = images_of(data)
    zero, no = torch.zeros((1, 1), dtype=torch.int64), torch.zeros((1, 1), dtype=torch.bool)
    corner = images.crops(zero, zero, zero, no)[0, 0, 0, 0]
    assert corner.item() == pytest.approx(-data.mean[0] / data.std[0])


def test_every_image_has_its_own_crop_and_flip():
    draws = draw_epoch([1], 0, 400, 1, True)
    assert len({(int(a), int(b)) for a, b in zip(draws.top, draws.left, strict=True)}) == 9
    # Binomial(400, ½): outside 140 … 260 once in 1e9.
    assert 140 < draws.is_flipped.sum() < 260


def test_the_crop_in_the_middle_is_the_image():
    data = small_data()
    images = images_of(data, flip=False)
    order = torch.arange(22)[:, None]
    middle = torch.ones_like(order)
    batch = images.crops(order, middle, middle, torch.zeros_like(order, dtype=torch.bool))
    assert torch.allclose(batch, normalized(data.train_images, data))


def test_images_that_must_not_be_flipped():
    assert images_of(small_data()).flip
    assert not images_of(small_data(can_flip=False)).flip
    assert not draw_epoch([1], 0, 400, 1, False).is_flipped.any()


def test_seeds_and_epochs_draw_independently_of_each_other():
    together, alone = draw_epoch([5, 6], 2, 50, 1, True), draw_epoch([6], 2, 50, 1, True)
    for field in ("order", "top", "left", "is_flipped"):
        assert torch.equal(getattr(together, field)[:, 1:], getattr(alone, field))
    assert not torch.equal(together.order[:, 0], together.order[:, 1])
    assert not torch.equal(alone.order, draw_epoch([6], 3, 50, 1, True).order)
    assert together.order.device.type == "cpu"


def test_every_image_once_an_epoch_and_a_smaller_last_batch():
    data = small_data()
    images = images_of(data)
    draws = draw_epoch([1, 2], 0, 22, 1, True)
    batches = [images.train_batch(*drawn) for drawn in images.batch_draws(draws, 8)]
    assert [batch.shape for batch, _ in batches] == [(8, 2, 8, 8), (8, 2, 8, 8), (6, 2, 8, 8)]
    for seed in range(2):
        labels = torch.cat([labels[seed] for _, labels in batches])
        assert torch.equal(labels, data.train_labels[draws.order[:, seed]])
        assert sorted(draws.order[:, seed].tolist()) == list(range(22))


def test_validation_images_are_not_augmented():
    data = small_data()
    batches = list(images_of(data).valid_batches(2, 8))
    assert [len(labels) for _, labels in batches] == [8, 8, 4]
    whole = torch.cat([batch for batch, _ in batches])
    expected = normalized(data.valid_images, data)
    assert torch.allclose(whole, torch.cat([expected, expected], dim=1))


def test_bright_pixels_do_not_wrap():
    data = small_data()
    object.__setattr__(data, "train_images", torch.full_like(data.train_images, 255))
    middle = torch.ones((1, 1), dtype=torch.int64)
    crop = images_of(data).crops(middle, middle, middle, middle > 1)
    assert crop.min().item() == pytest.approx((255 - data.mean[0]) / data.std[0])
