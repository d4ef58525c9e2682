"""What a decoder does with its line, seen from within one process."""

from __future__ import annotations

import io
import json
import os
import threading

import pytest

from pipeline.media import _decoder, _lockdown, _tasks, _wire
from tests.pictures import encode, textured


@pytest.fixture
def line():
    """The service's end of a line whose other end is being served."""
    ours, theirs = _wire.pair()
    serving = threading.Thread(target=_decoder.serve, args=(theirs, None))
    serving.start()
    yield ours
    ours.close()
    serving.join()
    theirs.close()


def ask(line, task, body, **options):
    """Everything that is said until the answer is over, without the pixels."""
    descriptor, _ = _wire.sealed([body])
    _wire.send(line, {"task": task, "options": {"limits": {}, **options}}, descriptor)
    os.close(descriptor)
    heard = []
    while True:
        said, memory = _wire.receive(line)
        if memory is not None:
            os.close(memory)
        message = json.loads(said)
        heard.append(message)
        if message["kind"] != "part" or message["last"]:
            return heard


def test_a_task_says_its_shapes_and_facts_and_that_it_is_over(line):
    body = encode(textured(64, 48), "PNG")
    (image,) = ask(line, "image", body)
    assert image["shapes"] == [[48, 64, 3]]
    assert image["ends"] == [48 * 64 * 3]
    assert image["facts"] == {"mime": "image/png"}
    (preview,) = ask(line, "preview", body)
    assert preview["shapes"] == [[48, 64]]
    (smaller,) = ask(line, "smaller", body, side=32)
    assert smaller["shapes"] == [[24, 32, 3]]


def test_a_large_picture_lies_behind_its_header(line):
    (image,) = ask(line, "image", encode(textured(700, 500), "PNG"))
    assert image["ends"][0] > 700 * 500 * 3


def test_a_refusal_has_its_reason_and_a_defect_only_its_name(line):
    (refused,) = ask(line, "image", b"no picture at all")
    assert refused["reason"] == "unsupported_type"
    (failed,) = ask(line, "smaller", encode(textured(64, 48), "PNG"), side="a secret")
    assert failed == {"kind": "failed", "error": "ValueError"}


def test_everything_can_be_loaded_before_the_lock():
    _tasks.warm()
    made = list(_tasks.image(io.BytesIO(encode(textured(64, 48), "HEIF")), {"limits": {}}))
    assert made[0].facts == {"mime": "image/heic"}
    _lockdown.seccomp_filter()
    _lockdown.Memory()
