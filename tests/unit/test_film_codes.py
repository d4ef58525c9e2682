"""Frames that look alike are one stretch, and a video's codes are sealed with their times."""

import json

import numpy as np
import pytest

from pipeline.domain.film import ALIKE, FilmCodes, prune
from pipeline.domain.media import WHOLE
from pipeline.domain.signal import Metric, Signals, Space, pack, rows_of, unpack, unpack_times
from pipeline.errors import Tampered

SPACE = Space("pdq", "1", Metric.HAMMING, 256)


def code(*bits):
    value = sum(1 << bit for bit in bits)
    return value.to_bytes(32, "big")


def test_neighbours_within_eight_bits_are_one_stretch_with_its_times():
    kept = prune(
        [(0.0, code(), 90), (0.5, code(*range(ALIKE)), 80), (1.0, code(*range(ALIKE + 1)), 70)], 50
    )
    assert [row.tobytes() for row in kept.codes] == [code(), code(*range(9))]
    assert kept.begin.tolist() == [0.0, 1.0]
    assert kept.end.tolist() == [0.5, 1.0]
    assert kept.quality.tolist() == [90, 70]


def test_a_slow_drift_is_measured_from_the_stretch_s_first_frame():
    frames = [(float(at), code(*range(at)), 90) for at in range(20)]
    kept = prune(frames, 50)
    assert kept.begin.tolist() == [0.0, 9.0, 18.0]


def test_black_frames_are_counted_and_end_a_stretch():
    kept = prune([(0, code(1), 90), (1, code(), 3), (2, code(), 49), (3, code(1), 90)], 50)
    assert kept.left_out == 2
    assert kept.begin.tolist() == [0, 3]
    assert kept.seconds == 3


def test_a_video_of_only_black_frames_has_no_codes():
    kept = prune([(0, code(), 0)], 50)
    assert (len(kept), kept.left_out, kept.seconds) == (0, 1, 0.0)


def test_a_long_video_is_sealed_as_several_entries_that_say_when():
    count = 600
    rng = np.random.default_rng(3)
    made = FilmCodes(
        rng.integers(0, 256, (count, 32), np.uint8),
        np.full(count, 77, np.uint8),
        np.arange(count, dtype=np.float32),
        np.arange(count, dtype=np.float32) + np.float32(0.5),
    )
    parts = list(made.packed(SPACE))
    assert [rows for rows, _ in parts] == [256, 256, 88]
    assert [rows_of(packed) for _, packed in parts] == [256, 256, 88]
    slots, quality, codes = unpack(SPACE, parts[2][1])
    assert slots.tolist() == list(range(88))
    assert set(quality.tolist()) == {77}
    assert np.array_equal(codes, made.codes[512:])
    times = unpack_times(SPACE, parts[2][1])
    assert times is not None
    assert times[0].tolist() == [512.0, 512.5]


def test_a_still_has_no_times_and_bytes_of_another_length_do_not_open():
    still = Signals(SPACE, np.zeros((1, 32), np.uint8), np.array([9], np.uint8), (WHOLE,))
    assert unpack_times(SPACE, pack(still)) is None
    timed = pack(still, times=(np.zeros(1, np.float32), np.ones(1, np.float32)))
    with pytest.raises(Tampered):
        unpack(SPACE, timed[:-1])
    with pytest.raises(Tampered):
        unpack_times(SPACE, b"\x03" + timed[1:])


def test_codes_of_a_video_do_not_print():
    kept = prune([(0.0, code(3), 90)], 50)
    assert code(3).hex() not in repr(kept)
    assert "codes" not in repr(kept)
    assert json.dumps(repr(kept))
