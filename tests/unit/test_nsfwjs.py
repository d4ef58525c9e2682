"""The gate model of npm's nsfwjs: read without running it, equal to TensorFlow.js, calm.

The archive is looked for in ``CONSENTRY_TEST_NSFWJS`` (a folder); without it what needs it is
skipped: tests fetch nothing.
"""

import base64
import json
import os
from pathlib import Path

import numpy as np
import pytest

from pipeline import plugins
from pipeline.domain.media import Media, Rating, Upload
from pipeline.errors import Misconfigured, Tampered, Unavailable
from pipeline.gates import _nsfwjs
from pipeline.packs import _convert_tfjs
from pipeline.packs._runtime import Network
from tests.packs import astronaut, group_photo


def script(exported):
    """A script as the bundler writes it around what it exports."""
    return (
        '!function(e){if("object"==typeof exports)module.exports=e()}(function(){return '
        f"function(e,a,n){{n.exports={exported}}},{{}}]}},{{}},[1])(1)}});"
    ).encode()


def layer(kind, name, inputs, **config):
    nodes = [[[one, 0, 0, {}] for one in inputs]] if inputs else []
    return {"class_name": kind, "name": name, "config": config, "inbound_nodes": nodes}


def small_model():
    """Every kind of layer once, with quantised weights; and the weights themselves."""
    rng = np.random.default_rng(0)
    shapes = {
        "c/kernel": (3, 3, 3, 4), "d/depthwise_kernel": (3, 3, 4, 1), "b/gamma": (4,),
        "b/beta": (4,), "b/moving_mean": (4,), "b/moving_variance": (4,),
        "f/kernel": (4 * 2 * 2, 5), "f/bias": (5,),
    }  # fmt: skip
    manifest, data, weights = [], b"", {}
    for name, shape in shapes.items():
        raw = rng.integers(0, 256, shape, np.uint8)
        least = 0.1 if name.endswith("variance") else -0.5
        said = {"min": least, "scale": 0.004, "dtype": "uint8"}
        manifest.append({"name": name, "shape": shape, "dtype": "float32", "quantization": said})
        data += raw.tobytes()
        weights[name] = (raw * 0.004 + least).astype(np.float32)
    plain = {"activation": "linear", "use_bias": False}
    layers = [
        layer("InputLayer", "i", [], batch_input_shape=[None, 8, 8, 3]),
        layer("ZeroPadding2D", "z", ["i"], padding=[[0, 1], [0, 1]]),
        layer("Conv2D", "c", ["z"], strides=[2, 2], padding="valid", **plain),
        layer("BatchNormalization", "b", ["c"], epsilon=0.001),
        layer("ReLU", "r", ["b"], max_value=6, negative_slope=0, threshold=0),
        layer("DepthwiseConv2D", "d", ["r"], strides=[1, 1], padding="same", **plain),
        layer("Add", "a", ["r", "d"]),
        layer("AveragePooling2D", "p", ["a"], pool_size=[2, 2], strides=[2, 2], padding="valid"),
        layer("Flatten", "l", ["p"]),
        layer("Dropout", "o", ["l"]),
        layer("Dense", "f", ["o"], units=5, activation="softmax"),
    ]
    topology = {"model_config": {"config": {"layers": layers}}}
    model = {"modelTopology": topology, "weightsManifest": [{"weights": manifest}]}
    return json.dumps(model), json.dumps(base64.b64encode(data).decode()), weights


def by_hand(image, w):
    """The small model's answer in plain numpy."""
    x = np.pad(image, ((0, 1), (0, 1), (0, 0)))
    x = np.array([[np.einsum("hwc,hwco->o", x[2 * r : 2 * r + 3, 2 * c : 2 * c + 3], w["c/kernel"])
                   for c in range(4)] for r in range(4)])  # fmt: skip
    x = (x - w["b/moving_mean"]) / np.sqrt(w["b/moving_variance"] + 0.001)
    x = np.clip(x * w["b/gamma"] + w["b/beta"], 0, 6)
    wide = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    deep = np.array([[(wide[r : r + 3, c : c + 3] * w["d/depthwise_kernel"][..., 0]).sum((0, 1))
                      for c in range(4)] for r in range(4)])  # fmt: skip
    x = (x + deep).reshape(2, 2, 2, 2, 4).mean((1, 3)).reshape(-1)
    x = np.exp(x @ w["f/kernel"] + w["f/bias"])
    return x / x.sum()


def test_a_converted_model_answers_as_its_layers_say():
    model, shard, weights = small_model()
    network = Network(_convert_tfjs.convert(script(model), [script(shard)], "small"))
    images = np.random.default_rng(1).random((3, 8, 8, 3)).astype(np.float32)
    said = network(images)["answer"]
    for answer, image in zip(said, images, strict=True):
        assert np.allclose(answer, by_hand(image, weights), atol=1e-6)


def test_a_minified_literal_is_read_and_nothing_is_run():
    read = _convert_tfjs.literal(script('{a:!0,b:[!1,null,.5,-2e-3,-.25],"c d":{e:"f\\"g"}}'))
    assert read == {"a": True, "b": [False, None, 0.5, -0.002, -0.25], "c d": {"e": 'f"g'}}


@pytest.mark.parametrize("said", ["{a:alert(1)}", '{a:"', "{a:1+1}", "{get a(){}}"])
def test_what_is_no_plain_literal_is_refused(said):
    with pytest.raises(Tampered):
        _convert_tfjs.literal(script(said))


def test_missing_and_surplus_weights_and_unknown_layers_are_refused():
    model, shard, _ = small_model()
    data = base64.b64decode(json.loads(shard))
    for wrong in (data[:-1], data + b"\0"):
        other = json.dumps(base64.b64encode(wrong).decode())
        with pytest.raises(Tampered, match="weights"):
            _convert_tfjs.convert(script(model), [script(other)], "small")
    with pytest.raises(Tampered, match="a layer LSTM"):
        _convert_tfjs.convert(script(model.replace("Dropout", "LSTM")), [script(shard)], "small")


def test_a_package_with_another_digest_leaves_nothing(tmp_path):
    (tmp_path / _nsfwjs.ARCHIVE).write_bytes(b"something else")
    home = tmp_path / "gates"
    with pytest.raises(Tampered, match="digest differs; nothing was installed"):
        _nsfwjs.install(home, tmp_path)
    assert not home.exists() or not any(home.iterdir())
    with pytest.raises(Misconfigured, match="--from"):
        _nsfwjs.install(home, tmp_path / "elsewhere")
    with pytest.raises(Misconfigured, match="packs install nsfwjs_mobilenet"):
        _nsfwjs.check(home / _nsfwjs.NAME)


def test_without_npm_the_way_out_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Misconfigured, match=r"npm pack nsfwjs@4\.3\.0"):
        _nsfwjs.install(tmp_path / "gates")
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(Unavailable, match="nothing was installed"):
        _nsfwjs.install(tmp_path / "gates")


def test_the_installed_gate_is_equal_to_tensorflow_js_and_calm_on_neutral_pictures(tmp_path):
    folder = Path(os.environ.get("CONSENTRY_TEST_NSFWJS", "/nowhere"))
    if not (folder / _nsfwjs.ARCHIVE).is_file():
        pytest.skip("CONSENTRY_TEST_NSFWJS names no folder with the package's archive")
    file = _nsfwjs.install(tmp_path, folder)
    assert _nsfwjs.check(tmp_path / _nsfwjs.NAME) < 1e-6
    ((name, settings),) = json.loads(file.read_text()).items()
    gate = plugins.build("gates", name, **settings)
    for frame in (astronaut(), group_photo()):
        media = Media((frame,), "image/png", frame.width, frame.height)
        assert gate.rate(Upload("neutral"), media).rating is Rating.NOT_INTIMATE
