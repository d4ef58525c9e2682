"""The gate model that works out of the box: MobileNetV2 of the npm package ``nsfwjs``, MIT.

It is converted to ONNX where it is installed and answers as TensorFlow.js does (4e-7 apart on the
test picture and on three photographs, by ``tests/vectors/nsfwjs.mjs``). It is one stranger's
model: what it calls intimate is its publisher's idea of it, and we have tested it for calm on
neutral pictures alone. A person decides about every upload that it lets through to the faces.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from pipeline.errors import Misconfigured, Tampered, Unavailable
from pipeline.packs import _convert_tfjs, _golden
from pipeline.packs._install import alone_in, swap, working_folder
from pipeline.packs._runtime import Network
from pipeline.packs._sources import Progress, quiet

NAME, VERSION = "nsfwjs_mobilenet", "4.3.0"
ARCHIVE = f"nsfwjs-{VERSION}.tgz"
DIGEST = "4496790efc9bdc6f3e85a826a8e482c1fa1e9db4b3d18c095e98cc0c73cfb12f"
MODEL, GATES = "model.onnx", "gates.json"
SIDE = 224
LABELS = ("drawing", "hentai", "neutral", "porn", "sexy")
INTIMATE = ("hentai", "porn", "sexy")
THRESHOLD = 0.6
ANSWER = (0.9415639639, 0.0061417269, 0.0521485470, 0.0001025787, 0.0000431461)
"""What TensorFlow.js says of the test picture that ``packs._golden`` draws."""
TOLERANCE = 1e-5
LICENCE = "MIT, by Infinite Red; what it was trained on is not published picture by picture"

_FOLDER = "package/dist/models/mobilenet_v2"
_NPM_SECONDS = 600


def install(home: Path, given: str | Path | None = None, progress: Progress = quiet) -> Path:
    """Make the model in ``home`` and a gates file that uses it, which is returned.

    ``given`` is a folder that has the package's archive; otherwise npm fetches it by name,
    version and digest, running none of its scripts. Nothing is left behind when this raises.
    """
    progress(f"looking for {ARCHIVE}", 0, 0)
    description, shard = _members(_archive(given))
    progress("converting the network", 0, 0)
    network = _convert_tfjs.convert(description, [shard], NAME)
    with alone_in(home), working_folder(home) as folder:
        (folder / MODEL).write_bytes(network)
        check(folder)
        target = home / NAME
        (folder / GATES).write_text(json.dumps(settings(target), indent=2) + "\n", encoding="utf-8")
        swap(folder, target)
    progress("installed", 1, 1)
    return target / GATES


def settings(folder: Path) -> dict[str, dict[str, object]]:
    """What a gates file says to use the model of a folder."""
    return {
        "onnx_classifier": {
            "model": str(folder / MODEL),
            "side": SIDE,
            "layout": "nhwc",
            "labels": LABELS,
            "intimate": INTIMATE,
            "threshold": THRESHOLD,
        }
    }


def told(home: Path) -> dict[str, object]:
    """What the model is, where it comes from and what its gate makes of it."""
    folder = home / NAME
    return {
        "name": NAME,
        "version": VERSION,
        "installed": (folder / MODEL).is_file(),
        "licence": LICENCE,
        "source": {"package": "nsfwjs (npm)", "archive": ARCHIVE, "archive_sha256": DIGEST},
        "gates": settings(folder),
    }


def check(folder: Path) -> float:
    """Ask the model about the test picture; how far it is from TensorFlow.js, at the worst place.

    Raises ``Misconfigured`` when it is not installed, ``Tampered`` beyond the tolerance.
    """
    if not (folder / MODEL).is_file():
        raise Misconfigured(f"{NAME} is not installed; run: consentry packs install {NAME}")
    picture = (_golden.draw(SIDE) / np.float64(255)).astype(np.float32)
    said = next(iter(Network(folder / MODEL)(picture[None]).values()))[0]
    apart = float(np.abs(said - np.array(ANSWER)).max()) if said.shape == (5,) else np.inf
    if not apart <= TOLERANCE:
        raise Tampered(
            f"{NAME} differs by {apart:.2g} from what it must answer for the test picture; run:"
            f" consentry packs install {NAME}"
        )
    return apart


def _archive(given: str | Path | None) -> bytes:
    if given is not None:
        file = Path(given) / ARCHIVE
        if not file.is_file():
            raise Misconfigured(f"there is no {ARCHIVE} in {given}; --from takes its folder")
        data = file.read_bytes()
    else:
        data = _by_npm()
    if hashlib.sha256(data).hexdigest() != DIGEST:
        raise Tampered(
            f"{ARCHIVE} is not the published package: its digest differs; nothing was installed."
            " Fetch it anew, and report this if it happens again"
        )
    return data


def _by_npm() -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        raise Misconfigured(
            f"there is no npm to fetch {ARCHIVE} with; install it, or run"
            f" `npm pack nsfwjs@{VERSION}` elsewhere and point --from to the folder"
        )
    with tempfile.TemporaryDirectory(prefix="consentry-npm-") as folder:
        wanted = f"nsfwjs@{VERSION}"
        command = [npm, "pack", wanted, "--ignore-scripts", "--silent", "--pack-destination"]
        try:
            run = subprocess.run(
                [*command, folder],
                capture_output=True,
                text=True,
                check=False,
                timeout=_NPM_SECONDS,
                cwd=folder,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable("npm took too long; nothing was installed. Try again") from None
        packed = Path(folder) / ARCHIVE
        if run.returncode or not packed.is_file():
            raise Unavailable(
                f"npm could not fetch nsfwjs {VERSION}; nothing was installed. Try again, or put"
                f" {ARCHIVE} into a folder and point --from to it"
            )
        return packed.read_bytes()


def _members(archive: bytes) -> tuple[bytes, bytes]:
    """The model's description and its weights."""
    found = []
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as packed:
            for name in ("model.min.js", "group1-shard1of1.min.js"):
                file = packed.extractfile(f"{_FOLDER}/{name}")
                assert file is not None  # a file of the pinned archive, no folder
                found.append(file.read())
    except (tarfile.TarError, KeyError, EOFError, OSError) as wrong:
        raise Tampered(f"{ARCHIVE} is damaged: {wrong}; fetch it anew") from None
    return found[0], found[1]
