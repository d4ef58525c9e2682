"""A bench's report: the machine, the versions and the seed, one object, the targets at the end."""

import json
import os
from datetime import UTC, datetime

import numpy as np
import pytest

from services.bench import Report, Target, from_document, machine, show, versions

RECALL = Target("recall", 1.0, 0.99)


def make_report(targets=(RECALL,), **changes):
    return Report(
        "robustness",
        seed=7,
        rows=changes.pop("rows", [{"kind": "crop", "recall": 0.5}]),
        notes=["peers in the same run"],
        targets=list(targets),
        extra=changes,
    )


@pytest.mark.parametrize(
    ("value", "goal", "at_least", "met"),
    [
        (1.0, 1.0, True, True),
        (0.9, 1.0, True, False),
        (1.1, 1.0, True, True),
        (1.0, 1.0, False, True),
        (0.9, 1.0, False, True),
        (1.1, 1.0, False, False),
        (None, 1.0, True, False),
        (None, 1.0, False, False),
        (float("nan"), 1.0, True, False),
        (float("nan"), 1.0, False, False),
    ],
)
def test_a_target_is_met_on_the_good_side_of_its_goal_and_never_unmeasured(
    value, goal, at_least, met
):
    target = Target("figure", value, goal, at_least)
    assert target.met is met
    assert target.document()["met"] is met


def test_a_report_says_what_it_was_measured_on_with_which_versions_and_seed():
    document = make_report().document()
    assert (document["bench"], document["seed"]) == ("robustness", 7)
    assert document["machine"] == machine()
    assert document["versions"] == versions()
    assert document["rows"] == [{"kind": "crop", "recall": 0.5}]


def test_the_document_ends_in_the_targets_whatever_else_it_holds():
    document = make_report(sizes=[1, 2], zebra=True).document()
    assert list(document)[-1] == "targets"
    assert document["sizes"] == [1, 2]
    assert document["targets"] == [{"name": "recall", "value": 1.0, "goal": 0.99, "met": True}]


def test_a_bench_with_a_document_of_its_own_is_completed_and_ends_in_the_targets_too():
    own = {"targets": [{"name": "speed"}], "sizes": {"1m": 2}}
    document = from_document("index", 3, own)
    assert list(document)[:4] == ["bench", "seed", "machine", "versions"]
    assert list(document)[-1] == "targets"
    assert document["sizes"] == {"1m": 2}
    assert document["targets"] == [{"name": "speed"}]
    assert list(own) == ["targets", "sizes"]
    assert from_document("index", 3, {})["targets"] == []


def test_the_machine_has_a_processor_cores_memory_and_a_system():
    about = machine()
    assert set(about) == {"processor", "cores", "memory_gib", "system", "python"}
    assert about["processor"]
    assert 1 <= about["cores"] <= (os.cpu_count() or 1)
    assert about["memory_gib"] > 0


def test_only_versions_of_packages_that_are_there_are_told():
    told = versions()
    assert told["numpy"] == np.__version__
    assert all(told.values())


def test_for_machines_it_is_one_json_object_and_nothing_else(capsys):
    figures = {
        "count": np.int64(3),
        "rate": np.float32(0.5),
        "at": datetime(2026, 11, 24, tzinfo=UTC),
    }
    show(make_report(rows=[figures]).document(), as_json=True)
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["rows"] == [{"count": 3, "rate": 0.5, "at": "2026-11-24 00:00:00+00:00"}]
    assert list(document)[-1] == "targets"
    assert printed.err == ""


def test_for_people_it_is_a_table_that_ends_in_met_and_not_met(capsys):
    report = make_report(
        [Target("recall", 1.0, 0.99), Target("milliseconds", None, 5.0, at_least=False)],
        rows=[{"kind": "crop", "recall": 0.51234}, {"kind": "flip", "only_here": None}],
    )
    show(report.document(), as_json=False)
    printed = capsys.readouterr().out
    for shown in ("robustness", "seed 7", "0.5123", "only here", "peers in the same run"):
        assert shown in printed
    told = printed[printed.index("targets") :].splitlines()
    assert [line.split()[1] for line in told if " met " in line] == ["recall", "milliseconds"]
    assert [line.split()[1] for line in told if "not met" in line] == ["milliseconds"]
    assert printed.index("targets") > printed.index("flip")


def test_a_report_without_rows_or_targets_can_be_shown(capsys):
    show(Report("empty", 1).document(), as_json=False)
    assert "empty" in capsys.readouterr().out
