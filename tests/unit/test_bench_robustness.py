"""What the robustness bench says of strangers, budgets and thresholds."""

import numpy as np
import pytest

from pipeline.domain.policy import DEFAULT, parse
from pipeline.domain.witness import Calibrated, Thresholds
from pipeline.errors import Invalid
from pipeline.media.views import ORDER, THOROUGH, USUAL, WHOLE_ONLY, budget_of

pytest.importorskip("skimage.data")
pytest.importorskip("insightface")

from services.bench._corpus import corpus
from services.bench._unrelated import _drawn, upper_bound
from services.bench.robustness import policy_of


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
    with pytest.raises(Invalid, match="9 families"):
        budget_of(10)


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


def test_every_built_in_rule_on_hashes_says_its_rate():
    for rule in DEFAULT.review.document()["any_of"]:
        ((_, body),) = rule.items()
        if body["signal"] in ("pdq", "phash"):
            assert 0 < body["false_positive_rate"] < 1e-5


@pytest.mark.parametrize("rate", [-0.1, 1.1, "often", True])
def test_a_rate_that_is_no_share_is_refused_by_name(rate):
    rule = {"signal": "pdq", "bank": "registered", "distance": 31, "false_positive_rate": rate}
    document = {**DEFAULT.document(), "review": {"within": rule}}
    with pytest.raises(Invalid, match=r"review\.within\.false_positive_rate"):
        parse(document)
