"""Latencies of a device that was measured little, from other devices."""

import numpy as np
import pytest

from nasbench_harness.devices.predictor import DeviceFeatures, DevicePrior, choose_diverse, predict_latencies
from nasbench_harness.errors import InvalidInputError
from nasbench_harness.spaces.product import ProductSpace
from nasbench_harness.statistics import rank_correlation

SPACE = ProductSpace("small", [["a", "b", "c", "d"]] * 4)
SIZE = SPACE.num_architectures


def known_devices(num_devices=4, own=0.15):
    """Log latencies that share the time of each choice, and have a part of their own."""
    rng = np.random.default_rng(3)
    hot = SPACE.one_hot(np.arange(SIZE))
    shared = hot @ rng.normal(size=hot.shape[1])
    logs = [shared * rng.uniform(0.5, 2) + own * hot @ rng.normal(size=hot.shape[1]) for _ in range(num_devices)]
    return np.exp(np.stack(logs, axis=1))


def test_ten_measurements_rank_a_device_that_others_resemble():
    latencies = known_devices()
    features = DeviceFeatures.of(SPACE, latencies[:, 1:])
    rows = choose_diverse(features, 10, np.arange(SIZE))
    predicted = predict_latencies(features, rows, latencies[rows, 0])
    assert rank_correlation(predicted, latencies[:, 0]).estimate > 0.97
    # Not only the order: scale and shift of the device are found, too.
    assert np.median(np.abs(np.log(predicted / latencies[:, 0]))) < 0.1


def test_measurements_find_what_other_devices_do_not_know():
    """A device on which a choice is slow that is fast elsewhere: its neighbors' scale alone is not enough."""
    latencies = known_devices(own=0.0)
    hot = SPACE.one_hot(np.arange(SIZE))
    odd = latencies[:, 0] * np.exp(2.0 * hot[:, 0])
    features = DeviceFeatures.of(SPACE, latencies[:, 1:])
    rows = choose_diverse(features, 20, np.arange(SIZE))
    with_choices = rank_correlation(predict_latencies(features, rows, odd[rows]), odd).estimate
    scaled = DevicePrior(count=0.0, choice=0.0, cell=0.0)
    without = rank_correlation(predict_latencies(features, rows, odd[rows], scaled), odd).estimate
    assert with_choices > without + 0.02


def test_predictions_follow_the_unit():
    latencies = known_devices()
    features = DeviceFeatures.of(SPACE, latencies[:, 1:])
    rows = np.arange(0, SIZE, 20)
    in_ms = predict_latencies(features, rows, latencies[rows, 0])
    in_s = predict_latencies(features, rows, latencies[rows, 0] / 1e3)
    np.testing.assert_allclose(in_s * 1e3, in_ms, rtol=1e-9)


def test_diverse_architectures_tell_more_than_alike_ones():
    latencies = known_devices()
    features = DeviceFeatures.of(SPACE, latencies[:, 1:])
    alike = np.arange(10)

    def found(rows):
        return rank_correlation(predict_latencies(features, rows, latencies[rows, 0]), latencies[:, 0]).estimate

    assert found(choose_diverse(features, 10, np.arange(SIZE))) > found(alike)


def test_the_choice_is_the_same_again_and_keeps_to_the_candidates():
    features = DeviceFeatures.of(SPACE, known_devices())
    candidates = np.arange(0, SIZE, 3)
    first = choose_diverse(features, 12, candidates, seed=5)
    assert first.tolist() == choose_diverse(features, 12, candidates, seed=5).tolist()
    assert len(set(first.tolist())) == 12
    assert np.isin(first, candidates).all()


def test_missing_latencies_of_another_device_are_filled():
    latencies = known_devices()
    gaps = latencies.copy()
    gaps[::5, 2] = np.nan
    features = DeviceFeatures.of(SPACE, gaps)
    assert np.isfinite(features.devices).all()
    full = DeviceFeatures.of(SPACE, latencies).devices[:, 2]
    assert np.corrcoef(features.devices[::5, 2], full[::5])[0, 1] > 0.95


def test_no_other_device_is_needed():
    features = DeviceFeatures.of(SPACE, np.zeros((SIZE, 0)))
    latencies = known_devices()[:, 0]
    rows = choose_diverse(features, 40, np.arange(SIZE))
    assert rank_correlation(predict_latencies(features, rows, latencies[rows]), latencies).estimate > 0.9


@pytest.mark.parametrize(
    ("rows", "values", "message"),
    [
        ([0, 1], [1.0, 2.0], "3 measured architectures or more, not 2"),
        ([0, 1, 2], [1.0, 2.0, -1.0], "finite and above 0"),
        ([0, 1, 2], [1.0, np.nan, 1.0], "finite and above 0"),
        ([0, 1, 2], [1.0, 1.0, 1.0], "all measured latencies are equal"),
    ],
)
def test_measurements_that_predict_nothing_are_refused(rows, values, message):
    features = DeviceFeatures.of(SPACE, known_devices())
    with pytest.raises(InvalidInputError, match=message):
        predict_latencies(features, np.array(rows), np.array(values))


def test_a_number_that_cannot_be_chosen_is_refused():
    features = DeviceFeatures.of(SPACE, known_devices())
    for count in (0, 5):
        with pytest.raises(InvalidInputError, match="must lie in 1 … 4"):
            choose_diverse(features, count, np.arange(4))
