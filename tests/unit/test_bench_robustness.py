"""What the robustness bench says of strangers, budgets and thresholds."""

import numpy as np
import pytest

from pipeline import plugins
from pipeline.domain.media import Frame
from pipeline.domain.policy import DEFAULT, parse
from pipeline.domain.signal import Signals
from pipeline.domain.witness import Calibrated, Faint, Thresholds
from pipeline.errors import Invalid
from pipeline.media.features import Features
from pipeline.media.views import ORDER, THOROUGH, USUAL, WHOLE_ONLY, budget_of
from pipeline.signals import pdq

pytest.importorskip("skimage.data")
pytest.importorskip("insightface")

from services.bench._calibration import (
    FAINT,
    Rates,
    calibrated,
    faint_shares,
    policy_of,
    shares,
    whole_shares,
)
from services.bench._corpus import corpus, stock_scene
from services.bench._gallery import Asked, Eye, Gallery
from services.bench._readme import readme_rows
from services.bench._unrelated import _drawn, upper_bound
from tests.pictures import textured


@pytest.mark.parametrize(
    ("hits", "trials", "bound"),
    [(0, 3000, 0.000998), (0, 100, 0.02951), (1, 1000, 0.004735), (5, 5, 1.0)],
)
def test_a_bound_is_what_so_few_hits_leave_possible(hits, trials, bound):
    assert upper_bound(hits, trials) == pytest.approx(bound, rel=1e-3)


def test_strangers_are_all_different_and_none_is_of_a_shared_template():
    drawn = list(_drawn(11, 90))
    assert len(drawn) == 90
    assert not any(name.startswith("meme") for name, _ in drawn)
    scenes = [picture for name, picture in drawn if name.startswith("stock scene")]
    assert all(np.abs(scenes[0].astype(int) - other).mean() > 5 for other in scenes[1:])


def test_what_reports_was_never_tuned_on():
    pictures = corpus(None, 1)
    tuned, reported = ({name for name, _ in half} for half in (pictures.tuned, pictures.reported))
    assert not tuned & reported
    assert not (tuned | reported) & {name for name, _ in pictures.strangers}


def test_a_budget_gives_up_families_from_the_end_of_their_order():
    assert budget_of(len(USUAL.families)) == USUAL
    assert (budget_of(0), budget_of(len(ORDER))) == (WHOLE_ONLY, THOROUGH)
    assert budget_of(3).families == ORDER[:3]
    with pytest.raises(Invalid, match="10 families"):
        budget_of(11)


def test_calibrated_thresholds_become_a_policy_with_their_rates():
    found = Thresholds(near=Calibrated(28, 2e-7), wide=Calibrated(52, 9e-7))
    document = policy_of(found).document()
    rules = [body for rule in document["review"]["any_of"] for body in rule.items()]
    asked = {
        (kind, body["distance"], body.get("false_positive_rate"))
        for kind, body in rules
        if body["signal"] == "pdq"
    }
    assert asked == {("within", 28, 2e-7), ("witnessed", 52, 9e-7)}
    assert parse(document) == policy_of(found)
    assert document["known"] == DEFAULT.known.document()


def leaves(rule):
    """Every rule of a document that has no parts."""
    ((_, body),) = rule.items()
    return [body] if isinstance(body, dict) else [leaf for part in body for leaf in leaves(part)]


def test_every_built_in_rule_says_its_rate():
    document = DEFAULT.document()
    for body in leaves(document["review"]) + leaves(document["known"]):
        most = {"pdq": 1e-6, "phash": 1e-5, "orb": 1e-3, "bytes": 0}[body["signal"]]
        assert 0 <= body["false_positive_rate"] <= most
        assert body["false_positive_rate"] > 0 or body["signal"] == "bytes"


def test_a_calibrated_policy_says_of_every_rule_what_was_measured_those_of_known_too():
    counts = np.zeros(257, np.int64)
    counts[[9, 40, 60, 128]] = 1, 1, 8, 9_999_990
    rates = Rates({"pdq": shares(counts), "phash": shares(counts)}, 0.0007)
    found = calibrated(rates, Thresholds())
    assert (found.near.false_positive_rate, found.wide.bits) == (1e-7, 72)
    assert found.signals["phash"].false_positive_rate == pytest.approx(1e-6)
    assert found.acceptance.false_positive_rate == 0.0007
    document = policy_of(found, rates).document()
    said = {
        (body["signal"], body["bank"], body["distance"]): body["false_positive_rate"]
        for body in leaves(document["review"]) + leaves(document["known"])
    }
    assert said["orb", "registered", 64] == said["orb", "registered", 256] == 0.0007
    assert said["pdq", "upheld", 4] == 1e-7, "one pair is the least that is ever said"
    assert said["pdq", "upheld", 10] == 1e-7
    assert said["phash", "upheld", 20] == 1e-7
    assert said["pdq", "registered", 72] == pytest.approx(1e-6)
    assert said["bytes", "upheld", 0] == 0
    assert parse(document) == policy_of(found, rates)


def test_distances_of_whole_pictures_are_counted_in_all_eight_ways():
    phash = plugins.build("signals", "phash")
    frames = [Frame(textured(90, 70, seed)) for seed in (1, 2)]
    none = np.zeros((0, 32), np.uint8)
    asked = Asked(
        Frame(np.ascontiguousarray(np.rot90(frames[0].rgb))),
        Signals(phash.space, none, none[:, 0], ()),
        Features(np.zeros((0, 2), np.float32), none, (1, 1)),
    )
    within = whole_shares(phash, frames, [asked])
    assert within[20] == 1 / 16, "turned back it is the first of the two"
    assert within[256] == 1


def test_what_was_found_is_written_as_rows_of_the_readmes_table():
    def method(name, recall):
        return {"method": name, "mean recall": recall, "mean recall, tuning half": recall + 0.01}

    rows = readme_rows(
        {
            "rows": [
                {"alteration": "crop 50%", "with local features": 0.5},
                {"alteration": "mirrored", "with local features": 1.0},
            ],
            "methods": [
                method("hashes alone", 0.84),
                method("with local features", 0.98),
                method("PDQ within 31", 0.35),
                method("phash, same strangers", 0.48),
            ],
            "unrelated": {
                "uploads": 3000,
                "to_a_person_by_hashes": 0,
                "to_a_person_with_features": 1,
                "bound_by_hashes": 0.000998,
                "bound_with_features": 0.0016,
            },
            "cost_ms": {"hashes alone, total": 12.94, "local features": 36.5},
        }
    ).splitlines()
    assert all(row.startswith("| ") and row.endswith("| `bench robustness` |") for row in rows)
    assert all(row.count("|") == 4 for row in rows), "three cells each"
    assert "84.0%, on the tuned half 85.0%" in rows[0]
    assert "crop 50% 50%" in rows[2]
    assert "0; 1 (true shares at most 0.10% and 0.16%" in rows[3]
    assert "12.9 ms" in rows[4]


@pytest.mark.parametrize("rate", [-0.1, 1.1, "often", True])
def test_a_rate_that_is_no_share_is_refused_by_name(rate):
    rule = {"signal": "pdq", "bank": "registered", "distance": 31, "false_positive_rate": rate}
    document = {**DEFAULT.document(), "review": {"within": rule}}
    with pytest.raises(Invalid, match=r"review\.within\.false_positive_rate"):
        parse(document)


@pytest.mark.parametrize(
    ("pairs", "bits", "rate"), [(2_000_000, 31, 5e-7), (500_000, None, None), (0, None, None)]
)
def test_what_is_faint_asks_as_far_as_its_own_pairs_vouch_for(pairs, bits, rate):
    counts, faint = np.zeros(257, np.int64), np.zeros(257, np.int64)
    counts[120] = 10_000_000
    faint[110] = pairs
    rates = Rates({"pdq": shares(counts), FAINT: shares(faint)}, 0.0007)
    found = calibrated(rates, Thresholds()).faint
    assert (found and found.bits, found and found.false_positive_rate) == (bits, rate)


def test_faint_strangers_are_made_of_strangers_and_only_faint_ones_count():
    eye = Eye(pdq.build())
    rng = np.random.default_rng(4)
    pictures = [stock_scene(rng) for _ in range(3)]
    gallery = Gallery(eye, [eye.register("a", pictures[0], features=False)])
    strangers = [eye.look(picture, features=False) for picture in pictures[1:]]
    found = faint_shares(gallery, strangers, Faint())
    assert found[256] == 1
    assert found[47] < 1e-2, "none is near: one pair of all is what so few can vouch for"
