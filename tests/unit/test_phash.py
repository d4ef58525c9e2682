from __future__ import annotations

import imagehash
import numpy as np
import pytest
from PIL import Image

from pipeline.domain.media import Frame, Side, Turn
from pipeline.signals import phash
from tests import pictures
from tests.unit.test_pdq import UPLOAD_OF, bits

PHASH = phash.build()


@pytest.mark.parametrize("kind", pictures.KINDS)
@pytest.mark.parametrize("size", [(64, 64), (1, 1), (37, 500), (640, 480)])
def test_codes_are_those_of_imagehash(kind: str, size: tuple[int, int]) -> None:
    rgb = np.ascontiguousarray(pictures.KINDS[kind](640, 500)[: size[1], : size[0]])
    code = PHASH.compute([Frame(rgb)], Side.REGISTERED).codes[0]
    assert code.tobytes().hex() == str(imagehash.phash(Image.fromarray(rgb), hash_size=16))


@pytest.mark.parametrize("size", [(1600, 1004), (1411, 1411), (700, 2000)])
def test_an_upload_of_any_size_is_within_two_bits_of_imagehash(size: tuple[int, int]) -> None:
    for seed in range(3):
        rgb = pictures.textured(*size, seed)
        code = PHASH.compute([Frame(rgb)], Side.QUERY).codes[0]
        reference = imagehash.phash(Image.fromarray(rgb), hash_size=16)
        assert bits(code, np.packbits(reference.hash.ravel())) <= 2


def test_the_eight_codes_undo_what_their_words_say() -> None:
    worst = 0
    for seed in range(4):
        rgb = pictures.textured(400, 300, seed)
        meant = PHASH.compute([Frame(rgb)], Side.REGISTERED).codes[0]
        for turn, made in UPLOAD_OF.items():
            signals = PHASH.compute([Frame(np.ascontiguousarray(made(rgb)))], Side.QUERY)
            told = [view.turn for view in signals.views]
            assert told == list(Turn)
            distances = [bits(code, meant) for code in signals.codes]
            assert told[int(np.argmin(distances))] is turn
            worst = max(worst, min(distances))
    assert worst <= 8


def test_a_flat_picture_is_named_by_its_quality() -> None:
    frames = [Frame(pictures.flat()), Frame(pictures.textured())]
    quality = PHASH.compute(frames, Side.REGISTERED).quality
    assert quality[0] == 0
    assert quality[1] >= PHASH.minimum_quality
