from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from pipeline.domain.media import Frame, Side
from pipeline.errors import Misconfigured, RefusalReason, Refused
from pipeline.media.image import ImageLimits, decode_image
from pipeline.signals import pdq
from tests import pictures
from tests.pictures import encode

PICTURE = pictures.textured()
GREY = pictures.grey(PICTURE)
MUTED = (PICTURE // 2 + 64).astype(np.uint8)
PALETTE = Image.fromarray(PICTURE).quantize(256)
"""256 colours lose 18 bits by themselves: what a palette holds is compared, not its source."""


def pixels(body: bytes) -> np.ndarray:
    return decode_image(body).frames[0].rgb


def bits_apart(one: np.ndarray, other: np.ndarray) -> int:
    codes = pdq.build().compute([Frame(one), Frame(other)], Side.REGISTERED).codes
    return int(np.bitwise_count(codes[0] ^ codes[1]).sum())


def reason(body: bytes, **limits: int) -> RefusalReason:
    with pytest.raises(Refused) as caught:
        decode_image(body, ImageLimits(**limits))
    return caught.value.reason


FILES = {
    "PNG": (encode(PICTURE), "image/png"),
    "JPEG": (encode(PICTURE, "JPEG", quality=95), "image/jpeg"),
    "progressive JPEG": (encode(PICTURE, "JPEG", quality=95, progressive=True), "image/jpeg"),
    "MPO": (
        encode(
            Image.fromarray(PICTURE),
            "MPO",
            quality=95,
            save_all=True,
            append_images=[Image.fromarray(pictures.shapes())],
        ),
        "image/jpeg",
    ),
    "GIF": (encode(PALETTE, "GIF"), "image/gif"),
    "WebP": (encode(PICTURE, "WEBP", lossless=True), "image/webp"),
    "AVIF": (encode(PICTURE, "AVIF", quality=90), "image/avif"),
    "HEIC": (encode(PICTURE, "HEIF", quality=90), "image/heic"),
    "TIFF": (encode(PICTURE, "TIFF", compression="tiff_lzw"), "image/tiff"),
    "BMP": (encode(PICTURE, "BMP"), "image/bmp"),
    "JPEG 2000": (encode(PICTURE, "JPEG2000"), "image/jp2"),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_picture_within_two_bits(name: str) -> None:
    body, mime = FILES[name]
    media = decode_image(body)
    rgb = media.frames[0].rgb
    assert media.mime == mime
    assert (media.width, media.height) == (320, 240)
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    meant = np.asarray(PALETTE.convert("RGB")) if name == "GIF" else PICTURE
    assert bits_apart(rgb, meant) <= 2


@pytest.mark.parametrize("name", ["PNG", "WebP", "TIFF", "BMP", "JPEG 2000"])
def test_lossless_formats_give_the_very_same_pixels(name: str) -> None:
    assert np.array_equal(pixels(FILES[name][0]), PICTURE)


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stored_turned_comes_back_upright(orientation: int, format: str) -> None:
    rgb = pixels(pictures.oriented(PICTURE, orientation, format))
    assert rgb.shape == PICTURE.shape
    assert np.abs(rgb.astype(int) - PICTURE).mean() < 4
    assert bits_apart(rgb, PICTURE) <= 2


def test_a_turned_tiff_is_turned_once() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = np.ascontiguousarray(np.rot90(PICTURE, 1))
    assert np.array_equal(pixels(encode(turned, "TIFF", exif=exif)), PICTURE)


def test_a_turned_heic_is_turned_once() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = np.ascontiguousarray(np.rot90(PICTURE, 1))
    rgb = pixels(encode(turned, "HEIF", quality=90, exif=exif.tobytes()))
    assert bits_apart(rgb, PICTURE) <= 2


def test_a_broken_orientation_turns_nothing() -> None:
    body = encode(PICTURE, "WEBP", lossless=True, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(pixels(body), PICTURE)


def test_grey_in_8_16_and_1_bits_and_with_opacity() -> None:
    one = Image.fromarray(GREY[..., 0])
    deep = GREY[..., 0].astype(np.uint16) * 257
    assert np.array_equal(pixels(encode(one)), GREY)
    assert np.array_equal(pixels(pictures.png(deep, colour=0)), GREY)
    assert np.array_equal(pixels(encode(Image.fromarray(deep), "TIFF")), GREY)
    assert np.array_equal(pixels(encode(one.convert("LA"))), GREY)
    black_and_white = one.convert("1")
    expected = np.asarray(black_and_white.convert("RGB"))
    assert np.array_equal(pixels(encode(black_and_white)), expected)


def test_colour_in_16_bits_keeps_its_high_bytes() -> None:
    deep = PICTURE.astype(np.uint16) * 256 + 200
    assert np.array_equal(pixels(pictures.png(deep, colour=2)), PICTURE)


def test_deep_grey_is_scaled_and_not_clipped() -> None:
    rows = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    assert pixels(pictures.png(rows, colour=0))[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_deep_whole_and_floating_numbers_in_tiff() -> None:
    values = GREY[..., 0].astype(np.float32) / 255
    as_float = pixels(encode(Image.fromarray(values), "TIFF"))
    as_int = pixels(encode(Image.fromarray(GREY[..., 0].astype(np.int32) << 24), "TIFF"))
    assert np.abs(as_float.astype(int) - GREY).max() <= 1
    assert np.array_equal(as_int[GREY < 128], GREY[GREY < 128])


def test_a_palette_gives_its_colours() -> None:
    expected = np.asarray(PALETTE.convert("RGB"))
    for format in ("PNG", "GIF", "TIFF", "BMP"):
        assert np.array_equal(pixels(encode(PALETTE, format)), expected)


def test_cmyk_comes_back_as_its_colours() -> None:
    cmyk = Image.fromarray(PICTURE).convert("CMYK")
    assert bits_apart(pixels(encode(cmyk, "JPEG", quality=95)), PICTURE) <= 2
    assert np.abs(pixels(encode(cmyk, "TIFF")).astype(int) - PICTURE).max() <= 1


def test_lab_comes_back_as_its_colours() -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.fromarray(MUTED), srgb, lab, outputMode="LAB")
    rgb = pixels(encode(image, "TIFF"))
    assert np.abs(rgb.astype(int) - MUTED).mean() < 2
    assert bits_apart(rgb, MUTED) <= 2


def half_clear() -> tuple[Image.Image, np.ndarray]:
    image = Image.fromarray(PICTURE).convert("RGBA")
    alpha = np.full(PICTURE.shape[:2], 255, np.uint8)
    alpha[:, :160] = 0
    alpha[:, 160:200] = 128
    image.putalpha(Image.fromarray(alpha))
    share = alpha[..., None] / 255
    return image, np.rint(PICTURE * share + 255 * (1 - share))


@pytest.mark.parametrize(
    ("format", "options"),
    [("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})],
)
def test_what_is_clear_is_white(format: str, options: dict[str, bool]) -> None:
    image, expected = half_clear()
    assert np.abs(pixels(encode(image, format, **options)) - expected).max() <= 1


def test_a_clear_colour_of_a_palette_grey_or_colour_picture_is_white() -> None:
    palette = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    for body in (
        encode(palette, "PNG", transparency=1),
        encode(palette, "GIF", transparency=1),
        encode(palette, "PNG", transparency=b"\xff\x00"),
    ):
        assert pixels(body)[0].tolist() == [[10, 20, 30], [255, 255, 255]]
    greys = np.array([[[7], [9]]], np.uint8)[..., 0]
    assert pixels(pictures.png(greys, 0, ((b"tRNS", b"\0\x09"),)))[0, :, 0].tolist() == [7, 255]
    deep = np.array([[0x0700, 0x0900]], np.uint16)
    assert pixels(pictures.png(deep, 0, ((b"tRNS", b"\x09\0"),)))[0, :, 0].tolist() == [7, 255]
    colours = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    told = (b"tRNS", b"\0\x04\0\x05\0\x06")
    assert pixels(pictures.png(colours, 2, (told,)))[0].tolist() == [[1, 2, 3], [255, 255, 255]]
    told = (b"tRNS", b"\x04\0\x05\0\x06\0")
    wide = colours.astype(np.uint16) * 256
    assert pixels(pictures.png(wide, 2, (told,)))[0].tolist() == [[1, 2, 3], [255, 255, 255]]


def test_a_display_p3_picture_shows_the_same_colours_in_srgb() -> None:
    profile = pictures.display_p3()
    srgb = ImageCms.createProfile("sRGB")
    wide = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    muted = MUTED
    stored = ImageCms.profileToProfile(Image.fromarray(muted), srgb, wide)
    assert stored is not None
    assert np.abs(np.asarray(stored).astype(int) - muted).max() > 10
    rgb = pixels(encode(stored, icc_profile=profile))
    assert np.abs(rgb.astype(int) - muted).max() <= 4
    assert bits_apart(rgb, muted) == 0


def test_a_grey_profile_is_applied_to_a_grey_picture() -> None:
    body = encode(Image.fromarray(GREY[..., 0]), icc_profile=pictures.grey_gamma(1.0))
    assert pixels(body).mean() > GREY.mean() + 30
    assert np.array_equal(pixels(encode(PICTURE, icc_profile=pictures.grey_gamma(1.0))), PICTURE)


def test_an_srgb_profile_changes_no_pixel() -> None:
    assert np.array_equal(pixels(encode(PICTURE, icc_profile=pictures.srgb())), PICTURE)


@pytest.mark.parametrize("profile", [b"nonsense", b"\0" * 128, pictures.display_p3()[:200]])
def test_a_broken_profile_counts_as_srgb(profile: bytes) -> None:
    assert np.array_equal(pixels(encode(PICTURE, icc_profile=profile)), PICTURE)


def test_a_profile_with_transparency_keeps_the_white_ground() -> None:
    image, _ = half_clear()
    rgb = pixels(encode(image, icc_profile=pictures.display_p3()))
    assert (rgb[:, :160] == 255).all()


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_gives_its_first_frame(format: str) -> None:
    frames = [Image.fromarray(pictures.shapes(seed=seed)) for seed in range(3)]
    body = encode(frames[0], format, save_all=True, append_images=frames[1:], duration=100)
    media = decode_image(body)
    assert len(media.frames) == 1
    assert bits_apart(media.frames[0].rgb, np.asarray(frames[0])) <= 8


def test_the_pixels_cannot_be_changed_by_accident() -> None:
    assert not pixels(encode(PICTURE)).flags.writeable


@pytest.mark.parametrize(
    "body",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"%PDF-1.7\n",
        b"\0\0\x01\0\x01\0\x10\x10\0\0",
        b"#EXTM3U\n",
        b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2",
        b"hello",
    ],
)
def test_other_kinds_of_files_are_refused_as_such(body: bytes) -> None:
    assert reason(body) is RefusalReason.UNSUPPORTED_TYPE


def test_an_empty_file_is_refused_as_empty() -> None:
    assert reason(b"") is RefusalReason.EMPTY


def test_too_many_bytes_are_refused() -> None:
    assert reason(encode(PICTURE), bytes=1000) is RefusalReason.TOO_MANY_BYTES


@pytest.mark.parametrize("size", [(30_001, 10), (10, 30_001), (2_000_000_000, 2)])
def test_a_side_that_is_too_long_is_refused(size: tuple[int, int]) -> None:
    body = pictures.png_header(*size)
    if size[0] * size[1] < 1_000_000_000:
        assert reason(body) is RefusalReason.SIDE_TOO_LONG
    else:
        assert reason(body) is RefusalReason.TOO_MANY_PIXELS


@pytest.mark.parametrize("size", [(10_001, 10_000), (29_999, 29_999)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    assert reason(pictures.png_header(*size)) is RefusalReason.TOO_MANY_PIXELS


def test_a_webp_that_promises_a_huge_canvas_is_refused() -> None:
    body = bytearray(encode(PICTURE, "WEBP", lossless=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"))
    assert body[12:16] == b"VP8X"
    body[24:30] = (16382).to_bytes(3, "little") * 2
    with pytest.raises(Refused):
        decode_image(bytes(body))


def test_a_bomb_of_scans_is_refused_and_many_honest_scans_are_not() -> None:
    assert reason(pictures.many_scans(200)) is RefusalReason.CORRUPT
    assert reason(pictures.many_scans(30), scan_pixels=64 * 64 * 20) is RefusalReason.CORRUPT
    assert decode_image(pictures.many_scans(30)).width == 64


def test_scans_in_what_follows_the_picture_do_not_count() -> None:
    body = encode(PICTURE, "JPEG", progressive=True)
    assert decode_image(body + b"\xff\xda" * 500).width == 320


def test_a_format_that_cannot_be_decoded_here_says_so() -> None:
    body = bytearray(encode(PICTURE, "BMP"))
    body[30:34] = (9).to_bytes(4, "little")
    assert reason(bytes(body)) is RefusalReason.UNDECODABLE


def test_damaged_pixels_are_refused_as_corrupt() -> None:
    body = bytearray(encode(PICTURE))
    start = body.index(b"IDAT") + 40
    body[start : start + 200] = b"\xff" * 200
    assert reason(bytes(body)) is RefusalReason.CORRUPT


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_off_anywhere_is_refused_or_whole(name: str) -> None:
    body = FILES[name][0]
    reasons = set()
    for part in np.linspace(0.001, 0.9, 25):
        cut = body[: max(1, int(len(body) * part))]
        try:
            media = decode_image(cut)
        except Refused as refused:
            reasons.add(refused.reason)
        else:
            # The second picture of an MPO, and the last layers of a JPEG 2000, may be missing.
            assert name in ("MPO", "JPEG 2000")
            assert (media.width, media.height) == (320, 240)
    assert RefusalReason.TRUNCATED in reasons
    assert reasons <= {RefusalReason.TRUNCATED, RefusalReason.UNSUPPORTED_TYPE}


SMALL = {
    format: encode(pictures.shapes(40, 30), format)
    for format in ("PNG", "JPEG", "GIF", "WEBP", "AVIF", "HEIF", "TIFF", "BMP", "JPEG2000")
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    format=st.sampled_from(sorted(SMALL)),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, 10_000),
    filler=st.binary(max_size=8),
)
def test_no_damage_makes_anything_but_a_picture_or_a_refusal(
    format: str, changes: list[tuple[int, int]], cut: int, filler: bytes
) -> None:
    body = bytearray(SMALL[format])
    for place, value in changes:
        body[place % len(body)] = value
    if cut % 3 == 0:
        del body[cut % len(body) :]
    body += filler
    try:
        media = decode_image(bytes(body), ImageLimits(pixels=4_000_000))
    except Refused:
        pass
    else:
        assert media.frames[0].rgb.shape == (media.height, media.width, 3)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_random_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        decode_image(body)


def test_a_limit_beyond_the_decoders_own_is_a_misconfiguration() -> None:
    with pytest.raises(Misconfigured, match="at most"):
        ImageLimits(pixels=10**9)
