"""Five points to a chip."""

import cv2
import numpy as np
import pytest

from pipeline.packs._align import chip, places, similarity

ARCFACE = ((0.342, 0.462), (0.657, 0.460), (0.500, 0.640), (0.371, 0.825), (0.631, 0.823))


def points(rng, scale=40.0):
    return rng.standard_normal((5, 2)) * scale + 200


@pytest.mark.parametrize("seed", range(20))
def test_the_similarity_is_umeyamas(seed):
    transform = pytest.importorskip("skimage.transform")
    rng = np.random.default_rng(seed)
    source, target = points(rng), points(rng)
    expected = transform.SimilarityTransform.from_estimate(source, target).params[:2]
    found = similarity(source, target)
    # skimage's may mirror nothing either, so both are the best turn, scale and shift.
    assert np.abs(found - expected).max() < 1e-6


def test_points_that_moved_by_a_similarity_are_brought_back():
    source = points(np.random.default_rng(0))
    turn = 1.7 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    target = source @ turn.T + [12, -5]
    matrix = similarity(source, target)
    assert np.abs(source @ matrix[:, :2].T + matrix[:, 2] - target).max() < 1e-9


def test_points_on_top_of_each_other_do_not_break_it():
    matrix = similarity(np.ones((5, 2)), points(np.random.default_rng(0)))
    assert np.isfinite(matrix).all()


def drawn(scale, side=1600):
    """A picture with a smooth pattern, and five points on it."""
    y, x = np.mgrid[:side, :side].astype(np.float64) / scale
    waves = np.stack([np.sin(x / 9) + np.cos(y / 7), np.sin(y / 8), np.cos(x / 11)], axis=2)
    landmarks = (np.array(ARCFACE) * 100 + 20) * scale
    return (waves * 50 + 128).clip(0, 255).astype(np.uint8), landmarks


@pytest.mark.parametrize("scale", [1.0, 1.9, 2.1, 5.0, 9.7])
def test_a_face_of_any_size_gives_the_same_chip(scale):
    expected = places(ARCFACE, 112)
    small, landmarks = drawn(1.0)
    reference = chip(small, landmarks, expected)
    picture, landmarks = drawn(scale)
    found = chip(picture, landmarks + (scale - 1) / 2, expected)
    assert np.abs(found.astype(int) - reference.astype(int)).mean() < 2.0


def test_a_large_face_is_averaged_not_sampled():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (1200, 1200, 3), dtype=np.uint8)
    found = chip(picture, np.array(ARCFACE) * 1120 + 20, places(ARCFACE, 112))
    # Ten by ten pixels of noise average to grey; sampling would keep its contrast of about 74.
    assert found[5:-5, 5:-5].std() < 20


def test_a_face_over_the_edge_is_black_outside():
    picture = np.full((200, 200, 3), 200, np.uint8)
    found = chip(picture, np.array(ARCFACE) * 100 - 50, places(ARCFACE, 112))
    assert (found[:20, :20] == 0).all()
    assert (found[-20:, -20:] == 200).all()


@pytest.mark.parametrize("where", [-5000, 5000])
def test_a_face_that_is_not_in_the_picture_at_all_is_a_black_chip(where):
    picture = np.full((900, 900, 3), 200, np.uint8)
    found = chip(picture, np.array(ARCFACE) * 800 + where, places(ARCFACE, 112))
    assert found.shape == (112, 112, 3)


def test_the_chip_of_a_face_that_fits_is_opencvs_warp():
    picture, landmarks = drawn(1.0)
    goal = places(ARCFACE, 112)
    expected = cv2.warpAffine(picture, similarity(landmarks, goal.points), (112, 112))
    assert (chip(picture, landmarks, goal) == expected).all()
