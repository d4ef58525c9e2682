"""Faces over time: one blurred frame neither hides nor accuses anybody."""

import numpy as np

from pipeline.domain.track import GAP, SeenFace, alike, likeness, link

LEFT, RIGHT = (0.1, 0.1, 0.3, 0.4), (0.6, 0.1, 0.8, 0.4)


def unit(*values):
    vector = np.array(values, np.float32)
    return vector / np.linalg.norm(vector)


ANA, BEA = unit(1, 0, 0, 0), unit(0, 1, 0, 0)
BLURRED = unit(0.3, 0, 0.6, 0.7)


def test_two_people_who_cross_the_picture_are_two_tracks():
    faces = [
        *(SeenFace(float(at), LEFT if at < 3 else RIGHT, ANA) for at in range(6)),
        *(SeenFace(float(at), RIGHT if at < 3 else LEFT, BEA) for at in range(6)),
    ]
    tracks = link(faces, same=0.5)
    assert [len(track.faces) for track in tracks] == [6, 6]
    assert all(len({face.template.tobytes() for face in track.faces}) == 1 for track in tracks)


def test_a_blurred_frame_stays_in_its_track_and_hides_nobody():
    # The blurred face lies where the others do, and is a little like them.
    half_like = unit(0.5, 0, 0.6, 0.6)
    faces = [SeenFace(float(at), LEFT, half_like if at == 2 else ANA) for at in range(5)]
    (track,) = link(faces, same=0.6)
    found = likeness(track, [ANA])
    assert found.faces == 5
    assert alike(found, strong=0.9, review=0.6)


def test_one_chance_frame_in_a_stranger_s_track_accuses_nobody():
    drift = [unit(1, 3 * abs(at - 2), 0, 0) for at in range(5)]
    faces = [SeenFace(float(at), LEFT, template) for at, template in enumerate(drift)]
    (track,) = link(faces, same=0.3)
    found = likeness(track, [ANA])
    assert found.best > 0.99
    assert not alike(found, strong=0.9, review=0.7)


def test_of_several_enrolled_templates_the_nearest_counts_each_time():
    track = link([SeenFace(0.0, LEFT, ANA), SeenFace(1.0, LEFT, ANA)], same=0.5)[0]
    assert likeness(track, [BEA, ANA]).mean == 1.0


def test_who_was_away_for_long_begins_a_new_track():
    faces = [SeenFace(0.0, LEFT, ANA), SeenFace(GAP + 0.1, LEFT, ANA)]
    assert len(link(faces, same=0.5)) == 2


def test_a_template_does_not_print():
    assert "template" not in repr(SeenFace(0.0, LEFT, BLURRED))
