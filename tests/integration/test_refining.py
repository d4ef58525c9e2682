"""Of many doubtful candidates the likeliest are looked at first; that alone brings up nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from pipeline.domain import policy as policies
from pipeline.domain.screening import Verdict
from pipeline.domain.witness import SECOND_LOOKS, Witness
from pipeline.journeys.see import Eye
from pipeline.media.refine import Refiner
from tests.integration.test_local_features_in_the_path import joined, small_in_another
from tests.world import Town, jpeg, picture

SIZE = (240, 180)
VERY_WIDE = 118


@pytest.fixture
def doubtful(town: Town) -> Town:
    """A deployment that takes nearly everything for a candidate, and stands by its witnesses."""
    document = policies.DEFAULT.document()
    rules = [
        {"within": {"signal": "pdq", "bank": "registered", "distance": 31}},
        {"witnessed": {"signal": "pdq", "bank": "registered", "distance": VERY_WIDE}},
        {"witnessed": {"signal": "orb", "bank": "registered", "distance": 64}},
        {"witnessed": {"signal": "orb", "bank": "registered", "distance": 256}},
    ]
    wide = {**document["witness"], "wide": {"bits": VERY_WIDE, "false_positive_rate": 1.0}}
    policy = policies.parse(
        {**document, "version": "doubtful", "review": {"any_of": rules}, "witness": wide}
    )
    town.world = replace(town.world, policy=policy)
    return town


def test_refinement_raises_no_hit_by_itself(doubtful: Town, monkeypatch) -> None:
    joined(doubtful, *(picture(seed, SIZE) for seed in range(1, 9)), features=False)
    refined = []

    def collapse(_self, view, region, distances, start):
        refined.append(start)
        return 0

    monkeypatch.setattr(Refiner, "nearest", collapse)
    board = doubtful.platform()
    for seed in (31, 32):
        assert doubtful.screen(board, jpeg(picture(seed, SIZE))).verdict is Verdict.CLEAR
    assert len(refined) > SECOND_LOOKS, "there really were too many candidates"
    assert doubtful.query("SELECT count(*) FROM cases") == [(0,)]


def test_the_likeliest_candidates_are_looked_at_first_and_no_more_than_there_is_room_for(
    doubtful: Town, monkeypatch
) -> None:
    joined(doubtful, *(picture(seed, SIZE) for seed in range(1, 9)), features=False)
    ranks: dict[int, int] = {}
    looked_at: list[int] = []

    def refined(_self, _unit, _refiner, hit):
        return ranks.setdefault(hit.entry, 100 - int(hit.distance))  # the furthest comes nearest

    def second_look(_self, _unit, _frame, hit):
        looked_at.append(hit.entry)
        return ()

    monkeypatch.setattr(Eye, "_refined", refined)
    monkeypatch.setattr(Eye, "_second_look", second_look)
    doubtful.screen(doubtful.platform(), jpeg(picture(31, SIZE)))
    assert len(ranks) > SECOND_LOOKS
    assert len(looked_at) == SECOND_LOOKS
    assert sorted(ranks[entry] for entry in looked_at) == sorted(ranks.values())[:SECOND_LOOKS]


def test_where_there_is_room_for_all_nothing_is_refined(town: Town, monkeypatch) -> None:
    joined(town, picture(5, SIZE), features=False)
    monkeypatch.setattr(
        Refiner, "nearest", lambda *_: pytest.fail("an order of one costs time for nothing")
    )
    assert town.screen(town.platform(), jpeg(picture(5, SIZE), 30)).verdict is Verdict.REVIEW


def test_what_codes_are_doubtful_about_is_laid_over_the_upload_though_no_feature_names_it(
    doubtful: Town, monkeypatch
) -> None:
    image: Image.Image = picture(5, (640, 480))
    joined(doubtful, image)
    monkeypatch.setattr("pipeline.journeys.align_features.nominate", lambda *_: ())
    answer = doubtful.screen(doubtful.platform(), jpeg(small_in_another(image)))
    assert answer.verdict is Verdict.REVIEW
    assert [match.witness for match in answer.matches] == [Witness.ALIGNMENT.value]
    stranger = doubtful.screen(doubtful.platform("other"), jpeg(picture(33, (640, 480))))
    assert stranger.verdict is Verdict.CLEAR
