"""The pool of decoders: the same pixels, nothing to lose, killed and replaced when need be."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import Busy, RefusalReason, Refused
from pipeline.media._lending import lent
from pipeline.media._nursery import Nursery, nursery
from pipeline.media.image import decode_image
from pipeline.media.limits import ImageLimits
from pipeline.media.sandbox import DecoderPool, SandboxLimits
from tests.pictures import display_p3, encode, oriented, textured
from tests.rogue_decoder import ATTEMPTS

ROOT = Path(__file__).parents[2]
PICTURE = Image.fromarray(textured(320, 240))
KINDS = {
    "jpeg": ("JPEG", {}),
    "jpeg with profile": ("JPEG", {"progressive": True, "icc_profile": display_p3()}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "webp": ("WEBP", {"lossless": True}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff with jpeg": ("TIFF", {"compression": "jpeg"}),
    "tiff deflated": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "avif": ("AVIF", {}),
    "heif": ("HEIF", {}),
    "jpeg 2000": ("JPEG2000", {}),
}


@pytest.fixture(scope="module")
def pool():
    made = DecoderPool(limits=SandboxLimits(decoders=2))
    yield made
    made.close()


@pytest.fixture(scope="module")
def rogue():
    """A pool whose decoders can be told to behave as a hostile file would make them."""
    nest = Nursery("tests.rogue_decoder")
    made = DecoderPool(
        limits=SandboxLimits(decoders=1, memory=512 << 20, seconds=30), nest=lambda: nest
    )
    yield made
    made.close()
    nest.close()


def the_decoder(pool):
    """The process that the next file goes to."""
    pool.warm()
    return pool._idle[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_pixels_are_those_that_would_be_decoded_here(pool, kind):
    format, options = KINDS[kind]
    body = encode(PICTURE, format, **options)
    here, there = decode_image(body), pool.decode(body)
    assert there.mime == here.mime
    assert np.array_equal(there.frames[0].rgb, here.frames[0].rgb)
    assert not there.frames[0].rgb.flags.writeable


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16", "CMYK"])
def test_every_mode_is_canonical_there_too(pool, mode):
    body = encode(PICTURE.convert(mode), "TIFF")
    assert np.array_equal(pool.decode(body).frames[0].rgb, decode_image(body).frames[0].rgb)


def test_a_picture_is_turned_upright(pool):
    rgb = textured(64, 48)
    turned = pool.decode(oriented(rgb, 6, "PNG")).frames[0].rgb
    assert np.array_equal(turned, rgb)


def test_nothing_is_loaded_after_the_warm_up():
    """A decoder that is locked could not load it, and would call the file damaged."""
    told = subprocess.run(
        [sys.executable, "-c", _LATE],
        input="\n".join(encode(PICTURE, f, **o).hex() for f, o in KINDS.values()),
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert json.loads(told.stdout) == []


_LATE = """
import io, json, sys
from pipeline.media import _decoder, _tasks
_tasks.warm()
before = set(sys.modules)
for body in sys.stdin:
    list(_tasks.image(io.BytesIO(bytes.fromhex(body)), {"limits": {}}))
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_a_refusal_keeps_its_reason_and_its_words(pool):
    cut = encode(PICTURE, "PNG")[:3000]
    with pytest.raises(Refused) as there:
        pool.decode(cut)
    with pytest.raises(Refused) as here:
        decode_image(cut)
    assert there.value.reason is here.value.reason is RefusalReason.TRUNCATED
    assert there.value.message == here.value.message


def test_a_derivative_is_made_there_small_grey_and_blurred(pool):
    made = pool.preview(encode(textured(900, 600), "PNG"))
    assert made.shape == (320, 480)
    assert pool.bounded(encode(textured(900, 600), "PNG"), 300).shape == (200, 300, 3)


# --- nothing to lose -----------------------------------------------------------------------------


def test_a_decoder_has_no_descriptor_no_environment_and_no_rights(pool, monkeypatch, tmp_path):
    monkeypatch.setenv("CONSENTRY_KEK", "one:secret")
    with (tmp_path / "a connection").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        fresh = DecoderPool()
        process = Path(f"/proc/{the_decoder(fresh).pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        environment = (process / "environ").read_bytes()
        open_files = sorted(str(one.readlink()) for one in (process / "fd").iterdir())
        fresh.close()
    assert b"KEK" not in environment
    assert b"DATABASE_URL" not in environment
    # Nothing but the null device, its line, and its own memory figures.
    assert [one for one in open_files if not one.startswith(("socket:", "/dev/null"))] == [
        f"{process}/statm"
    ]
    assert sum(one.startswith("socket:") for one in open_files) == 1
    assert status["NoNewPrivs"].strip() == "1"
    if "seccomp" in pool.warm():
        assert status["Seccomp"].strip() == "2"
    if os.geteuid() == 0:
        assert set(status["Uid"].split()) == {"65534"}
        assert int(status["CapEff"], 16) == 0


def test_inside_nothing_can_be_opened_connected_started_or_killed(rogue, tmp_path):
    planted = tmp_path / "planted"
    planted.write_text("not for decoders")
    planted.chmod(0o666)
    with listening() as (port, came):
        asked = {"planted": str(planted), "port": port, "service": os.getpid()}
        (part,) = rogue.stream("probe", b"x", asked)
        assert not came.is_set()
    assert planted.read_text() == "not for decoders"
    met = part.facts["met"]
    assert set(met) == set(ATTEMPTS)
    locks = rogue.warm()
    if "seccomp" in locks:
        refused = {errno.EPERM, errno.EACCES}
        assert {name: what for name, what in met.items() if what not in refused} == {}


@contextmanager
def listening():
    """A socket that somebody may be tempted to connect to."""
    came, stop = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def accept():
            while not stop.is_set():
                with suppress(TimeoutError):
                    server.accept()
                    came.set()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1], came
        finally:
            stop.set()
            thread.join()


def test_when_the_service_is_killed_its_decoders_end_with_it():
    script = (
        "from pipeline.media.sandbox import DecoderPool\n"
        "import threading, time\n"
        "pool = DecoderPool()\n"
        "starter = threading.Thread(target=pool.warm); starter.start(); starter.join()\n"
        "from pipeline.media._nursery import nursery\n"
        "print(nursery()._process.pid, pool._idle[0].pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as service:
        nest, decoder = map(int, service.stdout.readline().split())
        # The thread that asked for the first decoder is long gone, and the decoder is not.
        assert all(runs(pid) for pid in (nest, decoder))
        service.kill()
    assert soon(lambda: not runs(nest) and not runs(decoder))


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def soon(holds, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


# --- killed and replaced -------------------------------------------------------------------------


def test_a_decoder_that_hangs_is_killed_and_the_next_file_is_decoded(rogue):
    before = rogue.state()
    began = time.monotonic()
    with pytest.raises(Refused) as refused:
        list(rogue.stream("hang", b"x", {}, seconds=0.3))
    assert time.monotonic() - began < 10
    assert refused.value.reason is RefusalReason.TIMED_OUT
    assert "0.3 seconds" in refused.value.message
    assert rogue.state().timed_out == before.timed_out + 1
    assert rogue.decode(encode(PICTURE, "PNG")).width == 320


def test_a_decoder_that_died_between_two_files_costs_nobody_an_answer(rogue):
    os.kill(the_decoder(rogue).pid, signal.SIGKILL)
    assert rogue.decode(encode(PICTURE, "PNG")).width == 320


def test_a_nursery_that_was_killed_is_started_again_and_no_file_is_blamed(rogue):
    os.kill(rogue._nest()._process.pid, signal.SIGKILL)
    assert soon(lambda: not rogue._nest().alive)
    assert rogue.decode(encode(PICTURE, "PNG")).width == 320


def test_a_file_that_kills_its_decoder_twice_is_undecodable(rogue):
    before = rogue.state()
    with pytest.raises(Refused) as refused:
        list(rogue.stream("die", b"x", {"after": 0}))
    assert refused.value.reason is RefusalReason.UNDECODABLE
    assert rogue.state().died == before.died + 2
    assert rogue.decode(encode(PICTURE, "PNG")).width == 320


def test_a_stream_whose_decoder_dies_once_goes_on_where_it_was(rogue):
    first = the_decoder(rogue).pid
    parts = list(rogue.stream("die_once", b"x", {"dies": first}))
    assert [part.facts["number"] for part in parts] == list(range(6))
    assert parts[0].facts["pid"] == first != parts[-1].facts["pid"]


def test_a_file_that_takes_all_memory_is_refused_by_that_name(rogue):
    with pytest.raises(Refused) as refused:
        list(rogue.stream("hungry", b"x", {}))
    assert refused.value.reason is RefusalReason.TOO_MUCH_MEMORY
    assert "512 MiB" in refused.value.message


def test_a_defect_says_nothing_of_what_was_being_worked_on(rogue):
    with pytest.raises(Refused) as refused:
        list(rogue.stream("defect", b"x", {}))
    assert refused.value.reason is RefusalReason.UNDECODABLE
    assert "secret" not in refused.value.message


LIES = [
    "garbage", "deep", "larger than its memory", "overflowing", "negative", "no memory",
    "memory that can shrink", "a pipe", "another reason",
]  # fmt: skip


@pytest.mark.parametrize("what", LIES)
def test_a_decoder_that_says_what_cannot_be_is_not_believed(rogue, what):
    before = rogue.state()
    with pytest.raises(Refused) as refused:
        list(rogue.stream("lie", b"x", {"what": what}))
    assert refused.value.reason is RefusalReason.UNDECODABLE
    assert rogue.state().died == before.died + 2


def test_pixels_of_another_shape_are_no_picture(rogue, monkeypatch):
    with pytest.raises(Refused) as refused:
        rogue._pixels("lie", b"x", 3, what="pixels of another shape")
    assert refused.value.reason is RefusalReason.UNDECODABLE


def test_a_stream_waits_for_whoever_reads_it_and_ends_when_they_stop(rogue):
    parts = rogue.stream("pieces", b"x", {})
    first = [next(parts) for _ in range(20)]
    assert [part.facts["number"] for part in first] == list(range(20))
    assert first[7].arrays[0].tolist() == [[7, 7], [7, 7]]
    before = rogue.state().alive
    parts.close()
    assert rogue.state().alive == before - 1


def test_the_clock_stands_while_the_caller_works(rogue):
    parts = rogue.stream("pieces", b"x", {}, seconds=2.0)
    next(parts)
    time.sleep(2.1)
    assert next(parts).facts["number"] == 1
    parts.close()


def test_a_decoder_is_replaced_after_so_many_files():
    pool = DecoderPool(limits=SandboxLimits(decoders=1, files=3))
    seen = set()
    for _ in range(7):
        seen.add(the_decoder(pool).pid)
        pool.decode(encode(PICTURE, "PNG"))
    assert len(seen) == 3
    assert pool.state().born == 3
    pool.close()


def test_callers_share_the_decoders_and_too_many_are_told_to_come_again(rogue):
    few = DecoderPool(limits=SandboxLimits(decoders=1, waiting=1, patience=0.3), nest=rogue._nest)
    held = few.stream("pieces", b"x", {})
    next(held)
    with pytest.raises(Busy, match="no decoder became free"):
        few.decode(encode(PICTURE, "PNG"))
    told = []

    def ask():
        try:
            few.decode(encode(PICTURE, "PNG"))
        except Busy as busy:
            told.append(str(busy))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("enough callers wait" in said for said in told) == 2
    held.close()
    assert few.decode(encode(PICTURE, "PNG")).width == 320
    few.close()


def test_many_callers_at_once_each_get_their_own_picture(pool):
    bodies = [encode(textured(160, 120, seed), "PNG") for seed in range(8)]
    wrong = []

    def ask(number):
        for _ in range(4):
            got = pool.decode(bodies[number]).frames[0].rgb
            if not np.array_equal(got, textured(160, 120, number)):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert pool.state().alive <= 2


def test_a_file_on_disk_is_read_and_cannot_be_written_by_a_decoder(pool, tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(encode(PICTURE, "PNG"))
    with path.open("r+b") as file:
        (part,) = pool.stream("image", file, {"limits": {}})
    assert part.arrays[0].shape == (240, 320, 3)
    with lent(path.open("r+b")) as loan, pytest.raises(OSError, match="Bad file"):
        os.write(loan.descriptor, b"x")


def test_bytes_are_counted_before_a_decoder_is_asked():
    pool = DecoderPool(ImageLimits(bytes=10))
    for body, reason in ((b"", RefusalReason.EMPTY), (b"x" * 11, RefusalReason.TOO_MANY_BYTES)):
        with pytest.raises(Refused) as refused:
            pool.decode(body)
        assert refused.value.reason is reason
    assert pool.state().born == 0


def test_after_a_fork_the_child_has_decoders_of_its_own(pool):
    pool.warm()
    told, tell = os.pipe()
    if (child := os.fork()) == 0:
        try:
            width = pool.decode(encode(PICTURE, "PNG")).width
            os.write(tell, f"{width} {pool._idle[0].pid}".encode())
            nursery().close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    width, pid = os.read(told, 100).split()
    os.close(told)
    os.close(tell)
    assert int(width) == 320
    assert int(pid) not in {cell.pid for cell in pool._idle}
    assert pool.decode(encode(PICTURE, "PNG")).width == 320
