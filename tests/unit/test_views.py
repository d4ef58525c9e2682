"""Query-side views: an altered copy's view shows what the original shows, and says where."""

import cv2
import numpy as np
import pytest

from pipeline.domain.alignment import placement_of, project
from pipeline.domain.media import WHOLE, Frame, Side, Turn, View
from pipeline.errors import Invalid
from pipeline.media._planes import tiles, working_copy
from pipeline.media.crops import CENTRES, CROPS, registered_crops, slot_of_view
from pipeline.media.views import ORDER, THOROUGH, USUAL, WHOLE_ONLY, Family, ViewBudget, query_views
from pipeline.signals import pdq

skimage_data = pytest.importorskip("skimage.data")
SIGNAL = pdq.build()
_CENTRES = [((1000 - one) // 2,) * 2 + ((1000 + one) // 2,) * 2 for one in CENTRES]


def photograph(name="astronaut"):
    return np.ascontiguousarray(getattr(skimage_data, name)()[..., :3])


def framed(picture, top, bottom, left, right, colour):
    return cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour)


def collage(picture, other):
    other = cv2.resize(other, picture.shape[1::-1])
    return np.vstack([np.hstack([picture, other]), np.hstack([other, other[::-1]])])


def on_its_own_blur(picture):
    height, width = picture.shape[:2]
    ground = cv2.GaussianBlur(cv2.resize(picture, (width * 2, height * 2)), (0, 0), 25)
    ground = ground[height // 2 : height // 2 + height]
    ground[:, width // 2 : width // 2 + width] = picture
    return ground


def in_a_chat(picture, share=0.8):
    screen = np.full((1280, 720, 3), (236, 229, 221), np.uint8)
    screen[:100] = (7, 94, 84)
    for top in (150, 1100):
        screen[top : top + 70, 30:400] = (220, 248, 198)
        cv2.putText(screen, "did you see this", (50, top + 45), 0, 1, (20, 20, 20), 2)
    small = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    screen[300 : 300 + small.shape[0], 200 : 200 + small.shape[1]] = small
    return screen


def on_gravel(picture, share=0.6):
    """Where every pixel is an edge, and the border no stronger than what is beside it."""
    height, width = picture.shape[:2]
    ground = np.repeat(skimage_data.gravel()[..., None], 3, axis=2)
    ground = np.ascontiguousarray(cv2.resize(ground, (width, height)))
    small = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    ground[90 : 90 + small.shape[0], 140 : 140 + small.shape[1]] = small
    return ground


def turned(picture, degrees=10):
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    size = int(1.25 * max(height, width))
    matrix[:, 2] += (size - width) / 2, (size - height) / 2
    return cv2.warpAffine(picture, matrix, (size, size))


def turned_and_zoomed(picture, degrees):
    """As a photo editor does: none of the ground shows."""
    height, width = picture.shape[:2]
    angle = np.deg2rad(abs(degrees))
    share = 1 / (np.cos(angle) + max(width / height, height / width) * np.sin(angle))
    size = (int(width * share), int(height * share))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    matrix[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return cv2.warpAffine(picture, matrix, size)


def captioned(picture, above):
    words = np.full((60, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(words, "who has seen this", (20, 42), 0, 1, (20, 20, 20), 2)
    return np.vstack([words, picture] if above else [picture, words])


def nearest_view(upload, picture):
    """The view whose code is nearest to the picture's own, and how near."""
    code = SIGNAL.compute([Frame(picture)], Side.REGISTERED).codes[0]
    asked = SIGNAL.compute(query_views(Frame(upload)), Side.QUERY)
    distances = np.bitwise_count(asked.codes ^ code).sum(1)
    return asked.views[int(distances.argmin())], int(distances.min())


def test_the_first_view_is_the_frame_itself():
    frame = Frame(photograph())
    assert query_views(frame)[0] is frame


@pytest.mark.parametrize(
    "alter",
    [
        lambda p: framed(p, 25, 25, 25, 25, (0, 0, 0)),
        lambda p: framed(p, 51, 51, 51, 51, (250, 170, 200)),
        lambda p: framed(p, 200, 200, 0, 0, (0, 0, 0)),
        on_its_own_blur,
        lambda p: framed(framed(p, 30, 110, 30, 30, (250, 250, 250)), 20, 20, 20, 20, (90, 60, 30)),
        lambda p: collage(p, photograph("chelsea")),
        in_a_chat,
        on_gravel,
        turned,
        lambda p: np.ascontiguousarray(framed(p, 40, 10, 0, 0, (255, 255, 255))[:, ::-1]),
    ],
    ids=[
        "border",
        "wide border",
        "letterbox",
        "blurred fill",
        "two frames",
        "collage",
        "in a chat",
        "on gravel",
        "turned",
        "mirrored",
    ],
)
def test_what_is_put_around_a_picture_is_looked_past(alter):
    picture = photograph()
    assert (
        np.bitwise_count(
            SIGNAL.compute([Frame(alter(picture)), Frame(picture)], Side.REGISTERED).codes[0]
            ^ SIGNAL.compute([Frame(picture)], Side.REGISTERED).codes[0]
        ).sum()
        > 31
    ), "the whole alone must not match, or this shows nothing"
    _, distance = nearest_view(alter(picture), picture)
    assert distance <= 31


@pytest.mark.parametrize("above", [False, True], ids=["below", "above"])
def test_a_tilted_picture_is_found_beside_its_caption(above):
    picture = photograph()
    view, distance = nearest_view(captioned(turned(picture, 5), above), picture)
    assert distance <= 31
    assert view.name == Family.QUADS


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
@pytest.mark.parametrize("degrees", [3, -5, 8, -11, 15])
def test_a_picture_turned_and_zoomed_into_is_near_one_of_its_registered_centres(name, degrees):
    picture = photograph(name)
    crops = SIGNAL.compute(registered_crops(Frame(picture)), Side.REGISTERED)
    centres = [slot_of_view(view) for view in crops.views if CROPS[slot_of_view(view)] in _CENTRES]
    upload = turned_and_zoomed(picture, degrees)
    asked = SIGNAL.compute(query_views(Frame(upload)), Side.QUERY)
    distances = np.bitwise_count(asked.codes[:, None] ^ crops.codes[centres]).sum(-1)
    at, _ = np.unravel_index(distances.argmin(), distances.shape)
    assert distances.min() <= 31
    view = asked.views[at]
    assert view.name == Family.TURNS
    # Where it lies is drawn on the upload: about its middle, and turned as the picture is.
    assert np.mean(view.corners, axis=0) == pytest.approx((0.5, 0.5), abs=0.02)
    (left, top), (right, beside) = view.corners[0], view.corners[1]
    height, width = upload.shape[:2]
    lean = np.degrees(np.arctan2((beside - top) * height, (right - left) * width))
    assert lean == pytest.approx(-degrees, abs=2)


def test_a_drawn_picture_is_not_turned_back():
    page = np.full((500, 700, 3), 255, np.uint8)
    for line in range(40, 480, 30):
        cv2.putText(page, "words of a page, line by line", (30, line), 0, 0.8, (20, 20, 20), 2)
    names = {frame.view.name for frame in query_views(Frame(page), THOROUGH)}
    assert Family.TURNS not in names
    assert Family.TURNS in {frame.view.name for frame in query_views(Frame(photograph()))}


def test_a_views_corners_say_where_in_the_upload_it_lies():
    picture = photograph()
    view, _ = nearest_view(framed(picture, 100, 50, 60, 40, (0, 0, 0)), picture)
    left, top = view.corners[0]
    right, bottom = view.corners[2]
    assert (left, top) == pytest.approx((60 / 612, 100 / 662), abs=0.01)
    assert (right, bottom) == pytest.approx((572 / 612, 612 / 662), abs=0.01)


def test_a_tilted_views_corners_follow_the_picture():
    picture = photograph()
    view, distance = nearest_view(turned(picture, 10), picture)
    assert distance <= 31
    middle = np.mean(view.corners, axis=0)
    assert middle == pytest.approx((0.5, 0.5), abs=0.02)
    across = np.subtract(view.corners[1], view.corners[0])
    # OpenCV turns anticlockwise, and y points down.
    assert np.rad2deg(np.arctan2(across[1], across[0])) == pytest.approx(-10, abs=1.5)


def test_the_same_upload_gives_the_same_views_every_time():
    upload = Frame(in_a_chat(photograph()))
    first, second = query_views(upload), query_views(upload)
    assert [frame.view for frame in first] == [frame.view for frame in second]
    assert all((a.rgb == b.rgb).all() for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("most", [1, 2, 5])
def test_a_budget_is_never_exceeded(most):
    upload = Frame(collage(photograph(), photograph("coffee")))
    assert len(query_views(upload, ViewBudget(ORDER, most=most))) <= most


def test_a_budget_gives_up_its_last_family_first_until_the_whole_is_left():
    budget, given_up = USUAL, []
    while budget.families:
        smaller = budget.reduced()
        given_up += [family for family in budget.families if family not in smaller.families]
        budget = smaller
    assert given_up == list(reversed(USUAL.families))
    assert budget.reduced() == budget
    assert len(query_views(Frame(photograph()), budget)) == 1


def test_smaller_budgets_see_a_part_of_what_larger_ones_see():
    upload = Frame(framed(photograph(), 30, 30, 30, 30, (9, 9, 9)))
    few = {f.view for f in query_views(upload, ViewBudget((Family.BORDERS,)))}
    many = {f.view for f in query_views(upload, THOROUGH)}
    assert few < many
    assert {f.view for f in query_views(upload, WHOLE_ONLY)} == {WHOLE}


def test_budgets_that_make_no_sense_are_refused():
    with pytest.raises(Invalid, match="at least one view"):
        ViewBudget(most=0)
    with pytest.raises(Invalid, match="at least 64"):
        ViewBudget(side=10)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (40, 40), (33, 4000)], ids=str)
@pytest.mark.parametrize("level", [0, 255])
def test_tiny_thin_and_plain_pictures_have_views_without_trouble(shape, level):
    frame = Frame(np.full((*shape, 3), level, np.uint8))
    assert query_views(frame, THOROUGH)[0] is frame


def test_random_noise_of_any_shape_has_views_without_trouble():
    rng = np.random.default_rng(3)
    for _ in range(25):
        shape = (*rng.integers(5, 400, 2), 3)
        frames = query_views(Frame(rng.integers(0, 256, shape).astype(np.uint8)), THOROUGH)
        assert all(frame.rgb.shape == (64, 64, 3) for frame in frames[1:])


@pytest.mark.parametrize("side", [200, 384])
def test_a_tile_is_within_a_few_bits_of_the_crop_at_full_resolution(side):
    picture = photograph("retina")
    height, width = picture.shape[:2]
    copy = working_copy(picture, side)
    scale = np.array([copy.width / width, copy.height / height] * 2)
    crops = [(0, 0, width, height), (113, 207, 1290, 1370), (301, 15, 1401, 1001)]
    small = tiles(copy.luma, [tuple(crop * scale) for crop in np.array(crops)], copy.zoom)
    for tile, (left, top, right, bottom) in zip(small, crops, strict=True):
        pair = [Frame(np.repeat(tile[..., None], 3, 2)), Frame(picture[top:bottom, left:right])]
        one, other = SIGNAL.compute(pair, Side.REGISTERED).codes
        assert np.bitwise_count(one ^ other).sum() <= (16 if side == 200 else 8)


@pytest.mark.parametrize(
    ("turn", "lay"),
    [
        (Turn.NONE, lambda p: p),
        (Turn.ROTATE_90, lambda p: np.rot90(p, -1)),
        (Turn.ROTATE_180, lambda p: np.rot90(p, 2)),
        (Turn.ROTATE_270, lambda p: np.rot90(p, 1)),
        (Turn.FLIP_X, lambda p: p[::-1]),
        (Turn.FLIP_Y, lambda p: p[:, ::-1]),
        (Turn.FLIP_PLUS_1, lambda p: p.transpose(1, 0, 2)),
        (Turn.FLIP_MINUS_1, lambda p: np.rot90(p, 2).transpose(1, 0, 2)),
    ],
    ids=[turn.name for turn in Turn],
)
def test_a_placement_undoes_the_turn_that_a_hash_found(turn, lay):
    picture = photograph()[:, :400]
    upload = np.ascontiguousarray(lay(picture))
    view, distance = nearest_view(upload, picture)
    assert (view.turn, distance <= 31) == (turn, True)
    placement = placement_of(View("whole", view.corners, view.turn), (0.0, 0.0, 1.0, 1.0))
    for x, y in [(0.2, 0.3), (0.7, 0.1), (0.5, 0.9)]:
        (across, down) = project(placement, [(x, y)])[0]
        shown = upload[int(down * upload.shape[0]), int(across * upload.shape[1])].astype(int)
        there = picture[int(y * 512), int(x * 400)].astype(int)
        near = picture[int(y * 512) - 2 : int(y * 512) + 3, int(x * 400) - 2 : int(x * 400) + 3]
        assert (abs(near.astype(int) - shown).sum(-1).min(), there.shape) <= (12, (3,))
