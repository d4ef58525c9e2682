"""Packs put into their home whole or not at all, looked at, and checked."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from pipeline import plugins
from pipeline.errors import Denied, Misconfigured, Tampered
from pipeline.packs import _golden, _manifest
from pipeline.packs._manifest import Calibration, Manifest
from pipeline.packs._sources import Progress, quiet

_WORKING = ".installing-"
_REPLACED = ".replaced-"


@dataclass(frozen=True, slots=True)
class Made:
    """A pack's manifest and its networks, not yet written anywhere."""

    manifest: Manifest
    networks: Mapping[str, bytes] = field(repr=False)


class Member(Protocol):
    """What a module of this family offers to the installer."""

    RECIPE: Manifest | None
    """What will be made, when that is known beforehand."""

    def make(self, given: str | Path | None, progress: Progress) -> Made:
        """Fetch, check and convert."""
        ...


def install(
    name: str,
    source: str | Path | None = None,
    *,
    home: Path,
    allow_noncommercial: bool = False,
    progress: Progress = quiet,
) -> Manifest:
    """Make a pack and put it into ``home``, replacing one of the same name.

    ``source`` is a folder or an https address that has the pack's files. Nothing is left behind
    when this raises: ``Denied`` for a licence that was not accepted, ``Tampered`` for wrong
    digests or answers, ``Unavailable`` for failed downloads, ``Misconfigured`` for the rest.
    """
    member = _member(name)
    if member.RECIPE is not None:
        _check_licence(member.RECIPE, allow_noncommercial)
    made = member.make(source, progress)
    _check_licence(made.manifest, allow_noncommercial)
    with alone_in(home), working_folder(home) as folder:
        progress("writing and checking the networks", 0, 0)
        manifest = _write(made, folder)
        _golden.check(manifest, folder)
        swap(folder, home / name)
    progress("installed", 1, 1)
    return manifest


def recipe(name: str) -> Manifest | None:
    """What ``install`` would make; None for a pack that depends on the operator's own files."""
    return _member(name).RECIPE


def opened(name: str, home: Path) -> tuple[Manifest, Path]:
    """An installed pack, its networks checked against their digests, ready to be loaded.

    Raises ``Misconfigured`` when it is not installed or not of this version, ``Tampered`` when a
    file is not what was installed.
    """
    folder, manifest = home / name, told(name, home)
    wanted = recipe(name)
    if wanted is not None and _makes_templates(manifest) != _makes_templates(wanted):
        raise Misconfigured(
            f"the pack {name} was made by another version of Consentry, or its manifest was "
            f"changed; {_way_out(name)}"
        )
    if missing := set(manifest.networks) - set(manifest.files):
        raise Tampered(f"the pack {name} has no digest of {', '.join(sorted(missing))}")
    for file, digest in manifest.files.items():
        if digest_of(folder / file) != digest:
            raise Tampered(
                f"{file} of the pack {name} is missing or is not what was installed; "
                f"{_way_out(name)}"
            )
    return manifest, folder


def told(name: str, home: Path) -> Manifest:
    """What an installed pack says of itself, without a look at its networks.

    Raises ``Misconfigured`` when it is not installed or cannot be read.
    """
    if name not in plugins.names("packs"):
        raise Misconfigured(f"no pack {name!r}; there are: {', '.join(plugins.names('packs'))}")
    if not (home / name / _manifest.FILE).is_file():
        raise Misconfigured(f"the pack {name} is not installed; {_way_out(name)}")
    try:
        return _manifest.read(home / name / _manifest.FILE)
    except Misconfigured as wrong:
        raise Misconfigured(f"{wrong}; {_way_out(name)}") from None


def verify(name: str, home: Path) -> float:
    """Check an installed pack's digests and its answer for the test picture."""
    manifest, folder = opened(name, home)
    return _golden.check(manifest, folder)


def recalibrate(name: str, home: Path, calibration: Calibration) -> Manifest:
    """Write an operator's own calibration into an installed pack."""
    with alone_in(home):
        manifest, folder = opened(name, home)
        changed = manifest.model_copy(update={"calibration": calibration})
        with tempfile.TemporaryDirectory(prefix=_WORKING, dir=home) as working:
            changed.write(Path(working))
            Path(working, _manifest.FILE).replace(folder / _manifest.FILE)
    return changed


def _member(name: str) -> Member:
    there = plugins.names("packs")
    if name not in there:
        raise Misconfigured(f"no pack {name!r}; there are: {', '.join(there)}")
    return cast(Member, importlib.import_module(f"pipeline.packs.{name}"))


def _makes_templates(manifest: Manifest) -> tuple[object, ...]:
    """What a pack's templates depend on: another of it, and they would not be comparable."""
    return manifest.version, manifest.build, manifest.recogniser


def _way_out(name: str) -> str:
    own = "" if recipe(name) else " --from FOLDER"
    return f"run: consentry packs install {name}{own}"


def _check_licence(manifest: Manifest, allow_noncommercial: bool) -> None:
    if not manifest.licence.commercial_use and not allow_noncommercial:
        raise Denied(
            f"the pack {manifest.name} may not be used commercially ({manifest.licence.spdx}: "
            f"{manifest.licence.weights}). If your licence or your use allows it, install it with "
            "--allow-noncommercial"
        )


def _write(made: Made, folder: Path) -> Manifest:
    for name, network in made.networks.items():
        (folder / name).write_bytes(network)
    files = {name: hashlib.sha256(data).hexdigest() for name, data in made.networks.items()}
    manifest = Manifest.model_validate(made.manifest.model_dump(by_alias=True) | {"files": files})
    manifest.write(folder)
    for file in folder.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    return manifest


def digest_of(path: Path) -> str | None:
    """The file's SHA-256 as hexadecimal digits; None where there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


@contextlib.contextmanager
def alone_in(home: Path) -> Iterator[None]:
    """One installation at a time; what interrupted ones left is put right first."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Misconfigured(
                f"another installation is at work in {home}; wait until it has ended"
            ) from None
        _put_right(home)
        yield


def _put_right(home: Path) -> None:
    for left in home.glob(f"{_REPLACED}*"):
        target = home / left.name.removeprefix(_REPLACED)
        if target.exists():
            shutil.rmtree(left)
        else:
            left.rename(target)
    for left in home.glob(f"{_WORKING}*"):
        shutil.rmtree(left)


@contextlib.contextmanager
def working_folder(home: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=_WORKING, dir=home))
    # Readable by whoever runs the workers, not only by whoever installed.
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def swap(new: Path, target: Path) -> None:
    """Put a whole folder in another's place; an interruption in between is put right later."""
    replaced = target.with_name(f"{_REPLACED}{target.name}")
    if target.exists():
        target.rename(replaced)
    new.rename(target)
    if replaced.exists():
        shutil.rmtree(replaced)
