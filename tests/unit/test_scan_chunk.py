"""Old codes against new ones: every near pair is found, and nothing that was taken back."""

import numpy as np
import pytest

from pipeline.domain.media import Frame, Side, Turn
from pipeline.domain.trace import in_all_turns, read_column, rows_of
from pipeline.errors import Invalid, Misconfigured, Tampered
from pipeline.indexes._sweep import QUOTA, QuestionFile, scan_chunk, write_questions
from pipeline.signals.pdq import build
from tests.pictures import textured

RNG = np.random.default_rng(5)


def near(code, bits):
    """A code that differs in so many bits."""
    flipped = np.unpackbits(code)
    flipped[RNG.permutation(256)[:bits]] ^= 1
    return np.packbits(flipped)


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 1000])
def test_a_chunk_is_compared_with_every_question_at_its_own_radius(tmp_path, rows):
    codes = RNG.integers(0, 256, (rows, 32), np.uint8)
    asked = np.stack([near(codes[i % rows], bits) for i, bits in enumerate((0, 31, 32, 47, 48))])
    within = np.array([0, 31, 31, 47, 47])
    write_questions(tmp_path / "asked", np.arange(5) * 256 + 3, asked, within)
    found = scan_chunk(codes.tobytes(), tmp_path / "asked")
    apart = np.bitwise_count(codes[:, None] ^ asked[None]).sum(axis=2)
    row, question = np.nonzero(apart <= within)
    got = sorted(
        zip(found.row.tolist(), found.label.tolist(), found.distance.tolist(), strict=True)
    )
    assert got == sorted(
        (int(r), int(q) * 256 + 3, int(apart[r, q])) for r, q in zip(row, question, strict=True)
    )
    assert found.compared == rows * 5


def test_a_question_that_was_taken_back_finds_nothing_and_is_overwritten():
    codes = RNG.integers(0, 256, (50, 32), np.uint8)
    file = QuestionFile(np.arange(50) * 256, codes, np.full(50, 31))
    file.remove(np.array([3 * 256, 77]))
    assert scan_chunk(codes, file.path).row.tolist() == [row for row in range(50) if row != 3]
    assert codes[3].tobytes() not in file.path.read_bytes()
    file.close()
    file.close()


def test_a_question_that_everything_is_near_to_is_cut_short_and_says_so(tmp_path):
    codes = np.tile(RNG.integers(0, 256, (1, 32), np.uint8), (QUOTA + 10, 1))
    write_questions(tmp_path / "asked", np.zeros(1, np.int64), codes[:1], np.array([31]))
    found = scan_chunk(codes, tmp_path / "asked")
    assert found.truncated
    assert len(found.row) == QUOTA


def test_what_is_no_chunk_or_no_file_of_questions_is_refused(tmp_path):
    (tmp_path / "other").write_bytes(bytes(64))
    with pytest.raises(Misconfigured):
        scan_chunk(bytes(32), tmp_path / "other")
    with pytest.raises(Invalid):
        scan_chunk(bytes(31), tmp_path / "other")
    with pytest.raises(Invalid):
        write_questions(
            tmp_path / "x", np.zeros(1, np.int64), np.zeros((1, 8), np.uint8), np.ones(1)
        )


def test_a_turned_code_is_near_to_the_turned_pictures_code():
    signal = build()
    for seed in range(5):
        computed = signal.compute([Frame(textured(320, 240, seed))], Side.QUERY)
        real = {view.turn: code for view, code in zip(computed.views, computed.codes, strict=True)}
        turned = in_all_turns(real[Turn.NONE][None])
        for turn, code in zip(Turn, turned[:, 0], strict=True):
            apart = int(np.bitwise_count(code ^ real[turn]).sum())
            assert apart <= (0 if turn in (Turn.NONE, Turn.FLIP_PLUS_1) else 28), turn


def test_blocks_that_do_not_fit_together_are_tampered_with():
    with pytest.raises(Tampered):
        read_column(bytes(33), 2)
    with pytest.raises(Tampered):
        rows_of([(None, bytes(5))], 32)
