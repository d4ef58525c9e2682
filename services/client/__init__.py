"""The platform's side in Python: screen uploads, read cases, manage and verify webhooks.

    from services.client import Consentry

    with Consentry("https://consentry.example", key) as consentry:
        answer = consentry.screen(Path("upload.jpg"), content_id="post-1")
        if answer.verdict == "review": ...

``AsyncConsentry`` is the same with ``await``. Every call that makes something carries an
idempotency key of its own, so that it is safe to send again, and is sent again by itself while the
service is busy, away or being restarted. Whatever goes wrong in the end is a ``Problem`` with the
service's stable ``code``. Answers keep fields that this version does not know.
"""

from services.client._answers import (
    Action,
    Attempt,
    Bank,
    Batch,
    Case,
    CaseListed,
    CaseUpload,
    Event,
    Forwarded,
    Match,
    Policy,
    PolicyVersion,
    PublicKey,
    Result,
    Screening,
    Stretch,
    Threshold,
    Told,
    Trial,
    Webhook,
    WebhookOpened,
    WouldHave,
)
from services.client._asking import Problem, Retrying
from services.client._calls import hashes_document, reference_document
from services.client._clients import AsyncConsentry, Consentry
from services.client._webhooks import WebhookEvent, verify_webhook

__all__ = [
    "Action",
    "AsyncConsentry",
    "Attempt",
    "Bank",
    "Batch",
    "Case",
    "CaseListed",
    "CaseUpload",
    "Consentry",
    "Event",
    "Forwarded",
    "Match",
    "Policy",
    "PolicyVersion",
    "Problem",
    "PublicKey",
    "Result",
    "Retrying",
    "Screening",
    "Stretch",
    "Threshold",
    "Told",
    "Trial",
    "Webhook",
    "WebhookEvent",
    "WebhookOpened",
    "WouldHave",
    "hashes_document",
    "reference_document",
    "verify_webhook",
]
