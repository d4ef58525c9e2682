"""The OpenAPI document: what the framework cannot see because bodies are read as streams."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from pipeline.domain.happening import CHOSEN, KINDS
from services.api.bank_schemas import BankAsked
from services.api.codes import CODES
from services.api.feedback_schemas import ActionTold, NoticeTold
from services.api.policy_schemas import PolicyAsked, TryAsked
from services.api.problems import MEDIA_TYPE
from services.api.schemas import (
    UPLOAD_FORM,
    AppealAsked,
    BatchStanding,
    HashAsked,
    HashBatch,
    HashesAsked,
    Problem,
    Readiness,
    ReferenceAsked,
    ReferenceBatch,
    ReplayEvent,
    ReplaySince,
    RotationAsked,
    ScreeningAnswered,
    WebhookAsked,
)

ABOUT = """\
Screen uploads for people who asked to be protected. Software finds, a person decides, and nothing
is ever taken down by software.

**Keys.** `Authorization: Bearer csk_...` on every request. **Lists** come a page at a time: give
`next` back as `cursor`. **Sending again is safe** with an `Idempotency-Key`: for 24 hours the same
request has the same answer, and another request with the key is refused. **Errors** are problem
details (RFC 9457): build on `code`, which stays; words may change.

**What you tell uploaders.** Somebody may upload variants of a picture until one passes, to learn
what is known here. So: answer everybody alike (`clear`, `review` and `known` look the same to the
uploader: accepted, being processed); let every upload, not only a held one, wait for the same time
before it is public, longer than a screening takes; name no reason that a match could be told from,
neither in words nor by an error's kind or by how long an answer took; do not pass on `matches`,
`case` or a webhook as they come; tell of a removal only after a person decided, by the statement of
reasons, and let the uploader appeal. Limit how many uploads an account may make, and send
`uploader`, an id of yours that stays: many near-duplicates around a hit are noticed by it.

**Nothing long is waited for.** A video, a batch of addresses and a file whose address is slow are
answered with 202 and a `Location`, where the answer will be; a webhook tells of it, too. How long a
request by address may stay open is yours to say: `Prefer: wait=20` (up to 30 seconds) or
`Prefer: respond-async` (RFC 7240).

**Webhooks** follow Standard Webhooks: `webhook-id` stays the same when an event is told again,
`webhook-signature` holds a `v1` (HMAC-SHA256 with your secret) and a `v1a` (Ed25519, checked with
the webhook's public key) signature, after a rotation two of each. Events:

"""
ABOUT += "\n".join(f"* `{kind}`: {said}" for kind, said in KINDS.items())

_REF = "#/components/schemas/{model}"

UPLOAD_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "video/*": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {"schema": {"$ref": _REF.format(model="UploadForm")}},
    },
}
HASHES_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": _REF.format(model="HashesAsked")}}},
}

REFERENCE_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": _REF.format(model="ReferenceAsked")}}},
}
BATCH_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [
                    {"$ref": _REF.format(model="HashBatch")},
                    {"$ref": _REF.format(model="ReferenceBatch")},
                ]
            }
        }
    },
}


def json_body(*models: type[BaseModel]) -> dict[str, Any]:
    """A body that is read as a stream and then checked against a model, or one of several."""
    shapes = [{"$ref": _REF.format(model=model.__name__)} for model in models]
    schema = shapes[0] if len(shapes) == 1 else {"oneOf": shapes}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


APPEAL_BODY = json_body(AppealAsked)
WEBHOOK_BODY = json_body(WebhookAsked)
ROTATION_BODY = json_body(RotationAsked)
REPLAY_BODY = json_body(ReplayEvent, ReplaySince)
_ASKED: tuple[type[BaseModel], ...] = (
    Problem, HashesAsked, ReferenceAsked, HashBatch, ReferenceBatch, AppealAsked,
    WebhookAsked, RotationAsked, ReplayEvent, ReplaySince, ActionTold, NoticeTold, PolicyAsked,
    TryAsked, BankAsked,
)  # fmt: skip
"""What the framework does not see, because it does not read bodies."""

_SECONDS = {"schema": {"type": "integer", "minimum": 1}}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", **_SECONDS}}

REPLAYED: dict[str, Any] = {
    "description": "The answer.",
    "headers": {
        "Idempotency-Replayed": {
            "description": "Present when this answer was given before.",
            "schema": {"type": "string", "enum": ["true"]},
        }
    },
}
ACCEPTED: dict[str, Any] = {
    "description": "A video is in the line, or a file that did not come in the time that you gave"
    " it; its answer will be at the address in Location.",
    "model": ScreeningAnswered,
    "headers": {
        **REPLAYED["headers"],
        "Location": {
            "description": "Where to ask for the answer.",
            "schema": {"type": "string", "format": "uri-reference"},
        },
    },
}
BEGUN: dict[str, Any] = {
    "description": "Uploads by address are in the line; their answers will be at the address in"
    " Location.",
    "model": BatchStanding,
    "headers": ACCEPTED["headers"],
}
NOT_READY: dict[str, Any] = {
    "description": "Not now: the index is being loaded, or the database is away.",
    "model": Readiness,
    "headers": _RETRY_AFTER,
}
METRICS: dict[str, Any] = {
    "description": "Prometheus text.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}

_SAID = {
    401: "No valid API key.",
    404: "There is no such thing, or it is not yours.",
    408: "The body came too slowly.",
    409: "The same request, by its idempotency key, is being answered.",
    412: "Another version has come before yours: read it, then set yours again.",
    413: "The body is too large.",
    415: "Not a body that is read here.",
    422: "Something in the request is not as it must be, or its idempotency key came with another"
    " request.",
    429: "This key asks too often.",
    500: "A defect of ours.",
    503: "Not now: too much is under way, the index is being loaded, or the database is away.",
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    409: _RETRY_AFTER,
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Responses for a route: these statuses, each a problem."""
    return {
        status: {
            "description": _SAID[status],
            "headers": _HEADERS.get(status, {}),
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
        }
        for status in statuses
    }


def install(app: FastAPI, signals: Iterable[str]) -> None:
    """Serve the whole document; ``signals`` are those that hashes may be sent of."""
    app.openapi = partial(_document, app, sorted(signals))  # type: ignore[method-assign]


def _document(app: FastAPI, signals: list[str]) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        schemas = document["components"]["schemas"]
        for model in _ASKED:
            schema = model.model_json_schema(ref_template=_REF)
            schemas.update(schema.pop("$defs", {}))
            schemas[model.__name__] = schema
        schemas[HashAsked.__name__]["properties"]["signal"]["enum"] = signals
        schemas[WebhookAsked.__name__]["properties"]["events"]["items"] = {
            "type": "string",
            "enum": list(CHOSEN),
        }
        schemas["UploadForm"] = UPLOAD_FORM
        schemas[Problem.__name__]["properties"]["code"]["enum"] = sorted(CODES)
        app.openapi_schema = document
    return app.openapi_schema
