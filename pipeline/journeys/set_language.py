"""A platform says in which language its uploads are, and its cases that wait find their queues."""

from __future__ import annotations

import re

from pipeline.domain.ids import PlatformId
from pipeline.errors import Invalid
from pipeline.ports import Store

_TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def set_language(store: Store, platform: PlatformId, language: str | None, actor: str) -> int:
    """Keep a platform's language, a tag such as ``de`` or None; how many cases were placed anew.

    Raises ``Invalid`` for what is no language tag.
    """
    if language is not None and not _TAG.fullmatch(language):
        raise Invalid("name a language by its tag, such as de, pt-BR or ar")
    with store.transaction() as unit:
        unit.platforms.set_language(platform, language)
        waiting = unit.cases.forget_language(platform)
        for case in waiting:
            unit.cases.place(case)
        body = {"language": language or ""}
        unit.audit.append(actor, "platform.language", f"platform:{platform}", body)
    return len(waiting)
