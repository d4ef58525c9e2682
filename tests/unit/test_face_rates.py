"""The bench's error rates, against definitions spelled out and cases worked by hand."""

from xml.etree import ElementTree

import numpy as np
import pytest

from services.bench._rates import groups, identification, plot, roc


def scores(count, mean, seed):
    return np.random.default_rng(seed).normal(mean, 1, count)


def test_the_area_is_how_often_a_same_pair_beats_a_different_one():
    same, different = np.round(scores(300, 1, 0), 1), np.round(scores(200, 0, 1), 1)
    wins = (same[:, None] > different).mean() + (same[:, None] == different).mean() / 2
    assert roc(same, different).auc == pytest.approx(wins)


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.01])
def test_the_threshold_of_a_rate_is_the_lowest_that_keeps_to_it(rate):
    same, different = scores(500, 1, 0), scores(400, 0, 1)
    threshold, share = roc(same, different).at(rate)
    assert (different >= threshold).mean() <= rate
    lower = np.concatenate([same, different])
    lower = lower[lower < threshold].max()
    assert (different >= lower).mean() > rate
    assert share == pytest.approx((same >= threshold).mean())


def test_the_equal_error_rate_lies_where_both_errors_meet():
    same, different = scores(20_000, 2, 0), scores(20_000, 0, 1)
    assert roc(same, different).eer == pytest.approx(0.1587, abs=0.01)


def test_perfect_and_hopeless_comparisons():
    perfect = roc(np.array([0.8, 0.9]), np.array([0.1, 0.2]))
    assert (perfect.auc, perfect.eer) == (1, 0)
    assert perfect.at(1e-5) == (0.8, 1)
    assert roc(np.array([0.1]), np.array([0.9])).auc == 0


def test_names_are_grouped_through_others():
    assert groups("abcdef", [("a", "c"), ("c", "e"), ("b", "d")]) == [
        ["a", "c", "e"],
        ["b", "d"],
        ["f"],
    ]


def unit(*angles):
    radians = np.radians(angles)
    return [np.array([np.cos(a), np.sin(a)], np.float32) for a in radians]


def test_who_is_nearest_to_the_own_photo_is_found():
    a, a2, b, b2, stranger = unit(0, 5, 90, 95, 45)
    templates = {"a": a, "a2": a2, "b": b, "b2": b2, "s": stranger}
    share, enrolled, asked = identification([["a", "a2"], ["b", "b2"], ["s"]], templates, 0.01)
    assert (share, enrolled, asked) == (1.0, 2, 2)


def test_who_is_no_nearer_than_a_stranger_is_not_found():
    a, a2, b, b2, stranger = unit(0, 40, 90, 92, 5)
    templates = {"a": a, "a2": a2, "b": b, "b2": b2, "s": stranger}
    share, _, _ = identification([["a", "a2"], ["b", "b2"], ["s"]], templates, 0.01)
    # The stranger comes within 5 degrees of a, a2 only within 40; b2 is within 2.
    assert share == 0.5


def test_nothing_is_said_of_a_single_person():
    a, a2 = unit(0, 5)
    assert identification([["a", "a2"]], {"a": a, "a2": a2}, 0.01) == (None, 1, 0)


def test_the_plot_is_a_picture_whose_names_cannot_break_it():
    curve = roc(scores(50, 1, 0), scores(50, 0, 1))
    picture = ElementTree.fromstring(plot({"<pack>": curve}, "faces & figures"))
    assert picture.tag.endswith("svg")
    assert "<pack>" in [text.text for text in picture.iter() if text.text]


def test_where_too_few_strangers_were_compared_the_curve_is_dashed():
    curve = roc(scores(50, 1, 0), scores(50, 0, 1))
    lines = [
        (line.get("points"), line.get("stroke-dasharray"))
        for line in ElementTree.fromstring(plot({"pack": curve}, "")).iter()
        if line.tag.endswith("polyline")
    ]
    (dashed, pattern), (solid, plain) = lines
    assert (pattern, plain) == ("2 5", None)
    ends, starts = dashed.split()[-1], solid.split()[0]
    assert ends.split(",")[0] == starts.split(",")[0], "it goes on where it was measured"
    both = roc(np.array([0.9, 0.8]), np.array([0.95]))
    assert plot({"pack": both}, "").count("<polyline") == 2, "the strictest accepts nobody"
