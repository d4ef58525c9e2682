"""Where a pack's files come from, and what is refused on the way."""

import hashlib
import io
import tarfile
import zipfile

import httpx
import pytest

from pipeline.errors import Misconfigured, Tampered, Unavailable
from pipeline.packs import _sources
from pipeline.packs._manifest import Source

WEIGHTS = b"weights" * 100


def digest(data):
    return hashlib.sha256(data).hexdigest()


def wheel(member="thing/data/net.bin", data=WEIGHTS):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(member, data)
        archive.writestr("thing-1.0.dist-info/METADATA", "Name: thing\nVersion: 1.0\n")
        archive.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("thing-1.0.dist-info/RECORD", "")
    return file.getvalue()


def source_archive(data=WEIGHTS, **files):
    contents = {
        "PKG-INFO": b"Metadata-Version: 1.0\nName: thing\nVersion: 1.0\n",
        "thing/data/net.bin": data,
        **{name.replace("_py", ".py"): text for name, text in files.items()},
    }
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in contents.items():
            entry = tarfile.TarInfo(f"thing-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    return file.getvalue()


def packaged(archive, name="thing-1.0-py3-none-any.whl", data=WEIGHTS):
    return Source(
        package="thing",
        version="1.0",
        archive=name,
        archive_sha256=digest(archive),
        member="thing/data/net.bin",
        size=len(data),
        sha256=digest(data),
    )


def published(data=WEIGHTS):
    return Source(
        url="https://models.example/net.bin",
        member="net.bin",
        size=len(data),
        sha384=hashlib.sha384(data).hexdigest(),
    )


@pytest.fixture
def web(monkeypatch):
    """A factory of an internet in which one answer is given to every request."""

    def answer_with(status=200, data=WEIGHTS, wrong=None):
        def answer(request):
            if wrong is not None:
                raise wrong
            return httpx.Response(status, content=data)

        client = httpx.Client(transport=httpx.MockTransport(answer))
        monkeypatch.setattr(
            _sources.httpx, "stream", lambda method, address, **_: client.stream(method, address)
        )

    return answer_with


def test_a_folder_is_looked_into_first(tmp_path, web):
    web(wrong=AssertionError("the network was asked"))
    (tmp_path / "net.bin").write_bytes(WEIGHTS)
    assert _sources.fetch([published()], tmp_path) == {"net.bin": WEIGHTS}


@pytest.mark.parametrize("kind", ["wheel", "source archive"])
def test_a_package_lying_in_the_folder_is_unpacked(tmp_path, kind):
    archive = wheel() if kind == "wheel" else source_archive()
    name = "thing-1.0-py3-none-any.whl" if kind == "wheel" else "thing-1.0.tar.gz"
    (tmp_path / name).write_bytes(archive)
    assert _sources.fetch([packaged(archive, name)], tmp_path) == {"net.bin": WEIGHTS}


def test_a_file_with_another_digest_is_refused(tmp_path):
    (tmp_path / "net.bin").write_bytes(WEIGHTS[:-1] + b"!")
    with pytest.raises(Tampered, match="not the published file"):
        _sources.fetch([published()], tmp_path)


def test_a_package_without_the_member_is_refused(tmp_path):
    archive = wheel("thing/data/other.bin")
    (tmp_path / "thing-1.0-py3-none-any.whl").write_bytes(archive)
    with pytest.raises(Tampered, match=r"has no thing/data/net\.bin"):
        _sources.fetch([packaged(archive)], tmp_path)


@pytest.mark.parametrize("name", ["thing-1.0-py3-none-any.whl", "thing-1.0.tar.gz"])
def test_a_damaged_package_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x1f\x8bPK damaged")
    with pytest.raises(Tampered, match="damaged"):
        _sources.fetch([packaged(b"x", name)], tmp_path)


def test_no_more_of_a_member_is_read_than_was_published(tmp_path):
    archive = wheel(data=bytes(50_000_000))
    (tmp_path / "thing-1.0-py3-none-any.whl").write_bytes(archive)
    with pytest.raises(Tampered):
        _sources.fetch([packaged(archive)], tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Misconfigured, match="no folder"):
        _sources.fetch([published()], tmp_path / "nowhere")


def test_an_address_without_encryption_is_refused():
    with pytest.raises(Misconfigured, match="https"):
        _sources.fetch([published()], "http://models.example")


def test_a_published_file_is_fetched_with_progress(web):
    web()
    seen = []
    found = _sources.fetch([published()], None, lambda *step: seen.append(step))
    assert found == {"net.bin": WEIGHTS}
    assert ("fetching net.bin", len(WEIGHTS), len(WEIGHTS)) in seen


@pytest.mark.parametrize("status", [404, 500])
def test_a_server_that_refuses_is_reported_as_unavailable(web, status):
    web(status)
    with pytest.raises(Unavailable, match="nothing was installed"):
        _sources.fetch([published()], None)


def test_a_broken_connection_is_reported_as_unavailable(web):
    web(wrong=httpx.ReadError("gone"))
    with pytest.raises(Unavailable, match="--from"):
        _sources.fetch([published()], None)


@pytest.mark.parametrize("data", [WEIGHTS[:-1], WEIGHTS + b"!" * 1_000_000])
def test_a_download_of_another_length_is_refused(web, data):
    web(data=data)
    with pytest.raises(Tampered):
        _sources.fetch([published()], None)


def without_an_index(monkeypatch, folder):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    try:
        _sources.pip_command()
    except Misconfigured:
        pytest.skip("no pip here")


def test_pip_fetches_a_wheel_by_name_version_and_digest(tmp_path, monkeypatch):
    without_an_index(monkeypatch, tmp_path)
    archive = wheel()
    (tmp_path / "thing-1.0-py3-none-any.whl").write_bytes(archive)
    assert _sources.fetch([packaged(archive)], None) == {"net.bin": WEIGHTS}


def test_pip_fetches_a_source_archive_without_running_any_of_it(tmp_path, monkeypatch):
    without_an_index(monkeypatch, tmp_path)
    ran = tmp_path / "ran"
    archive = source_archive(setup_py=f"open({str(ran)!r}, 'w')".encode())
    (tmp_path / "thing-1.0.tar.gz").write_bytes(archive)
    found = _sources.fetch([packaged(archive, "thing-1.0.tar.gz")], None)
    assert found == {"net.bin": WEIGHTS}
    assert not ran.exists()


def test_pip_refuses_a_package_with_another_digest(tmp_path, monkeypatch):
    without_an_index(monkeypatch, tmp_path)
    (tmp_path / "thing-1.0-py3-none-any.whl").write_bytes(wheel(data=b"something else"))
    with pytest.raises(Unavailable, match="nothing was installed"):
        _sources.fetch([packaged(wheel())], None)


def test_an_installed_package_is_used_without_being_imported(tmp_path, monkeypatch):
    with zipfile.ZipFile(io.BytesIO(wheel())) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "thing" / "__init__.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_sources, "_pip_download", lambda source: pytest.fail("pip was asked"))
    assert _sources.fetch([packaged(b"x")], None) == {"net.bin": WEIGHTS}


def test_an_installed_package_of_another_build_is_not_used(tmp_path, monkeypatch):
    with zipfile.ZipFile(io.BytesIO(wheel(data=b"another build"))) as archive:
        archive.extractall(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_sources, "_pip_download", lambda source: wheel())
    assert _sources.fetch([packaged(wheel())], None) == {"net.bin": WEIGHTS}
