"""Policy documents are set, kept with every version, and in force everywhere within a second.

The operator's own document takes the place of the deployment's policy file. A platform's terms go
on top of whichever holds. Each is changed from a version that the caller has seen: whoever comes
second with the same one is refused and looks again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pipeline.domain import policy as rules
from pipeline.domain import terms
from pipeline.domain.ids import PlatformId, ScreeningId
from pipeline.domain.policy import Policy
from pipeline.domain.terms import NOTHING_ASKED, Terms
from pipeline.domain.trial import replay
from pipeline.errors import Conflict, Invalid
from pipeline.ports import Clock, Store, Unit


class VersionChanged(Conflict):
    """Somebody has set another version since the caller looked."""

    code = "version_changed"


@dataclass(frozen=True, slots=True)
class _Held:
    head: int = -1
    operators: Policy | None = None
    platforms: Mapping[PlatformId, tuple[int, Terms]] = field(default_factory=dict)


class LivePolicies:
    """The documents in force, as one process knows them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held = _Held()
        self._made: dict[tuple[int, PlatformId | None], Policy] = {}

    def refresh(self) -> bool:
        """Read anew what has changed; whether anything had.

        A document that this code cannot read (a newer one wrote it, in the middle of an upgrade)
        leaves in force what was: a process must not stop answering because of it.
        """
        with self._store.transaction() as unit:
            head = unit.policies.head()
            if head == self._held.head:
                return False
            found = unit.policies.current()
        operators, platforms = self._held.operators, dict(self._held.platforms)
        for one in found:
            with suppress(Invalid):
                if one.platform is None:
                    operators = _versioned(rules.parse(one.document), one.version)
                else:
                    platforms[one.platform] = (one.version, terms.parse(one.document))
        self._held, self._made = _Held(head, operators, platforms), {}
        return True

    def operators(self, base: Policy) -> Policy:
        """The operator's policy: the document that was set, or ``base``, the deployment's file."""
        return self._of(base, None)

    def of(self, base: Policy, platform: PlatformId) -> Policy:
        """What judges a platform's uploads now."""
        return self._of(base, platform if platform in self._held.platforms else None)

    def _of(self, base: Policy, platform: PlatformId | None) -> Policy:
        held, made = self._held, self._made
        if (id(base), platform) not in made:
            asked = held.platforms.get(platform) if platform is not None else None
            made[id(base), platform] = in_force(base, held.operators, asked)
        return made[id(base), platform]


def in_force(
    base: Policy, operators: Policy | None, asked: tuple[int, Terms] | None = None
) -> Policy:
    """A policy from its documents. Its version names all that it was made of."""
    policy = base
    if operators is not None:
        # What this deployment's packs were calibrated at, where the document says nothing of them.
        policy = operators.with_likeness(base.faces.thresholds).with_copies(base.likes)
    if asked is not None:
        number, wanted = asked
        policy = policy.under(wanted, f"{policy.version}+{number}")
    return policy


@dataclass(frozen=True, slots=True)
class InForce:
    """What judges a platform's uploads, and the document of its own that went into it."""

    policy: Policy
    operators: Policy
    terms: Terms
    version: int
    """0 while the platform has set none."""
    set_at: datetime | None = None


def look_up(unit: Unit, base: Policy, platform: PlatformId) -> InForce:
    """What is in force for a platform, read at this moment."""
    found = {one.platform: one for one in unit.policies.current()}
    stored, own = found.get(None), found.get(platform)
    operators = _versioned(rules.parse(stored.document), stored.version) if stored else None
    asked = (own.version, terms.parse(own.document)) if own else None
    return InForce(
        in_force(base, operators, asked),
        in_force(base, operators),
        asked[1] if asked else NOTHING_ASKED,
        own.version if own else 0,
        own.made_at if own else None,
    )


def set_terms(
    store: Store,
    clock: Clock,
    base: Policy,
    platform: PlatformId,
    document: Mapping[str, Any],
    seen: int,
    actor: str,
) -> InForce:
    """Put a platform's terms in force, in place of version ``seen``.

    Raises ``Invalid`` for terms beyond the operator's bounds or for a queue that the house rules
    do not know, ``VersionChanged`` when another version has come first.
    """
    wanted = terms.parse(document)
    with store.transaction() as unit:
        now = look_up(unit, base, platform)
        now.operators.check(wanted)
        _check_queue(unit, wanted)
        _add(unit, clock, platform, now.version, seen, wanted.document(), actor)
        return look_up(unit, base, platform)


def set_operators(
    store: Store, clock: Clock, base: Policy, document: Mapping[str, Any], seen: int, actor: str
) -> Policy:
    """Put another policy of the operator's in force for everybody, in place of version ``seen``."""
    wanted = rules.parse(document)
    rules.check_operators(wanted)
    with store.transaction() as unit:
        newest = next(iter(unit.policies.history(None, None, 1)), None)
        version = newest.version if newest else 0
        _add(unit, clock, None, version, seen, wanted.document(), actor)
    return in_force(base, _versioned(wanted, seen + 1))


@dataclass(frozen=True, slots=True)
class Trial:
    """What other terms would have said of a platform's newest uploads, and how far that reaches.

    ``cases`` counts contents, because uploads of the same content share a case. ``doubtful`` are
    uploads that would go clear unless a second witness is found, which nobody looked for then.
    ``beyond`` counts, by signal, uploads that were not looked at as far out as these terms ask:
    what lay there is unknown, so ``more`` is then the least it can be.
    """

    tried: int
    not_recorded: int
    """Answers older than dry runs are: nothing can be said of them."""
    more: int
    more_cases: int
    fewer: int
    doubtful: int
    beyond: Mapping[str, int]
    tests: Mapping[str, int]
    """How many of them banks that were only tried would have had a person look at, by bank."""
    since: datetime | None


def try_terms(
    store: Store, base: Policy, platform: PlatformId, document: Mapping[str, Any], last: int
) -> Trial:
    """Try terms on a platform's ``last`` uploads; nothing comes into force and nobody is told.

    What was ``known`` stays so: no terms change that. Raises ``Invalid`` as ``set_terms`` does.
    """
    wanted = terms.parse(document)
    with store.transaction() as unit:
        now = look_up(unit, base, platform)
        now.operators.check(wanted)
        _check_queue(unit, wanted)
        policy = now.operators.under(wanted, "tried")
        tried = not_recorded = more = fewer = doubtful = 0
        raised, held = set[str](), set[str]()
        beyond: Counter[str] = Counter()
        since = None
        seen: list[ScreeningId] = []
        for one in unit.screenings.last(platform, last):
            since = one.received_at
            seen.append(one.id)
            if one.near is None:
                not_recorded += 1
                continue
            tried += 1
            said = replay(policy, one.near)
            beyond.update(said.beyond)
            if one.verdict == "known":
                continue
            if one.verdict == "review":
                held.add(one.content_id)
                fewer += not said.review and not said.doubtful
                doubtful += said.doubtful
            elif said.review:
                more += 1
                raised.add(one.content_id)
        tests = unit.banks.trials_among(seen)
    cases = len(raised - held)
    return Trial(tried, not_recorded, more, cases, fewer, doubtful, beyond, tests, since)


def _add(
    unit: Unit,
    clock: Clock,
    platform: PlatformId | None,
    there: int,
    seen: int,
    document: Mapping[str, Any],
    actor: str,
) -> None:
    if there != seen or not unit.policies.add(platform, seen + 1, document, actor, clock()):
        raise VersionChanged(
            f"version {there} is in force, not {seen}; look at it and set yours again"
        )
    about = f"platform:{platform}" if platform else "policy"
    body = {"version": seen + 1, "document": document}
    unit.audit.append(actor, "policy.set", about, body)


def _check_queue(unit: Unit, wanted: Terms) -> None:
    if wanted.queue is None:
        return
    names = unit.house.rules().queue_names
    if wanted.queue not in names:
        raise Invalid(f"there is no queue {wanted.queue!r}; there are: {', '.join(names)}")


def _versioned(policy: Policy, number: int) -> Policy:
    return replace(policy, version=f"{policy.version}.{number}")
