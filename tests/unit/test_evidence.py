"""Evidence is gathered per person, and of several hits on one entry the nearest stays."""

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.evidence import Hit, Owner, Source, gather, without
from pipeline.domain.ids import EntryId, ItemId, PersonId
from pipeline.domain.media import WHOLE, Turn, View

PEOPLE = [PersonId(UUID(int=number)) for number in range(3)]


def make_hit(entry=1, person=0, distance=10.0, view=WHOLE, slot=0):
    owner = Owner(
        EntryId(entry),
        ItemId(UUID(int=entry)),
        PEOPLE[person],
        "registered",
        Source.REGISTERED,
        None,
    )
    return Hit("pdq", distance, view, slot, owner)


@st.composite
def some_hits(draw, max_size=20):
    """Hits on a few entries, each of which is one person's."""
    drawn = draw(
        st.lists(
            st.tuples(st.integers(0, 8), st.integers(0, 40), st.integers(0, 3)), max_size=max_size
        )
    )
    return [make_hit(entry, entry % 3, distance, slot=slot) for entry, distance, slot in drawn]


@settings(deadline=None)
@given(some_hits())
def test_each_entry_that_was_hit_is_there_once_with_its_nearest_hit(hits):
    nearest = {}
    for hit in hits:
        nearest[hit.entry] = min(hit.distance, nearest.get(hit.entry, hit.distance))
    gathered = [hit for evidence in gather(hits) for hit in evidence.hits]
    assert {hit.entry: hit.distance for hit in gathered} == nearest
    assert len(gathered) == len(nearest)
    assert set(gathered) <= set(hits)


@settings(deadline=None)
@given(some_hits())
def test_everybody_who_was_hit_has_one_evidence_of_her_own_entries_nearest_first(hits):
    gathered = gather(hits)
    people = [evidence.person for evidence in gathered]
    assert len(people) == len(set(people))
    assert set(people) == {hit.owner.person for hit in hits}
    for evidence in gathered:
        assert {hit.owner.person for hit in evidence.hits} == {evidence.person}
        order = [(hit.distance, hit.entry) for hit in evidence.hits]
        assert order == sorted(order)


@settings(deadline=None)
@given(some_hits(), st.randoms(use_true_random=False))
def test_the_order_of_hits_changes_neither_entries_nor_distances(hits, rng):
    shuffled = list(hits)
    rng.shuffle(shuffled)

    def told(some):
        return {one.person: [(hit.entry, hit.distance) for hit in one.hits] for one in gather(some)}

    assert told(shuffled) == told(hits)


def test_the_view_and_slot_of_the_nearest_hit_stay_with_it():
    far, near = make_hit(distance=9, slot=3), make_hit(distance=8, view=View(turn=Turn.FLIP_Y))
    (evidence,) = gather([far, near, make_hit(distance=8.5)])
    assert evidence.hits == (near,)


def test_that_an_index_had_more_to_say_is_passed_on():
    hits = [make_hit(1, 0), make_hit(2, 1)]
    assert [evidence.truncated for evidence in gather(hits, truncated=True)] == [True, True]
    assert [evidence.truncated for evidence in gather(hits)] == [False, False]


def test_no_hits_are_no_evidence():
    assert gather([]) == ()


@settings(deadline=None)
@given(some_hits(), st.sets(st.integers(0, 8)))
def test_dismissed_entries_are_gone_and_all_others_stay_in_order(hits, dismissed):
    left = without(hits, [EntryId(entry) for entry in dismissed])
    assert list(left) == [hit for hit in hits if hit.entry not in dismissed]


def test_a_hit_does_not_need_a_case_unless_it_was_upheld():
    assert make_hit().owner.case is None
    assert make_hit(7).entry == 7
