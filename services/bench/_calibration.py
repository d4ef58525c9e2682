"""Thresholds and the rates behind them, measured on pictures that have nothing in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.domain.media import Frame, Side
from pipeline.domain.policy import DEFAULT, AllOf, AnyOf, Policy, Rule, Within, Witnessed
from pipeline.domain.witness import Calibrated, Faint, Thresholds
from pipeline.signals import SignalType
from services.bench._gallery import Asked, Gallery
from services.bench.alterations import Picture

FAINT = "pdq of what is faint"
PAIR_RATE = 1e-6
WIDEST = 72

Shares = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """Shares of unrelated pairs of codes within each number of bits (257,), by signal.

    ``features`` is of uploads, not of pairs: local features are asked with a whole upload.
    """

    within: Mapping[str, Shares] = field(repr=False)
    features: float

    def of(self, rule: Within | Witnessed) -> float | None:
        """What a rule's distance lets in; of a rule on what was not measured, what it said."""
        if rule.signal in self.within:
            return float(self.within[rule.signal][min(256, int(rule.distance))])
        return self.features if rule.signal == "orb" else rule.false_positive_rate


def shares(counts: NDArray[np.int64]) -> Shares:
    """Of a histogram of distances the share within each; at least one pair in all of them."""
    within = np.cumsum(counts)
    return np.asarray(np.maximum(within, 1) / max(1, int(counts.sum())))


def pdq_shares(gallery: Gallery, strangers: Sequence[Asked]) -> Shares:
    """Every view of every stranger against every crop of every registered picture."""
    counts = np.zeros(257, np.int64)
    for stranger in strangers:
        telling = stranger.signals.quality >= gallery.eye.signal.minimum_quality
        found = gallery.apart(stranger.signals.codes[telling])
        counts += np.bincount(found.ravel(), minlength=257)
    return shares(counts)


def faint_shares(gallery: Gallery, strangers: Sequence[Asked], faint: Faint) -> Shares:
    """Strangers made pale and blurred until their quality is faint, against every crop."""
    eye, counts = gallery.eye, np.zeros(257, np.int64)
    for stranger in strangers:
        seen = eye.signal.compute(_made_faint(stranger.frame.rgb), Side.QUERY)
        asks = (seen.quality >= faint.quality) & (seen.quality < eye.signal.minimum_quality)
        found = gallery.apart(seen.codes[asks & ~eye.bank.generic(seen.codes)])
        counts += np.bincount(found.ravel(), minlength=257)
    return shares(counts)


def _made_faint(picture: Picture) -> list[Frame]:
    grey = picture.astype(np.float32) - 128
    pale = [128 + share * grey for share in (0.3, 0.2, 0.15, 0.1)]
    blurred = [cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (6, 12, 20)]
    return [Frame(np.asarray(one, np.uint8)) for one in (*pale, *blurred)]


def whole_shares(
    signal: SignalType, registered: Sequence[Frame], strangers: Sequence[Asked]
) -> Shares:
    """The same of a signal that looks at whole pictures, asked in all eight ways."""
    stored = signal.compute(registered, Side.REGISTERED).codes
    counts = np.zeros(257, np.int64)
    for stranger in strangers:
        asked = signal.compute([stranger.frame], Side.QUERY).codes
        bits = np.bitwise_count(asked[:, None] ^ stored[None]).sum(-1, dtype=np.int64)
        counts += np.bincount(bits.ravel(), minlength=257)
    return shares(counts)


def calibrated(rates: Rates, start: Thresholds) -> Thresholds:
    """Thresholds at which at most one in a million unrelated pairs of codes meets.

    The wide radius goes up to 72 bits, the parts' radius to 8 bits less; the near radius and those
    of other signals stay what they are. Each carries its own rate. What is faint asks within the
    near radius at most, and not at all where too few pairs vouch for it.
    """
    pdq = rates.within["pdq"]
    faint, pale = start.faint, rates.within.get(FAINT)
    if faint is not None and pale is not None:
        kept = [bits for bits in range(start.near.bits + 1) if pale[bits] <= PAIR_RATE]
        widest = kept[-1] if kept else None
        faint = None if widest is None else Faint(faint.quality, widest, float(pale[widest]))
    fitting = [bits for bits in range(start.near.bits, WIDEST + 1) if pdq[bits] <= PAIR_RATE]
    wide = fitting[-1] if fitting else start.near.bits
    part = max(start.near.bits, wide - 8)
    return replace(
        start,
        near=Calibrated(start.near.bits, float(pdq[start.near.bits])),
        wide=Calibrated(wide, float(pdq[wide])),
        part=Calibrated(part, float(pdq[part])),
        signals={
            name: Calibrated(told.bits, float(rates.within[name][told.bits]))
            if name in rates.within
            else told
            for name, told in start.signals.items()
        },
        faint=faint,
        acceptance=replace(start.acceptance, false_positive_rate=rates.features),
    )


def policy_of(
    thresholds: Thresholds, rates: Rates | None = None, version: str = "calibrated"
) -> Policy:
    """The default policy with these thresholds, every rule with its false-positive rate.

    Without ``rates`` the rules that the thresholds do not move keep the built-in ones.
    """
    bits = {Within: thresholds.near, Witnessed: thresholds.wide}

    def moved(rule: Rule, *, review: bool) -> Rule:
        if isinstance(rule, AnyOf | AllOf):
            return type(rule)(tuple(moved(part, review=review) for part in rule.rules))
        if not isinstance(rule, Within | Witnessed):
            return rule
        if review and rule.signal == "pdq":
            told = bits[type(rule)]
            return replace(rule, distance=told.bits, false_positive_rate=told.false_positive_rate)
        return rule if rates is None else replace(rule, false_positive_rate=rates.of(rule))

    return replace(
        DEFAULT,
        version=version,
        review=moved(DEFAULT.review, review=True),
        known=moved(DEFAULT.known, review=False),
        witness=thresholds,
    )
