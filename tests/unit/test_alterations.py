"""The catalogue of alterations and the page that reports on it."""

import numpy as np
import pytest

from services.bench._page import page
from services.bench.alterations import Scene, catalogue
from tests.pictures import textured


@pytest.fixture(scope="module")
def scene():
    return Scene(tuple(textured(300, 200, seed) for seed in (5, 6, 7)), textured(60, 80, 9))


def test_the_catalogue_has_many_names_and_none_twice():
    names = [alteration.name for alteration in catalogue()]
    assert len(names) == len(set(names)) >= 50


def test_what_the_catalogue_promises_is_in_it():
    groups = {alteration.group for alteration in catalogue()}
    assert groups >= {"codec", "crop", "turn", "border", "caption", "overlay", "sticker", "face"}
    assert groups >= {"screenshot", "collage", "picture in picture", "camera", "three at once"}


@pytest.mark.parametrize("alteration", catalogue(), ids=lambda alteration: alteration.name)
@pytest.mark.parametrize("shape", [(320, 240), (150, 260)], ids=["landscape", "portrait"])
def test_every_alteration_changes_a_picture_the_same_way_every_time(alteration, shape, scene):
    picture = textured(*shape, seed=1)
    before = picture.copy()
    once, again = (alteration.apply(picture, scene, seed=3) for _ in range(2))
    assert (picture == before).all(), "the original must stay as it is"
    assert (once.dtype, once.ndim, once.shape[2]) == (np.uint8, 3, 3)
    assert once.flags.c_contiguous
    assert once.shape == again.shape
    assert (once == again).all()
    assert once.shape != picture.shape or (once != picture).any()


def test_the_page_shows_every_alteration_and_escapes_what_it_is_given():
    row = {
        "alteration": "<b>crop</b>",
        "group": "crop",
        "PDQ within 31": 0.0,
        "hashes alone": 0.5,
        "with local features": 1.0,
    }
    target = {"name": "mean & more", "value": 0.9, "goal": 0.8, "met": True}
    shown = page(
        {
            "rows": [row],
            "methods": [{"method": "ours", "ms": 1.5, "radius": None}],
            "notes": ["11 bundled"],
            "targets": [target],
        }
    )
    assert "&lt;b&gt;crop&lt;/b&gt;" in shown
    assert "<b>" not in shown
    assert "mean &amp; more" in shown
    assert shown.count("<rect") == 3
    assert "http" not in shown
