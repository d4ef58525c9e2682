"""An operator's pairs say which similarity means what, and no more than they can vouch for."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.errors import Invalid
from services import calibrate as command
from services.bench import faces
from services.bench._rates import roc
from services.bench.faces import Pairs
from services.calibrate import calibration_of
from services.cli import app
from tests.unit.test_packs_install import manifest


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


@pytest.fixture
def calibrate(tmp_path, monkeypatch):
    """The command on 80 people with two photos each; what it kept is in ``kept``."""
    rng = np.random.default_rng(0)
    people = rng.standard_normal((80, 1, 64))
    vectors = (people + 0.5 * rng.standard_normal((80, 2, 64))).reshape(160, 64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [str(number) for number in range(160)]
    file = tmp_path / "ours.csv"
    file.write_text(
        "".join(f"{a},{b},{int(a // 2 == b // 2)}\n" for a in range(160) for b in range(a))
    )
    kept = []

    def run(there, *words):
        model = SimpleNamespace(manifest=manifest(calibration=there))
        monkeypatch.setattr(command.plugins, "build", lambda *_: model)
        monkeypatch.setattr(command.packs, "recalibrate", lambda _name, _home, it: kept.append(it))
        templates = dict(zip(names, vectors, strict=True))
        monkeypatch.setattr(faces, "templates_of", lambda *_: templates)
        monkeypatch.setenv("CONSENTRY_HOME", str(tmp_path))
        asked = ["packs", "calibrate", "tiny", "--pairs", str(file), *words]
        return CliRunner().invoke(app, asked)

    run.kept = kept
    return run


def test_a_calibration_that_is_there_makes_no_room_for_one_that_is_more_often_wrong(calibrate):
    done = calibrate(manifest().calibration.model_dump())
    assert isinstance(done.exception, Invalid)
    said = str(done.exception)
    assert "nothing was changed" in said
    assert "100,000 for 0.0001" in said
    assert calibrate.kept == []
    asked_for = re.search(r"--review-at \S+ --strong-at \S+", said)[0].split()
    done = calibrate(manifest().calibration.model_dump(), *asked_for)
    assert done.exit_code == 0, done.output
    assert "review and strong" in done.output
    assert [one.review_at for one in calibrate.kept] == [1e-3]


def test_a_pack_without_a_calibration_keeps_the_strictest_that_the_pairs_vouch_for(calibrate):
    done = calibrate(None)
    assert done.exit_code == 0, done.output
    assert "too few pairs of strangers" in " ".join(done.output.split())
    assert [one.review_at for one in calibrate.kept] == [1e-3]


def test_a_rate_is_a_share_of_strangers(calibrate):
    assert calibrate(None, "--review-at", "2").exit_code == 2
    assert calibrate(None, "--strong-at", "0").exit_code == 2
    assert calibrate.kept == []
