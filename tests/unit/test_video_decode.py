"""A video is read as a stream of moments: every stream, honest times, named refusals."""

import io

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.domain.media import Frame, Side
from pipeline.errors import RefusalReason, Refused
from pipeline.media.moments import EVERY_FRAME, Sampling, VideoLimits, film_mime
from pipeline.media.video import facts_of, read_video
from pipeline.signals.pdq import build
from tests.films import film, scenes, still

FPS = 12.0


@pytest.fixture(scope="module")
def four_scenes():
    return film(scenes(("astronaut", "coffee", "chelsea", "rocket")), fps=FPS)


def moments(body, sampling=None, limits=None):
    return list(read_video(io.BytesIO(body), sampling or Sampling(), limits))


def refused(body, limits=None):
    with pytest.raises(Refused) as refusal:
        moments(body, limits=limits)
    return refusal.value.reason


def times(found):
    return [round(moment.time, 2) for moment in found]


def test_a_moment_a_second_and_one_at_each_cut(four_scenes):
    found = moments(four_scenes, Sampling(least=1))
    assert times(found) == [float(second) for second in range(16)]
    cut = film(scenes(("astronaut", "coffee"), seconds=1.5, fps=FPS), fps=FPS)
    assert 1.5 in times(moments(cut, Sampling(least=1)))


def test_every_frame_is_there_on_the_registered_side(four_scenes):
    assert len(moments(four_scenes, EVERY_FRAME)) == 16 * FPS


def test_seconds_of_a_clip_are_looked_at_more_densely():
    clip = film(scenes(("coffee",), seconds=2.0), fps=FPS)
    assert len(moments(clip)) >= 8


def test_a_long_file_is_read_by_key_frames_and_its_gaps_are_filled(four_scenes):
    found = moments(four_scenes, Sampling(long=5.0))
    keys = [moment.time for moment in found if moment.done <= 0.5]
    seen = sorted(moment.time for moment in found)
    assert len(keys) < len(found) <= 9
    assert max(np.diff([0.0, *seen, 16.0])) <= 3.0
    done = [moment.done for moment in found]
    assert done[0] <= done[len(keys) - 1] <= 0.5 < done[-1] <= 1.0


def test_what_is_hashed_is_the_luma_plane_as_it_was_coded(four_scenes):
    moment = moments(four_scenes)[0]
    with av.open(io.BytesIO(four_scenes)) as container:
        frame = next(container.decode(video=0))
    lines = np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)
    assert np.array_equal(moment.frame.luma, lines[: frame.height, : frame.width])


def test_pdq_reads_the_luma_plane_where_there_is_one(four_scenes):
    moment = moments(four_scenes)[3]
    grey = np.repeat(moment.frame.luma[..., None], 3, axis=2)
    pdq = build()
    by_plane = pdq.compute([moment.frame], Side.REGISTERED)
    by_colour = pdq.compute([Frame(grey)], Side.REGISTERED)
    assert np.bitwise_count(by_plane.codes ^ by_colour.codes).sum() <= 2
    assert by_plane.quality.tolist() == by_colour.quality.tolist()


def test_the_film_is_turned_as_its_file_says():
    plain = moments(film(scenes(("coffee",), seconds=1)))[0].frame.luma
    turned = film(
        scenes(("coffee",), seconds=1), prepare=lambda stream: stream.set_display_rotation(90)
    )
    shown = moments(turned)[0].frame
    assert shown.luma.shape == plain.shape[::-1]
    with av.open(io.BytesIO(turned)) as container:
        degrees = next(container.decode(video=0)).rotation
    assert np.array_equal(shown.luma, np.rot90(plain, degrees // 90))


def test_times_are_those_of_the_file_where_the_rate_varies():
    stamps = [0, 40, 80, 1200, 1240, 1300, 3700, 3740, 5100, 5140]
    body = film(
        scenes(("coffee",), seconds=10 / FPS), container="matroska", times=stamps.__getitem__
    )
    assert times(moments(body, EVERY_FRAME)) == [round(stamp / 1000, 2) for stamp in stamps]


def test_all_video_streams_are_looked_at_not_the_first_alone():
    made = io.BytesIO()
    with av.open(made, "w", format="matroska") as output:
        streams = []
        for name in ("brick", "coffee"):
            stream = output.add_stream("mpeg4", rate=5)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            streams.append((stream, name))
        for stream, name in streams:
            for picture in scenes((name,), seconds=2, fps=5, size=(96, 64)):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
    assert {moment.stream for moment in moments(made.getvalue())} == {0, 1}


@pytest.mark.parametrize(
    ("codec", "container"),
    [("libvpx-vp9", "webm"), ("mpeg4", "avi"), ("mpeg2video", "mpeg"), ("libx264", "mpegts")],
)
def test_other_containers_and_codecs_go_the_same_way(codec, container):
    body = film(scenes(("coffee",), seconds=1), codec=codec, container=container)
    assert film_mime(body[: 1 << 16])
    assert moments(body)[0].frame.luma.shape == (144, 256)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_animations_go_the_same_way_and_a_decoy_first_frame_hides_nothing(format):
    frames = [Image.fromarray(still(name)[:128, :128]) for name in ("brick", "coffee", "chelsea")]
    made = io.BytesIO()
    frames[0].save(made, format, save_all=True, append_images=frames[1:], duration=500)
    found = moments(made.getvalue())
    assert film_mime(made.getvalue())
    assert times(found) == [0.0, 0.5, 1.0]
    assert len({moment.frame.rgb[::9, ::9].tobytes() for moment in found}) == 3


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF", "JPEG"])
def test_a_still_is_no_film(format):
    made = io.BytesIO()
    Image.fromarray(still("coffee")).save(made, format)
    assert not film_mime(made.getvalue())


@pytest.mark.parametrize(
    "body",
    [
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n",
        b"ffconcat version 1.0\nfile '/etc/hostname'\n",
        b"\xef\xbb\xbf  #EXTM3U\nhttp://127.0.0.1:9/x.ts\n",
        b'<?xml version="1.0"?><MPD><Period/></MPD>',
        b"[playlist]\nFile1=/etc/hostname\n",
        b"just words",
    ],
)
def test_lists_that_name_other_files_are_refused(body):
    assert refused(body) is RefusalReason.UNSUPPORTED_TYPE


def test_each_limit_has_a_name(four_scenes):
    assert refused(b"") is RefusalReason.EMPTY
    assert refused(four_scenes, VideoLimits(bytes=1000)) is RefusalReason.TOO_MANY_BYTES
    assert refused(four_scenes, VideoLimits(pixels=1000)) is RefusalReason.TOO_MANY_PIXELS
    assert refused(four_scenes, VideoLimits(side=200)) is RefusalReason.SIDE_TOO_LONG
    assert refused(four_scenes, VideoLimits(seconds=10)) is RefusalReason.TOO_LONG
    assert refused(four_scenes, VideoLimits(frames=20)) is RefusalReason.TOO_MANY_FRAMES
    assert refused(four_scenes, VideoLimits(streams=0)) is RefusalReason.TOO_MANY_STREAMS


def test_a_file_with_sound_alone_is_refused_by_name():
    made = io.BytesIO()
    with av.open(made, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    assert refused(made.getvalue()) is RefusalReason.NO_VIDEO
    with pytest.raises(Refused):
        facts_of(io.BytesIO(made.getvalue()))


def test_a_file_cut_anywhere_gives_moments_or_a_name(four_scenes):
    transport = film(scenes(("coffee",), seconds=2), container="mpegts")
    for body in (four_scenes, transport):
        for share in range(0, 100, 7):
            part = body[: len(body) * share // 100]
            try:
                assert moments(part)
            except Refused as refusal:
                assert refusal.reason in RefusalReason  # noqa: PT017


def test_what_is_damaged_is_passed_over(four_scenes):
    broken = bytearray(four_scenes)
    rng = np.random.default_rng(5)
    for at in rng.integers(2000, len(broken), 300):
        broken[at] ^= 0xFF
    try:
        assert moments(bytes(broken))
    except Refused as refusal:
        assert refusal.reason is RefusalReason.CORRUPT  # noqa: PT017


def test_memory_does_not_grow_with_the_length_of_a_film(tmp_path):
    """Three hours: what is held is a frame, not a film."""
    import tracemalloc

    frames = list(scenes(("coffee", "chelsea"), seconds=2, fps=5, size=(64, 48)))
    path = tmp_path / "long.mkv"
    path.write_bytes(
        film(
            (frames[at % len(frames)] for at in range(3 * 900)),
            codec="mpeg4",
            container="matroska",
            keys=5,
            times=lambda at: at * 4000,
        )
    )
    tracemalloc.start()
    with path.open("rb") as file:
        seen = 0
        for moment in read_video(file):
            seen += 1
            assert moment.time < 3 * 3600 + 1
        peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen > 500
    assert peak < 8 << 20
