"""Training data of a study: disjoint halves, no image that a table measures with, a digest that decides."""

import dataclasses
import json

import numpy as np
import pytest
from kit.supernets import write_cifar

from nasbench_harness import InvalidInputError, UnknownNameError
from nasbench_harness.trainer import load_data
from nasbench_harness.trainer.supernet import halved_images


def texts(images):
    return {image.tobytes() for image in images}


def test_the_larger_animals_are_two_disjoint_halves_of_all_classes():
    data = halved_images("animals16").load()
    assert data.weight_images.shape == data.selection_images.shape == (4_000, 1, 16, 16)
    assert not texts(data.weight_images) & texts(data.selection_images)
    assert set(data.weight_labels.tolist()) == set(data.selection_labels.tolist()) == set(range(data.num_classes))
    assert data.weight_images.max() > 200  # gray values keep their range


def test_halves_of_the_smaller_animals_are_training_images_only():
    data, whole = halved_images("animals8").load(), load_data("animals8")
    first, second = texts(data.weight_images), texts(data.selection_images)
    assert len(data.weight_labels) + len(data.selection_labels) == 3_001
    assert not first & second
    assert first | second == texts(whole.train_images.numpy())
    test_images = whole.sealed.open()[0].numpy()
    assert not (first | second) & (texts(whole.valid_images.numpy()) | texts(test_images))


def test_tasks_of_the_trainer_refuse_images_that_they_measure_with():
    larger, smaller = halved_images("animals16"), halved_images("animals8")
    for task in ("trained-animals8", "tiny201-animals8"):
        assert larger.refusal(task) == f"data animals16 hold images that task {task} measures with: use --data animals8"
        assert smaller.refusal(task) == ""
    assert larger.refusal("nb201-cifar10") == ""


@pytest.fixture
def npz(tmp_path):
    def write(shift=0):
        rng = np.random.default_rng(shift)
        path = tmp_path / "toy.npz"
        arrays = {f"x_{part}": rng.integers(0, 255, (8, 8, 8), dtype=np.uint8) for part in ("train", "valid", "test")}
        labels = {f"y_{part}": np.arange(8) % 4 for part in ("train", "valid", "test")}
        np.savez(path, **arrays, **labels)
        return path

    return write


def test_other_data_are_training_and_validation_images(npz):
    path = npz()
    images = halved_images(None, path)
    data = images.load()
    stored = np.load(path)
    assert np.array_equal(data.weight_images[:, 0], stored["x_train"])
    assert np.array_equal(data.selection_images[:, 0], stored["x_valid"])
    assert images.digest == data.digest
    assert len(images.digest) == 64


def test_the_origin_of_the_halves_is_known(npz, tmp_path):
    assert halved_images("animals16").load().halves == "source"
    assert halved_images(None, npz()).load().halves == "source"
    folder = write_cifar(tmp_path / "cifar")
    assert halved_images("cifar10", folder).load().halves == "drawn"
    split = tmp_path / "halves.json"
    split.write_text(json.dumps({"train": list(range(25)), "valid": list(range(25, 50))}))
    assert halved_images("cifar10", folder, split).load().halves == "file"


def test_images_of_another_digest_are_refused(npz):
    images = halved_images(None, npz())
    with pytest.raises(InvalidInputError, match=r"data .* have the digest .*, not 000000000000"):
        dataclasses.replace(images, digest="0" * 64).load()


def test_wrong_names_and_places_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown data 'animals61': did you mean 'animals16'"):
        halved_images("animals61")
    with pytest.raises(InvalidInputError, match="leave --data-dir and --split out"):
        halved_images("animals16", tmp_path)
    with pytest.raises(InvalidInputError, match="name its folder or file with --data-dir"):
        halved_images("cifar10")
