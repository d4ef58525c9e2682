"""Local features find what no hash finds, and are believed only with a code that agrees."""

from uuid import UUID

import cv2
import numpy as np
import pytest

from pipeline.domain.alignment import Acceptance
from pipeline.domain.evidence import Hit, Owner, Source
from pipeline.domain.ids import EntryId, ItemId, PersonId
from pipeline.domain.media import WHOLE, Frame, Side
from pipeline.domain.witness import Thresholds, Witness, decide
from pipeline.errors import Tampered
from pipeline.media.crops import REGIONS, registered_crops, slot_of_view
from pipeline.media.features import Features, align, check, describe, features_of
from pipeline.media.probes import probes
from pipeline.media.views import query_views
from pipeline.signals import pdq

skimage_data = pytest.importorskip("skimage.data")
SIGNAL = pdq.build()


def photograph(name="astronaut"):
    return np.ascontiguousarray(getattr(skimage_data, name)()[..., :3])


def codes_of(picture):
    found = SIGNAL.compute(registered_crops(Frame(picture)), Side.REGISTERED)
    return {slot_of_view(v): code for v, code in zip(found.views, found.codes, strict=True)}


def best_of(query, described):
    """The better of a picture's two orientations."""
    found = [align(query, described.plain), align(query, described.mirrored, mirrored=True)]
    return max((one for one in found if one), key=lambda one: one.inliers, default=None)


def checked(upload, picture):
    """The alignment of a picture in an upload with its nearest registered code."""
    codes = codes_of(picture)

    def distances(frames, slots):
        asked = SIGNAL.compute(frames, Side.REGISTERED).codes
        return [
            int(np.bitwise_count(code ^ codes[slot]).sum())
            for code, slot in zip(asked, slots, strict=True)
        ]

    found = best_of(features_of(Frame(upload)), describe(Frame(picture)))
    regions = {slot: REGIONS[slot] for slot in codes}
    return None if found is None else check(Frame(upload), found, regions, distances)


def shrunk_onto(picture, share=0.45):
    ground = cv2.resize(photograph("coffee"), (900, 700))
    small = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    ground[300 : 300 + small.shape[0], 420 : 420 + small.shape[1]] = small
    return ground


def half_covered(picture):
    covered = picture.copy()
    cv2.circle(covered, (330, 330), 130, (255, 205, 40), -1)
    return covered


@pytest.mark.parametrize(
    "alter",
    [
        lambda p: p[100:420, 80:480],
        half_covered,
        shrunk_onto,
        lambda p: np.ascontiguousarray(p[60:, ::-1]),
        lambda p: cv2.warpAffine(
            p, cv2.getRotationMatrix2D((256, 256), 33, 1.3), (512, 512), flags=cv2.INTER_LINEAR
        ),
    ],
    ids=["cut out", "half covered", "in another", "mirrored and cut", "turned and zoomed"],
)
def test_copies_beyond_the_reach_of_hashes_are_found(alter):
    picture = photograph()
    found = checked(np.ascontiguousarray(alter(picture)), picture)
    assert found is not None
    assert found.distance is not None
    left, top, right, bottom = REGIONS[found.slot]
    assert found.share == pytest.approx((right - left) * (bottom - top))
    assert Acceptance().believes(found)


def test_the_placement_says_where_the_picture_lies_in_the_upload():
    found = checked(shrunk_onto(photograph()), photograph())
    wanted = [(420 / 900, 300 / 700), (650 / 900, 300 / 700), (650 / 900, 530 / 700)]
    assert np.array(found.corners[:3]) == pytest.approx(np.array(wanted), abs=0.01)


@pytest.mark.parametrize("other", ["coffee", "chelsea", "rocket", "camera", "page", "text"])
def test_other_pictures_are_not_believed(other):
    upload = getattr(skimage_data, other)()
    upload = upload if upload.ndim == 3 else np.repeat(upload[..., None], 3, 2)
    found = checked(np.ascontiguousarray(upload[..., :3]), photograph())
    assert found is None or not Acceptance().believes(found)


def test_a_second_photograph_taken_a_step_aside_is_believed_so_that_a_person_must_decide():
    left, right, _ = (np.ascontiguousarray(shown) for shown in skimage_data.stereo_motorcycle())
    found = checked(right, left)
    # Nothing in the pixels tells it from a copy: the same things, lit alike, an eye's width apart.
    assert Acceptance().believes(found)
    assert found.distance > 31, "hashes alone do see that it is another photograph"


@pytest.mark.parametrize("level", [0, 255])
def test_plain_pictures_have_no_features_and_align_with_nothing(level):
    plain = Frame(np.full((300, 400, 3), level, np.uint8))
    assert len(features_of(plain)) == 0
    assert best_of(features_of(plain), describe(Frame(photograph()))) is None
    assert best_of(features_of(Frame(photograph())), describe(plain)) is None


def test_features_are_small_lie_apart_and_align_as_the_fresh_ones_do():
    fresh = describe(Frame(photograph())).plain
    descriptors, places = fresh.apart()
    assert len(descriptors) + len(places) < 26_000
    assert fresh.descriptors.tobytes() not in places
    opened = Features.joined(descriptors, places)
    assert opened.apart() == (descriptors, places)
    query = features_of(Frame(np.ascontiguousarray(photograph()[50:400, 90:430])))
    one, other = align(query, fresh), align(query, opened)
    assert np.array(one.corners) == pytest.approx(np.array(other.corners), abs=0.02)


def test_the_strongest_features_of_every_part_come_first():
    features = describe(Frame(photograph())).plain
    cells = (features.points[:25] / np.array(features.size) * 5).astype(int) @ (1, 5)
    assert len(set(cells)) > 20, "the first 25 lie in nearly all of the 25 cells"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d, p: (b"", p),
        lambda d, p: (d[:-1], p),
        lambda d, p: (d + b"x", p),
        lambda d, p: (d, p + b"xx"),
        lambda d, p: (b"JPEG" + d[4:], p),
        lambda d, p: (p, d),
        lambda d, p: (d, describe(Frame(photograph("coffee"))).plain.apart()[1]),
    ],
    ids=["nothing", "cut", "longer", "longer places", "something else", "swapped", "of another"],
)
def test_bytes_that_are_no_features_are_refused(spoil):
    with pytest.raises(Tampered):
        Features.joined(*spoil(*describe(Frame(photograph())).plain.apart()))


def test_features_do_not_print():
    assert "array" not in repr(describe(Frame(photograph())))
    assert "array" not in repr(features_of(Frame(photograph())))


def test_a_second_look_confirms_a_covered_copy_by_the_parts_that_are_not_covered():
    picture = photograph()
    covered = picture.copy()
    cv2.circle(covered, (400, 400), 70, (255, 205, 40), -1)
    codes = codes_of(picture)
    whole = query_views(Frame(covered))[0]
    near = SIGNAL.compute([whole], Side.REGISTERED).codes[0]
    assert np.bitwise_count(near ^ codes[0]).sum() > 31, "else no second look would be needed"
    slots, frames = probes(whole, whole.view, 0, REGIONS)
    asked = SIGNAL.compute(frames, Side.REGISTERED).codes
    owner = Owner(EntryId(1), ItemId(UUID(int=1)), PersonId(UUID(int=2)), "registered",
                  Source.REGISTERED, None)  # fmt: skip
    first = Hit("pdq", float(np.bitwise_count(near ^ codes[0]).sum()), WHOLE, 0, owner)
    parts = [
        Hit("pdq", float(np.bitwise_count(code ^ codes[slot]).sum()), frame.view, slot, owner)
        for slot, code, frame in zip(slots, asked, frames, strict=True)
    ]
    (finding,) = decide([first], REGIONS, Thresholds(), parts={EntryId(1): parts})
    assert finding.witness is Witness.PARTS
    assert sum(hit.distance <= 31 for hit in finding.agreeing) >= Thresholds().least_parts
    assert not decide([first], REGIONS, Thresholds()), "by itself it is not believed"


def test_a_second_look_at_a_stranger_confirms_nothing():
    codes = codes_of(photograph())
    for name in ("coffee", "chelsea", "rocket"):
        whole = Frame(photograph(name))
        slots, frames = probes(whole, whole.view, 0, REGIONS)
        asked = SIGNAL.compute(frames, Side.REGISTERED).codes
        distances = [
            np.bitwise_count(code ^ codes[slot]).sum()
            for slot, code in zip(slots, asked, strict=True)
        ]
        assert min(distances) > 64
