"""A base as one file that all processes of a host map and share.

The file holds codes in the clear, because that is what makes it worth having: an encrypted file
would have to be decrypted into each process's private memory, which loses the sharing of pages and
the opening in milliseconds. It therefore belongs in memory: on a tmpfs such as ``/dev/shm``, mode
0600, gone at the next boot. Anywhere else is refused unless ``allow_disk`` says that the disk is
encrypted by other means. tmpfs can be swapped out: run with swap off or encrypted.

What is removed after the file was written is blanked in it, code and postings, by every process
that hears of it: the pages are shared, so the first who does so does it for all, and one that is
killed half-way leaves the rest to the next. Searches of other processes may be reading meanwhile;
what they can see is a code of zeros or a posting at another row, both of which are looked at again
before they count. Large pages (``_pages``) are asked for before the first code is in the file; one
that was fetched from a depot comes in small ones, and is as exact.

The header is authenticated with the permutation's seed and bound to the space; the columns are not
read at opening, so only a file that its owner alone can write is opened.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from pipeline.domain.signal import Space
from pipeline.errors import Misconfigured, Tampered
from pipeline.indexes._base import Base, Layout
from pipeline.indexes._pages import map_file, prepare_file
from pipeline.indexes._permutation import fingerprint

MAGIC = b"CNSTHAM1"
HEADER = 4096
DIGEST = 32
IN_MEMORY = {"tmpfs", "ramfs"}


def file_system(folder: Path) -> str:
    """The type of the file system of a folder, ``unknown`` where the kernel does not say."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    for mount in mounts:
        left, _, right = mount.partition(" - ")
        if left.split()[2] == wanted:
            return right.split()[0]
    return "unknown"


def save_segment(
    path: Path, base: Base, space: Space, seed: bytes | None, sequence: int, allow_disk: bool
) -> None:
    """Write a base and put it in the place of whatever was at ``path``, in one step."""
    kind = file_system(path.parent)
    if kind not in IN_MEMORY and not allow_disk:
        raise Misconfigured(
            f"{path.parent} is on {kind}, where codes would lie in the clear on a disk; give a "
            "folder on a tmpfs such as /dev/shm, or allow_disk=True if the disk is encrypted"
        )
    layout = base.layout
    about = {
        "space": space.key,
        "permutation": fingerprint(seed),
        "sequence": sequence,
        "rows": layout.rows,
        "groups": layout.groups,
        "extras": layout.extras,
        "ringed": layout.ringed,
    }
    header = _sealed_header(json.dumps(about, sort_keys=True).encode(), seed)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
            if kind in IN_MEMORY:
                prepare_file(file.fileno(), HEADER + base.arena.nbytes)
            file.write(header)
            file.write(base.arena.data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def map_segment(path: Path, space: Space, seed: bytes | None) -> tuple[Base, int]:
    """Map a file written by ``save_segment``; returns the base and its change-log sequence."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise Misconfigured(
            f"the segment {path} cannot be opened ({error.strerror}); write it anew"
        ) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
            raise Misconfigured(f"the segment {path} must be a plain file of mode 0600")
        if status.st_uid != os.geteuid():
            raise Misconfigured(f"the segment {path} belongs to another user; write your own")
        about = _opened_header(os.pread(descriptor, HEADER, 0), seed, path)
        if about["space"] != space.key or about["permutation"] != fingerprint(seed):
            raise Misconfigured(
                f"the segment {path} is of another space or permutation; write it anew"
            )
        layout = Layout(about["rows"], about["groups"], about["extras"], about["ringed"])
        size = layout.columns()[1]
        if status.st_size != HEADER + size:
            raise Tampered(f"the segment {path} has not the size its header says; write it anew")
        mapped = map_file(descriptor, HEADER + size)
    finally:
        os.close(descriptor)
    base = Base(layout, mapped[HEADER:], mapped=mapped)
    base.mark_extras()
    return base, int(about["sequence"])


def _digest(body: bytes, seed: bytes | None) -> bytes:
    return hmac.digest(seed, body, "sha256") if seed else hashlib.sha256(body).digest()


def _sealed_header(about: bytes, seed: bytes | None) -> bytes:
    body = MAGIC + len(about).to_bytes(4, "little") + about
    return (body + _digest(body, seed)).ljust(HEADER, b"\0")


def _opened_header(header: bytes, seed: bytes | None, path: Path) -> dict[str, Any]:
    start = len(MAGIC) + 4
    end = start + int.from_bytes(header[len(MAGIC) : start], "little")
    if len(header) < HEADER or not header.startswith(MAGIC) or end + DIGEST > HEADER:
        raise Misconfigured(f"{path} is not a segment of this version; write it anew")
    if not hmac.compare_digest(header[end : end + DIGEST], _digest(header[:end], seed)):
        raise Tampered(f"the header of the segment {path} does not hold; write it anew")
    about: dict[str, Any] = json.loads(header[start:end])
    return about
