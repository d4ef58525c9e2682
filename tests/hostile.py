"""Files made to break whoever reads them, generated; each with the answers that it may get."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from pipeline.errors import RefusalReason as R
from tests.pictures import encode, many_scans, png_header, textured

READ = "read"
"""Not a reason: the file is decoded, and then it is like any other."""

PICTURE = textured(160, 120)


def stills(planted: str, port: int) -> dict[str, tuple[bytes, set[str]]]:
    """By name: the file, and what may become of it. Lists name a planted file and socket."""
    jpeg, png, gif = encode(PICTURE, "JPEG"), encode(PICTURE, "PNG"), encode(PICTURE, "GIF")
    address = f"http://127.0.0.1:{port}/x"
    unknown = {R.UNSUPPORTED_TYPE}
    return {
        "nothing": (b"", {R.EMPTY}),
        "one byte": (b"\xff", {R.TRUNCATED, R.UNSUPPORTED_TYPE}),
        "zeros": (bytes(5000), unknown),
        "text": (b"hello, this is a picture\n" * 40, unknown),
        "one pixel": (encode(PICTURE[:1, :1], "PNG"), {READ}),
        "100000 by 1": (png_header(100_000, 1), {R.SIDE_TOO_LONG}),
        "a bomb of 900 million pixels": (png_header(30_000, 30_000), {R.TOO_MANY_PIXELS}),
        "a bomb with a small file": (bomb(12_000), {R.TOO_MANY_PIXELS}),
        "a gif of 65535 by 65535": (
            gif[:6] + b"\xff" * 4 + gif[10:], {R.SIDE_TOO_LONG, R.TOO_MANY_PIXELS},
        ),
        "400 scans": (many_scans(400), {R.CORRUPT}),
        "a bomb in the profile": (profile_bomb(), {READ, R.CORRUPT}),
        "a playlist of files": (f"#EXTM3U\n#EXTINF:1,\nfile://{planted}\n".encode(), unknown),
        "a playlist of addresses": (f"#EXTM3U\n#EXTINF:1,\n{address}\n".encode(), unknown),
        "a list to be joined": (f"ffconcat version 1.0\nfile '{planted}'\n".encode(), unknown),
        "an svg with links": (
            f"<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink'>"
            f"<image xlink:href='{address}'/><image xlink:href='file://{planted}'/></svg>".encode(),
            unknown,
        ),
        "an sdp": (f"v=0\nc=IN IP4 127.0.0.1\nm=video {port} RTP/AVP 96\n".encode(), unknown),
        "postscript": (f"%!PS-Adobe-3.0 EPSF-3.0\n({planted}) run\n".encode(), unknown),
        "an archive behind a picture": (jpeg + archive(planted), {READ}),
        "a page behind a picture": (gif + f"<script src='{address}'>".encode(), {READ}),
        "a page and a picture": (f"<img src='{address}'>".encode() + jpeg, unknown),
        "two pictures": (png + jpeg, {READ}),
        "a picture's head on another": (jpeg[:200] + png, {R.TRUNCATED, R.CORRUPT, READ}),
        "a harmless first picture": (
            encode(
                Image.new("RGB", (160, 120), "white"), "GIF", save_all=True,
                append_images=[Image.fromarray(PICTURE)], duration=100,
            ),
            {READ},
        ),
    }  # fmt: skip


def cut(body: bytes):
    """The file ended after every hundredth of it."""
    return [body[: max(1, len(body) * share // 100)] for share in range(1, 100)]


def flipped(body: bytes, number: int, seed: int = 1):
    """The file with one to eight bits turned, so many times."""
    rng = np.random.default_rng(seed)
    for _ in range(number):
        harmed = bytearray(body)
        for place in rng.integers(0, len(body), int(rng.integers(1, 9))):
            harmed[int(place)] ^= 1 << int(rng.integers(8))
        yield bytes(harmed)


def bomb(side: int) -> bytes:
    """A sound PNG of one bit a pixel: a few kilobytes that unfold to ``side`` squared pixels."""
    packed = zlib.compressobj(1)
    line = bytes(1 + side // 8)
    data = b"".join(packed.compress(line) for _ in range(side)) + packed.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    )


def profile_bomb() -> bytes:
    """A PNG whose colour profile unfolds to 64 MB."""
    packed = zlib.compressobj(1)
    data = b"".join(packed.compress(bytes(1 << 20)) for _ in range(64)) + packed.flush()
    plain = encode(PICTURE, "PNG")
    return plain[:33] + _chunk(b"iCCP", b"x\0\0" + data) + plain[33:]


def many_pictures(number: int) -> bytes:
    """A GIF of so many pictures of one pixel, each a hundredth of a second."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    one = (
        b"!\xf9\x04\0\x01\0\0\0" + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02D\x01\0"
    )
    other = one.replace(b"D\x01", b"L\x01")
    return head + (one + other) * (number // 2) + b";"


def archive(planted: str) -> bytes:
    import zipfile

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("../" + planted.strip("/"), "x")
    return made.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
