"""Real packs for tests, installed once into pytest's cache, and pictures with faces in them.

A test that needs a pack is skipped where its sources can't be had: without a network and without
the packages, or without the folder that comes beside the repository.
"""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline import plugins
from pipeline.domain.media import Frame
from pipeline.errors import Misconfigured, Unavailable
from pipeline.packs import _install

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"
PATIENCE = 600


def installed(name, home):
    """The pack, installed into the cache if it is not there yet."""
    source = SHARED / "omz0095"
    until = time.monotonic() + PATIENCE
    while True:
        try:
            _install.verify(name, home)
        except Misconfigured:
            pass
        else:
            return
        try:
            given = source if name == "omz0095" and source.is_dir() else None
            _install.install(name, given, home=home)
        except Unavailable as away:
            pytest.skip(f"{name} can't be had here: {away}")
        except Misconfigured as busy:
            # Another worker of this test run is at it.
            if "another installation" not in str(busy) or time.monotonic() > until:
                pytest.skip(f"{name} can't be had here: {busy}")
            time.sleep(0.5)


@pytest.fixture(scope="session")
def make_model(request):
    """A factory of models of installed packs."""
    home = request.config.cache.mkdir("packs")

    def make(name, **options):
        installed(name, home)
        return plugins.build("packs", name, home, **options)

    make.home = home
    return make


def frame(path):
    """A picture file as a frame; the test is skipped where there is none."""
    if not Path(path).is_file():
        pytest.skip(f"no {Path(path).name} here")
    return Frame(np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1]))


def portrait(name):
    """A portrait from beside the repository: obama, obama2, obama3, biden."""
    return frame(SHARED / "portraits" / f"{name}.jpg")


def group_photo():
    """The photo of six people inside the insightface package."""
    package = pytest.importorskip("insightface.data")
    return frame(Path(package.__file__).parent / "images" / "t1.jpg")


def astronaut():
    """scikit-image's portrait of Eileen Collins."""
    data = pytest.importorskip("skimage.data")
    return Frame(np.ascontiguousarray(data.astronaut()))
