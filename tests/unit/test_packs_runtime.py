"""onnxruntime as the packs open it."""

import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from pipeline.domain.media import Frame
from pipeline.errors import Misconfigured
from pipeline.packs import _install, _runtime
from pipeline.packs._found import Found
from pipeline.packs._graph import Graph
from pipeline.packs._model import PackModel
from tests.contracts.test_packs import insightface_folder
from tests.packs import make_model  # noqa: F401
from tests.unit.test_packs_install import manifest


def in_a_fresh_process(code, *words, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, words)],
        capture_output=True,
        text=True,
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), **environment},
        check=False,
    )


def test_telemetry_is_off_when_onnxruntime_is_imported():
    run = in_a_fresh_process(
        """
        import builtins, os, sys
        seen, original = [], builtins.__import__

        def watched(name, *rest, **more):
            if name.partition(".")[0] == "onnxruntime" and not seen:
                seen.append(os.environ.get("ORT_DISABLE_TELEMETRY"))
            return original(name, *rest, **more)

        builtins.__import__ = watched
        import pipeline.packs._runtime
        assert "onnxruntime" in sys.modules
        print(seen)
        """
    )
    assert run.stdout.strip() == "['1']", run.stderr


@pytest.mark.parametrize(
    "module", ["packs.dlib_mtcnn", "packs.insightface", "gates.onnx_classifier"]
)
def test_no_member_reaches_onnxruntime_with_telemetry_on(module):
    run = in_a_fresh_process(
        f"""
        import importlib, os, sys
        importlib.import_module("pipeline.{module}")
        assert "onnxruntime" not in sys.modules or os.environ["ORT_DISABLE_TELEMETRY"] == "1"
        """
    )
    assert run.returncode == 0, run.stderr


def test_an_onnxruntime_that_came_first_with_telemetry_on_is_refused():
    run = in_a_fresh_process("import onnxruntime; import pipeline.packs._runtime")
    assert "Misconfigured" in run.stderr
    assert "ORT_DISABLE_TELEMETRY=1" in run.stderr


def test_an_onnxruntime_that_came_first_with_telemetry_off_is_welcome():
    run = in_a_fresh_process(
        "import onnxruntime; import pipeline.packs._runtime", ORT_DISABLE_TELEMETRY="1"
    )
    assert run.returncode == 0, run.stderr


OFFLINE = """
    import pyseccomp, socket, sys
    import urllib3  # insightface's: it binds a socket of this machine to see whether it has IPv6

    from pathlib import Path

    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for family in (socket.AF_INET, socket.AF_INET6):
        rules.add_rule(pyseccomp.KILL_PROCESS, "socket", pyseccomp.Arg(0, pyseccomp.EQ, family))
    rules.load()
    """


@pytest.mark.parametrize("pack", ["dlib_mtcnn", "omz0095", "insightface"])
def test_no_network_is_touched_when_a_pack_is_opened_and_asked(make_model, tmp_path, pack):  # noqa: F811
    """Whoever reaches for an address is killed: native code's threads, too."""
    if pack == "insightface":
        folder, home = insightface_folder(tmp_path / "random"), tmp_path
        _install.install(pack, folder, home=home, allow_noncommercial=True)
    else:
        home = make_model.home
        make_model(pack)
    asked = """
    import time
    import numpy as np
    from pipeline import plugins
    from pipeline.domain.media import Frame

    model = plugins.build("packs", sys.argv[1], Path(sys.argv[2]))
    picture = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    model.templates([Frame(picture)])
    time.sleep(0.5)
    print("asked")
    """
    run = in_a_fresh_process(OFFLINE + asked, pack, home)
    assert (run.stdout, run.returncode) == ("asked\n", 0), run.stderr
    reaching = in_a_fresh_process(OFFLINE + "\n    socket.socket()\n")
    assert reaching.returncode == -signal.SIGSYS, "the rule bites"


def test_a_session_has_one_thread():
    options = _runtime.session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


def test_cuda_comes_first_where_there_is_one():
    both = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    assert _runtime.providers(both) == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert _runtime.providers(["CPUExecutionProvider"]) == ["CPUExecutionProvider"]


class Opened:
    """A session of a build that has CUDA, on a machine where it starts or does not."""

    starts = False

    def __init__(self, *_, providers):
        self.asked = providers

    def get_providers(self):
        return [name for name in self.asked if self.starts or "CUDA" not in name]


@pytest.fixture
def cuda_build(monkeypatch):
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(_runtime.onnxruntime, "get_available_providers", lambda: both)
    monkeypatch.setattr(_runtime.onnxruntime, "InferenceSession", Opened)
    _runtime._opens_on_card.cache_clear()
    yield Opened
    Opened.starts = False
    _runtime._opens_on_card.cache_clear()


def test_networks_are_on_the_card_where_a_session_opened_there(cuda_build):
    cuda_build.starts = True
    assert _runtime.on_card()
    assert _runtime.runs(card_here=True) == _runtime.Runs(True)


def test_a_build_with_cuda_that_does_not_start_runs_on_the_processor_and_says_why(cuda_build):
    assert not _runtime.on_card()
    assert "did not start" in _runtime.runs(card_here=True).words
    assert _runtime.runs(card_here=False).words == "on the processor"


def test_a_build_without_cuda_says_what_to_install_where_a_card_is_and_else_nothing():
    assert not _runtime.on_card()
    assert "install onnxruntime-gpu" in _runtime.runs(card_here=True).instead
    assert _runtime.runs(card_here=False) == _runtime.Runs(False)


def test_a_network_answers_by_name_and_counts_its_time():
    graph = Graph("double")
    x = graph.input("input", ("n", 2))
    graph.output(graph.add("Add", x, x), "twice", ("n", 2))
    network = _runtime.Network(graph.serialise())
    assert network(np.ones((3, 2), np.float32))["twice"].tolist() == [[2, 2]] * 3
    assert network.seconds > 0


def test_what_is_not_a_network_is_refused():
    with pytest.raises(Misconfigured, match="cannot open"):
        _runtime.Network(b"not a network")


class Counting:
    """A detector that finds two faces in every picture, and an embedder that counts its batches."""

    networks = ()

    def __init__(self):
        self.batches = []

    def detect(self, pictures, *, largest=None):
        points = np.array([[30, 30], [70, 30], [50, 50], [35, 70], [65, 70]], np.float32)
        boxes = np.array([[0, 0, 100, 100], [100, 0, 200, 100]], np.float32)
        both = np.stack([points, points + np.array([100, 0])]).astype(np.float32)
        return [Found(boxes, np.array([0.9, 0.8], np.float32), both) for _ in pictures]

    def embed(self, chips):
        self.batches.append(len(chips))
        return np.stack([chip.reshape(-1)[:4] for chip in chips]).astype(np.float32)


def test_faces_of_several_pictures_go_through_the_recogniser_in_common_batches():
    counting = Counting()
    model = PackModel(manifest(), counting, counting, smallest=None)
    rng = np.random.default_rng(0)
    frames = [Frame(rng.integers(1, 256, (100, 200, 3), dtype=np.uint8)) for _ in range(5)]
    together = model.templates(frames)
    assert counting.batches == [4, 4, 2], "ten faces, four of them at once"
    alone = [model.templates([frame])[0] for frame in frames]
    for many, one in zip(together, alone, strict=True):
        assert len(many) == len(one) == 2
        for left, right in zip(many, one, strict=True):
            assert (left.template == right.template).all()
