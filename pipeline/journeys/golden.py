"""A golden case: a picture with a known answer, mixed in among the others.

The picture must be one that may be kept: generated, or of whoever agreed to it. It lies sealed like
any upload under review. Reviewers are given copies of it now and then and can't tell.
"""

from __future__ import annotations

import hashlib
import secrets

from pipeline.domain.case import GROUNDS, CaseUpload, Ground, State
from pipeline.domain.ids import CaseId, MediaId, PlatformId, ScreeningId, uuid7
from pipeline.domain.media import Rating, Upload
from pipeline.domain.screening import Form, Screening, Verdict
from pipeline.errors import Invalid
from pipeline.journeys.desk import Desk, fresh_case
from pipeline.ports import StoredMedium


def add(
    desk: Desk,
    platform: PlatformId,
    body: bytes,
    mime: str | None,
    state: State,
    ground: Ground,
    bits: int = 14,
) -> CaseId:
    """Keep a specimen whose right answer is ``state`` for ``ground``; its id.

    ``bits`` is the distance that its match seems to have.
    """
    if state not in (State.UPHELD, State.DISMISSED) or ground not in GROUNDS[state]:
        raise Invalid("the answer to a golden case is upheld or dismissed, with one of its grounds")
    now = desk.clock()
    case, screening = fresh_case(now), ScreeningId(uuid7(now, secrets.token_bytes(10)))
    medium = MediaId(uuid7(now, secrets.token_bytes(10)))
    content = f"post-{medium.hex[-6:]}"
    with desk.store.transaction() as unit:
        unit.cases.open(case, now)
        sequence = unit.audit.append("operator:cli", "golden.added", f"case:{case}", {})
        unit.screenings.add(
            Screening(
                id=screening,
                platform=platform,
                upload=Upload(content, None, Rating.UNKNOWN),
                form=Form.FILE,
                verdict=Verdict.REVIEW,
                policy="golden",
                index_seq=0,
                received_at=now,
                milliseconds=0.0,
                bytes=len(body),
                mime=mime,
                case=case,
            ),
            audited=sequence,
        )
        fingerprint = unit.vault.fingerprint(hashlib.sha256(body).digest())
        unit.cases.join(case, CaseUpload(screening, platform, content, fingerprint), (), now)
        unit.vault.create(medium, kind="media")
        desk.blobs.put(medium, unit.vault.key(medium), [body])
        unit.media.add(StoredMedium(medium, case, screening, True, len(body), mime, None), now)
        unit.cases.make_specimen(case, state, ground, screening, bits)
    return case
