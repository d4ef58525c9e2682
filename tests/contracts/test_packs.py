"""The contract of a face model, run on every pack that can be had here."""

import re

import cv2
import numpy as np
import pytest

from pipeline import plugins
from pipeline.domain.media import Frame
from pipeline.domain.signal import Metric
from pipeline.errors import Denied, Misconfigured
from pipeline.packs import _install
from pipeline.packs._graph import Graph
from tests.packs import astronaut, group_photo, make_model  # noqa: F401


def random_scrfd(strides=(8, 16, 32), anchors=2):
    """SCRFD's shapes with random weights: scores, boxes and points of three strides."""
    rng = np.random.default_rng(0)
    graph = Graph("scrfd")
    x = graph.input("input.1", (1, 3, "height", "width"))
    outputs = {"score": 1, "bbox": 4, "kps": 10}
    for kind, width in outputs.items():
        for stride in strides:
            filters = rng.standard_normal((anchors * width, 3, stride, stride)) / stride**2
            y = graph.convolve(x, filters.astype(np.float32), strides=[stride, stride])
            y = graph.add("Transpose", y, perm=[0, 2, 3, 1])
            y = graph.add("Reshape", y, graph.constant(np.array([-1, width], np.int64)))
            if kind == "score":
                y = graph.add("Sigmoid", graph.add("Mul", y, graph.constant(np.float32(20))))
            elif kind == "bbox":
                y = graph.add("Add", graph.add("Abs", y), graph.constant(np.float32(2)))
            graph.output(y, f"{kind}_{stride}", ("candidates", width))
    return graph.serialise()


def random_arcface(batch="n", dim=32, side=112):
    rng = np.random.default_rng(1)
    graph = Graph("arcface")
    x = graph.input("input.1", (batch, 3, side, side))
    x = graph.convolve(x, (rng.standard_normal((16, 3, 7, 7)) / 12).astype("f4"), strides=[4, 4])
    x = graph.add("MaxPool", graph.add("Relu", x), kernel_shape=[3, 3], strides=[3, 3])
    x = graph.add("Flatten", x, axis=1)
    matrix = rng.standard_normal((16 * 81, dim)).astype(np.float32) / 36
    graph.output(graph.add("MatMul", x, graph.constant(matrix)), "embedding", (batch, dim))
    return graph.serialise()


def insightface_folder(folder, **arcface):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "det.onnx").write_bytes(random_scrfd())
    (folder / "rec.onnx").write_bytes(random_arcface(**arcface))
    return folder


@pytest.fixture(params=plugins.names("packs"))
def model(request, make_model, tmp_path):  # noqa: F811
    if request.param == "insightface":
        source = insightface_folder(tmp_path / "random")
        _install.install("insightface", source, home=tmp_path, allow_noncommercial=True)
        return plugins.build("packs", "insightface", tmp_path)
    return make_model(request.param)


def test_its_space_is_its_own_and_compared_by_inner_product(model):
    assert model.space.metric is Metric.INNER_PRODUCT
    assert model.space.width >= 2
    assert model.space.name in plugins.names("packs")


def test_templates_have_length_one_and_the_width_of_the_space(model):
    (faces,) = model.templates([group_photo()])
    assert len(faces) > 0
    for face in faces:
        assert face.template.dtype == np.float32
        assert face.template.shape == (model.space.width,)
        assert abs(float(np.linalg.norm(face.template)) - 1) < 1e-5
        assert face.landmarks.shape == (5, 2)
        assert 0 <= face.quality <= 100
        assert 0 < face.score <= 1.001
        assert face.box[0] < face.box[2]


def test_a_batch_says_what_its_pictures_say_one_by_one(model):
    frames = [group_photo(), Frame(np.zeros((300, 200, 3), np.uint8)), astronaut()]
    together = model.templates(frames)
    assert len(together) == 3
    for frame, faces in zip(frames, together, strict=True):
        (alone,) = model.templates([frame])
        assert [face.box for face in faces] == [face.box for face in alone]
        for one, other in zip(faces, alone, strict=True):
            assert float(one.template @ other.template) > 0.9999


def test_the_best_faces_come_first(model):
    (faces,) = model.templates([group_photo()])
    worth = [face.looks.size * face.score for face in faces]
    assert worth == sorted(worth, reverse=True)


def test_no_frames_give_no_answers(model):
    assert list(model.templates([])) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (13, 17), (2, 5000)])
def test_pictures_of_odd_shapes_do_not_break_it(model, shape):
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    (faces,) = model.templates([Frame(picture)])
    assert all(np.isfinite(face.template).all() for face in faces)


def test_a_template_does_not_print(model):
    (faces,) = model.templates([group_photo()])
    printed = repr(faces) + str(faces[0]) + repr(faces[0])
    assert "template" not in printed
    # Whole numbers as printed: the digits of a place in the picture may hold any four of them.
    told = np.array([float(number) for number in re.findall(r"-?\d+\.?\d*(?:e[-+]\d+)?", printed)])
    assert len(told), "places and scores are printed"
    near = np.abs(told[:, None] - faces[0].template).min(axis=1) < 5e-5
    assert not near[told != 0].any(), told[near]


def test_a_models_pack_is_verified_when_it_is_opened(tmp_path):
    source = insightface_folder(tmp_path / "random")
    _install.install("insightface", source, home=tmp_path, allow_noncommercial=True)
    (tmp_path / "insightface" / "recogniser.onnx").write_bytes(random_arcface(dim=31))
    with pytest.raises(Exception, match="not what was installed"):
        plugins.build("packs", "insightface", tmp_path)


def test_an_insightface_folder_needs_the_operators_word(tmp_path):
    source = insightface_folder(tmp_path / "random")
    with pytest.raises(Denied, match="non-commercial"):
        _install.install("insightface", source, home=tmp_path)
    assert not (tmp_path / "insightface").exists()


def test_an_insightface_folder_has_a_space_of_its_very_networks(tmp_path):
    spaces = set()
    for dim in (32, 33):
        source = insightface_folder(tmp_path / str(dim) / "buffalo", dim=dim)
        home = tmp_path / "home"
        _install.install("insightface", source, home=home, allow_noncommercial=True)
        spaces.add(plugins.build("packs", "insightface", home).space)
    assert {space.width for space in spaces} == {32, 33}
    assert len({space.revision for space in spaces}) == 2
    assert all(space.revision.startswith("buffalo-") for space in spaces)


def test_a_recogniser_without_batches_is_asked_face_by_face(tmp_path):
    models = []
    for batch in (1, "n"):
        source = insightface_folder(tmp_path / str(batch) / "x", batch=batch)
        home = tmp_path / str(batch)
        _install.install("insightface", source, home=home, allow_noncommercial=True)
        models.append(plugins.build("packs", "insightface", home, max_faces=5))
    one, many = (model.templates([group_photo()])[0] for model in models)
    assert len(one) == len(many) == 5
    for left, right in zip(one, many, strict=True):
        assert float(left.template @ right.template) > 0.9999


def test_arcface_is_fed_as_insightface_feeds_it(tmp_path):
    from insightface.app import FaceAnalysis

    source = insightface_folder(tmp_path / "random")
    _install.install("insightface", source, home=tmp_path, allow_noncommercial=True)
    model = plugins.build("packs", "insightface", tmp_path, smallest=None, max_faces=10_000)
    analysis = FaceAnalysis(name=str(source), providers=["CPUExecutionProvider"])
    analysis.prepare(ctx_id=-1, det_thresh=0.5, det_size=(640, 640))
    # At this size neither shrinks the picture, so both must find and embed the same.
    picture = Frame(np.ascontiguousarray(cv2.resize(group_photo().rgb, (640, 640))))
    theirs = analysis.get(np.ascontiguousarray(picture.rgb[:, :, ::-1]))
    (ours,) = model.templates([picture])
    assert len(ours) == len(theirs) > 5
    by_box = {tuple(np.round(face.box, 2)): face for face in ours}
    compared = 0
    for face in theirs:
        same = by_box.get(tuple(np.round(face.bbox.astype(float), 2)))
        if same is not None:
            compared += float(same.template @ face.normed_embedding) > 0.98
    assert compared > 0.6 * len(theirs)


@pytest.mark.parametrize("keep", [(), ("det.onnx",), ("rec.onnx",)])
def test_an_insightface_folder_without_both_networks_is_refused(tmp_path, keep):
    source = insightface_folder(tmp_path / "random")
    for path in source.iterdir():
        if path.name not in keep:
            path.unlink()
    with pytest.raises(Misconfigured, match="one SCRFD detector"):
        _install.install("insightface", source, home=tmp_path, allow_noncommercial=True)


def answering(shape, number=1.0):
    """An ArcFace whose answer to n faces has another shape, or other numbers."""
    graph = Graph("odd")
    x = graph.input("input.1", ("n", 3, 112, 112))
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x), axis=1)
    matrix = np.full((3, int(np.prod(shape))), number, np.float32)
    x = graph.add("MatMul", x, graph.constant(matrix))
    x = graph.add("Reshape", x, graph.constant(np.array([-1, *shape], np.int64)))
    graph.output(x, "embedding", ("n", *shape))
    return graph.serialise()


@pytest.mark.parametrize(
    ("recogniser", "said"),
    [
        (random_arcface(batch=4), "one by one or in batches"),
        (answering((1, 8)), r"one row of numbers a face, not \(1, 1, 8\)"),
        (answering((1,)), "one row of numbers a face"),
        (answering((8,), 0.0), "nothing usable"),
        (answering((8,), np.nan), "nothing usable"),
        (random_arcface()[:5000], "cannot open rec.onnx"),
        (b"no network", "cannot open rec.onnx"),
    ],
)
def test_a_recogniser_of_other_dimensions_is_refused(tmp_path, recogniser, said):
    source = insightface_folder(tmp_path / "random")
    (source / "rec.onnx").write_bytes(recogniser)
    home = tmp_path / "home"
    with pytest.raises(Misconfigured, match=said):
        _install.install("insightface", source, home=home, allow_noncommercial=True)
    assert not (home / "insightface").exists()


def test_insightfaces_second_package_format_is_refused_by_name(tmp_path):
    source = insightface_folder(tmp_path / "random")
    (source / "manifest.json").write_text('{"manifest_version": 2}')
    with pytest.raises(Misconfigured, match="second package format"):
        _install.install("insightface", source, home=tmp_path, allow_noncommercial=True)


def test_the_insightface_pack_is_made_of_a_folder(tmp_path):
    with pytest.raises(Misconfigured, match="--from"):
        _install.install("insightface", home=tmp_path, allow_noncommercial=True)
