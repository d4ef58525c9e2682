"""vPDQ's lines are written and read as the field writes and reads them."""

import pytest

from pipeline.domain.vpdq import FrameHash, read
from pipeline.errors import Invalid

CODE = bytes(range(32))
LINE = f"3,100,{CODE.hex()},1.500"


def test_a_line_is_frame_quality_hash_and_seconds():
    assert FrameHash(3, 100, CODE, 1.5).line() == LINE
    assert list(read([LINE + "\n", "\n"])) == [FrameHash(3, 100, CODE, 1.5)]


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        f"3,101,{CODE.hex()},1.5",
        f"3,100,{CODE.hex()[:-1]},1.5",
        f"-3,100,{CODE.hex()},1.5",
        f"3,100,{CODE.hex()},nan",
        f"3,100,{CODE.hex()},-1",
        f"3,100,{CODE.hex()}",
    ],
)
def test_a_line_of_another_form_is_named_by_its_number_alone(line):
    with pytest.raises(Invalid, match="line 2") as refusal:
        list(read([LINE, line]))
    assert CODE.hex()[:20] not in str(refusal.value)


def test_frames_come_in_order_of_time():
    with pytest.raises(Invalid, match="sort the file"):
        list(read([LINE, f"4,100,{CODE.hex()},1.2"]))


def test_a_frame_s_hash_does_not_print():
    assert CODE.hex() not in repr(FrameHash(3, 100, CODE, 1.5))
