"""Packs are there whole or not at all."""

import json
import signal
import types

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline import plugins
from pipeline.errors import Denied, Misconfigured, Tampered, Unavailable
from pipeline.packs import _golden, _install, _manifest
from pipeline.packs._graph import Graph
from pipeline.packs._manifest import Calibration, Manifest
from services import packs as command

SIDE, WIDTH = 16, 4


def network(seed=0):
    graph = Graph("tiny")
    x = graph.input("input", ("n", 3, SIDE, SIDE))
    matrix = np.random.default_rng(seed).standard_normal((3, WIDTH)).astype(np.float32)
    pooled = graph.add("Flatten", graph.add("GlobalAveragePool", x), axis=1)
    graph.output(graph.add("MatMul", pooled, graph.constant(matrix)), "embedding", ("n", WIDTH))
    means = _golden.draw(SIDE).reshape(-1, 3).astype(np.float64).mean(axis=0)
    return graph.serialise(), (means @ matrix).astype(np.float32)


def manifest(**changes):
    document = {
        "schema": 1,
        "name": "tiny",
        "version": "1",
        "title": "A tiny pack.",
        "licence": {
            "spdx": "CC0-1.0",
            "weights": "ours",
            "training_data": "none",
            "commercial_use": True,
        },
        "build": {"converter": "none", "version": 1},
        "detector": {
            "kind": "scrfd",
            "files": [],
            "score": [0.5],
            "nms": [0.4],
            "long_side": 640,
            "minimum_face": 20,
        },
        "recogniser": {
            "file": "recogniser.onnx",
            "input_size": SIDE,
            "channel_order": "rgb",
            "mean": 0,
            "std": 1,
            "template": [[0.3, 0.3], [0.7, 0.3], [0.5, 0.5], [0.35, 0.7], [0.65, 0.7]],
            "dim": WIDTH,
            "max_batch": 4,
        },
        "calibration": {
            "dataset": "none",
            "pairs": "none",
            "thresholds": [
                {"false_accept_rate": 0.001, "similarity": 0.3},
                {"false_accept_rate": 0.0001, "similarity": 0.4},
            ],
            "review_at": 0.001,
            "strong_at": 0.0001,
        },
    }
    return Manifest.model_validate(document | changes)


@pytest.fixture
def make_member(monkeypatch):
    """A factory of a family's only member, ``tiny``, which makes what it is told to."""

    def make(seed=0, said=None, **changes):
        onnx, answer = network(seed)
        golden = _golden.golden_of(SIDE, answer if said is None else said, 1e-4)
        recipe = manifest(golden=golden.model_dump(), **changes)
        made = _install.Made(recipe, {"recogniser.onnx": onnx})
        member = types.SimpleNamespace(RECIPE=recipe, make=lambda given, progress: made)
        monkeypatch.setattr(_install, "_member", lambda name: member)
        monkeypatch.setattr(plugins, "names", lambda family: ["tiny"])
        return member

    return make


def left_in(home):
    return sorted(path.name for path in home.iterdir() if path.name != ".lock")


def test_an_installed_pack_has_its_manifest_and_verified_networks(tmp_path, make_member):
    make_member()
    _install.install("tiny", home=tmp_path)
    assert left_in(tmp_path) == ["tiny"]
    found, folder = _install.opened("tiny", tmp_path)
    assert found == _install.told("tiny", tmp_path)
    assert sorted(found.files) == ["recogniser.onnx"]
    assert folder == tmp_path / "tiny"
    assert _install.verify("tiny", tmp_path) < 1e-5
    assert found.space.key == "tiny/1"


def test_a_network_that_answers_otherwise_is_not_installed(tmp_path, make_member):
    make_member(said=np.array([1, 0, 0, 0], np.float32))
    with pytest.raises(Tampered, match="differs by"):
        _install.install("tiny", home=tmp_path)
    assert left_in(tmp_path) == []


def test_a_failed_installation_leaves_the_old_pack_as_it_was(tmp_path, make_member):
    make_member()
    _install.install("tiny", home=tmp_path)
    before = (tmp_path / "tiny" / "manifest.json").read_bytes()

    def away(given, progress):
        raise Unavailable("no network")

    make_member(seed=1).make = away
    with pytest.raises(Unavailable):
        _install.install("tiny", home=tmp_path)
    make_member(seed=1, said=np.array([1, 0, 0, 0], np.float32))
    with pytest.raises(Tampered):
        _install.install("tiny", home=tmp_path)
    assert (tmp_path / "tiny" / "manifest.json").read_bytes() == before
    assert left_in(tmp_path) == ["tiny"]


def test_a_pack_is_replaced_as_a_whole(tmp_path, make_member):
    make_member()
    _install.install("tiny", home=tmp_path)
    (tmp_path / "tiny" / "old.onnx").write_bytes(b"old")
    make_member(seed=1)
    _install.install("tiny", home=tmp_path)
    assert not (tmp_path / "tiny" / "old.onnx").exists()
    assert _install.verify("tiny", tmp_path) < 1e-5
    assert left_in(tmp_path) == ["tiny"]


def test_what_an_interrupted_installation_left_is_put_right(tmp_path, make_member):
    make_member()
    _install.install("tiny", home=tmp_path)
    (tmp_path / "tiny").rename(tmp_path / ".replaced-tiny")
    (tmp_path / ".installing-abc").mkdir()
    with _install.alone_in(tmp_path):
        pass
    assert left_in(tmp_path) == ["tiny"]
    assert _install.verify("tiny", tmp_path) < 1e-5


def test_two_installations_at_once_are_refused(tmp_path, make_member):
    make_member()
    with _install.alone_in(tmp_path), pytest.raises(Misconfigured, match="another installation"):
        _install.install("tiny", home=tmp_path)


def test_a_changed_network_is_noticed(tmp_path, make_member):
    make_member()
    _install.install("tiny", home=tmp_path)
    (tmp_path / "tiny" / "recogniser.onnx").write_bytes(network(1)[0])
    with pytest.raises(Tampered, match="not what was installed"):
        _install.opened("tiny", tmp_path)


def test_a_missing_network_is_noticed(tmp_path, make_member):
    make_member()
    _install.install("tiny", home=tmp_path)
    (tmp_path / "tiny" / "recogniser.onnx").unlink()
    with pytest.raises(Tampered, match="missing"):
        _install.verify("tiny", tmp_path)


def test_a_digest_left_out_of_the_manifest_is_noticed(tmp_path, make_member):
    make_member()
    _install.install("tiny", home=tmp_path)
    path = tmp_path / "tiny" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": {}}))
    with pytest.raises(Tampered, match="no digest"):
        _install.opened("tiny", tmp_path)


def test_a_pack_of_an_older_converter_must_be_made_anew(tmp_path, make_member):
    make_member()
    _install.install("tiny", home=tmp_path)
    make_member(build={"converter": "none", "version": 2})
    with pytest.raises(Misconfigured, match="packs install tiny"):
        _install.opened("tiny", tmp_path)


def test_a_pack_that_is_not_there_says_how_to_get_it(tmp_path, make_member):
    make_member()
    with pytest.raises(Misconfigured, match="consentry packs install tiny"):
        _install.opened("tiny", tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recogniser": {"channel_order": "bgr"}}, "manifest was changed"),
        ({"recogniser": {"dim": WIDTH + 1}}, "as many numbers as recogniser.dim"),
        ({"schema": 2}, "schema: .*1"),
        ({"schema": None}, "schema"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_manifest_that_was_changed_is_refused_with_the_way_out(
    tmp_path, make_member, changes, said
):
    make_member()
    _install.install("tiny", home=tmp_path)
    path = tmp_path / "tiny" / "manifest.json"
    document = json.loads(path.read_text())
    for part, change in changes.items():
        document[part] = document[part] | change if isinstance(change, dict) else change
    path.write_text(json.dumps(document))
    with pytest.raises(Misconfigured, match=f"{said}.*consentry packs install tiny"):
        _install.opened("tiny", tmp_path)
    _install.install("tiny", home=tmp_path)
    assert _install.verify("tiny", tmp_path) < 1e-5


def test_a_pack_that_cannot_be_read_hides_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("CONSENTRY_HOME", str(tmp_path))
    for name in ("dlib_mtcnn", "thumbs"):
        broken = tmp_path / "packs" / name
        broken.mkdir(parents=True)
        (broken / "manifest.json").write_text('{"kind": "copies"' if name == "thumbs" else "[")
    listed = CliRunner().invoke(command.app, ["list"])
    assert listed.exit_code == 0
    for name in ("dlib_mtcnn", "insightface", "nsfwjs_mobilenet", "omz0095", "thumbs"):
        assert name in listed.output
    assert listed.output.count("unreadable: install it anew") == 2
    shown = CliRunner().invoke(command.app, ["show", "dlib_mtcnn"])
    assert "run: consentry packs install dlib_mtcnn" in str(shown.exception)


def test_the_command_shows_what_is_not_installed_and_names_every_pack_there_is(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("CONSENTRY_HOME", str(tmp_path))
    run = CliRunner().invoke
    shown = json.loads(run(command.app, ["show", "omz0095"]).output)
    assert shown["licence"]["spdx"] == "Apache-2.0 AND MIT"
    assert all(value is not None for source in shown["sources"] for value in source.values())
    gate = json.loads(run(command.app, ["show", "nsfwjs_mobilenet"]).output)
    assert (gate["installed"], gate["version"]) == (False, "4.3.0")
    assert gate["licence"].startswith("MIT")
    for words in (["show", "x"], ["verify", "x"], ["install", "x"]):
        assert "omz0095, nsfwjs_mobilenet" in str(run(command.app, words).exception)
    own = run(command.app, ["show", "insightface"])
    assert "consentry packs install insightface --from FOLDER" in str(own.exception)


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_installation_says_so_and_leaves_the_old_pack(
    tmp_path, make_member, monkeypatch, told
):
    monkeypatch.setenv("CONSENTRY_HOME", str(tmp_path))
    make_member()
    home = tmp_path / "packs"
    _install.install("tiny", home=home)
    before = (home / "tiny" / "manifest.json").read_bytes()
    kept = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(_golden, "check", lambda *_: signal.raise_signal(told))
    done = CliRunner().invoke(command.app, ["install", "tiny"])
    signal.signal(signal.SIGTERM, kept)
    assert done.exit_code == 130
    assert "interrupted: tiny was not installed" in done.stderr
    assert left_in(home) == ["tiny"]
    assert (home / "tiny" / "manifest.json").read_bytes() == before


def test_an_unknown_pack_lists_the_known_ones(tmp_path):
    with pytest.raises(Misconfigured, match="dlib_mtcnn, insightface, omz0095"):
        _install.install("buffalo", home=tmp_path)


def test_a_noncommercial_pack_needs_the_operators_word(tmp_path, make_member):
    licence = {"spdx": "X", "weights": "w", "training_data": "t", "commercial_use": False}
    member = make_member(licence=licence)
    make, member.make = member.make, lambda *_: pytest.fail("it was fetched all the same")
    with pytest.raises(Denied, match="--allow-noncommercial"):
        _install.install("tiny", home=tmp_path)
    assert not tmp_path.joinpath("tiny").exists()
    member.make = make
    _install.install("tiny", home=tmp_path, allow_noncommercial=True)
    assert _install.told("tiny", tmp_path).name == "tiny"


def test_an_operators_own_calibration_is_kept(tmp_path, make_member):
    make_member()
    _install.install("tiny", home=tmp_path)
    own = manifest().calibration.model_copy(update={"dataset": "our own people"})
    _install.recalibrate("tiny", tmp_path, own)
    found, _ = _install.opened("tiny", tmp_path)
    assert found.calibration == own


def test_similarity_is_told_in_strangers():
    calibration = manifest().calibration
    assert (calibration.review, calibration.strong) == (0.3, 0.4)
    assert calibration.words(0.41) == "about 1 in 10,000 strangers would look this alike"
    assert calibration.words(0.99) == calibration.words(0.4)
    assert calibration.words(0.35) == "about 1 in 1,000 strangers would look this alike"
    assert calibration.words(0.2) == "more than 1 in 1,000 strangers would look this alike"
    assert calibration.false_accept_rate(0.2) is None
    with pytest.raises(Misconfigured, match=r"there are: 0.001, 0.0001"):
        calibration.at(0.5)


@pytest.mark.parametrize(
    "thresholds",
    [
        [(0.001, 0.4), (0.0001, 0.3)],
        [(0.0001, 0.3), (0.001, 0.4)],
        [(0.001, 0.3), (0.001, 0.4)],
    ],
)
def test_a_calibration_that_contradicts_itself_is_refused(thresholds):
    entries = [{"false_accept_rate": rate, "similarity": s} for rate, s in thresholds]
    with pytest.raises(ValueError, match="thresholds go from"):
        Calibration(dataset="", pairs="", thresholds=entries, review_at=0.001, strong_at=0.0001)


@pytest.mark.parametrize("name", ["../x", "a/b", "manifest.json", ".."])
def test_a_manifest_that_names_files_elsewhere_is_refused(tmp_path, name):
    document = manifest().model_dump(by_alias=True, mode="json") | {"files": {name: "0" * 64}}
    (tmp_path / _manifest.FILE).write_text(json.dumps(document))
    with pytest.raises(Misconfigured, match="plain names"):
        _manifest.read(tmp_path / _manifest.FILE)


@pytest.mark.parametrize("name", ["dlib_mtcnn", "omz0095"])
def test_the_recipes_say_where_everything_comes_from(name):
    recipe = _install.recipe(name)
    assert recipe.licence.commercial_use
    assert recipe.golden is not None
    assert recipe.calibration.review < recipe.calibration.strong
    assert {source.name for source in recipe.sources} >= {"pnet.pt", "rnet.pt", "onet.pt"}
    # Its licence excludes commercial use.
    assert not any("68" in source.name for source in recipe.sources)


def test_the_recipes_have_the_thresholds_that_were_measured():
    dlib, intel = _install.recipe("dlib_mtcnn"), _install.recipe("omz0095")
    assert (dlib.calibration.review, dlib.calibration.strong) == (0.927, 0.941)
    assert (intel.calibration.review, intel.calibration.strong) == (0.434, 0.512)
