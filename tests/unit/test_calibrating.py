"""An operator's pairs say which similarity means what, and no more than they can vouch for."""

import numpy as np
import pytest

from pipeline.errors import Invalid
from services.bench._rates import roc
from services.bench.faces import Pairs
from services.calibrate import calibration_of


def pairs(same, different):
    names = tuple(str(number) for number in range(same + different))
    return Pairs(names, names, np.arange(same + different) < same)


def curve(different, seed=0):
    rng = np.random.default_rng(seed)
    return roc(rng.normal(0.7, 0.1, 1000).clip(-1, 1), rng.normal(0, 0.1, different).clip(-1, 1))


def test_thresholds_keep_to_the_rates_asked_for():
    found = calibration_of(curve(2_000_000), pairs(1000, 2_000_000), "ours.csv", 1e-4, 1e-5)
    assert (found.review_at, found.strong_at) == (1e-4, 1e-5)
    assert abs(found.review - 0.372) < 0.01, "3.7 deviations above the mean"
    assert abs(found.strong - 0.426) < 0.02
    assert found.pairs == "1,000 of the same person, 2,000,000 of different people"
    assert "1 in 10,000" in found.words(found.review)


def test_few_pairs_vouch_for_lax_rates_only():
    found = calibration_of(curve(20_000), pairs(1000, 20_000), "ours.csv", 1e-4, 1e-5)
    assert [one.false_accept_rate for one in found.thresholds] == [1e-2, 1e-3]
    assert (found.review_at, found.strong_at) == (1e-3, 1e-3)


def test_too_few_pairs_vouch_for_nothing():
    with pytest.raises(Invalid, match="at least 1,000 are needed"):
        calibration_of(curve(500), pairs(1000, 500), "ours.csv", 1e-4, 1e-5)
