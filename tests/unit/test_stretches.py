"""When a video matched is told, kept and read back as it was."""

import json
from dataclasses import replace
from uuid import UUID

import pytest

from pipeline.domain.evidence import Hit, Owner, Place, Source, Stretch, read_stretch
from pipeline.domain.ids import CaseId, EntryId, ItemId, PersonId
from pipeline.domain.media import WHOLE
from pipeline.domain.policy import Match
from pipeline.domain.screening import Answer

IN_A_VIDEO = Stretch((6.0, 13.0), (80.0, 87.0), 7, 8, 12.0)
IN_A_STILL = Stretch((2.5, 3.5), None, 2, 2, 4.0)
OF_A_FACE = Stretch((6.0, 8.0), None, 2, 3, 0.7, (Place(6.0, 0.1, 0.2, 0.3, 0.4),))
OWNER = Owner(
    EntryId(1),
    ItemId(UUID(int=1)),
    PersonId(UUID(int=2)),
    "registered",
    Source.REGISTERED,
    None,
)
CASE = CaseId(UUID(int=3))


@pytest.mark.parametrize("stretch", [IN_A_VIDEO, IN_A_STILL, OF_A_FACE])
def test_a_stretch_survives_being_written_as_json(stretch):
    assert read_stretch(json.loads(json.dumps(stretch.document()))) == stretch


def test_a_platform_is_told_when_its_video_matched():
    hit = Hit("pdq", 12.0, WHOLE, 0, OWNER, "near enough alone", (IN_A_VIDEO, IN_A_STILL))
    answer = Answer.of(Match(hit, 31), CASE)
    assert answer.stretches == (IN_A_VIDEO, IN_A_STILL)
    where = replace(hit, stretches=(OF_A_FACE,))
    assert Answer.of(Match(where, 31), CASE).stretches == (replace(OF_A_FACE, path=()),)
    assert Answer.read(json.loads(json.dumps(answer.document()))) == answer


def test_answers_written_before_there_were_videos_are_still_read():
    answer = Answer("pdq", 12.0, 31, "whole", CASE, None, (IN_A_VIDEO,))
    document = answer.document()
    del document["stretches"]
    assert Answer.read(document) == replace(answer, stretches=())
