"""Large JPEGs are first looked at in a sketch; whatever is near to anything is looked at whole."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline import plugins
from pipeline.domain.media import Frame, Media, Rating, Side, Upload
from pipeline.domain.screening import Verdict
from pipeline.gates import Verdict as Rated
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.journeys.see import Eye, Found, Seen
from pipeline.journeys.see_faces import FaceEye
from pipeline.media.image import SKETCH_SIDE, decode_image
from pipeline.signals import pdq
from tests.faces import drawn_town, make_drawn_town  # noqa: F401
from tests.world import Town, jpeg, picture

LARGE = (2000, 1500)


def large(seed: int) -> Image.Image:
    return picture(seed, (500, 375)).resize(LARGE, Image.Resampling.BICUBIC)


def counted(town: Town, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Which decodes a screening asks for, and whether what came was a sketch."""
    calls: list[tuple[str, bool]] = []
    world = town.world

    def watch(name: str):
        plain = getattr(world, name)

        def decode(body: bytes) -> Media:
            media = plain(body)
            calls.append((name, media.reduced))
            return media

        return decode

    watched = replace(world, decode=watch("decode"), sketch=watch("sketch"))
    monkeypatch.setattr(town, "world", watched)
    return calls


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_sketch_is_a_fraction_of_the_picture_lying_as_it_lies(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    large(1).save(file, "JPEG", exif=exif.tobytes())
    whole = decode_image(file.getvalue())
    sketch = decode_image(file.getvalue(), sketch=True)
    assert sketch.reduced
    assert not whole.reduced
    assert (sketch.width, sketch.height) == (whole.width, whole.height)
    assert SKETCH_SIDE**2 <= np.prod(sketch.frames[0].rgb.shape[:2]) < np.prod(LARGE)
    ratio = whole.width / whole.height
    assert sketch.frames[0].width / sketch.frames[0].height == pytest.approx(ratio, rel=0.01)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_other_kinds_and_small_pictures_are_decoded_whole(format: str) -> None:
    file = io.BytesIO()
    large(1).save(file, format)
    assert not decode_image(file.getvalue(), sketch=True).reduced
    small = jpeg(picture(1, (900, 700)))
    one, other = decode_image(small, sketch=True), decode_image(small)
    assert np.array_equal(one.frames[0].rgb, other.frames[0].rgb)


def test_the_code_of_a_sketch_is_within_a_bit_on_average_and_four_at_most() -> None:
    data = pytest.importorskip("skimage.data")
    signal, apart = pdq.build(), []
    rng = np.random.default_rng(1)
    for name in ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins"):
        photograph = getattr(data, name)()
        colour = photograph if photograph.ndim == 3 else np.stack([photograph] * 3, 2)
        for size in ((2400, 1800), (1500, 2000), (1600, 1004), (1601, 1003), (2405, 1799)):
            shown = np.asarray(Image.fromarray(colour[..., :3]).resize(size)).astype(np.int16)
            noisy = np.clip(shown + rng.normal(0, 4, (*shown.shape[:2], 1)), 0, 255)
            body = jpeg(Image.fromarray(noisy.astype(np.uint8)))
            sketch = decode_image(body, sketch=True).frames[0]
            frames: list[Frame] = [decode_image(body).frames[0], sketch]
            whole, quick = signal.compute(frames, Side.REGISTERED).codes
            apart.append(int(np.bitwise_count(whole ^ quick).sum()))
    assert np.mean(apart) <= 1
    assert max(apart) <= 4


@pytest.mark.parametrize(
    ("size", "factor"),
    [((1199, 1199), 1), ((1200, 1200), 2), ((1600, 1004), 2), ((4000, 3000), 4), ((9000, 1199), 2)],
)
def test_a_sketch_leaves_enough_of_each_side(size: tuple[int, int], factor: int) -> None:
    sketch = decode_image(jpeg(Image.new("RGB", size)), sketch=True)
    assert sketch.frames[0].rgb.shape[1::-1] == tuple(-(-side // factor) for side in size)


def test_a_part_that_only_the_sketch_showed_is_told(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.register(jpeg(large(1)))
    framed = ImageOps.expand(large(1), 150, "white")
    plain = Eye.search

    def search(eye: Eye, live: LiveIndexes, seen: Seen) -> Found:
        return plain(eye, live, seen) if seen.reduced else Found((), truncated=False)

    monkeypatch.setattr(Eye, "search", search)
    answer = town.screen(town.platform(), jpeg(framed))
    assert answer.verdict is Verdict.REVIEW
    assert all(match.view != "whole" for match in answer.matches)


def test_a_stranger_is_looked_at_once_in_a_sketch(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.register(jpeg(large(1)))
    calls = counted(town, monkeypatch)
    assert town.screen(town.platform(), jpeg(large(2))).verdict is Verdict.CLEAR
    assert calls == [("sketch", True)]


def test_a_copy_is_looked_at_whole_and_told_by_its_exact_code(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = jpeg(large(1))
    town.register(body)
    calls = counted(town, monkeypatch)
    answer = town.screen(town.platform(), body)
    assert calls == [("sketch", True), ("decode", False)]
    assert answer.verdict is Verdict.REVIEW
    assert answer.matches[0].distance == 0, "the sketch's few bits are gone"


def test_what_is_upheld_joins_the_bank_with_the_codes_of_the_whole_picture(town: Town) -> None:
    image = large(1)
    town.register(jpeg(image))
    board, copy = town.platform(), jpeg(image, 60)
    town.uphold(town.screen(board, copy).case, town.reviewer())
    again = town.screen(board, copy)
    assert again.verdict is Verdict.KNOWN
    assert again.matches[0].distance == 0


def test_a_file_that_only_looked_well_is_refused_by_name(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = large(1)
    town.register(jpeg(image))
    cut = jpeg(image)[:-2000]
    assert town.screen(town.platform(), cut).verdict is Verdict.REFUSED


class Looking:
    """A gate that looks, and cannot tell."""

    name, looks = "looking/1", True

    def rate(self, upload: Upload, media: Media) -> Rated:
        return Rated(Rating.UNKNOWN, self.name, "it cannot tell")


@pytest.mark.parametrize(
    ("rating", "looked", "first"),
    [
        (Rating.UNKNOWN, False, "sketch"),
        (Rating.NOT_INTIMATE, False, "sketch"),
        (Rating.INTIMATE, False, "decode"),
        (Rating.UNKNOWN, True, "decode"),
        (Rating.NOT_INTIMATE, True, "sketch"),
    ],
)
def test_faces_are_looked_for_in_every_pixel_and_a_sketch_does_where_none_is_looked_for(
    drawn_town: Town,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    rating: Rating,
    looked: bool,
    first: str,
) -> None:
    if looked:  # after the platform's own rating, somebody looks at pixels
        gates = (plugins.build("gates", "rating"), Looking())
        eye = FaceEye(drawn_town.world.face_models(), gates, drawn_town.world.policy)
        monkeypatch.setattr(drawn_town, "world", replace(drawn_town.world, faces=lambda: eye))
    calls = counted(drawn_town, monkeypatch)
    answer = drawn_town.screen(drawn_town.platform(), jpeg(large(2)), rating=rating)
    assert answer.verdict is Verdict.CLEAR
    assert calls == [(first, first == "sketch")]
