"""What is found of an altered copy, and what vouches for it, through the real index and vault."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from pipeline.domain.ids import MediaId
from pipeline.domain.media import Side, Upload
from pipeline.domain.screening import Verdict
from pipeline.domain.witness import Witness
from pipeline.errors import Invalid
from pipeline.journeys.deliver import deliver_due
from pipeline.journeys.retire_media import sweep_orphans
from pipeline.journeys.screen_upload import Hashed
from tests.world import Platform, Town, jpeg, picture

SIZE = (640, 480)


def cropped(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    x, y = round(width * share / 2), round(height * share / 2)
    return image.crop((x, y, width - x, height - y))


def framed(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, 60, "white")


def captioned(image: Image.Image) -> Image.Image:
    made = Image.new("RGB", (image.width, image.height + 90), "white")
    made.paste(image, (0, 90))
    ImageDraw.Draw(made).text((10, 20), "look who this is", fill="black", font_size=40)
    return made


def on_a_screen(image: Image.Image) -> Image.Image:
    made = Image.new("RGB", (700, 1300), (18, 18, 18))
    made.paste(image.resize((640, 480)), (30, 400))
    return made


@pytest.mark.parametrize(
    ("alter", "view"),
    [
        (lambda image: cropped(image, 0.1), "whole"),
        (framed, "without its border"),
        (captioned, "without its"),
        (on_a_screen, "without its border"),
        (ImageOps.invert, "inverted colours"),
    ],
)
def test_what_people_do_to_a_picture_is_seen_through(town: Town, alter, view: str) -> None:
    image = picture(5, SIZE)
    town.register(jpeg(image))
    answer = town.screen(town.platform(), jpeg(alter(image)))
    assert answer.verdict is Verdict.REVIEW
    assert answer.matches[0].view.startswith(view)
    assert answer.matches[0].witness is not None or answer.matches[0].signal == "phash"


def test_a_copy_between_the_radii_is_believed_for_its_parts_and_the_case_says_so(
    town: Town,
) -> None:
    image = picture(5, SIZE)
    town.register(jpeg(image))
    board = town.platform()
    seen = set()
    for radius in range(10, 120, 10):
        covered = image.copy()
        ImageDraw.Draw(covered).ellipse(
            (320 - radius, 260 - radius, 320 + radius, 260 + radius), fill=(255, 205, 40)
        )
        answer = town.screen(board, jpeg(covered))
        seen |= {
            (match.witness, match.threshold) for match in answer.matches if match.signal == "pdq"
        }
    assert (Witness.NEAR.value, 31) in seen
    assert (Witness.PARTS.value, 47) in seen, "the second look has found other crops in place"
    kept = {row[0] for row in town.query("SELECT DISTINCT witness FROM case_hits")}
    assert {Witness.NEAR.value, Witness.PARTS.value} <= kept


def test_a_far_code_that_nothing_vouches_for_reaches_nobody(town: Town) -> None:
    image = picture(5, SIZE)
    town.register(jpeg(image))
    signal = town.world.signals[0]
    code = signal.compute(town.world.decode(jpeg(image)).frames, Side.REGISTERED).codes[0]
    far = code.copy()
    far[:5] ^= 0xFF  # 40 bits: between the radii, and no pixels for a second look
    screener = town.world.screener(town.live)
    asked = [Hashed("pdq", far.tobytes(), 100)]
    assert screener.screen_hashes(town.platform(), Upload("x"), asked).verdict is Verdict.CLEAR


def test_a_smooth_sky_asks_nothing_and_the_answer_says_so(town: Town) -> None:
    ramp = np.linspace(60, 255, 400)[:, None] * np.ones((1, 600))
    sky = Image.fromarray(np.repeat(ramp[..., None], 3, 2).astype(np.uint8))
    town.register(jpeg(picture(1)))
    answer = town.screen(town.platform(), jpeg(sky))
    assert answer.verdict is Verdict.CLEAR
    assert any(note.endswith(":pdq") for note in answer.notes)


def test_a_hash_of_an_unknown_signal_is_refused_and_lists_the_known_ones(town: Town) -> None:
    screener = town.world.screener(town.live)
    with pytest.raises(Invalid, match="pdq, phash"):
        screener.screen_hashes(town.platform(), Upload("x"), [Hashed("md5", bytes(16), 100)])


def test_a_hash_of_low_quality_is_a_note_and_no_alarm(town: Town) -> None:
    town.register(jpeg(picture(1)))
    signal = town.world.signals[0]
    frames = town.world.decode(jpeg(picture(1))).frames
    code = signal.compute(frames, Side.REGISTERED).codes[0].tobytes()
    screener = town.world.screener(town.live)
    board = town.platform()
    low = screener.screen_hashes(board, Upload("x"), [Hashed("pdq", code, 10)])
    assert (low.verdict, low.notes) == (Verdict.CLEAR, ("low_quality:pdq",))
    high = screener.screen_hashes(board, Upload("x"), [Hashed("pdq", code, 100)])
    assert high.verdict is Verdict.REVIEW


def test_a_pale_copy_is_found_as_a_whole_and_joins_nobodys_bank(town: Town) -> None:
    image = picture(5, SIZE)
    town.register(jpeg(image))
    signal = town.world.signals[0]
    for share in (0.3, 0.25, 0.2, 0.15, 0.1, 0.08):
        pale = Image.blend(Image.new("RGB", SIZE, (128, 128, 128)), image, share)
        quality = signal.compute(town.world.decode(jpeg(pale)).frames, Side.QUERY).quality[0]
        if 25 <= quality < signal.minimum_quality:
            break
    else:
        pytest.fail("no share gives a faint picture")
    board = town.platform()
    answer = town.screen(board, jpeg(pale))
    assert answer.verdict is Verdict.REVIEW
    assert "low_quality:pdq" in answer.notes
    assert {match.view for match in answer.matches if match.signal == "pdq"} == {"whole"}
    frames = town.world.decode(jpeg(pale)).frames
    screener = town.world.screener(town.live)
    eye = screener._eye
    seen = eye.look(frames)
    assert not any(len(own) for own in seen.own if own.space.name == "pdq")
    code = signal.compute(frames, Side.REGISTERED).codes[0].tobytes()
    asked = [Hashed("pdq", code, int(quality))]
    assert screener.screen_hashes(board, Upload("x"), asked).verdict is Verdict.REVIEW


def test_a_blob_without_a_row_is_swept_and_one_under_review_is_not(town: Town) -> None:
    town.register(jpeg(picture(1)))
    town.screen(town.platform(), jpeg(picture(1), 50))
    blobs = town.world.blobs
    blobs.put(MediaId(uuid4()), bytes(32), [b"a crash came between sealing and recording"])
    assert sweep_orphans(town.world.store, blobs, timedelta(hours=1)) == 0, "it is still young"
    assert sweep_orphans(town.world.store, blobs, timedelta(0)) == 1
    assert len(list(blobs.older_than(timedelta(0)))) == 1


def test_a_delivery_whose_event_is_gone_ends_as_a_dead_letter(town: Town) -> None:
    with town.world.store.transaction() as unit:
        unit.jobs.add("deliver", {"event": "evt_gone"}, max_attempts=3)
    done = deliver_due(town.world.store, Platform(), town.clock, lambda _: 0.0)
    assert (done.sent, done.failed) == (0, 1)
    assert town.query("SELECT state FROM jobs") == [("dead",)]
