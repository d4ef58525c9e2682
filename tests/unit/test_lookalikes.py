"""The false-positive side: pictures that look alike, and pictures that look like nothing.

Everything here is judged on hashes alone, by the thresholds that a deployment starts with.
"""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from pipeline import plugins
from pipeline.domain.generic import GenericBank
from pipeline.domain.media import Frame, Side
from pipeline.domain.witness import Thresholds
from pipeline.media.crops import registered_crops
from pipeline.media.generic import generic_frames
from pipeline.media.views import query_views
from pipeline.signals import pdq

pytest.importorskip("skimage.data")
pytest.importorskip("insightface")

from services.bench._corpus import generated, stock_scene
from services.bench._gallery import Eye, Gallery
from services.bench._lookalikes import KINDS
from services.bench.lookalikes import PAIRS, Outcome, judged, measure

SIGNAL = pdq.build()


@pytest.fixture(scope="module")
def eye():
    return Eye(SIGNAL)


@cache
def everything(seed):
    return tuple((name, cv2.resize(picture, (240, 200))) for name, picture in generated(seed))


def members(kind, seed, most=4):
    """Generated pictures of one kind: ``plain``, ``gradient``, ``page of text``, ``meme``, ..."""
    return [picture for name, picture in everything(seed) if name.startswith(kind)][:most]


def believed(eye, registered, uploads):
    """Pairs (upload, entry) that hashes alone would bring to a person."""
    entries = [eye.register(str(at), picture) for at, picture in enumerate(registered)]
    if not any(entry.codes for entry in entries):
        return []
    gallery = Gallery(eye, entries)
    return [
        (at, finding.entry)
        for at, upload in enumerate(uploads)
        for finding in gallery.screen(eye.look(upload), Thresholds(), features=False)
    ]


@pytest.mark.parametrize(
    "kind", ["page of text", "logo", "square code", "gradient", "plain", "stock scene"]
)
def test_pictures_of_one_kind_do_not_bring_each_other_to_a_person(eye, kind):
    assert believed(eye, members(kind, 1), members(kind, 2)) == []


@pytest.mark.parametrize("kind", ["page of text", "logo", "square code", "stock scene"])
def test_pale_and_blurred_strangers_bring_nobody_to_a_person_though_they_may_ask(eye, kind):
    uploads = [
        np.asarray(change(picture), np.uint8)
        for picture in members(kind, 2, 6)
        for change in (
            lambda p: 128 + (p.astype(np.float32) - 128) * 0.15,
            lambda p: cv2.GaussianBlur(p, (0, 0), 6),
            lambda p: cv2.GaussianBlur(p, (0, 0), 12),
        )
    ]
    assert believed(eye, members(kind, 1), uploads) == []


@pytest.mark.parametrize("kind", ["plain", "gradient"])
def test_plain_frames_and_gradients_are_not_registered_at_all(eye, kind):
    for picture in members(kind, 3):
        assert eye.register(kind, picture).codes == {}


def test_memes_of_one_template_do_reach_a_person_because_they_are_copies_of_its_picture(eye):
    # All but the words is the same picture. A copy with a caption cannot be told from it, and
    # finding copies with captions is what is promised: here a person has to decide.
    memes = members("meme", 1)[:3]
    assert len(believed(eye, memes[:1], memes[1:])) == 2


def test_none_of_fifty_thousand_pairs_of_lookalikes_is_near():
    """The same hills under other skies with other people, each against all others."""
    rng = np.random.default_rng(5)
    scenes = [Frame(cv2.resize(stock_scene(rng), (200, 150))) for _ in range(230)]
    stored = [SIGNAL.compute(registered_crops(f, 3), Side.REGISTERED).codes for f in scenes]
    owner = np.repeat(np.arange(len(scenes)), [len(codes) for codes in stored])
    bank = np.concatenate(stored).view(np.uint64)
    nearest = 256
    for at, scene in enumerate(scenes):
        asked = SIGNAL.compute(query_views(scene), Side.QUERY)
        codes = asked.codes[asked.quality >= SIGNAL.minimum_quality].view(np.uint64)
        bits = sum(np.bitwise_count(codes[:, word, None] ^ bank[:, word]) for word in range(4))
        nearest = min(nearest, int(bits[:, owner != at].min()))
    assert len(scenes) * (len(scenes) - 1) > 50_000
    assert nearest > Thresholds().near.bits


@pytest.fixture(scope="module")
def phash():
    return plugins.build("signals", "phash")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_lookalikes_are_judged_by_every_hash_there_is_and_only_one_picture_reaches_a_person(
    eye, phash, kind
):
    # A share of the 50,000 pairs of ``consentry bench lookalikes``, the first of its pictures.
    outcome = Outcome(kind)
    pictures = next(iter(kind.families(1, seed=1)))[:10]
    judged(eye, phash, pictures, outcome)
    assert outcome.pairs == 90
    assert outcome.unregistered == 0, "all of them say something"
    if kind.same is None:
        assert outcome.reached == 0, outcome.why
    else:
        # Memes of one template are one picture under other words: the kind says why they must.
        assert outcome.reached > 0


def test_the_bench_of_lookalikes_takes_as_many_pairs_as_asked_and_says_which_must_reach(
    monkeypatch,
):
    assert PAIRS == 50_000
    few = tuple(replace(kind, members=2) for kind in KINDS)
    monkeypatch.setattr("services.bench.lookalikes.KINDS", few)
    document = measure(5, 2)
    assert sum(row["pairs"] for row in document["rows"]) >= 5
    assert [target["met"] for target in document["targets"]] == [True, True]
    assert "cannot be told from a copy with a caption" in document["notes"][0]


def test_the_generic_bank_knows_skies_and_noisy_patterns_and_no_photograph(eye):
    y, x = np.mgrid[0:1:300j, 0:1:400j]
    sky = 128 + 80 * np.tanh((y + 0.15 * x - 0.5) / 0.1)
    frame = Frame(np.repeat(sky[..., None], 3, 2).astype(np.uint8))
    patterns = generic_frames()
    bank = GenericBank(SIGNAL.compute(patterns, Side.QUERY).codes)
    assert bank.generic(SIGNAL.compute([frame], Side.QUERY).codes).all()
    rng = np.random.default_rng(1)
    noisy = [np.clip(f.rgb + rng.normal(0, 3, f.rgb.shape), 0, 255) for f in patterns[::9]]
    asked = SIGNAL.compute([Frame(n.astype(np.uint8)) for n in noisy], Side.REGISTERED)
    telling = asked.quality >= SIGNAL.minimum_quality
    # Not all: what is alike along a whole line has coefficients near zero, and noise decides them.
    assert bank.generic(asked.codes[telling]).mean() > 0.75
    data = pytest.importorskip("skimage.data")
    for photograph in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket()):
        codes = SIGNAL.compute(query_views(Frame(photograph)), Side.QUERY).codes
        assert not bank.generic(codes[:8]).any()


def test_the_generic_bank_is_the_same_every_time_and_closed_under_turns():
    frames = generic_frames()
    again = generic_frames()
    assert all((a.rgb == b.rgb).all() for a, b in zip(frames, again, strict=True))
    bank = GenericBank(SIGNAL.compute(frames, Side.QUERY).codes)
    turned = [Frame(np.ascontiguousarray(np.rot90(f.rgb))) for f in frames[:200:20]]
    assert bank.generic(SIGNAL.compute(turned, Side.QUERY).codes[::8]).all()


def test_an_empty_bank_calls_nothing_generic():
    codes = np.zeros((3, 32), np.uint8)
    assert not GenericBank(np.zeros((0, 32), np.uint8)).generic(codes).any()
    assert GenericBank(codes).generic(codes[:0]).shape == (0,)
