"""The faces bench on a handful of pictures."""

import json

import cv2
import numpy as np
import pytest

from pipeline.errors import Invalid, Misconfigured
from services.bench import faces
from tests.contracts.test_packs import insightface_folder
from tests.packs import SHARED, make_model  # noqa: F401

NAMES = ("obama", "obama2", "obama3", "biden")


@pytest.fixture
def album(tmp_path):
    """Four small portraits, of two people, and a picture of nobody."""
    for name in NAMES:
        path = SHARED / "portraits" / f"{name}.jpg"
        if not path.is_file():
            pytest.skip("the portraits are not here")
        picture = cv2.imread(str(path))
        scale = 400 / max(picture.shape)
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(tmp_path / f"{name}.png"), small)
    cv2.imwrite(str(tmp_path / "nobody.png"), np.full((200, 200, 3), 128, np.uint8))
    return tmp_path


def pairs(folder, *lines):
    path = folder / "pairs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def value(document, what):
    return next(row["value"] for row in document["rows"] if row["what"] == what)


def test_rates_and_times_come_in_one_document(album, make_model):  # noqa: F811
    make_model("omz0095")
    file = pairs(
        album,
        "path_a,path_b,same",
        "obama.png,obama2.png,1",
        "obama.png,obama3.png,1",
        "obama.png,biden.png,0",
        "biden.png,obama2.png,0",
        "nobody.png,biden.png,0",
    )
    document = faces.measure(
        file, album, "omz0095", lambda _: None, home=make_model.home, plot_to=album / "roc.svg"
    )
    assert value(document, "pictures with a face found") == pytest.approx(4 / 5)
    assert value(document, "AUC") == 1
    assert value(document, "EER") == 0
    assert value(document, "TAR at FAR 1e-02") is None  # three pairs say nothing of that
    assert value(document, "detect, ms an image") > 0
    assert {target["name"] for target in document["targets"]} == {
        "time around the networks",
        "gain of a batch of 16",
    }
    assert (album / "roc.svg").read_text().startswith("<svg")
    json.dumps(document, allow_nan=False)


def test_insightface_is_timed_beside_when_it_has_a_folder(
    album,
    make_model,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    monkeypatch.setattr(faces, "ROUNDS", 1)
    make_model("omz0095")
    folder = insightface_folder(tmp_path / "random")
    document = faces.measure(
        None, album, "omz0095", lambda _: None, home=make_model.home, insightface=folder
    )
    assert value(document, "insightface FaceAnalysis.get, ms an image") > 0


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,b"], "pair 1"),
        (["a,b,1", "a,b,yes"], "pair 2"),
        (["a,b,1"], "of two"),
        (["a,b,0"], "of two"),
        ([], "of two"),
    ],
)
def test_a_file_that_has_no_usable_pairs_is_refused(tmp_path, lines, message):
    with pytest.raises(Invalid, match=message):
        faces.read_pairs(pairs(tmp_path, *lines))


def test_a_picture_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Misconfigured, match=r"gone\.png"):
        faces.read(tmp_path / "gone.png")
