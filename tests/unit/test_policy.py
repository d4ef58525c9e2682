"""A policy says Clear, Review or Known; never more, and the same whatever the order."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.evidence import Evidence, Hit, Owner, Source, gather
from pipeline.domain.ids import CaseId, EntryId, ItemId, PersonId
from pipeline.domain.media import WHOLE
from pipeline.domain.policy import (
    DEFAULT,
    AllOf,
    AnyOf,
    Clear,
    Decision,
    Known,
    Match,
    Policy,
    Review,
    Within,
    parse,
)
from pipeline.errors import Invalid

SIGNALS, BANKS = ("pdq", "phash"), ("registered", "upheld")
CASES = [CaseId(UUID(int=100 + number)) for number in range(3)]
WITHIN = st.builds(
    Within,
    st.sampled_from(SIGNALS),
    st.sampled_from(BANKS),
    st.integers(0, 64) | st.floats(0, 64, allow_nan=False),
)
RULES = st.recursive(
    WITHIN,
    lambda inner: st.lists(inner, min_size=1, max_size=3).flatmap(
        lambda rules: st.sampled_from((AnyOf(tuple(rules)), AllOf(tuple(rules))))
    ),
    max_leaves=8,
)
POLICIES = st.builds(Policy, st.text(min_size=1, max_size=10), RULES, RULES)


def make_hit(entry=1, signal="pdq", distance=10.0, case=None, person=0):
    source, bank = (Source.UPHELD, "upheld") if case else (Source.REGISTERED, "registered")
    owner = Owner(
        EntryId(entry), ItemId(UUID(int=entry)), PersonId(UUID(int=person)), bank, source, case
    )
    return Hit(signal, distance, WHOLE, 0, owner)


def make_policy(review=DEFAULT.review, known=DEFAULT.known):
    return Policy("test-1", review, known)


@st.composite
def some_evidence(draw):
    """Evidence of up to three people; an entry has one signal, one person and one source."""
    distances = draw(st.dictionaries(st.integers(0, 23), st.integers(0, 40), max_size=10))
    hits = [
        make_hit(
            entry,
            SIGNALS[entry % 2],
            distance,
            CASES[entry // 2 % 3] if entry >= 8 else None,
            person=entry % 3,
        )
        for entry, distance in distances.items()
    ]
    return gather(hits)


def leaves(rule):
    if isinstance(rule, Within):
        return [rule]
    return [leaf for part in rule.rules for leaf in leaves(part)]


def holds(rule, hits):
    """Whether a rule holds, worked out apart from the code under test."""
    if isinstance(rule, Within):
        return any(
            (hit.signal, hit.owner.bank) == (rule.signal, rule.bank)
            and hit.distance <= rule.distance
            for hit in hits
        )
    of = any if isinstance(rule, AnyOf) else all
    return of(holds(part, hits) for part in rule.rules)


# --- judging ----------------------------------------------------------------------------------


def test_there_is_no_decision_that_removes_anything():
    assert set(get_args(Decision)) == {Clear, Review, Known}


def test_nothing_found_is_clear():
    assert DEFAULT.judge([]) == Clear()


@pytest.mark.parametrize(
    ("signal", "distance", "expected"),
    [("pdq", 31, Review), ("pdq", 32, Clear), ("phash", 20, Review), ("phash", 21, Clear)],
)
def test_the_edge_of_a_threshold_counts_and_one_bit_beyond_does_not(signal, distance, expected):
    assert isinstance(DEFAULT.judge(gather([make_hit(1, signal, distance)])), expected)


@settings(deadline=None, max_examples=300)
@given(POLICIES, some_evidence())
def test_a_decision_is_what_its_rules_say_read_plainly(policy, evidence):
    by_case = [
        [hit for hit in person.hits if hit.owner.case == case]
        for person in evidence
        for case in CASES
    ]
    decision = policy.judge(evidence)
    if any(holds(policy.known, hits) for hits in by_case):
        assert isinstance(decision, Known)
    elif any(holds(policy.review, person.hits) for person in evidence):
        assert isinstance(decision, Review)
    else:
        assert decision == Clear()


@settings(deadline=None, max_examples=300)
@given(POLICIES, some_evidence())
def test_known_rests_on_upheld_entries_of_one_case_and_one_person_alone(policy, evidence):
    decision = policy.judge(evidence)
    if isinstance(decision, Known):
        owners = {match.hit.owner for match in decision.matches}
        assert owners
        assert {owner.source for owner in owners} == {Source.UPHELD}
        assert {owner.case for owner in owners} == {decision.case}
        assert len({owner.person for owner in owners}) == 1


@settings(deadline=None, max_examples=300)
@given(POLICIES, some_evidence(), st.randoms(use_true_random=False))
def test_the_kind_of_decision_and_its_case_do_not_depend_on_the_order_of_evidence(
    policy, evidence, rng
):
    shuffled = list(evidence)
    rng.shuffle(shuffled)
    one, other = policy.judge(evidence), policy.judge(shuffled)
    assert type(one) is type(other)
    if isinstance(one, Known) and isinstance(other, Known):
        assert one.case == other.case
    else:
        assert one == other


def test_a_repeat_found_for_two_people_is_told_alike_whatever_the_order_of_evidence():
    people = gather(
        [make_hit(1, distance=2, case=CASES[0]), make_hit(2, distance=2, case=CASES[0], person=1)]
    )
    assert DEFAULT.judge(people) == DEFAULT.judge(people[::-1])


def test_the_nearest_repeat_names_its_case():
    hits = [make_hit(1, distance=3, case=CASES[0]), make_hit(2, distance=1, case=CASES[1])]
    decision = DEFAULT.judge(gather(hits))
    assert isinstance(decision, Known)
    assert decision.case == CASES[1]


def test_registered_entries_are_never_known_however_near():
    everything = AnyOf(tuple(Within("pdq", bank, 256) for bank in BANKS))
    policy = make_policy(known=everything)
    assert isinstance(policy.judge(gather([make_hit(distance=0)])), Review)


def test_two_halves_of_a_known_rule_from_two_cases_are_not_a_repeat():
    halves = [
        make_hit(1, "pdq", 8, CASES[0]),
        make_hit(2, "phash", 8, CASES[1]),
    ]
    assert isinstance(DEFAULT.judge(gather(halves)), Review)
    same = [replace(hit, owner=replace(hit.owner, case=CASES[0])) for hit in halves]
    assert isinstance(DEFAULT.judge(gather(same)), Known)


def test_two_halves_of_a_rule_from_two_people_do_not_make_a_review():
    both = AllOf((Within("pdq", "registered", 20), Within("phash", "registered", 20)))
    policy = make_policy(review=both)
    apart = [make_hit(1, "pdq"), make_hit(2, "phash", person=1)]
    assert policy.judge(gather(apart)) == Clear()
    together = [make_hit(1, "pdq"), make_hit(2, "phash")]
    assert isinstance(policy.judge(gather(together)), Review)


@settings(deadline=None)
@given(RULES, some_evidence())
def test_reviewed_matches_are_nearest_first_each_hit_once_and_within_their_threshold(
    rule, evidence
):
    decision = make_policy(review=rule).judge(evidence)
    if isinstance(decision, Review):
        order = [(match.hit.distance, match.hit.entry) for match in decision.matches]
        assert order == sorted(order)
        assert len(order) == len(set(order))
        assert all(match.hit.distance <= match.threshold for match in decision.matches)


def test_a_hit_that_counts_twice_is_told_once_with_the_narrowest_threshold():
    rule = AnyOf((Within("pdq", "registered", 12), Within("pdq", "registered", 31)))
    hit = make_hit(distance=10)
    assert rule.matches([hit]) == (Match(hit, 12),)
    assert rule.matches(iter([hit])) == (Match(hit, 12),)


# --- the radius -------------------------------------------------------------------------------


@settings(deadline=None)
@given(POLICIES, st.sampled_from((*SIGNALS, "face")))
def test_the_radius_is_the_widest_that_any_leaf_asks_for(policy, signal):
    asked = [
        leaf.distance
        for rule in (policy.review, policy.known)
        for leaf in leaves(rule)
        if leaf.signal == signal
    ]
    assert policy.radius(signal) == max(asked, default=None)


@settings(deadline=None)
@given(POLICIES, some_evidence())
def test_what_lies_beyond_the_radius_changes_no_decision(policy, evidence):
    near = gather(
        hit
        for person in evidence
        for hit in person.hits
        if (radius := policy.radius(hit.signal)) is not None and hit.distance <= radius
    )
    assert type(policy.judge(near)) is type(policy.judge(evidence))


# --- the document -----------------------------------------------------------------------------


@settings(deadline=None)
@given(POLICIES)
def test_a_policy_written_as_json_is_read_back_as_it_was(policy):
    assert parse(json.loads(json.dumps(policy.document()))) == policy


def test_the_built_in_policy_is_read_back_as_it_was():
    assert parse(DEFAULT.document()) == DEFAULT


@pytest.mark.parametrize(("kind", "name"), [(AnyOf, "any_of"), (AllOf, "all_of")])
def test_a_policy_without_rules_is_an_error_and_not_a_policy_that_clears_everything(kind, name):
    with pytest.raises(Invalid, match=f"{name} without rules would decide about everything"):
        kind(())


LEAF = {"within": {"signal": "pdq", "bank": "registered", "distance": 31}}


def document(**changes):
    return {"version": "1", "review": LEAF, "known": LEAF} | changes


def leaf(**changes):
    return {"within": LEAF["within"] | changes}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"version": "1", "known": LEAF}, "lacks 'review'"),
        ({"version": "1", "review": LEAF}, "lacks 'known'"),
        ({"review": LEAF, "known": LEAF}, "lacks 'version'"),
        (document(remove=LEAF), "not remove"),
        (document(version=""), "version is a word"),
        (document(version=1), "version is a word"),
        (document(review=[]), "review: a rule is one of"),
        (document(known={}), "known: a rule is one of"),
        (document(known=LEAF | {"any_of": [LEAF]}), "known: a rule is one of"),
        (document(known={"beyond": {}}), "known: no rule 'beyond'"),
        (document(review={"any_of": LEAF}), "review.any_of is a list"),
        (document(review={"any_of": [LEAF, {"not": LEAF}]}), "review.any_of[1]: no rule 'not'"),
        (document(known={"within": []}), "known.within has signal, bank and distance"),
        (document(known={"within": {"signal": "pdq"}}), "known.within has signal"),
        (document(review=leaf(bits=3)), "review.within has signal"),
        (document(review=leaf(distance=-1)), "review.within.distance is a number"),
        (document(review=leaf(distance="31")), "review.within.distance is a number"),
        (document(review=leaf(distance=True)), "review.within.distance is a number"),
        (document(review=leaf(distance=None)), "review.within.distance is a number"),
        (
            document(known={"all_of": [{"any_of": [LEAF, leaf(distance=-1)]}]}),
            "known.all_of[0].any_of[1].within.distance is a number",
        ),
        (document(review={"any_of": []}), "review.any_of has no rules"),
        (document(known={"all_of": []}), "known.all_of has no rules"),
    ],
)
def test_a_wrong_document_is_refused_by_the_name_of_the_wrong_part(wrong, named):
    with pytest.raises(Invalid) as caught:
        parse(wrong)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (document(review=leaf(distance=float("nan"))), "review.within.distance"),
        (document(review=leaf(distance=float("inf"))), "review.within.distance"),
        (document(review=leaf(signal=3)), "review.within.signal"),
        (document(review=leaf(bank=None)), "review.within.bank"),
        (document(known={"all_of": [{"any_of": []}]}), "known.all_of[0].any_of"),
        ([], "policy"),
        (None, "policy"),
    ],
)
def test_a_document_that_looks_nearly_right_is_refused_by_name_as_well(wrong, named):
    with pytest.raises(Invalid) as caught:
        parse(wrong)
    assert named in str(caught.value)


def test_evidence_that_was_cut_off_is_judged_like_any_other():
    hit = make_hit(distance=5)
    cut = Evidence(hit.owner.person, (hit,), truncated=True)
    assert DEFAULT.judge([cut]) == DEFAULT.judge(gather([hit]))


def test_the_readme_shows_the_default_policy() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    shown = json.loads(text.split("```json\n", 2)[2].split("```")[0])
    default = DEFAULT.document()
    assert shown == {name: default[name] for name in ("version", "review", "known")}
