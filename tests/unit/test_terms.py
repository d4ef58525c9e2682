"""A platform moves thresholds within the operator's bounds, and nothing else of a policy."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain import trial
from pipeline.domain.evidence import Hit, Owner, Source, gather
from pipeline.domain.ids import CaseId, EntryId, ItemId, PersonId
from pipeline.domain.likeness import FaceRules, Likeness
from pipeline.domain.media import WHOLE
from pipeline.domain.policy import (
    DEFAULT,
    AllOf,
    AnyOf,
    Clear,
    Known,
    Policy,
    Review,
    Within,
    Witnessed,
    check_operators,
)
from pipeline.domain.policy import parse as parse_policy
from pipeline.domain.signal import Metric
from pipeline.domain.terms import Bounds, Limit, Range, Terms, Unknown, parse
from pipeline.domain.trial import nearness, replay
from pipeline.domain.witness import Witness
from pipeline.errors import Invalid

LIMITS = st.dictionaries(
    st.sampled_from(["pdq", "phash", "bytes", "orb"]),
    st.builds(Limit, st.floats(0, 200), st.none() | st.floats(0, 1)),
    max_size=3,
)
TERMS = st.builds(
    Terms,
    LIMITS,
    st.dictionaries(st.sampled_from(["registered", "upheld", "partner"]), LIMITS, max_size=2),
    st.none() | st.sampled_from(Unknown),
    st.just(("review", "known")),
    st.none() | st.just("main"),
    st.none() | st.floats(24, 700),
)


def hit(
    distance: float,
    signal: str = "pdq",
    bank: str = "registered",
    person: int = 1,
    witness: str | None = None,
    case: CaseId | None = None,
) -> Hit:
    source = Source.UPHELD if case else Source.REGISTERED
    entry = EntryId(person * 10 + len(signal))
    owner = Owner(entry, ItemId(UUID(int=person)), PersonId(UUID(int=person)), bank, source, case)
    return Hit(signal, distance, WHOLE, 0, owner, witness)


def pdq(distance: float, **more: object) -> Terms:
    return Terms({"pdq": Limit(distance)}, **more)  # type: ignore[arg-type]


@given(TERMS)
def test_terms_written_as_json_are_read_back_as_they_were(terms: Terms) -> None:
    assert parse(terms.document()) == terms


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([], "policy"),
        ({"known": {}}, "policy"),
        ({"blocks": ["review"]}, "known"),
        ({"blocks": "known"}, "blocks"),
        ({"blocks": ["known", "all"]}, "blocks"),
        ({"unknown": "maybe"}, "unknown"),
        ({"queue": ""}, "queue"),
        ({"deadline_hours": 0}, "deadline_hours"),
        ({"deadline_hours": True}, "deadline_hours"),
        ({"signals": {"pdq": {"distance": float("nan")}}}, "signals.pdq.distance"),
        ({"signals": {"pdq": {"distance": 3, "false_positive_rate": 2}}}, "rate"),
        ({"signals": {"pdq": {"within": 3}}}, "signals.pdq"),
        ({"banks": []}, "banks"),
    ],
)
def test_terms_that_are_nearly_right_are_refused_by_name(document: object, named: str) -> None:
    with pytest.raises(Invalid, match=named):
        parse(document)


def test_a_platform_may_draw_a_threshold_in_to_half_and_no_further() -> None:
    DEFAULT.check(pdq(16))
    DEFAULT.check(pdq(31))
    for beyond in (15, 32):
        with pytest.raises(Invalid, match="from 16 to 31"):
            DEFAULT.check(pdq(beyond))


def test_an_operator_may_let_platforms_go_further() -> None:
    policy = replace(DEFAULT, bounds=Bounds({"pdq": Range(8, 40)}))
    policy.check(pdq(40))
    loose = policy.under(pdq(40), "loose")
    assert loose.radius("pdq") == 40
    assert isinstance(loose.judge(gather([hit(38)])), Review)
    assert policy.judge(gather([hit(38)])) == Clear()


def test_terms_from_wider_bounds_are_drawn_in_when_the_operator_narrows_them() -> None:
    assert DEFAULT.under(pdq(60), "1").radius("pdq") == 31
    assert DEFAULT.under(pdq(0), "1").radius("pdq") == 16


def test_a_bank_of_its_own_goes_before_the_signal() -> None:
    terms = Terms({"pdq": Limit(24)}, {"partner": {"pdq": Limit(18, 1e-9)}})
    policy = DEFAULT.under(terms, "1")
    assert isinstance(policy.judge(gather([hit(20)])), Review)
    assert policy.judge(gather([hit(20, bank="partner")])) == Clear()
    assert isinstance(policy.judge(gather([hit(18, bank="partner")])), Review)
    told = {(one["bank"], one["signal"]): one for one in policy.thresholds()}
    assert told["partner", "pdq"]["false_positive_rate"] == 1e-9


def test_a_bank_or_signal_that_no_rule_names_is_refused() -> None:
    for terms in (Terms({"pqd": Limit(20)}), Terms(banks={"mine": {"pdq": Limit(20)}})):
        with pytest.raises(Invalid, match="there are: "):
            DEFAULT.check(terms)


def test_the_same_file_is_the_same_file_whatever_a_platform_asks() -> None:
    policy = DEFAULT.under(Terms({"bytes": Limit(0)}), "1")
    assert isinstance(policy.judge(gather([hit(0, "bytes")])), Review)


@given(TERMS)
def test_no_terms_change_what_is_known(terms: Terms) -> None:
    case = CaseId(UUID(int=9))
    policy = DEFAULT.under(terms, "1")
    assert policy.known == DEFAULT.known
    assert isinstance(policy.judge(gather([hit(4, bank="upheld", case=case)])), Known)
    assert not isinstance(policy.judge(gather([hit(4)])), Known)


@given(TERMS, st.floats(0, 60), st.sampled_from(["pdq", "phash"]))
def test_under_any_terms_a_hit_within_half_the_operators_distance_is_reviewed(
    terms: Terms, share: float, signal: str
) -> None:
    own = DEFAULT.radius(signal)
    assert own is not None
    near = hit(share / 60 * own / 2, signal)
    assert isinstance(DEFAULT.under(terms, "1").judge(gather([near])), Review)


def test_between_a_drawn_in_threshold_and_the_operators_a_second_witness_is_wanted() -> None:
    policy = DEFAULT.under(pdq(20), "1")
    assert policy.witness.near.bits == 20
    assert policy.judge(gather([hit(25, witness=Witness.NEAR)])) == Clear()
    assert isinstance(policy.judge(gather([hit(25, witness=Witness.PARTS)])), Review)


def test_a_rule_inside_all_of_is_never_widened_by_its_neighbour() -> None:
    both = AllOf((Within("pdq", "registered", 31), Within("pdq", "registered", 10)))
    policy = replace(DEFAULT, review=AnyOf((both,))).under(pdq(31), "1")
    assert policy.review == AnyOf((both,))


def test_faces_in_unrated_uploads_are_looked_at_only_where_the_operator_lets_platforms() -> None:
    look = Terms(unknown=Unknown.LOOK)
    with pytest.raises(Invalid, match="ordinary photo"):
        DEFAULT.check(look)
    assert not DEFAULT.under(look, "1").faces.look_when_unknown
    letting = replace(DEFAULT, bounds=Bounds(look=True))
    letting.check(look)
    assert letting.under(look, "1").faces.look_when_unknown
    looking = replace(DEFAULT, faces=FaceRules(look_when_unknown=True))
    assert not looking.under(Terms(unknown=Unknown.LEAVE), "1").faces.look_when_unknown
    assert looking.under(Terms(), "1").faces.look_when_unknown


def test_a_face_may_have_to_be_more_alike_up_to_strong_never_less() -> None:
    policy = DEFAULT.with_likeness({"pack": Likeness(0.4, 0.6)})
    policy.check(Terms({"pack": Limit(0.5)}))
    with pytest.raises(Invalid, match=r"from 0\.4 to 0\.6"):
        policy.check(Terms({"pack": Limit(0.3)}))
    assert policy.under(Terms({"pack": Limit(0.9)}), "1").faces.thresholds["pack"].review == 0.6


def test_a_deadline_lies_within_the_bounds() -> None:
    DEFAULT.check(Terms(deadline_hours=48))
    with pytest.raises(Invalid, match="from 24 to 720"):
        DEFAULT.check(Terms(deadline_hours=2))


@pytest.mark.parametrize(
    "known",
    [
        Within("pdq", "upheld", 31),
        Within("pdq", "registered", 4),
        AllOf((Within("pdq", "upheld", 10), Within("orb", "upheld", 64))),
        Witnessed("pdq", "upheld", 47),
    ],
)
def test_an_operators_policy_that_would_answer_more_than_repeats_is_refused(known: object) -> None:
    check_operators(DEFAULT)
    with pytest.raises(Invalid, match="no repeat"):
        check_operators(replace(DEFAULT, known=known))  # type: ignore[arg-type]


def test_bounds_are_read_back_as_they_were() -> None:
    policy = replace(DEFAULT, bounds=Bounds({"pdq": Range(8, 40)}, Range(1, 9), look=True))
    assert parse_policy(policy.document()) == policy
    with pytest.raises(Invalid, match=r"bounds\.pdq\.most"):
        parse_policy({**DEFAULT.document(), "bounds": {"signals": {"pdq": {"least": 3}}}})


# --- dry runs -----------------------------------------------------------------------------------


def tried(policy: Policy, *hits: Hit, by: Policy = DEFAULT) -> trial.Replayed:
    """What ``policy`` says of an upload that ``by`` judged, from what was kept of it."""
    decision = by.judge(gather(hits))
    asked = () if isinstance(decision, Clear) else decision.matches
    kept = nearness(hits, asked, trial.reach(by, ("pdq", "phash")))
    return replay(policy, trial.read(kept.document()))


def test_a_dry_run_says_what_the_policy_itself_would_have_said() -> None:
    wide = replace(DEFAULT, bounds=Bounds({"pdq": Range(8, 47)}))
    assert tried(wide.under(pdq(40), "1"), hit(36), by=wide) == trial.Replayed(
        review=True, doubtful=False, beyond=("pdq",)
    )
    assert not tried(wide.under(pdq(33), "1"), hit(36), by=wide).review


def test_what_needed_no_second_witness_is_doubtful_when_it_would_need_one() -> None:
    near = hit(25, witness=Witness.NEAR)
    assert tried(DEFAULT.under(pdq(20), "1"), near) == trial.Replayed(False, True, ())
    partner = hit(25, bank="partner", witness=Witness.NEAR)
    assert tried(DEFAULT.under(pdq(20), "1"), partner) == trial.Replayed(False, False, ())


def test_two_people_are_not_taken_for_one() -> None:
    both = AllOf((Within("pdq", "registered", 31), Within("phash", "registered", 20)))
    policy = replace(DEFAULT, review=both)
    assert not tried(policy, hit(5, person=1), hit(5, "phash", person=2)).review
    assert tried(policy, hit(5, person=1), hit(5, "phash", person=1)).review


def test_nothing_that_names_anybody_is_kept_for_dry_runs() -> None:
    kept = nearness([hit(25, person=77)], (), {"pdq": 31.0}).document()
    assert kept == {"groups": [[["pdq", "registered", 25, None, "hamming"]]], "reach": {"pdq": 31}}


def test_a_face_that_nobody_was_asked_about_is_not_kept_for_dry_runs() -> None:
    face = replace(hit(0.35, "pack", "faces"), metric=Metric.INNER_PRODUCT)
    assert nearness([face], (), {}).groups == ()
    policy = DEFAULT.with_likeness({"pack": Likeness(0.3, 0.6)})
    assert tried(policy, face, by=policy).review
    assert not tried(policy.under(Terms({"pack": Limit(0.5)}), "1"), face, by=policy).review
