"""Converters against the runtimes they replace, and against files that want to do harm."""

import io
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from pipeline.errors import Misconfigured
from pipeline.packs import _convert_dlib, _convert_openvino, _golden, _sources, _torch_file
from pipeline.packs._graph import Graph
from pipeline.packs._runtime import Network
from tests.packs import SHARED, make_model  # noqa: F401

INTEL = {"face-reidentification-retail-0095": 128, "landmarks-regression-retail-0009": 48}


class FloatStorage:
    __module__ = "torch"


def _rebuild_tensor_v2(*parts):
    return parts


_rebuild_tensor_v2.__module__ = "torch._utils"


class Writer(pickle._Pickler):
    """Writes references to classes of a package that is not installed."""

    def save_global(self, obj, name=None):
        if obj in (FloatStorage, _rebuild_tensor_v2):
            self.write(pickle.GLOBAL + f"{obj.__module__}\n{obj.__name__}\n".encode())
            self.memoize(obj)
        else:
            super().save_global(obj, name)

    dispatch = pickle._Pickler.dispatch | {type(_rebuild_tensor_v2): save_global}

    def persistent_id(self, obj):
        return (
            ("storage", FloatStorage, obj.key, "cpu", obj.length)
            if isinstance(obj, Stored)
            else None
        )


class Stored:
    def __init__(self, key, length):
        self.key, self.length = key, length


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.parts = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self):
        return _rebuild_tensor_v2, self.parts


def torch_file(table, storages, magic=0x1950A86A20F9469CFC6C):
    file = io.BytesIO()
    for part in (magic, 1001, {"little_endian": True}, table, list(storages)):
        Writer(file, 2).dump(part)
    for values in storages.values():
        file.write(len(values).to_bytes(8, "little") + values.astype("<f4").tobytes())
    return file.getvalue()


def test_tensors_come_out_as_they_went_in():
    values = np.arange(12, dtype=np.float32)
    stored = Stored("a", 12)
    table = OrderedDict(
        whole=Tensor(stored, 0, (3, 4), (4, 1)),
        turned=Tensor(stored, 0, (4, 3), (1, 4)),
        tail=Tensor(stored, 10, (2,), (1,)),
    )
    read = _torch_file.read(torch_file(table, {"a": values}))
    assert read["whole"].tolist() == values.reshape(3, 4).tolist()
    assert read["turned"].tolist() == values.reshape(3, 4).T.tolist()
    assert read["tail"].tolist() == [10, 11]


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (4, 4), (4, 1)), (11, (2,), (1,)), (-1, (2,), (1,)), (4, (2,), (-1,)), (0, (3,), (1, 1))],
)
def test_a_tensor_that_reaches_outside_its_storage_is_refused(offset, shape, strides):
    table = {"x": Tensor(Stored("a", 12), offset, shape, strides)}
    with pytest.raises(Misconfigured, match="plain weights"):
        _torch_file.read(torch_file(table, {"a": np.zeros(12, np.float32)}))


class Harm:
    def __reduce__(self):
        import os

        return os.system, ("exit 1",)


def test_a_pickle_that_wants_to_run_something_is_refused_by_name():
    with pytest.raises(Misconfigured, match="asks for"):
        _torch_file.read(torch_file({"x": Harm()}, {}))


@pytest.mark.parametrize("data", [b"", b"\x80\x02.", b"PK\x03\x04", torch_file({}, {}, magic=1)])
def test_what_is_no_weight_file_is_refused(data):
    with pytest.raises(Misconfigured, match="plain weights"):
        _torch_file.read(data)


@pytest.mark.parametrize("data", [b"", b"\x01\x04con_" * 40, bytes(4096)])
def test_what_is_not_dlibs_recogniser_is_refused(data):
    with pytest.raises(Misconfigured, match="not dlib's face recogniser"):
        _convert_dlib.convert(data)


@pytest.mark.parametrize(
    ("control", "value"), [(b"\x01\x05", 5), (b"\x82\x01\x01", -257), (b"\x00", 0)]
)
def test_dlibs_integers_are_read(control, value):
    assert _convert_dlib._Reader(control, 0).integer() == value


def test_prelu_is_what_it_is_called():
    graph = Graph("prelu")
    x = graph.input("input", ("n", 3, "h", "w"))
    slopes = np.array([0.25, -0.5, 1.5], np.float32)
    graph.output(graph.prelu(x, slopes), "output", ("n", 3, "h", "w"))
    values = np.random.default_rng(0).standard_normal((2, 3, 5, 7)).astype(np.float32)
    said = Network(graph.serialise())(values)["output"]
    expected = np.maximum(values, 0) + slopes.reshape(1, 3, 1, 1) * np.minimum(values, 0)
    assert np.abs(said - expected).max() < 1e-6


def test_an_operation_that_is_not_known_is_refused_by_name():
    xml = b'<net><layers><layer id="0" type="Teleport"/></layers><edges/></net>'
    with pytest.raises(Misconfigured, match="Teleport"):
        _convert_openvino.convert(xml, b"", "net")


@pytest.mark.parametrize("xml", [b"", b"<net>", b"<net><layers><layer/></layers></net>"])
def test_a_damaged_description_is_refused(xml):
    with pytest.raises(Misconfigured, match="usable OpenVINO network"):
        _convert_openvino.convert(xml, b"", "net")


@pytest.mark.parametrize("name", INTEL)
def test_intels_networks_answer_as_under_openvino(name):
    openvino = pytest.importorskip("openvino")
    folder = SHARED / "omz0095"
    if not folder.is_dir():
        pytest.skip("Intel's files are not here")
    xml, weights = folder / f"{name}.xml", folder / f"{name}.bin"
    core = openvino.Core()
    # Without the hint, processors with bfloat16 calculate in that.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    original = core.compile_model(core.read_model(xml), "CPU", exact)
    converted = Network(_convert_openvino.convert(xml.read_bytes(), weights.read_bytes(), name))
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0, 255, (8, 3, INTEL[name], INTEL[name])).astype(np.float32)
    expected = np.stack([next(iter(original(p[None]).values())).ravel() for p in pictures])
    assert np.abs(converted(pictures)["output"] - expected).max() <= 1e-5


def test_dlibs_recogniser_answers_as_under_dlib(make_model):  # noqa: F811
    dlib = pytest.importorskip("dlib")
    make_model("dlib_mtcnn")
    from pipeline.packs.dlib_mtcnn import RECIPE

    dat = next(iter(_sources.fetch(RECIPE.sources[:1], None).values()))
    path = make_model.home / "dlib.dat"
    path.write_bytes(dat)
    original = dlib.face_recognition_model_v1(str(path))
    converted = Network(make_model.home / "dlib_mtcnn" / "recogniser.onnx")
    chips = [_golden.draw(150), np.ascontiguousarray(_golden.draw(150)[::-1, :, ::-1])]
    expected = np.array([original.compute_face_descriptor(chip) for chip in chips])
    batch = np.stack(chips).transpose(0, 3, 1, 2).astype(np.float32)
    assert np.abs(converted(batch)["embedding"] - expected).max() <= 1e-5
