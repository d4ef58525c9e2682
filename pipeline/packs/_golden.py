"""A picture made of integers, the same on every machine, and what a recogniser must say of it."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Tampered
from pipeline.packs._manifest import Golden, Manifest


def draw(side: int) -> NDArray[np.uint8]:
    """Rings, stripes and slopes in three different colours: RGB, uint8 (side, side, 3)."""
    y, x = np.mgrid[:side, :side].astype(np.int64)
    red = (x * x + y * y) // (side // 2) % 256
    green = (3 * x + 2 * y) % 256
    blue = 255 - np.abs(x - y) * 255 // side
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def golden_of(side: int, embedding: NDArray[np.float32], tolerance: float) -> Golden:
    """The manifest's entry for what an oracle said of ``draw(side)``, of length one."""
    vector = (embedding / np.linalg.norm(embedding)).astype("<f4")
    return Golden(
        input_sha256=hashlib.sha256(draw(side).tobytes()).hexdigest(),
        embedding=base64.b64encode(vector.tobytes()).decode(),
        tolerance=tolerance,
    )


def check(manifest: Manifest, folder: Path) -> float:
    """Run the recogniser on the picture; how far it is from what is expected, at the worst place.

    Raises ``Tampered`` beyond the manifest's tolerance. A manifest without an expectation passes.
    """
    golden = manifest.golden
    if golden is None:
        return 0.0
    # Compiled loops come with it: commands that ask no network start without them.
    from pipeline.packs._model import OnnxEmbedder

    picture = draw(manifest.recogniser.input_size)
    if hashlib.sha256(picture.tobytes()).hexdigest() != golden.input_sha256:
        raise Tampered(
            f"the pack {manifest.name} was made for another test picture; install it anew"
        )
    said = OnnxEmbedder(folder, manifest.recogniser).embed([picture])[0]
    return compared(manifest.name, said, golden)


def compared(name: str, said: NDArray[np.float32], golden: Golden) -> float:
    """How far an answer is from what is expected, at the worst place; ``Tampered`` if too far."""
    unit = said / np.linalg.norm(said)
    if unit.shape != golden.vector.shape or not np.isfinite(unit).all():
        raise Tampered(f"the pack {name} answers in another form; install it anew")
    distance = float(np.abs(unit - golden.vector).max())
    if distance > golden.tolerance:
        raise Tampered(
            f"the pack {name} differs by {distance:.2g} from what it must answer for the "
            f"test picture ({golden.tolerance:g} is allowed); install it anew"
        )
    return distance
