import json
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest
import torch

from nasbench_harness.errors import InvalidInputError, UnknownNameError
from nasbench_harness.trainer import load_data
from nasbench_harness.trainer.data.sources import stratified_thirds
from nasbench_harness.trainer.data.split_files import draw_split, read_split

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def animals():
    return load_data()


def pixels(*shape):
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def write_batch(path, labels, label_key="labels", side=32, images=None):
    path.parent.mkdir(exist_ok=True, parents=True)
    data = pixels(len(labels), 3 * side * side) if images is None else images
    path.write_bytes(pickle.dumps({b"data".decode(): data, label_key: np.asarray(labels).tolist()}, protocol=2))
    return data


@pytest.fixture
def cifar10(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    for number in range(1, 6):
        write_batch(folder / f"data_batch_{number}", range(10))
    write_batch(folder / "test_batch", range(10))
    return tmp_path


@pytest.fixture
def npz(tmp_path):
    def write(**changes):
        arrays = {
            "x_train": pixels(12, 8, 8),
            "y_train": np.arange(12) % 3,
            "x_valid": pixels(6, 8, 8),
            "y_valid": np.arange(6) % 3,
        }
        path = tmp_path / "mine.npz"
        np.savez(path, **{name: array for name, array in {**arrays, **changes}.items() if array is not None})
        return path

    return write


def test_animals_are_9716_distinct_images_in_three_parts(animals):
    parts = [animals.train_images, animals.valid_images, animals.sealed.open()[0]]
    assert [part.shape for part in parts] == [(3001, 1, 8, 8), (3701, 1, 8, 8), (3014, 1, 8, 8)]
    assert all(part.dtype == torch.uint8 for part in parts)
    assert len({image.numpy().tobytes() for part in parts for image in part}) == 9716
    assert (animals.num_classes, animals.can_flip, animals.split_origin) == (10, True, "source")


def test_every_part_of_the_animals_has_the_classes_shares(animals):
    counts = np.array([937, 812, 992, 996, 997, 1000, 1000, 997, 985, 1000])
    for labels in (animals.train_labels, animals.valid_labels, animals.sealed.open()[1]):
        shares = counts * len(labels) / counts.sum()
        assert np.abs(np.bincount(labels, minlength=10) - shares).max() < 1.5


def test_animals_are_means_of_padded_blocks(animals):
    # The two rows around the image are zeros, so no block at the border can exceed half of 255.
    assert animals.train_images[:, :, 0].max() <= 128 < animals.train_images[:, :, 1:7].max()


def test_the_same_data_has_the_same_digest(animals):
    again = load_data()
    assert (animals.digest, animals.split_digest) == (again.digest, again.split_digest)
    assert torch.equal(animals.valid_images, again.valid_images)


def test_the_package_of_the_animals_is_never_imported():
    script = (
        "import sys\nfrom nasbench_harness.trainer import load_data\nload_data()\n"
        "assert not {'animal_shape_mnist', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_no_attribute_leads_to_the_test_images(animals):
    lengths = [len(value) for value in vars(animals).values() if isinstance(value, torch.Tensor)]
    assert set(lengths) == {3001, 3701}
    assert not [value for value in vars(animals.sealed).values() if isinstance(value, torch.Tensor | np.ndarray)]
    with pytest.raises(InvalidInputError, match="no test part"):
        animals.without_test().sealed.open()


def test_a_class_sorted_source_is_split_by_class():
    labels = np.repeat(np.arange(4), 25)
    parts = stratified_thirds(labels, (30, 40, 30))
    assert sorted(np.concatenate(parts)) == list(range(100))
    assert [np.ptp(np.bincount(labels[part])) <= 1 for part in parts] == [True] * 3


def test_cifar10_halves_its_training_set(cifar10):
    data = load_data("cifar10", cifar10)
    assert (len(data.train_images), len(data.valid_images), len(data.sealed.open()[0])) == (25, 25, 10)
    assert (data.name, data.side, data.channels, data.split_origin) == ("cifar10", 32, 3, "drawn")
    assert data.mean == (125.3, 123.0, 113.9)
    assert data.std == (63.0, 62.1, 66.7)
    assert load_data(data_dir=cifar10 / "cifar-10-batches-py").digest == data.digest  # found out by its files


def test_images_of_a_batch_are_channels_of_rows(tmp_path):
    for number in range(1, 6):
        data = write_batch(tmp_path / f"data_batch_{number}", [1, 0])
    write_batch(tmp_path / "test_batch", [0, 1])
    both = load_data("cifar10", tmp_path)
    images = torch.cat([both.train_images, both.valid_images]).numpy()
    expected = data[0].reshape(3, 32, 32)
    assert (images == expected).all(axis=(1, 2, 3)).sum() == 1


def test_cifar100_halves_its_test_set(tmp_path):
    for name, number in {"train": 30, "test": 20}.items():
        write_batch(tmp_path / "cifar-100-python" / name, np.arange(number) % 10, "fine_labels")
    data = load_data(data_dir=tmp_path)
    assert (data.name, len(data.train_images), len(data.valid_images)) == ("cifar100", 30, 10)
    assert data.mean == (129.3, 124.1, 112.4)
    assert data.std == (68.2, 65.4, 70.4)


def test_imagenet16_keeps_the_classes_1_to_120(tmp_path):
    for number in range(1, 11):
        write_batch(tmp_path / f"train_data_batch_{number}", [1, 120, 121, 1000], side=16)
    write_batch(tmp_path / "val_data", [1, 2, 120, 121], side=16)
    data = load_data("imagenet16-120", tmp_path)
    assert (len(data.train_images), data.num_classes, data.side) == (20, 120, 16)
    assert set(data.train_labels.tolist()) == {0, 119}
    assert data.mean == (122.68, 116.66, 104.01)
    assert data.std == (63.22, 61.26, 65.09)
    assert len(data.valid_images) + len(data.sealed.open()[0]) == 3


@pytest.mark.parametrize("form", ["strings", "plain"])
def test_a_published_list_is_the_split(cifar10, tmp_path, form):
    first, second = list(range(25)), list(range(25, 50))
    entry = (lambda values: ["int", [str(v) for v in values]]) if form == "strings" else list
    file = tmp_path / "split.txt"
    file.write_text(json.dumps({"train": entry(first), "valid": entry(second)}))
    data = load_data("cifar10", cifar10, file)
    assert data.split_origin == "file"
    assert data.train_labels.tolist() == [v % 10 for v in first]
    assert data.split_digest != load_data("cifar10", cifar10).split_digest


def test_a_bitmap_is_the_split(tmp_path):
    mask = RANDOM.permutation(50) < 25
    np.save(tmp_path / "split.npy", np.packbits(mask))
    np.testing.assert_array_equal(read_split(tmp_path / "split.npy", 50), mask)
    assert draw_split(51).sum() == 25


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"train": [0], "valid": [0]}', '{"train": [0, 1], "valid": []}', "{", "\0"]
)
def test_a_list_that_splits_nothing(tmp_path, text):
    file = tmp_path / "split.txt"
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=r"split\.txt"):
        read_split(file, 2)


@pytest.mark.parametrize("text", ['{"train": [Infinity], "valid": [0]}', '{"train": [1.5], "valid": [0]}'])
def test_positions_that_are_no_whole_numbers(tmp_path, text):
    (tmp_path / "split.txt").write_text(text)
    with pytest.raises(InvalidInputError, match=r"split\.txt does not split 2 images"):
        read_split(tmp_path / "split.txt", 2)


def test_parts_that_are_no_halves(tmp_path):
    (tmp_path / "split.txt").write_text(json.dumps({"train": [0], "valid": list(range(1, 60))}))
    with pytest.raises(InvalidInputError, match=r"split\.txt splits 60 images into 1 and 59: expected halves"):
        read_split(tmp_path / "split.txt", 60)


def test_split_where_none_is_needed_or_there(cifar10, tmp_path):
    with pytest.raises(InvalidInputError, match="its own split"):
        load_data("animals8", split=tmp_path / "x")
    with pytest.raises(InvalidInputError, match="cannot read the split"):
        load_data("cifar10", cifar10, tmp_path / "x")


@pytest.mark.parametrize("layout", [(8, 8), (1, 8, 8), (8, 8, 1), (8, 8, 3), (3, 8, 8)])
def test_own_arrays_in_every_layout(npz, layout):
    data = load_data("npz", npz(x_train=pixels(12, *layout), x_valid=pixels(6, *layout)))
    assert data.train_images.shape == (12, 3 if 3 in layout else 1, 8, 8)
    assert not data.can_flip


def test_own_arrays_say_whether_they_may_be_flipped(npz):
    same = {"x_train": pixels(12, 8, 8), "x_valid": pixels(6, 8, 8)}
    turned, straight = (load_data(data_dir=npz(can_flip=np.array(value), **same)) for value in (True, False))
    assert (turned.can_flip, straight.can_flip) == (True, False)
    assert turned.digest != straight.digest  # they train differently


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_valid": None}, "does not have y_valid"),
        ({"x_train": pixels(12, 8, 8).astype(float)}, "should be uint8"),
        ({"x_train": pixels(12, 8, 12)}, "should be uint8"),
        ({"y_train": np.arange(12.0)}, "whole numbers"),
        ({"y_train": np.arange(11) % 3}, "11 labels"),
        ({"y_valid": np.full(6, 9)}, "class 9"),
        ({"y_train": np.append(np.arange(11) % 3, 10**4)}, "class 10,000 among 12 training images"),
        ({"y_train": np.append(np.arange(11) % 3, 10**10)}, "whole numbers of 0"),
        ({"y_train": np.append(np.arange(11) % 3, 2**63 + 5).astype(np.uint64)}, "whole numbers of 0"),
        ({"can_flip": np.array([True, False])}, "can_flip should be one True or False"),
        ({"x_train": pixels(12, 6, 6), "x_valid": pixels(6, 6, 6)}, "divisible by 4"),
        ({"x_train": pixels(12, 12, 12)}, r"validation \(1, 8, 8\)"),
        ({"x_train": np.zeros((12, 8, 8), np.uint8), "x_valid": np.zeros((6, 8, 8), np.uint8)}, "6 validation images"),
        ({"x_train": np.array([{}] * 12)}, "plain arrays"),
    ],
)
def test_own_arrays_that_do_not_fit(npz, changes, message):
    with pytest.raises(InvalidInputError, match=message) as error:
        load_data("npz", npz(**changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x02torn", "no complete pickle .*: copy it again"),
        (pickle.dumps({"data": pixels(2, 3072), "labels": [0]}, 2), "should be uint8 of shape"),
        (pickle.dumps({"data": pixels(2, 3072)}, 2), "no batch of images"),
        (pickle.dumps([1], 2), "no batch of images"),
        (pickle.dumps({"data": print, "labels": []}, 2), "print"),
    ],
)
def test_damaged_batches(cifar10, content, message):
    (cifar10 / "cifar-10-batches-py" / "data_batch_3").write_bytes(content)
    with pytest.raises(InvalidInputError, match=message) as error:
        load_data("cifar10", cifar10)
    assert "data_batch_3" in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_data(tmp_path, monkeypatch):
    with pytest.raises(UnknownNameError, match="animals8"):
        load_data("animals")
    with pytest.raises(InvalidInputError, match="--data-dir"):
        load_data("cifar10")
    with pytest.raises(InvalidInputError, match="does not exist"):
        load_data("cifar10", tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match="data_batch_1"):
        load_data("cifar10", tmp_path)
    with pytest.raises(InvalidInputError, match="holds no data set"):
        load_data(data_dir=tmp_path)
    monkeypatch.setattr("nasbench_harness.trainer.data.sources._ANIMALS_PACKAGE", "no-such-package")
    with pytest.raises(InvalidInputError, match="pip install no-such-package"):
        load_data()


def test_digits_need_scikit_learn(monkeypatch):
    monkeypatch.setattr("nasbench_harness.trainer.data.sources.find_spec", lambda name: None)
    with pytest.raises(InvalidInputError, match="pip install scikit-learn"):
        load_data("digits8")


def test_digits_are_never_flipped(monkeypatch):
    images = np.floor(17 * RANDOM.random((1797, 8, 8))).clip(0, 16)
    found = types.SimpleNamespace(images=images, target=np.arange(1797) % 10)
    monkeypatch.setitem(sys.modules, "sklearn", types.ModuleType("sklearn"))
    module = types.ModuleType("sklearn.datasets")
    module.load_digits = lambda: found
    monkeypatch.setitem(sys.modules, "sklearn.datasets", module)
    monkeypatch.setattr("nasbench_harness.trainer.data.sources.find_spec", lambda name: True)
    data = load_data("digits8")
    assert not data.can_flip
    assert (len(data.train_images), len(data.valid_images)) == (900, 448)
    assert data.train_images.max() == 240


def test_missing_torch_is_one_line(monkeypatch):
    import nasbench_harness.trainer

    monkeypatch.setattr("nasbench_harness.optional.find_spec", lambda name: None)
    with pytest.raises(InvalidInputError, match="training needs torch: pip install torch nas-bench-201"):
        nasbench_harness.trainer.load_data()
    with pytest.raises(AttributeError):
        nasbench_harness.trainer.nothing  # noqa: B018


@pytest.mark.parametrize("other", ["train", "valid"])
@pytest.mark.parametrize("name", ["mine.npz", "cifar10.npz"])
def test_images_of_the_test_part_are_nowhere_else(npz, other, name):
    shared = pixels(4, 8, 8)
    many = pixels(12 if other == "train" else 6, 8, 8)
    many[:2] = shared[:2]
    path = npz(**{f"x_{other}": many, "x_test": shared, "y_test": np.arange(4) % 3})
    path = path.rename(path.with_name(name))
    with pytest.raises(InvalidInputError, match=f"2 test images are {other}"):
        load_data("npz", path)


def test_the_test_part_fits_the_others(npz):
    test = {"x_test": pixels(4, 12, 12), "y_test": np.arange(4) % 3}
    with pytest.raises(InvalidInputError, match=r"test \(1, 12, 12\)"):
        load_data("npz", npz(**test))
    with pytest.raises(InvalidInputError, match="test has class 8"):
        load_data("npz", npz(x_test=pixels(4, 8, 8), y_test=np.full(4, 8)))


def test_mean_and_deviation_are_those_of_the_training_images(npz):
    data = load_data("npz", npz(x_train=pixels(12, 8, 8, 3), x_valid=pixels(6, 8, 8, 3)))
    channels = data.train_images.double()
    assert data.mean == pytest.approx(channels.mean((0, 2, 3)).tolist())
    assert data.std == pytest.approx(channels.std((0, 2, 3), correction=0).tolist())


def test_data_of_a_package_lie_in_no_folder(cifar10):
    with pytest.raises(InvalidInputError, match="data animals8 comes with a package: leave --data or --data-dir out"):
        load_data("animals8", cifar10)
    with pytest.raises(InvalidInputError, match="nowhere does not exist"):
        load_data(data_dir=cifar10 / "nowhere")


def test_classes_that_published_data_do_not_have_are_refused(cifar10):
    write_batch(cifar10 / "cifar-10-batches-py" / "data_batch_2", [0, 1, 10])
    with pytest.raises(InvalidInputError, match=r"data_batch_2: 'labels' holds class 10, these data have 0 … 9"):
        load_data("cifar10", cifar10)


def test_a_part_of_published_data_is_named(cifar10, npz):
    assert load_data("cifar10", cifar10).part == "60 of the 60,000 published images"
    assert load_data("npz", npz()).part == load_data().part == ""
