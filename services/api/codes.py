"""The codes of problems as a table: for the README, and for the API's description."""

from __future__ import annotations

from services.api.problems import TITLES

CODES: dict[str, tuple[tuple[int, ...], str]] = {
    "unauthorized": ((401,), "Send a key that is in force."),
    "not_found": ((404,), "It is not there, or not yours."),
    "method_not_allowed": ((405,), "See `/openapi.json`."),
    "body_timed_out": ((408,), "Send it again, faster."),
    "conflict": ((409,), "Read what has changed; the same request will not help."),
    "in_progress": ((409,), "Ask again after `Retry-After` for the answer."),
    "version_changed": ((412,), "Read your policy again, then set yours on top of it."),
    "too_large": ((413,), "Screen it otherwise, or by its hashes."),
    "video_too_large": ((413,), "Screen a shorter cut of it."),
    "unsupported_media_type": ((415,), "Send what the address reads."),
    "invalid": ((422,), "Mend the fields that `errors` names."),
    "idempotency_mismatch": ((422,), "Use a new key for a new request."),
    "incomplete_notice": ((422,), "Ask whoever wrote it for what `errors` names."),
    "unreachable": ((422,), "Make the file's address reachable, or send the file."),
    "rate_limited": ((429,), "Wait for `Retry-After`."),
    "internal": ((500,), "Tell the operator the request's id; sending it again is safe."),
    "busy": ((503,), "Wait for `Retry-After`, then send it again."),
    "unavailable": ((503,), "The same."),
    "index_not_ready": ((503,), "The same."),
}
"""For each code of ``problems.TITLES``: the statuses it comes with, and what to do."""


def codes_table() -> str:
    """The README's table, in the order of statuses."""
    rows = [
        f"| `{code}` | {', '.join(map(str, statuses))} | {TITLES[code]}. | {advice} |"
        for code, (statuses, advice) in sorted(CODES.items(), key=lambda one: one[1][0])
    ]
    return "\n".join(
        ["| code | status | what happened | what to do |", "|---|---|---|---|", *rows, ""]
    )
