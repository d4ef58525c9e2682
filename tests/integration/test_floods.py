"""An entry that matches unrelated uploads is parked, a lead has a word, and nothing is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import pytest
from fastapi.testclient import TestClient

from pipeline.domain.case import CaseKind, Ground, State
from pipeline.domain.media import Rating, Side, Upload
from pipeline.domain.notice import Notice
from pipeline.domain.policy import DEFAULT
from pipeline.domain.roles import Role
from pipeline.errors import Denied, IllegalTransition
from pipeline.journeys import review
from pipeline.journeys.follow_case import Next, What, follow_case
from pipeline.journeys.notice import give
from pipeline.journeys.notice_flood import allow_again, keep_out, let_go
from pipeline.journeys.policies import set_operators
from pipeline.journeys.screen_upload import Hashed
from pipeline.journeys.withdraw import finish, leave
from pipeline.journeys.withdraw_items import withdraw_items
from services.accounts import add_reviewer
from services.api.pulse import Pulses
from services.console import create_app
from services.wiring import alive, now
from tests.integration.test_console import PASSWORD, Desk
from tests.integration.test_following import enter, join
from tests.world import Town, jpeg, picture

LIMIT = 4


class Flooded:
    """A town in which her picture matches all kinds of things."""

    def __init__(self, town: Town) -> None:
        self.town = town
        document = {**DEFAULT.document(), "flood": {"uploads": LIMIT, "accounts": 3}}
        set_operators(town.world.store, town.clock, town.world.policy, document, 0, "test")
        town.world.policies.refresh()
        self.person = enter(town, join(town, 1))
        self.board = town.platform("board")
        pdq = next(one for one in town.world.signals if one.space.name == "pdq")
        frames = town.world.decode(jpeg(picture(1))).frames
        self.code = pdq.compute(frames, Side.QUERY).codes[0]
        self.random = np.random.default_rng(7)

    def off_by(self, bits: int) -> bytes:
        """Her code with so many bits turned, other ones each time."""
        flips = np.zeros(256, np.uint8)
        flips[self.random.choice(256, bits, replace=False)] = 1
        return (self.code ^ np.packbits(flips)).tobytes()

    def upload(self, code: bytes, account: str | None = None, name: str | None = None) -> Any:
        number = self.random.integers(1 << 40)
        what = Upload(name or f"post-{number}", account or f"acc-{number}", Rating.INTIMATE)
        screener = self.town.world.screener(self.town.live)
        return screener.screen_hashes(self.board, what, [Hashed("pdq", code, 100)])

    def flood(self, many: int = LIMIT) -> list[Any]:
        """Uploads that have nothing to do with each other."""
        answers = [self.upload(self.off_by(24)) for _ in range(many)]
        self.town.clock.at = now()  # uploads arrive by the real one
        return answers

    def states(self) -> list[str]:
        return sorted(state for (state,) in self.town.query("SELECT state FROM cases"))

    @property
    def item(self) -> Any:
        return self.town.query("SELECT item FROM floods")[0][0]

    def told(self, kind: str) -> int:
        return self.town.query("SELECT count(*) FROM events WHERE kind = %s", kind)[0][0]

    def whats(self) -> list[What]:
        (item,) = follow_case(self.town.world.desk, self.person)
        return [one.what for one in item.happenings][2:]


@pytest.fixture
def flooded(town: Town) -> Flooded:
    return Flooded(town)


def test_nothing_is_parked_while_a_process_of_the_version_before_is_at_work(town: Town) -> None:
    flooded = Flooded(town)
    with psycopg.connect(town.url):  # it does not say what it knows
        flooded.flood()
        assert flooded.states() == ["open"] * LIMIT
    with psycopg.connect(town.url, application_name="consentry 26"):
        flooded.flood(1)
    assert set(flooded.states()) == {"parked"}, "with the next upload, once it is gone"


def test_a_flood_parks_its_cases_and_each_upload_still_has_a_named_answer(flooded: Flooded) -> None:
    town, store = flooded.town, flooded.town.world.store
    copies = [flooded.upload(flooded.off_by(8)) for _ in range(LIMIT + 2)]
    viral = flooded.off_by(24)
    spread = [bytes([viral[0] ^ (1 << bit), *viral[1:]]) for bit in range(LIMIT)]
    again = [flooded.upload(code) for code in spread]  # one altered copy, uploaded by many
    one = [flooded.upload(flooded.off_by(24), "the same account") for _ in range(2)]
    assert {answer.verdict for answer in (*copies, *again, *one)} == {"review"}
    assert set(flooded.states()) == {"open"}, "copies, and one picture's copies, are no flood"
    kept_open = len(flooded.states())

    flooded.flood(2)
    assert flooded.told("case.parked") > 0
    assert flooded.states().count("open") == len(copies), "close copies stay where they were"
    assert flooded.states().count("parked") == kept_open + 2 - len(copies)
    late = flooded.upload(flooded.off_by(24), name="late")
    assert (late.verdict, late.blocks, late.notes[-1]) == ("review", True, "quarantine")
    assert flooded.upload(flooded.off_by(24), name="late").case == late.case, "it joins its case"
    assert flooded.upload(flooded.off_by(3)).notes == (), "a close copy goes to the reviewers"
    ((body,),) = town.query("SELECT body FROM audit_log WHERE action = 'entry.quarantined'")
    assert '"uploads":4' in body
    assert "acc-" not in body

    reviewer = town.reviewer()
    for _ in range(len(copies) + 1):
        assert review.claim_next(town.world.desk, reviewer) is not None
    assert review.claim_next(town.world.desk, reviewer) is None, "the parked are in no queue"
    with pytest.raises((Denied, IllegalTransition)):
        review.claim(town.world.desk, late.case, reviewer)
    pulse = Pulses(store, town.clock)()
    assert (pulse.floods, pulse.parked) == (1, flooded.states().count("parked"))
    assert What.QUARANTINED in flooded.whats()
    assert flooded.whats().count(What.UNDER_REVIEW) == len(copies) + 1

    flooded.upload(flooded.off_by(2), name="late")
    assert town.query("SELECT state FROM cases WHERE id = %s", late.case) == [("open",)]
    assert flooded.told("case.released") == 1, "something closer speaks for it now"


def test_a_lead_lets_the_cases_go_or_keeps_the_codes_out(flooded: Flooded) -> None:
    town, desk = flooded.town, flooded.town.world.desk
    lead = town.reviewer("lea", "lead")
    flooded.flood()
    assert flooded.states() == ["parked"] * LIMIT
    with pytest.raises(Denied):
        let_go(desk, flooded.item, lead, "reviewer")
    assert let_go(desk, flooded.item, lead, "lead") == LIMIT
    assert flooded.states() == ["open"] * LIMIT
    assert flooded.told("case.released") == LIMIT
    flooded.flood(LIMIT - 1)
    assert "parked" not in flooded.states(), "what came before a lead's word counts no more"

    flooded.flood(1)
    assert "parked" in flooded.states()
    before = flooded.states().count("parked")
    assert keep_out(desk, flooded.item, lead, "lead") == before
    assert flooded.states().count("withdrawn") == before
    left = (
        "SELECT count(*) FROM media m JOIN cases c ON c.id = m.case_id WHERE c.state = 'withdrawn'"
    )
    assert town.query(f"{left} AND m.destroyed_at IS NULL") == [(0,)]
    out = flooded.upload(flooded.off_by(24))
    assert (out.verdict, out.notes) == ("clear", ("kept_out",))
    assert flooded.upload(flooded.off_by(5)).verdict == "review", "her copies are still looked for"
    assert What.KEPT_OUT in flooded.whats()
    allow_again(desk, flooded.item, lead, "lead")
    assert flooded.upload(flooded.off_by(24)).verdict == "review"


def test_notices_are_never_parked_and_parked_cases_keep_their_deadline(flooded: Flooded) -> None:
    town = flooded.town
    where = ("https://board.example/post/1",)
    notice = Notice(where, "That is me", True, True, "Maria", "m@mail.example")
    give(town.world.store, town.clock, "board", notice)
    flooded.upload(flooded.off_by(24), name=where[0])
    held = flooded.upload(flooded.off_by(24))
    claim = review.claim(town.world.desk, held.case, town.reviewer())
    flooded.flood(LIMIT)
    kinds = dict(town.query("SELECT kind, state FROM cases WHERE kind = 'notice'"))
    assert kinds == {CaseKind.NOTICE: State.OPEN}
    assert town.query("SELECT state FROM cases WHERE id = %s", held.case) == [("open",)]
    review.dismiss(town.world.desk, held.case, claim.token, Ground.WRONG_MATCH, "Another picture.")
    town.query("UPDATE cases SET deadline = %s WHERE state = 'parked'", town.clock())
    with town.world.store.transaction() as unit:
        overdue, _ = unit.cases.deadlines(town.clock(), town.clock())
    assert overdue == LIMIT


def test_what_is_said_of_a_flood_goes_with_the_item_and_with_the_person(flooded: Flooded) -> None:
    town, world = flooded.town, flooded.town.world
    flooded.flood()
    withdraw_items(world.store, world.blobs, town.clock, flooded.person, [flooded.item])
    assert town.query("SELECT count(*) FROM floods") == [(0,)]
    assert set(flooded.states()) == {"withdrawn"}
    (item,) = flooded.town.query("SELECT count(*) FROM case_hits WHERE person IS NOT NULL")
    assert item == (0,)

    flooded.person = enter(town, join(town, 1))
    flooded.flood()
    assert "parked" in flooded.states()
    (followed,) = follow_case(world.desk, flooded.person)
    assert followed.next is Next.DECISION
    receipt = leave(world.store, town.clock, flooded.person)
    assert finish(world.store, world.blobs, town.clock, alive, receipt).complete
    assert town.query("SELECT count(*) FROM floods") == [(0,)]
    assert set(flooded.states()) == {"withdrawn"}


def test_the_leads_page_says_why_without_a_picture_and_takes_an_answer(flooded: Flooded) -> None:
    town = flooded.town
    flooded.flood()
    add_reviewer(town.world, "lea", PASSWORD, role=Role.LEAD.value)
    add_reviewer(town.world, "ada", PASSWORD)
    client = TestClient(create_app(town.world), follow_redirects=False)
    lead = Desk(town, client)
    lead.log_in("lea")
    page = lead.get("/lead/floods").text
    for said in (f"<strong>{LIMIT}</strong> unrelated", "PDQ, the whole picture: 4 uploads",
                 "PDQ, 24 to 27 bits off: 4 uploads", f"{LIMIT} cases parked"):  # fmt: skip
        assert said in page
    assert "<img" not in page
    assert str(flooded.person) not in page
    path = f"/lead/floods/{flooded.item}"
    assert lead.send(path, answer="perhaps").status_code == 422
    assert lead.post(path, {"answer": "keep_out"}).status_code in {400, 403}, "without the token"
    assert flooded.states() == ["parked"] * LIMIT
    assert "In quarantine" in lead.get("/cases?state=parked").text
    done = lead.send(path, answer="keep_out")
    assert done.headers["location"] == "/lead/floods?done=kept_out"
    assert "Let them count again" in lead.get(done.headers["location"]).text
    assert lead.send(path, answer="release").status_code == 409
    other = Desk(town, TestClient(create_app(town.world), follow_redirects=False))
    other.log_in("ada")
    assert other.get("/lead/floods").status_code == 403
    assert other.send(path, answer="allow").status_code == 403
    assert lead.send(path, answer="allow").status_code == 303
    assert "Nothing waits" in lead.get("/lead/floods").text
