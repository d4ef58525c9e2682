"""The contract of a gate, run on every member, and what each member promises beyond it."""

import numpy as np
import pytest

from pipeline import plugins
from pipeline.domain.media import Frame, Media, Rating, Upload
from pipeline.errors import Misconfigured
from pipeline.gates import Verdict, first_answer
from pipeline.packs._graph import Graph


def classifier(path, *, batch="n", side=32, layout="nchw", activation="Softmax", gain=0.1):
    """A model that takes redness for intimacy: labels are (calm, intimate)."""
    graph = Graph("redness")
    shape = (batch, 3, side, side) if layout == "nchw" else (batch, side, side, 3)
    x = graph.input("input", shape)
    if layout == "nhwc":
        x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x), axis=1)
    matrix = np.array([[0, 255 * gain], [0, -255 * gain], [0, 0]], np.float32)
    x = graph.add("MatMul", x, graph.constant(matrix))
    if activation:
        x = graph.add(activation, x)
    graph.output(x, "probabilities", (batch, 2))
    path.write_bytes(graph.serialise())
    return path


def settings(path, **changes):
    labels = ("calm", "intimate")
    plain = {"model": path, "side": 32, "labels": labels, "intimate": labels[1:], "threshold": 0.9}
    return plain | changes


RED, GREEN = (230, 20, 10), (20, 230, 40)


def media(*colours, shape=(90, 60)):
    frames = tuple(
        Frame(np.full((*shape, 3), colour, np.uint8), None if len(colours) == 1 else float(at))
        for at, colour in enumerate(colours)
    )
    return Media(frames, "image/png", shape[1], shape[0])


def upload(rating=Rating.UNKNOWN):
    return Upload("content-1", rating=rating)


@pytest.fixture(params=plugins.names("gates"))
def gate(request, tmp_path):
    if request.param == "onnx_classifier":
        return plugins.build("gates", request.param, **settings(classifier(tmp_path / "m.onnx")))
    return plugins.build("gates", request.param)


@pytest.mark.parametrize("rating", list(Rating))
def test_a_verdict_names_its_gate_and_gives_a_reason(gate, rating):
    verdict = gate.rate(upload(rating), media(RED))
    assert isinstance(verdict, Verdict)
    assert verdict.gate == gate.name
    assert verdict.reason
    assert "/" in gate.name


def test_the_same_upload_gets_the_same_verdict_and_is_left_as_it_was(gate):
    seen = media(RED)
    before = seen.frames[0].rgb.copy()
    assert gate.rate(upload(), seen) == gate.rate(upload(), seen)
    assert (seen.frames[0].rgb == before).all()


def test_an_upload_without_frames_does_not_break_it(gate):
    assert gate.rate(upload(), Media((), "video/mp4", 10, 10)).rating is Rating.UNKNOWN


@pytest.mark.parametrize("rating", list(Rating))
def test_a_gate_that_does_not_look_says_before_decoding_what_it_says_after(gate, rating):
    unseen = gate.rate(upload(rating), Media((), "", 0, 0))
    assert gate.looks or unseen == gate.rate(upload(rating), media(RED))


@pytest.mark.parametrize("rating", list(Rating))
def test_the_platforms_rating_is_taken_at_its_word(rating):
    gate = plugins.build("gates", "rating")
    assert gate.rate(upload(rating), media(RED)).rating is rating


@pytest.mark.parametrize(
    ("colour", "rating"), [(RED, Rating.INTIMATE), (GREEN, Rating.NOT_INTIMATE)]
)
@pytest.mark.parametrize("batch", [1, "n"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_the_classifier_says_what_its_model_says(tmp_path, colour, rating, batch, layout, fit):
    path = classifier(tmp_path / "m.onnx", batch=batch, layout=layout)
    gate = plugins.build("gates", "onnx_classifier", **settings(path, layout=layout, fit=fit))
    assert gate.rate(upload(), media(colour)).rating is rating


def test_the_classifier_believes_the_worst_frame_and_says_when_it_was(tmp_path):
    gate = plugins.build("gates", "onnx_classifier", **settings(classifier(tmp_path / "m.onnx")))
    frames = media(*[GREEN] * 20, RED, *[GREEN] * 20)
    verdict = gate.rate(upload(), frames)
    assert verdict.rating is Rating.INTIMATE
    assert "at 20.0 s" in verdict.reason


def test_the_classifier_swaps_channels_when_told(tmp_path):
    path = classifier(tmp_path / "m.onnx")
    gate = plugins.build("gates", "onnx_classifier", **settings(path, channels="bgr"))
    blue = (20, 10, 230)
    assert gate.rate(upload(), media(blue)).rating is Rating.INTIMATE
    assert gate.rate(upload(), media(RED)).rating is Rating.NOT_INTIMATE


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_an_activation_is_applied_when_the_model_has_none(tmp_path, activation):
    path = classifier(tmp_path / "m.onnx", activation=None)
    gate = plugins.build("gates", "onnx_classifier", **settings(path, activation=activation))
    assert gate.rate(upload(), media(RED)).rating is Rating.INTIMATE
    assert gate.rate(upload(), media(GREEN)).rating is Rating.NOT_INTIMATE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intimate": ("nude",)}, "names no labels: nude"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": 1.5}, "threshold"),
        ({"colour": "red"}, "colour"),
        ({"std": (1.0, 0.0, 1.0)}, "std must not be 0"),
        ({"labels": ("calm", "intimate", "drawn")}, "check labels"),
        ({"side": 64}, "check side"),
        ({"layout": "nhwc"}, "check side and layout"),
    ],
)
def test_settings_that_do_not_fit_are_refused_at_once(tmp_path, changes, message):
    path = classifier(tmp_path / "m.onnx")
    with pytest.raises(Misconfigured, match=message):
        plugins.build("gates", "onnx_classifier", **settings(path, **changes))


def test_answers_that_are_no_probabilities_are_refused(tmp_path):
    path = classifier(tmp_path / "m.onnx", activation=None)
    gate = plugins.build("gates", "onnx_classifier", **settings(path))
    with pytest.raises(Misconfigured, match="check activation"):
        gate.rate(upload(), media(RED))


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Misconfigured, match=r"no file .*gone\.onnx"):
        plugins.build("gates", "onnx_classifier", **settings(tmp_path / "gone.onnx"))


def test_the_first_gate_that_knows_is_believed(tmp_path):
    rating = plugins.build("gates", "rating")
    model = plugins.build("gates", "onnx_classifier", **settings(classifier(tmp_path / "m.onnx")))
    said = first_answer([rating, model], upload(Rating.NOT_INTIMATE), media(RED))
    assert (said.rating, said.gate) == (Rating.NOT_INTIMATE, rating.name)
    said = first_answer([rating, model], upload(), media(RED))
    assert (said.rating, said.gate) == (Rating.INTIMATE, model.name)


def test_where_nobody_knows_the_answer_is_unknown():
    rating = plugins.build("gates", "rating")
    assert first_answer([rating], upload(), media(RED)).rating is Rating.UNKNOWN
    assert first_answer([], upload(), media(RED)).rating is Rating.UNKNOWN
