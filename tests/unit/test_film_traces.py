"""What a video leaves comes back as it was, beside what pictures left."""

from uuid import uuid4

import numpy as np
import pytest

from pipeline.domain.film import FilmCodes
from pipeline.domain.ids import ScreeningId
from pipeline.domain.media import WHOLE
from pipeline.domain.signal import Signals
from pipeline.domain.trace import FilmTrace, Trace, packed, read_rows, rows_of
from pipeline.errors import Tampered
from pipeline.signals.pdq import build

SPACE = build().space
PRINT = bytes(32)


def codes(rows: int, seed: int) -> FilmCodes:
    rng = np.random.default_rng(seed)
    begin = np.arange(rows, dtype=np.float32)
    return FilmCodes(
        rng.integers(0, 256, (rows, 32), np.uint8), np.full(rows, 80, np.uint8), begin, begin + 0.5
    )


def same(one: FilmCodes, other: FilmCodes) -> bool:
    names = ("codes", "quality", "begin", "end")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_a_segment_gives_back_each_video_s_streams_and_each_picture():
    picture = codes(1, 9)
    still = Trace(bytes(32), (Signals(SPACE, picture.codes, picture.quality, (WHOLE,)),))
    film = FilmTrace(SPACE.key, {0: codes(300, 1), 2: codes(4, 2)})  # more than a slot can number
    other = FilmTrace(SPACE.key, {0: codes(5, 3)})
    traces = [Trace(bytes(32), (), film), still, Trace(bytes(32), (), other)]
    assert all(one.telling for one in traces)
    ids = [ScreeningId(uuid4()) for _ in traces]
    loose = rows_of([(name, packed(PRINT, one)) for name, one in zip(ids, traces, strict=True)], 32)
    blocks = [(key, column.tobytes()) for key, column in loose.columns.items()]
    for rows in (loose, read_rows(loose.uploads.tobytes(), blocks)):
        assert len(rows) == 310
        assert rows.screening(304) == ids[1]
        assert rows.film(304, SPACE.key) is None, "a picture"
        assert np.array_equal(rows.columns[SPACE.key].codes[304], picture.codes[0])
        for row, whole in ((7, film), (301, film), (309, other)):
            back = rows.film(row, SPACE.key)
            assert back is not None
            assert back.streams.keys() == whole.streams.keys()
            assert all(same(back.streams[at], whole.streams[at]) for at in whole.streams)


def test_a_video_in_which_nothing_tells_leaves_nothing_and_a_cut_one_is_tampered_with():
    assert not Trace(bytes(32), (), FilmTrace(SPACE.key, {0: codes(0, 1)})).telling
    sealed = packed(PRINT, Trace(bytes(32), (), FilmTrace(SPACE.key, {0: codes(2, 1)})))
    with pytest.raises(Tampered):
        rows_of([(ScreeningId(uuid4()), sealed[:-1])], 32)
