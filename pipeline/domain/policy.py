"""From evidence to a decision: ``Clear | Review | Known``. There is no Remove.

A policy is data: small rules that compose, written as a document and read back by ``parse``.
A rule says which hits *count*. No rule means no: ``AnyOf([])`` is an error, because a policy
without rules would clear everything.

``Known`` names a case that a person upheld and is reserved for a repeat of that same content:
its rules see only entries that came from upheld uploads, one earlier case at a time.

The rules are the operator's. A platform's ``terms`` move distances within bounds, no more.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pipeline.domain.evidence import Evidence, Hit, Source
from pipeline.domain.ids import CaseId
from pipeline.domain.likeness import FACES, FaceRules, Likeness
from pipeline.domain.likeness import parse as parse_faces
from pipeline.domain.signal import Metric
from pipeline.domain.terms import (
    NOTHING_ASKED,
    Bounds,
    Flood,
    Limit,
    Range,
    Terms,
    Unknown,
    parse_bounds,
    parse_flood,
)
from pipeline.domain.timeline import REPEAT
from pipeline.domain.witness import Calibrated, Thresholds, Witness
from pipeline.domain.witness import parse as parse_witness
from pipeline.errors import Invalid


@dataclass(frozen=True, slots=True)
class Match:
    """A hit that counts, with the threshold that made it count."""

    hit: Hit
    threshold: float


@dataclass(frozen=True, slots=True)
class Clear:
    """Nothing here that anybody registered."""


@dataclass(frozen=True, slots=True)
class Review:
    """A person must look. ``matches`` are nearest first."""

    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """A repeat of content that a person upheld in ``case``."""

    case: CaseId
    matches: tuple[Match, ...]


Decision = Clear | Review | Known


class Rule(Protocol):
    """Which of the hits count; empty when the rule does not hold."""

    def matches(self, hits: Iterable[Hit]) -> tuple[Match, ...]:
        """The hits that make the rule hold."""
        ...

    def document(self) -> dict[str, Any]:
        """The rule as it is written in a policy document."""
        ...


@dataclass(frozen=True, slots=True)
class Within:
    """Hits of one signal in one bank count up to a distance, the edge included.

    ``false_positive_rate`` is the share of unrelated pairs of codes within it, as it was measured
    when the distance was chosen; it is told, and decides nothing.
    """

    signal: str
    bank: str
    distance: float
    false_positive_rate: float | None = None

    def matches(self, hits: Iterable[Hit]) -> tuple[Match, ...]:
        """See ``Rule``."""
        return tuple(
            Match(hit, self.distance)
            for hit in hits
            if hit.signal == self.signal
            and hit.metric is Metric.HAMMING
            and hit.owner.bank == self.bank
            and hit.distance <= self.distance
        )

    def document(self) -> dict[str, Any]:
        """See ``Rule``."""
        return {"within": _leaf(self)}


@dataclass(frozen=True, slots=True)
class Witnessed:
    """Hits further off count up to a distance when a second witness says the same.

    What a second witness is, ``domain.witness`` decides by the policy's ``witness`` thresholds.
    """

    signal: str
    bank: str
    distance: float
    false_positive_rate: float | None = None

    def matches(self, hits: Iterable[Hit]) -> tuple[Match, ...]:
        """See ``Rule``."""
        near = Within(self.signal, self.bank, self.distance).matches(hits)
        return tuple(match for match in near if match.hit.witness not in (None, Witness.NEAR))

    def document(self) -> dict[str, Any]:
        """See ``Rule``."""
        return {"witnessed": _leaf(self)}


@dataclass(frozen=True, slots=True)
class Alike:
    """Pictures that a copy-detection pack calls alike count from a similarity (cosine) on.

    Only for review: a network's opinion is shown to a person, always.
    """

    signal: str
    bank: str
    similarity: float
    false_positive_rate: float | None = None

    def matches(self, hits: Iterable[Hit]) -> tuple[Match, ...]:
        """See ``Rule``."""
        return tuple(
            Match(hit, self.similarity)
            for hit in hits
            if hit.signal == self.signal
            and hit.metric is Metric.INNER_PRODUCT
            and hit.owner.bank == self.bank
            and hit.distance >= self.similarity
        )

    def document(self) -> dict[str, Any]:
        """See ``Rule``."""
        told = {"signal": self.signal, "bank": self.bank, "similarity": self.similarity}
        if self.false_positive_rate is not None:
            told["false_positive_rate"] = self.false_positive_rate
        return {"alike": told}


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when at least one of its rules holds."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        _not_empty("any_of", self.rules)

    def matches(self, hits: Iterable[Hit]) -> tuple[Match, ...]:
        """See ``Rule``."""
        seen = tuple(hits)
        return _unique(match for rule in self.rules for match in rule.matches(seen))

    def document(self) -> dict[str, Any]:
        """See ``Rule``."""
        return {"any_of": [rule.document() for rule in self.rules]}


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds when every one of its rules holds."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        _not_empty("all_of", self.rules)

    def matches(self, hits: Iterable[Hit]) -> tuple[Match, ...]:
        """See ``Rule``."""
        seen = tuple(hits)
        found = [rule.matches(seen) for rule in self.rules]
        return _unique(match for some in found for match in some) if all(found) else ()

    def document(self) -> dict[str, Any]:
        """See ``Rule``."""
        return {"all_of": [rule.document() for rule in self.rules]}


@dataclass(frozen=True, slots=True)
class Policy:
    """What counts for review, and what counts as a repeat of upheld content."""

    version: str
    review: Rule
    known: Rule
    witness: Thresholds = field(default_factory=Thresholds)
    faces: FaceRules = field(default_factory=FaceRules)
    bounds: Bounds = field(default_factory=Bounds)
    flood: Flood = field(default_factory=Flood)
    terms: Terms = NOTHING_ASKED
    """What the platform asked for whom this policy judges; its thresholds are in the rules."""

    def __post_init__(self) -> None:
        if any(isinstance(leaf, Alike) for leaf in _leaves((self.known,))):
            raise Invalid("known: what a network calls alike is for review, a person decides")

    def judge(self, evidence: Iterable[Evidence]) -> Decision:
        """Known before Review before Clear; a decision never depends on the order of evidence."""
        people = tuple(evidence)
        repeats = sorted(
            (
                (max(match.hit.distance for match in found), case, found)
                for person in people
                for case, hits in _by_upheld_case(person.hits).items()
                if (found := self.known.matches(hits))
            ),
            key=lambda repeat: (repeat[0], str(repeat[1]), [_order(match) for match in repeat[2]]),
        )
        if repeats:
            _, case, found = repeats[0]
            return Known(case, found)
        counting = [match for person in people for match in self.counts(person.hits)]
        if counting:
            return Review(tuple(sorted(counting, key=_order)))
        return Clear()

    def counts(self, hits: Iterable[Hit]) -> tuple[Match, ...]:
        """Which hits of one person a reviewer must see."""
        seen = tuple(hits)
        return (*self.review.matches(seen), *self._alike(seen))

    def _alike(self, hits: Iterable[Hit]) -> Iterable[Match]:
        """Faces alike enough for a person to look. A face is never reason enough for ``Known``."""
        for hit in hits:
            wanted = self.faces.thresholds.get(hit.signal)
            face = hit.metric is Metric.INNER_PRODUCT and wanted is not None
            if face and wanted is not None and hit.distance >= wanted.review:
                yield Match(hit, wanted.review)

    def with_likeness(self, calibrated: Mapping[str, Likeness]) -> Policy:
        """The policy with packs' own thresholds where the document names none."""
        merged = {**calibrated, **self.faces.thresholds}
        return replace(self, faces=replace(self.faces, thresholds=merged))

    def with_copies(self, calibrated: Iterable[Alike]) -> Policy:
        """The policy with copy-detection packs' own rules where the document has none for them."""
        new = [rule for rule in calibrated if self.alike(rule.signal) is None]
        return replace(self, review=AnyOf((self.review, *new))) if new else self

    def alike(self, signal: str) -> float | None:
        """From which similarity on a copy-detection pack's hits matter; None when never."""
        found = [
            leaf.similarity
            for leaf in _leaves((self.review,))
            if isinstance(leaf, Alike) and leaf.signal == signal
        ]
        return min(found) if found else None

    def ranges(self) -> Mapping[str, Mapping[str, Range]]:
        """Between which distances platforms may put each bank's signals, faces included."""
        found: dict[str, dict[str, Range]] = defaultdict(dict)
        for rule in _leaves((self.review,)):
            if isinstance(rule, Alike):
                found[rule.bank][rule.signal] = Range(rule.similarity, 1.0)
            if isinstance(rule, Within) and rule.distance > 0:
                kept = found[rule.bank].get(rule.signal)
                of = self.bounds.of(rule.signal, rule.distance)
                if kept is None or of.most > kept.most:
                    found[rule.bank][rule.signal] = of
        for pack, likeness in self.faces.thresholds.items():
            found[FACES][pack] = Range(likeness.review, likeness.strong)
        return found

    def check(self, terms: Terms) -> None:
        """Raise ``Invalid`` for terms that go further than this policy lets platforms go."""
        ranges = self.ranges()
        for bank, signal, limit in terms.named():
            everywhere = [one for one in ranges if signal in ranges[one]]
            where = f"{bank}.{signal}" if bank is not None else signal
            for one in [bank] if bank is not None else everywhere or [""]:
                of = ranges.get(one, {}).get(signal)
                if of is None:
                    there = sorted({f"{b}.{s}" for b in ranges for s in ranges[b]})
                    raise Invalid(f"no rule names {where}; there are: {', '.join(there)}")
                if not of.holds(limit.distance):
                    raise Invalid(
                        f"{where} may be from {of.least:g} to {of.most:g} in the bank {one}; it is"
                        " the operator who sets these bounds"
                    )
        look = self.bounds.look or self.faces.look_when_unknown
        if terms.unknown is Unknown.LOOK and not look:
            raise Invalid(
                "unknown: the operator leaves faces alone in uploads that nobody rates, so that"
                " an ordinary photo raises nothing"
            )
        hours = self.bounds.hours
        if terms.deadline_hours is not None and not hours.holds(terms.deadline_hours):
            raise Invalid(f"deadline_hours is from {hours.least:g} to {hours.most:g} here")

    def under(self, terms: Terms, version: str) -> Policy:
        """This policy with a platform's terms, as far as its bounds go.

        Terms that were set when bounds were wider are drawn in, so that an operator's change holds
        at once for everybody. ``known`` stays as it is, whatever the terms say.
        """
        ranges = self.ranges()
        review = _moved(self.review, terms, self.bounds)
        packs = {
            pack: _likeness(likeness, terms.limit(FACES, pack), ranges[FACES][pack])
            for pack, likeness in self.faces.thresholds.items()
        }
        look = self.faces.look_when_unknown
        if terms.unknown is not None:
            look = terms.unknown is Unknown.LOOK and (look or self.bounds.look)
        moved = replace(
            self,
            version=version,
            review=review,
            faces=FaceRules(look, packs),
            terms=terms,
        )
        near = moved.radius("pdq")
        if near is None or near == self.radius("pdq"):
            return moved
        bits = math.floor(near)
        wide = replace(self.witness.wide, bits=max(bits, self.witness.wide.bits))
        rate = self.witness.near.false_positive_rate
        return replace(moved, witness=replace(self.witness, near=Calibrated(bits, rate), wide=wide))

    def thresholds(self) -> list[dict[str, Any]]:
        """Every distance that the review rules ask for, with the rate it was calibrated at."""
        told = [
            {
                "bank": rule.bank,
                "signal": rule.signal,
                "distance": rule.similarity if isinstance(rule, Alike) else rule.distance,
                "second_witness": isinstance(rule, Witnessed),
                "false_positive_rate": rule.false_positive_rate,
            }
            for rule in _leaves((self.review,))
        ]
        return told + [
            {
                "bank": FACES,
                "signal": pack,
                "distance": likeness.review,
                "second_witness": False,
                "false_positive_rate": None,
            }
            for pack, likeness in self.faces.thresholds.items()
        ]

    @property
    def likes(self) -> tuple[Alike, ...]:
        """The rules about copy-detection packs."""
        return tuple(leaf for leaf in _leaves((self.review,)) if isinstance(leaf, Alike))

    def radius(self, signal: str) -> float | None:
        """The widest distance at which any rule asks for a signal; None when none does."""
        return self._widest(signal, Within)

    def wide(self, signal: str) -> float | None:
        """The widest distance at which a second witness is asked for; None when none is."""
        return self._widest(signal, Witnessed)

    def _widest(self, signal: str, kind: type[Within | Witnessed]) -> float | None:
        rules = _leaves((self.review, self.known))
        asked = [r.distance for r in rules if isinstance(r, kind) and r.signal == signal]
        return max(asked) if asked else None

    def document(self) -> dict[str, Any]:
        """The policy as JSON-ready data; ``parse`` reads it back."""
        return {
            "version": self.version,
            "review": self.review.document(),
            "known": self.known.document(),
            "witness": self.witness.document(),
            "faces": self.faces.document(),
            "bounds": self.bounds.document(),
            "flood": self.flood.document(),
        }


_PARTS = ("version", "review", "known", "witness", "faces", "bounds", "flood")


def parse(document: Mapping[str, Any]) -> Policy:
    """A policy from its document; raises ``Invalid`` naming the part that is wrong."""
    if not isinstance(document, Mapping):
        raise Invalid(f"a policy is an object with: {', '.join(_PARTS)}")
    unknown = set(document) - set(_PARTS)
    if unknown:
        said = ", ".join(sorted(unknown))
        raise Invalid(f"a policy has {', '.join(_PARTS)}, not {said}")
    try:
        version = document["version"]
        review, known = document["review"], document["known"]
    except KeyError as missing:
        raise Invalid(f"the policy lacks {missing.args[0]!r}") from None
    if not isinstance(version, str) or not version:
        raise Invalid("a policy's version is a word, such as '2026-11'")
    witness, faces = document.get("witness"), document.get("faces")
    bounds, flood = document.get("bounds"), document.get("flood")
    return Policy(
        version,
        _rule(review, "review"),
        _rule(known, "known"),
        Thresholds() if witness is None else parse_witness(witness),
        FaceRules() if faces is None else parse_faces(faces),
        Bounds() if bounds is None else parse_bounds(bounds),
        Flood() if flood is None else parse_flood(flood),
    )


KNOWN_WITHIN = {"pdq": 12.0, "phash": 20.0, "bytes": 0.0}
"""How far a repeat of upheld content may be off at most: it is answered without asking anybody."""


def check_operators(policy: Policy) -> None:
    """Raise ``Invalid`` for an operator's policy that would answer more than repeats by itself."""
    for rule in _leaves((policy.known,)):
        if isinstance(rule, Alike):
            continue  # a policy refuses these by itself
        most = KNOWN_WITHIN.get(rule.signal)
        if most is None or rule.distance > most or rule.bank != "upheld":
            allowed = ", ".join(f"{name} within {bits:g}" for name, bits in KNOWN_WITHIN.items())
            raise Invalid(
                f"known: {rule.signal} within {rule.distance:g} in {rule.bank} is no repeat of"
                f" upheld content; rules of known are in the bank upheld: {allowed}"
            )


def _rule(document: Any, where: str) -> Rule:
    if not isinstance(document, Mapping) or len(document) != 1:
        raise Invalid(f"{where}: a rule is one of within, witnessed, alike, any_of or all_of")
    ((kind, body),) = document.items()
    if kind in ("within", "witnessed"):
        leaf = _within(body, f"{where}.{kind}")
        if kind == "within":
            return leaf
        return Witnessed(leaf.signal, leaf.bank, leaf.distance, leaf.false_positive_rate)
    if kind == "alike":
        return _alike(body, f"{where}.alike")
    if kind in ("any_of", "all_of"):
        if not isinstance(body, list):
            raise Invalid(f"{where}.{kind} is a list of rules")
        if not body:
            raise Invalid(f"{where}.{kind} has no rules; it would decide about everything")
        rules = tuple(_rule(part, f"{where}.{kind}[{at}]") for at, part in enumerate(body))
        return AnyOf(rules) if kind == "any_of" else AllOf(rules)
    raise Invalid(f"{where}: no rule {kind!r}; there are: within, witnessed, alike, any_of, all_of")


def _within(body: Any, where: str) -> Within:
    signal, bank, distance, rate = _fields(body, where, "distance")
    if distance < 0:
        raise Invalid(f"{where}.distance is a number from 0 up")
    return Within(signal, bank, distance, rate)


def _alike(body: Any, where: str) -> Alike:
    signal, bank, similarity, rate = _fields(body, where, "similarity")
    if not 0 < similarity <= 1:
        raise Invalid(f"{where}.similarity is a cosine above 0, up to 1")
    return Alike(signal, bank, similarity, rate)


def _fields(body: Any, where: str, measure: str) -> tuple[str, str, float, float | None]:
    """Signal, bank, the measure and the rate of a leaf; raises ``Invalid`` for anything else."""
    needed, told = {"signal", "bank", measure}, "false_positive_rate"
    if not isinstance(body, Mapping) or set(body) - {told} != needed:
        raise Invalid(f"{where} has signal, bank and {measure}; it may have {told}")
    for name in ("signal", "bank"):
        if not isinstance(body[name], str) or not body[name]:
            raise Invalid(f"{where}.{name} is a word")
    value = body[measure]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise Invalid(f"{where}.{measure} is a number from 0 up")
    rate = body.get(told)
    share = isinstance(rate, int | float) and not isinstance(rate, bool) and 0 <= rate <= 1
    if rate is not None and not share:
        raise Invalid(f"{where}.{told} is a share from 0 to 1")
    return body["signal"], body["bank"], value, rate


def _leaf(rule: Within | Witnessed) -> dict[str, Any]:
    told = {"signal": rule.signal, "bank": rule.bank, "distance": rule.distance}
    if rule.false_positive_rate is None:
        return told
    return {**told, "false_positive_rate": rule.false_positive_rate}


def _order(match: Match) -> tuple[tuple[bool, float], int]:
    return (match.hit.rank, match.hit.entry)


def _leaves(rules: Iterable[Rule]) -> Iterable[Within | Witnessed | Alike]:
    for rule in rules:
        if isinstance(rule, Within | Witnessed | Alike):
            yield rule
        elif isinstance(rule, AnyOf | AllOf):
            yield from _leaves(rule.rules)


def _moved(rule: Rule, terms: Terms, bounds: Bounds) -> Rule:
    """A rule with the distances that a platform asks for, within the bounds."""
    if isinstance(rule, AnyOf | AllOf):
        return type(rule)(tuple(_moved(part, terms, bounds) for part in rule.rules))
    if not isinstance(rule, Within | Alike):
        return rule
    limit = terms.limit(rule.bank, rule.signal)
    if limit is None or (isinstance(rule, Within) and rule.distance == 0):
        return rule
    if isinstance(rule, Alike):
        wanted = Range(rule.similarity, 1.0).nearest(limit.distance)
        return replace(rule, similarity=wanted, false_positive_rate=limit.false_positive_rate)
    distance = bounds.of(rule.signal, rule.distance).nearest(limit.distance)
    return Within(rule.signal, rule.bank, distance, limit.false_positive_rate)


def _likeness(likeness: Likeness, limit: Limit | None, of: Range) -> Likeness:
    return likeness if limit is None else Likeness(of.nearest(limit.distance), likeness.strong)


def _by_upheld_case(hits: Iterable[Hit]) -> dict[CaseId, list[Hit]]:
    by_case: dict[CaseId, list[Hit]] = defaultdict(list)
    for hit in hits:
        # A film that shows a moment of upheld content is no repeat of it: a person decides.
        part = hit.shares is not None and min(hit.shares) < REPEAT
        if hit.owner.source is Source.UPHELD and hit.owner.case is not None and not part:
            by_case[hit.owner.case].append(hit)
    return by_case


def _unique(matches: Iterable[Match]) -> tuple[Match, ...]:
    """One match a hit, with the narrowest threshold under which it counts."""
    narrowest: dict[Hit, Match] = {}
    for match in matches:
        kept = narrowest.get(match.hit)
        if kept is None or _strictness(match) > _strictness(kept):
            narrowest[match.hit] = match
    return tuple(narrowest.values())


def _strictness(match: Match) -> float:
    """A smaller distance is stricter, and a larger cosine."""
    return match.threshold if match.hit.metric is Metric.INNER_PRODUCT else -match.threshold


def _not_empty(name: str, rules: tuple[Rule, ...]) -> None:
    if not rules:
        raise Invalid(f"{name} without rules would decide about everything; give it at least one")


DEFAULT = Policy(
    version="default-1",
    review=AnyOf(
        (
            Within("pdq", "registered", 31, 1e-8),
            Within("pdq", "upheld", 31, 1e-8),
            Within("phash", "registered", 20, 1.2e-6),
            Within("phash", "upheld", 20, 1.2e-6),
            Witnessed("pdq", "registered", 47, 3e-7),
            Witnessed("pdq", "upheld", 47, 3e-7),
            # Local features, of people who opted in: with a code that agrees, or, whatever the
            # code says, where very many features do (``witness.acceptance``).
            Witnessed("orb", "registered", 64, 1e-3),
            Witnessed("orb", "registered", 256, 1e-3),
            Within("bytes", "registered", 0, 0.0),
            Within("bytes", "upheld", 0, 0.0),
            # Partners' lists have one code a picture: nothing vouches for what is further off.
            Within("pdq", "partner", 31, 1e-8),
            Within("bytes", "partner", 0, 0.0),
        )
    ),
    # The same content: both signals agree tightly, PDQ all but equals, or it is the same file.
    known=AnyOf(
        (
            AllOf((Within("pdq", "upheld", 10, 1e-8), Within("phash", "upheld", 20, 1.2e-6))),
            Within("pdq", "upheld", 4, 1e-8),
            Within("bytes", "upheld", 0, 0.0),
        )
    ),
)
"""PDQ within 31 bits is the field's own threshold. Rates are shares of unrelated pairs of codes:
PDQ's as in ``witness`` (no smaller rate than that of 31 bits could be measured); pHash's is what
none in 2,549,280 pairs leaves possible; no two files have one digest by chance. Those of local
features are shares of unrelated uploads, as in ``witness.acceptance``."""
