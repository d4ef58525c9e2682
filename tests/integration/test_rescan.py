"""Uploads that were there before somebody registered are found by what they left."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from itertools import chain
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image, ImageOps

from pipeline.domain.media import Rating, Upload
from pipeline.domain.screening import Verdict
from pipeline.journeys import rescan, withdraw
from pipeline.journeys.policies import set_terms
from pipeline.journeys.screen_upload import Hashed
from services.wiring import alive, now
from tests.films import OTHERS, SCENES, film, scenes, still
from tests.integration.test_films import FPS, answer, hers, projector, register_film, send
from tests.integration.test_policies import code_off_by
from tests.world import Town, jpeg, picture

__all__ = ["hers"]


def pause(attempt: int) -> float:
    return 0.0


def sweep(town: Town, **options: Any) -> int:
    """Ask and search until nothing is left; how many uploads were found."""
    asked = rescan.ask(town.world.store, now, town.world.reach, "test", **options)
    if asked is None:
        return 0
    sweeper = town.world.sweeper(town.live)
    while rescan.progress_of(town.world.store, asked.id).waiting:
        assert sweeper.work(pause)
    sweeper.close()
    return rescan.progress_of(town.world.store, asked.id).found


def test_an_upload_from_before_a_registration_becomes_a_case_and_the_platform_is_told(
    town: Town,
) -> None:
    board = town.platform()
    early = town.screen(board, jpeg(picture(1), 60), "early")
    mirrored = town.screen(board, jpeg(ImageOps.mirror(picture(1))), "mirrored")
    stranger = town.screen(board, jpeg(picture(2)), "stranger")
    assert {early.verdict, mirrored.verdict, stranger.verdict} == {Verdict.CLEAR}
    town.register(jpeg(picture(1)))
    assert sweep(town) == 2
    cases = town.query("SELECT DISTINCT content_id FROM case_uploads ORDER BY 1")
    assert cases == [("early",), ("mirrored",)]
    told = town.query(
        "SELECT body->'data'->>'verdict' FROM events WHERE kind = 'screening.completed'"
    )
    assert told == [("review",), ("review",)]
    assert sweep(town) == 0, "nothing was registered since"
    assert sweep(town, everything=True) == 0, "what has its case gets no second one"
    assert town.query("SELECT count(*) FROM case_uploads") == [(2,)]


def test_segments_hold_what_loose_rows_held(town: Town) -> None:
    board = town.platform()
    for number in range(5):
        town.screen(board, jpeg(picture(number)), f"upload {number}")
    assert rescan.press(town.world.store, now, size=2) == 4
    assert town.query("SELECT count(*) FROM traces") == [(1,)]
    assert town.query("SELECT rows FROM trace_segments") == [(2,), (2,)]
    town.register(jpeg(picture(0)), jpeg(picture(3)), jpeg(picture(4)))
    assert sweep(town) == 3
    found = town.query("SELECT DISTINCT content_id FROM case_uploads ORDER BY 1")
    assert found == [("upload 0",), ("upload 3",), ("upload 4",)]


def test_an_upload_that_is_recorded_after_the_sweep_was_planned_joins_it(town: Town) -> None:
    board = town.platform()
    town.screen(board, jpeg(picture(1)), "in time")
    slow = town.world.screener(town.live)
    held: list[Any] = []
    slow._ledger.add = held.append  # type: ignore[method-assign]  # on its way to the record
    slow.screen_file(board, Upload("late", None, Rating.INTIMATE), jpeg(picture(1), 70))
    town.register(jpeg(picture(1)))
    assert sweep(town) == 1
    town.world.store.record(held)
    latest = town.query("SELECT id FROM sweeps")[0][0]
    assert rescan.advance(town.world.store, now) == 1
    sweeper = town.world.sweeper(town.live)
    assert sweeper.work(pause)
    assert rescan.progress_of(town.world.store, latest).found == 2
    assert rescan.advance(town.world.store, lambda: now() + 2 * rescan.OPEN_FOR) == 0
    assert town.query("SELECT closed_at IS NULL FROM sweeps") == [(False,)]


def test_what_is_dismissed_reported_or_too_old_is_left_alone(town: Town) -> None:
    board, ada = town.platform(), town.reviewer()
    registered = town.register(jpeg(picture(1)))
    opened = town.screen(board, jpeg(picture(1)), "seen")
    town.dismiss(opened.case, ada)
    assert sweep(town, everything=True) == 0, "a person has looked at it"
    town.screen(board, jpeg(picture(2)), "old")
    town.register(jpeg(picture(2)))
    assert sweep(town, since=now() + timedelta(hours=1), everything=True) == 0
    body = jpeg(picture(3))
    town.screen(board, body, "young")
    with town.world.store.transaction() as unit:
        row = town.query("SELECT case_id FROM case_uploads")[0]
        print_of = unit.vault.fingerprint(hashlib.sha256(body).digest())
    town.query("UPDATE case_uploads SET fingerprint = %s", print_of)
    town.query("UPDATE cases SET state = 'frozen' WHERE id = %s", row[0])
    town.register(jpeg(picture(3)))
    assert sweep(town) == 0, "a possible minor's case is nobody's to open anew"
    assert registered.case_number


def test_a_wider_threshold_asks_for_everything_again(town: Town) -> None:
    town.screen(town.platform(), jpeg(picture(1)), "early")
    town.register(jpeg(picture(1)))
    assert sweep(town) == 1
    assert rescan.ask(town.world.store, now, town.world.reach, "test") is None
    wider = {space: (near, wide + 1) for space, (near, wide) in town.world.reach.items()}
    again = rescan.ask(town.world.store, now, wider, "test")
    assert again is not None
    assert again.after == -1


def test_a_platform_that_widens_its_own_terms_has_its_earlier_uploads_searched_again(
    town: Town,
) -> None:
    board, world = town.platform(), town.world
    upload = Hashed("pdq", code_off_by(town, 20), 100)

    def set_to(document: dict[str, Any], seen: int) -> None:
        set_terms(world.store, town.clock, world.policy, board, document, seen, "test")
        world.policies.refresh()

    narrow = {"signals": {"pdq": {"distance": 16}}}
    set_to(narrow, 0)
    screener = world.screener(town.live)
    screener.screen_hashes(board, Upload("early", None, Rating.INTIMATE), [upload])
    town.register(jpeg(picture(1)))
    assert sweep(town) == 0
    set_to({**narrow, "deadline_hours": 24}, 1)
    assert rescan.ask(world.store, now, world.reach, "test") is None, "a deadline finds nothing"
    set_to({}, 2)
    assert sweep(town) == 1
    assert rescan.ask(world.store, now, world.reach, "test") is None


def test_what_uploads_left_is_sealed_and_goes_with_its_day(town: Town) -> None:
    upload = jpeg(picture(1))
    town.screen(town.platform(), upload, "early")
    frame = town.world.decode(upload).frames
    codes = [
        code.tobytes()
        for one in town.world.screener(town.live)._eye.look(frames=frame).own
        for code in one.codes
    ]
    assert codes
    rescan.press(town.world.store, lambda: now() + timedelta(days=3))
    kept = [b"".join(row) for row in town.query("SELECT uploads FROM trace_segments")]
    kept += [row[0] for row in town.query("SELECT codes FROM trace_columns")]
    assert len(kept) == 3
    assert not any(code[:8] in block for code in codes for block in kept)
    assert town.query("SELECT count(*) FROM traces") == [(0,)]
    keys = town.query("SELECT count(*) FROM vault_keys")[0][0]
    assert rescan.expire(town.world.store, now, 90) == 0
    assert rescan.expire(town.world.store, lambda: now() + timedelta(days=92), 90) == 1
    assert town.query("SELECT count(*) FROM trace_segments") == [(0,)]
    assert town.query("SELECT count(*) FROM vault_keys") == [(keys - 1,)]
    assert town.query("SELECT to_regclass('traces_' || to_char(now(), 'YYYYMMDD'))") == [(None,)]


def test_nothing_is_left_where_the_operator_keeps_nothing(make_town: Any) -> None:
    town = make_town(backscan_days=0)
    town.screen(town.platform(), jpeg(picture(1)), "early")
    assert town.query("SELECT count(*) FROM traces") == [(0,)]


def test_whoever_leaves_is_asked_for_no_more_even_by_a_search_under_way(town: Town) -> None:
    board = town.platform()
    town.screen(board, jpeg(picture(1)), "early")
    her = town.register(jpeg(picture(1)))
    asked = rescan.ask(town.world.store, now, town.world.reach, "test")
    assert asked is not None
    sweeper = town.world.sweeper(town.live)
    files = sweeper._questions(asked)  # it has begun
    held = [np.memmap(file.path, np.uint64, "r")[4:].reshape(-1, 6) for file in files.values()]
    assert all(questions.any() for questions in held)
    receipt = withdraw.ask(town.world.store, town.world.pins, now, her.case_number, her.pin)
    town.live.catch_up()
    for questions in held:
        assert not questions[:, :5].any(), "overwritten before the process says so"
    done = withdraw.finish(town.world.store, town.world.blobs, now, alive, receipt)
    assert done.complete
    while rescan.progress_of(town.world.store, asked.id).waiting:
        assert sweeper.work(pause)
    assert town.query("SELECT count(*) FROM case_uploads") == [(0,)]
    sweeper.close()


def test_killing_a_worker_and_the_driver_half_way_loses_and_doubles_nothing(town: Town) -> None:
    board = town.platform()
    for number in range(24):
        if number % 4:
            town.screen(board, jpeg(picture(1), 60 + number), f"copy {number}")
        else:
            town.screen(board, jpeg(picture(100 + number)), f"stranger {number}")
    assert rescan.press(town.world.store, now, size=2) == 24
    town.register(jpeg(picture(1)))
    command = [sys.executable, "-m", "services.cli", "rescan", "--workers", "1", "--json"]
    environment = {**os.environ, "DATABASE_URL": town.url}
    environment["CONSENTRY_HOME"] = str(town.world.settings.home)
    driver = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    done = "SELECT count(*) FROM sweep_chunks WHERE done_at IS NOT NULL"
    until = time.monotonic() + 120
    while not (half := town.query(done)[0][0]):
        assert time.monotonic() < until
        assert driver.poll() is None
        time.sleep(0.005)
    hands = psutil.Process(driver.pid).children(recursive=True)
    for process in (driver.pid, *(hand.pid for hand in hands)):
        os.kill(process, signal.SIGKILL)
    driver.wait()
    # Their claims run out, which takes 20 s otherwise.
    town.query("UPDATE jobs SET lease_until = statement_timestamp() WHERE state = 'leased'")
    assert half < 12, "it was killed half-way"
    again = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, timeout=240
    )
    assert again.returncode == 0, again.stderr
    said = json.loads(again.stdout)
    assert (said["pieces"], said["given_up"], said["uploads"]) == (12, 0, 24)
    found = town.query("SELECT content_id, count(*) FROM case_uploads GROUP BY 1")
    assert sorted(found) == sorted((f"copy {n}", 1) for n in range(24) if n % 4)
    told = town.query("SELECT body->'data'->>'content_id' FROM events")
    assert len(told) == len(set(told)) == 18, "the platform was told once of each"


def test_the_worker_asks_presses_and_expires(town: Town) -> None:
    from services.worker import duties

    town.screen(town.platform(), jpeg(picture(1)), "early")
    town.register(jpeg(picture(1)))
    by_name = {duty.name: duty for duty in duties(town.world)}
    assert by_name["rescan"].work() == 1
    assert by_name["rescan"].work() == 0
    assert by_name["keep_traces"].work() == 0
    assert by_name["advance_rescans"].work() == 0
    assert town.query("SELECT count(*) FROM sweep_chunks") == [(1,)]


def test_a_video_from_before_a_registration_is_found_by_its_moments(
    town: Town, hers: bytes
) -> None:
    board = town.platform()
    longer = film(
        chain(
            scenes(OTHERS[:2], seconds=3, fps=FPS, seed=7),
            scenes(SCENES[:4], fps=FPS),
            scenes(OTHERS[2:4], seconds=3, fps=FPS, seed=8),
        ),
        fps=FPS,
        crf="32",
    )
    town.screen(board, jpeg(picture(1)), "picture")
    for name, body in (("longer", longer), ("ordinary", longer), ("other", others())):
        rating = Rating.NOT_INTIMATE if name == "ordinary" else Rating.INTIMATE
        accepted = send(town, body, board, name, rating)
        assert projector(town).work(pause)
        early = answer(town, accepted)
        assert early is not None
        assert early.verdict is Verdict.CLEAR
    assert town.query("SELECT count(*) FROM traces") == [(3,)], "an ordinary one leaves nothing"
    assert rescan.press(town.world.store, lambda: now() + timedelta(days=2)) == 3
    assert town.query("SELECT count(*) FROM traces") == [(0,)]

    register_film(town, hers)
    assert sweep(town) == 1
    ((content, stretches),) = town.query(
        "SELECT u.content_id, h.stretches FROM case_hits h JOIN case_uploads u USING (case_id)"
    )
    assert content == "longer"
    assert stretches[0]["upload"] == pytest.approx((6.0, 22.0), abs=1.5)
    told = town.query(
        "SELECT body->'data'->>'content_id', body->'data'->'notes' FROM events"
        " WHERE body->'data'->>'verdict' = 'review'"
    )
    assert told == [("longer", ["rescan"])]
    assert sweep(town, everything=True) == 0, "what has its case gets no second one"

    town.uphold(town.query("SELECT id FROM cases")[0][0], town.reviewer())
    town.register(jpeg(Image.fromarray(still(SCENES[0]))))
    assert sweep(town) == 1, "a still of somebody else's, in the same video"


def others() -> bytes:
    return film(scenes(OTHERS[:4], seconds=2, fps=FPS, seed=3), fps=FPS)
