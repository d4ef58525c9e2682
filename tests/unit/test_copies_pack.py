"""A copy-detection pack is an operator's folder, taken whole or not at all."""

import hashlib
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.domain.media import Frame
from pipeline.domain.policy import DEFAULT, Alike, parse
from pipeline.domain.signal import Metric
from pipeline.errors import Denied, Invalid, Misconfigured, Tampered
from pipeline.packs import _copies
from services import packs as command
from tests.copies import DIM, SIDE, manifest, pack_folder
from tests.pictures import textured


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def installed(tmp_path, home):
    """Install the pack, with whatever is changed."""

    def install(**changes):
        return _copies.install(pack_folder(tmp_path / "given", **changes), home)

    return install


def test_an_installed_pack_turns_pictures_into_vectors_of_length_one(installed, home):
    installed()
    assert _copies.verify("thumbs", home) < 1e-6
    model = _copies.build("thumbs", home)
    assert (model.space.key, model.space.metric) == ("thumbs/1", Metric.INNER_PRODUCT)
    frames = [Frame(textured(200 + 30 * seed, 150, seed)) for seed in range(6)]
    vectors = model.vectors(frames)
    assert vectors.shape == (6, DIM)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    one_by_one = np.concatenate([model.vectors([frame]) for frame in frames])
    assert np.allclose(vectors, one_by_one, atol=1e-5), "batches change nothing"
    assert model.vectors([]).shape == (0, DIM)


def test_pixels_go_in_as_the_manifest_says(installed, home):
    frame = Frame(textured(SIDE, SIDE, 4))
    installed()
    plain = _copies.build("thumbs", home).vectors([frame])
    turned = Frame(np.ascontiguousarray(frame.rgb[..., ::-1]))
    even = {**manifest()["network"], "mean": [100] * 3, "std": [50] * 3}
    installed(network=even)
    same = _copies.build("thumbs", home).vectors([frame])
    installed(network={**even, "channel_order": "bgr"})
    assert np.allclose(_copies.build("thumbs", home).vectors([turned]), same, atol=1e-5)
    assert not np.allclose(plain, same, atol=1e-3)


def test_a_wide_picture_is_cut_in_the_middle_where_the_network_wants_it_so(installed, home):
    wide = textured(3 * SIDE, SIDE, 5)
    installed(network={**manifest()["network"], "fit": "centre"})
    model = _copies.build("thumbs", home)
    middle = np.ascontiguousarray(wide[:, SIDE : 2 * SIDE])
    assert np.allclose(model.vectors([Frame(wide)]), model.vectors([Frame(middle)]), atol=1e-5)


def test_similarity_is_told_in_other_pictures(installed, home):
    installed()
    model = _copies.build("thumbs", home)
    assert model.words(0.95) == "about 1 in 10,000 other pictures is this alike"
    assert model.words(0.2) == "more than 1 in 1,000 other pictures is this alike"


def test_a_changed_network_is_noticed_before_it_is_run(installed, home):
    installed()
    (home / "thumbs" / "thumbs.onnx").write_bytes(b"another")
    with pytest.raises(Tampered, match="not what was installed"):
        _copies.build("thumbs", home)


def test_a_digest_and_an_answer_that_a_folder_brings_along_are_checked(installed, tmp_path, home):
    with pytest.raises(Tampered, match="not the file that the manifest names"):
        installed(files={"thumbs.onnx": hashlib.sha256(b"x").hexdigest()})
    kept = installed()
    golden = json.loads(kept.model_dump_json())["golden"]
    with pytest.raises(Tampered, match="differs by"):
        installed(seed=4, golden=golden)
    assert _copies.verify("thumbs", home) < 1e-6, "the old pack is as it was"


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"network": {**manifest()["network"], "dim": 7}}, Misconfigured, r"\(1, 7\)"),
        ({"network": {**manifest()["network"], "file": "no.onnx"}}, Misconfigured, "no no.onnx"),
        ({"network": {**manifest()["network"], "std": [0, 1, 1]}}, Misconfigured, "network.std"),
        ({"name": "omz0095"}, Misconfigured, "a face pack"),
        ({"name": "../up"}, Misconfigured, "name"),
        ({"files": {"a/b": "0" * 64}}, Misconfigured, "plain names"),
    ],
)
def test_a_pack_that_is_not_right_is_refused_by_name(installed, home, changes, error, said):
    with pytest.raises(error, match=said):
        installed(**changes)
    assert _copies.names(home) == []


def test_a_noncommercial_pack_needs_the_operators_word(tmp_path, home):
    licence = {**manifest()["licence"], "commercial_use": False}
    folder = pack_folder(tmp_path / "given", licence=licence)
    with pytest.raises(Denied, match="--allow-noncommercial"):
        _copies.install(folder, home)
    assert _copies.install(folder, home, allow_noncommercial=True).name == "thumbs"


def test_a_pack_that_is_not_there_says_how_to_get_it(home):
    with pytest.raises(Misconfigured, match="consentry packs install FOLDER"):
        _copies.opened("thumbs", home)


def test_the_command_installs_lists_shows_and_verifies_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CONSENTRY_HOME", str(tmp_path / "home"))
    folder, run = pack_folder(tmp_path / "given"), CliRunner().invoke
    said = run(command.app, ["install", str(folder)])
    assert said.exit_code == 0, said.output
    assert "CONSENTRY_COPIES=thumbs" in said.output
    assert "thumbs" in run(command.app, ["list"]).output
    shown = json.loads(run(command.app, ["show", "thumbs"]).output)
    assert (shown["kind"], shown["network"]["dim"]) == ("copies", DIM)
    assert "thumbs is what was installed" in run(command.app, ["verify", "thumbs"]).output


def test_a_policy_names_the_similarity_and_the_rate_it_was_calibrated_at(installed):
    rule = installed().rule
    assert rule == Alike("thumbs", "registered", 0.9, 1e-4)
    policy = DEFAULT.with_copies([rule])
    assert policy.alike("thumbs") == 0.9
    assert parse(policy.document()) == policy
    own = parse(
        {
            **DEFAULT.document(),
            "review": {"alike": {"signal": "thumbs", "bank": "registered", "similarity": 0.97}},
        }
    )
    assert own.with_copies([rule]) is own, "what the operator wrote stays"


@pytest.mark.parametrize("similarity", [0, -0.5, 1.5, True, "0.9", float("nan")])
def test_a_similarity_is_a_cosine(similarity):
    rule = {"alike": {"signal": "thumbs", "bank": "registered", "similarity": similarity}}
    with pytest.raises(Invalid, match="similarity"):
        parse({**DEFAULT.document(), "review": rule})


def test_what_a_network_calls_alike_can_never_be_known_without_a_person():
    rule = {"alike": {"signal": "thumbs", "bank": "upheld", "similarity": 0.99}}
    within = {"within": {"signal": "pdq", "bank": "upheld", "distance": 4}}
    with pytest.raises(Invalid, match="a person decides"):
        parse({**DEFAULT.document(), "known": {"all_of": [within, rule]}})
