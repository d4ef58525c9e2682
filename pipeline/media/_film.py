"""Which demuxer a video needs, by its first bytes; playlists and the like have none here."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import RefusalReason, Refused


@dataclass(frozen=True, slots=True)
class FilmKind:
    """A container by its demuxer's name; an ``animation`` is read as a row of pictures instead."""

    format: str
    mime: str
    animation: bool = False


MP4 = FilmKind("mov", "video/mp4")
MATROSKA = FilmKind("matroska", "video/x-matroska")
WEBM = FilmKind("matroska", "video/webm")
AVI = FilmKind("avi", "video/x-msvideo")
FLV = FilmKind("flv", "video/x-flv")
OGG = FilmKind("ogg", "video/ogg")
ASF = FilmKind("asf", "video/x-ms-wmv")
TRANSPORT = FilmKind("mpegts", "video/mp2t")
PROGRAM = FilmKind("mpeg", "video/mpeg")
GIF = FilmKind("GIF", "image/gif", animation=True)
WEBP = FilmKind("WEBP", "image/webp", animation=True)
AVIF = FilmKind("AVIF", "image/avif", animation=True)
APNG = FilmKind("PNG", "image/apng", animation=True)

_STILL_BRANDS = {b"avif", b"heic", b"heix", b"heim", b"heis", b"mif1", b"hevc", b"hevx", b"msf1"}
_LISTS = (b"#EXTM3U", b"ffconcat", b"[playlist]", b"<?xml", b"<MPD", b"<smil", b"[Reference]")
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11")


def sniff_film(head: bytes) -> FilmKind | None:
    """The kind of a video or animation; None for anything else, still pictures among it.

    Raises ``Refused`` for lists that name other files, so that nobody takes them for a video.
    """
    start = head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(_LISTS):
        raise Refused(
            RefusalReason.UNSUPPORTED_TYPE,
            "This is a list that names other files; send the video itself.",
        )
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return _mp4(head)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return WEBM if b"webm" in head[:64] else MATROSKA
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return AVI
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP if head[12:16] == b"VP8X" and len(head) > 20 and head[20] & 2 else None
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF if _moves(head) else None
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        animated, data = head.find(b"acTL"), head.find(b"IDAT")
        return APNG if animated >= 0 and (data < 0 or animated < data) else None
    for magic, kind in ((b"FLV", FLV), (b"OggS", OGG), (_ASF_HEADER, ASF)):
        if head.startswith(magic):
            return kind
    if head.startswith((b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")):
        return PROGRAM
    packets = (188, 192)  # the second kind begins with four bytes of time
    if any(_transport(head, size) for size in packets):
        return TRANSPORT
    return None


def _moves(gif: bytes) -> bool:
    """Whether a GIF has a second picture, as far as these bytes go."""
    place = 13 + (3 << (gif[10] & 7) + 1 if len(gif) > 10 and gif[10] & 128 else 0)
    pictures = 0
    while place < len(gif):
        block = gif[place]
        if block == 0x21:
            place += 2
        elif block == 0x2C and place + 9 < len(gif):
            pictures += 1
            if pictures > 1:
                return True
            flags = gif[place + 9]
            place += 11 + (3 << (flags & 7) + 1 if flags & 128 else 0)
        else:
            return False
        while place < len(gif) and gif[place]:
            place += gif[place] + 1
        place += 1
    return False


def _mp4(head: bytes) -> FilmKind | None:
    if head[4:8] != b"ftyp":
        return MP4
    size = int.from_bytes(head[:4], "big")
    listed = {head[at : at + 4] for at in range(16, min(size, 256), 4)}
    if head[8:12] == b"avis" or (head[8:12] == b"avif" and b"avis" in listed):
        return AVIF
    return None if head[8:12] in _STILL_BRANDS else MP4


def _transport(head: bytes, size: int) -> bool:
    first = size - 188
    return len(head) > first + 2 * size and all(head[first + at * size] == 0x47 for at in range(3))
