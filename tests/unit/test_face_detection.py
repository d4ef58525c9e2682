"""The detector's parts by themselves, and real faces of every size through real packs."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.domain.media import Frame
from pipeline.packs import Looks
from pipeline.packs._align import similarity
from pipeline.packs._found import NOBODY, Found, distinct, together, unlike
from pipeline.packs._halves import GRID, Halves
from pipeline.packs._passes import Passes, _starts
from pipeline.packs._sampling import averaged, planes, sampled, suspected
from tests.packs import astronaut, group_photo, make_model, portrait  # noqa: F401

PACKS = ["dlib_mtcnn", "omz0095"]


def found_at(*boxes, score=0.9):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Found(
        boxes,
        np.full(len(boxes), score, np.float32),
        np.repeat(boxes[:, None, :2], 5, axis=1).astype(np.float32),
    )


class Blobs:
    """A detector of white squares, ``least`` to ``most`` pixels large in what it is shown."""

    networks = ()

    def __init__(self, least=40, most=10_000):
        self.least, self.most, self.shown = least, most, []

    def detect(self, pictures, *, largest=None):
        self.shown += [(picture.whole.shape, largest) for picture in pictures]
        return [self._one(picture.whole, largest) for picture in pictures]

    def _one(self, picture, largest):
        white = (picture[:, :, 0] > 127).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(white)
        boxes = [
            (x, y, x + w, y + h)
            for x, y, w, h, _ in stats[1:]
            if self.least * 0.95 <= min(w, h) <= min(self.most, (largest or 1e9) * 1.05)
        ]
        return found_at(*boxes) if boxes else NOBODY


def squares(height, width, *boxes):
    picture = np.zeros((height, width, 3), np.uint8)
    picture[::50, ::50] = 20  # not plain
    for left, top, side in boxes:
        picture[top : top + side, left : left + side] = 255
    return picture


@pytest.mark.parametrize("side", [42, 60, 90, 130, 200, 400, 1500])
def test_a_face_of_any_size_is_found_in_a_large_picture(side):
    picture = squares(3000, 4000, (2311, 1211, side))
    (found,) = Passes(Blobs(), 640, 40, 40).find([picture])
    assert len(found) == 1
    assert np.abs(found.boxes[0] - [2311, 1211, 2311 + side, 1211 + side]).max() <= 8


@pytest.mark.parametrize("left", range(500, 700, 13))
def test_a_small_face_on_the_seam_of_two_tiles_is_found_once(left):
    picture = squares(900, 2000, (left, 300, 60))
    (found,) = Passes(Blobs(), 640, 40, 40).find([picture])
    assert len(found) == 1


def test_without_a_smallest_face_only_the_first_pass_is_made():
    detector = Blobs()
    Passes(detector, 640, 40, None).find([squares(3000, 4000)])
    assert [shape for shape, _ in detector.shown] == [(480, 640, 3)]


def test_a_small_picture_is_looked_at_once():
    detector = Blobs()
    Passes(detector, 640, 40, 40).find([squares(480, 640)])
    assert detector.shown == [((480, 640, 3), None)]


def test_no_tile_is_larger_than_the_detectors_long_side():
    detector = Blobs()
    Passes(detector, 640, 40, 40).find([squares(2000, 3000)])
    assert max(max(shape) for shape, _ in detector.shown) <= 640


def test_plain_tiles_are_not_looked_at():
    detector = Blobs()
    Passes(detector, 640, 40, 40).find([np.full((3000, 4000, 3), 90, np.uint8)])
    assert len(detector.shown) == 1


@given(st.integers(1, 9000))
@example(641)
@example(1176)
@example(640)
def test_tiles_cover_everything_and_overlap(length):
    side = 640
    starts = _starts(length, side, 104)
    assert starts[0] == 0
    assert length <= starts[-1] + side < length + GRID or starts == [0]
    assert all(start % GRID == 0 for start in starts)
    assert all(later - earlier <= side - 104 for earlier, later in pairwise(starts))


def test_boxes_of_different_groups_never_meet():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10]], np.float32)
    scores = np.array([0.5, 0.9, 0.4], np.float32)
    kept = unlike(boxes, scores, 0.5, np.array([0, 0, 1], np.int32))
    assert sorted(kept.tolist()) == [1, 2]
    assert unlike(boxes[:0], scores[:0], 0.5, np.zeros(0, np.int32)).tolist() == []


def test_a_box_inside_an_earlier_one_is_the_same_face():
    boxes = np.array([[0, 0, 100, 100], [40, 40, 60, 60], [200, 0, 220, 20]], np.float32)
    assert distinct(boxes, np.arange(3), 0.5).tolist() == [0, 2]


@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.sampled_from([0.3, 0.5, 0.7]))
def test_what_is_unlike_is_what_opencv_keeps(seed, count, overlap):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 60, (count, 2))
    boxes = np.hstack([corners, corners + rng.integers(1, 60, (count, 2))]).astype(np.float32)
    scores = (rng.integers(1, 30, count) / 32).astype(np.float32)
    groups = rng.integers(0, 3, count).astype(np.int32)
    rectangles = boxes.astype(np.float64)
    rectangles[:, 2:] -= rectangles[:, :2]
    kept = cv2.dnn.NMSBoxesBatched(rectangles, scores, groups, -1e9, overlap)
    assert unlike(boxes, scores, overlap, groups).tolist() == list(kept)


@pytest.mark.parametrize("step", [0, 1, 2, 3])
@pytest.mark.parametrize("shape", [(640, 640), (643, 487), (120, 97)])
def test_a_part_of_a_picture_has_the_halves_it_would_have_alone(step, shape):
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    height, width = shape
    for left, top, right, bottom in [(0, 0, 64, 72), (14, 42, width, height), (8, 2, width, 88)]:
        part = Halves(picture).part(left, top, right, bottom)
        alone = Halves(picture[top:bottom, left:right])
        (shared, one), (own, other) = part.shrunk(1 << step), alone.shrunk(1 << step)
        assert one == other == 1 << step
        assert np.array_equal(shared.pixels, own.pixels)


def test_a_picture_made_half_as_large_shares_its_halves():
    picture = np.random.default_rng(2).integers(0, 256, (646, 1280, 3), dtype=np.uint8)
    halves = Halves(picture)
    small = halves.resized(0.5)
    assert small.size == (640, 323)
    assert np.shares_memory(small.whole, halves.shrunk(2)[0].pixels)
    tile = small.part(320, 160, 640, 323)
    assert np.array_equal(tile.whole, small.whole[160:, 320:])
    quarter = Halves(small.whole).shrunk(2)[0].pixels
    assert np.array_equal(tile.shrunk(2)[0].pixels, quarter[80:, 160:])


@pytest.mark.parametrize(
    "part", [(0, 0, 200, 150), (31, 7, 44, 20), (60, 60, 90, 71), (5, 9, 6, 10)]
)
def test_parts_are_averaged_by_area_as_opencv_does(part):
    picture = np.random.default_rng(3).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    left, top, right, bottom = part
    crops = np.empty((1, 3, 48, 48), np.float32)
    averaged(picture, np.array([part]), crops)
    exact = picture[top:bottom, left:right].astype(np.float32)
    expected = cv2.resize(exact, (48, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(crops[0].transpose(1, 2, 0) - expected).max() < 0.01


@pytest.mark.parametrize("part", [(0, 0, 40, 40), (31, 7, 70, 50), (190, 140, 200, 150)])
def test_parts_are_sampled_as_opencv_does(part):
    picture = np.random.default_rng(4).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    left, top, right, bottom = part
    crops = np.empty((2, 3, 24, 24), np.float32)
    sampled(picture, np.array([part]), np.array([1]), crops)
    exact = picture[top:bottom, left:right].astype(np.float32)
    expected = cv2.resize(exact, (24, 24), interpolation=cv2.INTER_LINEAR)
    assert np.abs(crops[1].transpose(1, 2, 0) - expected).max() < 0.02


def test_planes_are_the_channels():
    picture = np.random.default_rng(5).integers(0, 256, (33, 47, 3), dtype=np.uint8)
    found = np.empty((3, 33, 47), np.float32)
    planes(picture, found)
    assert np.array_equal(found, picture.transpose(2, 0, 1))


@pytest.mark.parametrize("least", [0.6, 0.95, 2.0])
def test_suspects_are_the_windows_of_the_picture(least):
    rng = np.random.default_rng(6)
    face, moves = rng.random((9, 14), np.float32), rng.random((4, 9, 14), np.float32)
    boxes, scores, moved = suspected(face, moves, least, 0.3)
    rows, columns = np.nonzero(face >= least)
    corners = np.stack([2 * columns + 1, 2 * rows + 1], axis=1)
    expected = np.floor(np.hstack([corners, corners + 11]) / 0.3)
    assert np.array_equal(boxes, expected.reshape(-1, 4))
    assert np.array_equal(scores, face[rows, columns])
    assert np.array_equal(moved, moves[:, rows, columns].T)


def test_nothing_together_is_nobody():
    assert len(together([])) == 0


@pytest.mark.parametrize("shape", [(480, 640), (481, 643), (1, 1), (2, 9)])
@pytest.mark.parametrize("scale", [1.0, 0.6, 0.3, 0.01])
def test_a_resized_picture_keeps_its_mean(shape, scale):
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (*shape, 3), dtype=np.uint8), (0, 0), 9)
    small = Halves(picture).resized(scale).whole
    assert small.shape[:2] == tuple(max(1, round(side * scale)) for side in shape)
    assert abs(float(small.mean()) - float(picture.mean())) < 12


@pytest.mark.parametrize(
    ("changes", "least", "most"),
    [
        ({}, 100, 100),
        ({"size": 20.0}, 0, 30),
        ({"brightness": 8.0}, 0, 20),
        ({"brightness": 252.0}, 0, 20),
        ({"sharpness": 1.0}, 0, 20),
        ({"turned": 1.0}, 0, 0),
    ],
)
def test_the_weakest_of_a_faces_looks_decides_its_quality(changes, least, most):
    good = {"size": 200.0, "brightness": 120.0, "sharpness": 15.0, "turned": 0.1}
    assert least <= Looks(**(good | changes)).quality <= most


def best(model, *frames):
    """The template of each frame's first face."""
    return [faces[0].template for faces in model.templates(frames)]


@pytest.mark.parametrize("pack", PACKS)
def test_one_person_is_alike_on_three_photos_and_another_is_not(make_model, pack):  # noqa: F811
    model = make_model(pack)
    names = ("obama", "obama2", "obama3", "biden")
    first, second, third, other = best(model, *map(portrait, names))
    strong = model.manifest.calibration.strong
    review = model.manifest.calibration.review
    assert min(first @ second, first @ third, second @ third) >= strong
    assert max(first @ other, second @ other, third @ other) < review


@pytest.mark.parametrize("pack", PACKS)
def test_everybody_on_the_group_photo_is_found_and_nobody_twice(make_model, pack):  # noqa: F811
    model = make_model(pack)
    (faces,) = model.templates([group_photo()])
    assert len(faces) == 6
    vectors = np.stack([face.template for face in faces])
    others = (vectors @ vectors.T)[~np.eye(6, dtype=bool)]
    assert others.max() < model.manifest.calibration.strong


def twelve_megapixels(side):
    """An astronaut whose face is ``side`` pixels across, somewhere in a large picture."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 200, (30, 40, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (4000, 3000), interpolation=cv2.INTER_CUBIC)
    person = astronaut().rgb[:260, 100:360]
    scale = side / 82  # her face is 82 pixels wide
    small = cv2.resize(person, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = 1777, 2934
    picture[top : top + small.shape[0], left : left + small.shape[1]] = small
    return Frame(picture), (left, top, left + small.shape[1], top + small.shape[0])


@pytest.mark.parametrize("side", [40, 56, 80, 160])
def test_a_small_face_in_twelve_megapixels_is_found(make_model, side):  # noqa: F811
    model = make_model("omz0095")
    picture, (left, top, right, bottom) = twelve_megapixels(side)
    (faces,) = model.templates([picture])
    there = [
        f
        for f in faces
        if left <= f.box[0] and f.box[2] <= right and top <= f.box[1] and f.box[3] <= bottom
    ]
    assert len(there) == 1
    assert 0.7 * side <= there[0].looks.size <= 1.5 * side
    (herself,) = best(model, astronaut())
    if side >= 56:
        assert there[0].template @ herself >= model.manifest.calibration.review


def pasted(face_of, onto, model):
    """A crude face swap: the first person's face warped and blended onto the second's."""
    source, target = model.find([face_of, onto])[0]
    matrix = similarity(source.landmarks[0], target.landmarks[0])
    size = (onto.width, onto.height)
    warped = cv2.warpAffine(face_of.rgb, matrix, size, flags=cv2.INTER_AREA)
    left, top, right, bottom = (int(edge) for edge in target.boxes[0])
    mask = np.zeros((onto.height, onto.width), np.float32)
    centre = ((left + right) // 2, (top + bottom) // 2)
    cv2.ellipse(mask, centre, ((right - left) // 2, (bottom - top) // 2), 0, 0, 360, 1, -1)
    soft = cv2.GaussianBlur(mask, (0, 0), (right - left) / 20)[:, :, None]
    # The skin's tone is carried over, as the simplest of swappers do.
    inside = mask > 0
    shift = onto.rgb[inside].mean(axis=0) - warped[inside].mean(axis=0)
    toned = np.clip(warped + 0.5 * shift, 0, 255)
    return Frame((toned * soft + onto.rgb * (1 - soft)).astype(np.uint8))


@pytest.mark.parametrize("pack", PACKS)
def test_the_face_pasted_into_a_picture_is_found_and_the_carrier_is_not(make_model, pack):  # noqa: F811
    model = make_model(pack)
    fake = pasted(portrait("obama2"), portrait("biden"), model)
    inside, victim, another, carrier = best(
        model, fake, portrait("obama"), portrait("obama3"), portrait("biden")
    )
    review = model.manifest.calibration.review
    assert max(inside @ victim, inside @ another) >= review
    assert inside @ carrier < review


@pytest.mark.parametrize("pack", PACKS)
def test_of_bundled_pictures_too_the_face_pasted_in_is_found_and_the_carrier_is_not(
    make_model,  # noqa: F811
    pack,
):
    model, group, she = make_model(pack), group_photo(), astronaut()
    review = model.manifest.calibration.review
    (everybody,) = model.templates([group])
    for face in everybody:
        left, top, right, bottom = (int(edge) for edge in face.box)
        margin = (right - left) // 2
        rows = slice(max(0, top - margin), bottom + margin)
        columns = slice(max(0, left - margin), right + margin)
        one = Frame(np.ascontiguousarray(group.rgb[rows, columns]))
        for victim, carrier in ((she, one), (one, she)):
            fake, hers, theirs = best(model, pasted(victim, carrier, model), victim, carrier)
            assert fake @ hers >= review
            assert fake @ theirs < review


def test_the_bound_on_faces_keeps_the_largest_and_says_what_it_left_out(make_model):  # noqa: F811
    model = make_model("omz0095", max_faces=4)
    everybody = make_model("omz0095").templates([group_photo()])[0]
    (faces,) = model.templates([group_photo()])
    assert (len(faces), faces.left_out, everybody.left_out) == (4, 2, 0)
    assert [face.box for face in faces] == [face.box for face in everybody[:4]]
