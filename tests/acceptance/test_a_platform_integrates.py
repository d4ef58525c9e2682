"""A hosting site that knows only the documented API and the client, from upload to restoration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from pipeline.domain.case import Ground, State
from pipeline.domain.ids import CaseId
from pipeline.journeys import review
from pipeline.journeys.deliver import deliver_due
from services.accounts import add_platform
from services.api import create_app
from services.client import Consentry
from services.wiring import now
from tests.platform_site import Site
from tests.serving import served
from tests.world import Town, jpeg, picture

HERS, OTHERS = jpeg(picture(1)), jpeg(picture(2))


@dataclass
class Story:
    """The site, its visitors' browser, and the deployment behind it."""

    town: Town
    site: Site
    browser: httpx.Client

    def upload(self, user: str, body: bytes) -> str:
        """Somebody uploads; they are told the same whatever happens."""
        answer = self.browser.post("/upload", params={"user": user}, content=body)
        said = answer.json()
        assert (answer.status_code, said.pop("state")) == (202, "being processed")
        return str(said["post"])

    def shown(self, post: str) -> bool:
        """Whether the public sees it."""
        return self.browser.get(f"/post/{post}").status_code == 200

    def inbox(self, user: str) -> list[str]:
        """What the site wrote to somebody."""
        return list(self.browser.get(f"/inbox/{user}").json())

    def deliver(self) -> tuple[int, int]:
        """A worker's round."""
        done = deliver_due(self.town.world.store, self.town.world.action(), now, lambda _: 0.0)
        return done.sent, done.failed

    def decide(self, login: str, to: State, ground: Ground) -> CaseId:
        """The next case in the queue is decided by somebody."""
        desk = self.town.world.desk
        claim = review.claim_next(desk, self.town.reviewer(login))
        assert claim is not None
        review.decide(desk, claim.case, claim.token, to, ground, "Looked at closely.")
        self.town.live.catch_up()
        return claim.case


@pytest.fixture
def story(town: Town) -> Iterator[Story]:
    """The site has signed up: an operator gave it a key and allowed its host on this machine."""
    town.rules(undo_seconds=0)
    made = add_platform(town.world, "site", None, 10_000)
    with town.world.store.transaction() as unit:
        unit.platforms.allow_host(made.platform, "127.0.0.1", private=True)
    with (
        served(create_app(town.world, town.live)) as url,
        Consentry(url, made.api_key) as consentry,
        Site(consentry).running() as site,
        httpx.Client(base_url=site.address, timeout=60) as browser,
    ):
        hook = consentry.add_webhook(f"{site.address}/hooks/consentry")
        site.secrets.append(hook.secret)
        assert consentry.test_webhook(hook.webhook).delivered
        yield Story(town, site, browser)


def test_an_upload_is_held_removed_explained_appealed_and_restored(story: Story) -> None:
    story.town.register(HERS)
    fine = story.upload("nora", OTHERS)
    held = story.upload("max", HERS)
    assert story.shown(fine), "nothing was found"
    assert not story.shown(held), "held until somebody has looked"
    assert story.inbox("max") == [], "and nothing said of it"

    story.decide("ada", State.UPHELD, Ground.MATCH)
    assert story.deliver() == (1, 0)
    assert not story.shown(held)
    (reasons,) = story.inbox("max")
    assert len(reasons) > 200, "a statement of reasons"
    # As a word: a case's number may have these letters among its digits.
    assert not re.search(r"\bada\b", reasons, re.IGNORECASE), "it names nobody who decided"
    again = story.upload("eve", HERS)
    assert not story.shown(again), "a repeat is answered without another look"

    answer = story.browser.post(f"/appeal/{held}", content=b"It shows my own cat.")
    assert answer.status_code == 202
    story.decide("ben", State.OVERTURNED, Ground.DECISION_WRONG)
    assert story.deliver() == (1, 0)
    assert story.shown(held), "restored"
    assert story.inbox("max")[1] == f"{held} is back: somebody else looked at it again."
    told = [event.type for event in story.site.seen]
    assert told == ["webhook.test", "case.upheld", "case.overturned"]
    case = story.site.consentry.case(story.site.posts[held].case or "")
    assert (case.state, case.decision) == ("overturned", "upheld")
    did = story.site.consentry.actions(story.site.posts[held].screening)
    assert [one.action for one in did] == ["removed", "restored"]
    assert story.town.query("SELECT count(*) FROM audit_log WHERE action = 'delivery.made'") == [
        (2,)
    ]


def test_what_a_reviewer_dismisses_is_shown_and_an_appeal_that_fails_is_told(
    story: Story,
) -> None:
    story.town.register(HERS)
    held = story.upload("max", HERS)
    story.decide("ada", State.DISMISSED, Ground.WRONG_MATCH)
    assert story.deliver() == (1, 0)
    assert story.shown(held)
    other = jpeg(picture(3))
    story.town.register(other)
    kept = story.upload("max", other)
    story.decide("cleo", State.UPHELD, Ground.MATCH)
    story.deliver()
    story.browser.post(f"/appeal/{kept}", content=b"No!")
    story.decide("ben", State.STANDS, Ground.DECISION_RIGHT)
    assert story.deliver() == (1, 0)
    assert not story.shown(kept)
    assert story.inbox("max")[-1] == f"{kept} stays away: the decision stands."


def test_a_receiver_that_is_down_loses_nothing_and_a_secret_is_changed_meanwhile(
    story: Story,
) -> None:
    story.town.register(HERS)
    held = story.upload("max", HERS)
    story.site.failing = True
    story.decide("ada", State.UPHELD, Ground.MATCH)
    assert story.deliver() == (0, 1)
    (hook,) = story.site.consentry.webhooks()
    renewed = story.site.consentry.rotate_webhook(hook.webhook, overlap_hours=0)
    story.site.failing = False
    assert story.deliver() == (0, 1), "the site knows the old secret alone, which has ended"
    story.site.secrets[:] = [renewed.public_keys[0].key]
    assert story.deliver() == (1, 0)
    assert len(story.inbox("max")) == 1
    log = list(story.site.consentry.deliveries(hook.webhook))
    assert [(one.kind, one.status) for one in log] == [
        ("case.upheld", 204), ("case.upheld", 401), ("case.upheld", 500), ("webhook.test", 204),
    ]  # fmt: skip
    assert story.site.consentry.replay_webhook(hook.webhook, event=log[0].event) == 1
    assert story.deliver() == (1, 0)
    assert len(story.inbox("max")) == 1, "told twice, acted on once"
    assert not story.shown(held)


def test_the_site_uses_nothing_of_the_service_but_its_client() -> None:
    from pathlib import Path

    from tests import platform_site

    lines = Path(platform_site.__file__).read_text(encoding="utf-8").splitlines()
    ours = [line for line in lines if line.startswith(("from ", "import "))]
    inside = [line for line in ours if "services" in line or "pipeline" in line]
    assert inside == [
        "from services.client import Consentry, Problem, WebhookEvent, verify_webhook"
    ]
