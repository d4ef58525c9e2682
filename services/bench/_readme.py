"""What the robustness bench found, as rows for the README's table of figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_BY = "`bench robustness`"


def readme_rows(document: Mapping[str, Any]) -> str:
    """Rows of Markdown, to be pasted; figures are of the half that nothing was tuned on."""
    return "".join(f"| {what} | {figure} | {_BY} |\n" for what, figure in _rows(document))


def _rows(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    methods = {one["method"]: one for one in document["methods"]}
    ours, laid = methods["hashes alone"], methods["with local features"]
    field, phash = methods["PDQ within 31"], methods["phash, same strangers"]
    count = len(document["rows"])
    yield (
        f"altered copies found, hashes alone, {count} alterations, pictures that nothing was tuned"
        " on",
        f"{ours['mean recall']:.1%}, on the tuned half {ours['mean recall, tuning half']:.1%} (PDQ"
        f" within 31 bits as the field uses it: {field['mean recall']:.1%}; pHash at our rate of"
        f" strangers: {phash['mean recall']:.1%})",
    )
    yield (
        "the same for people who opted in to local features",
        f"{laid['mean recall']:.1%}, on the tuned half {laid['mean recall, tuning half']:.1%}",
    )
    missed = [
        f"{row['alteration']} {row['with local features']:.0%}"
        for row in sorted(document["rows"], key=lambda row: row["with local features"])
        if row["with local features"] < 0.9
    ]
    yield "alterations below 90% even with local features", ", ".join(missed) or "none"
    unrelated = document.get("unrelated")
    if unrelated:
        yield (
            f"of {unrelated['uploads']:,} generated strangers, to a person by hashes; by features",
            f"{unrelated['to_a_person_by_hashes']}; {unrelated['to_a_person_with_features']} (true"
            f" shares at most {unrelated['bound_by_hashes']:.2%} and"
            f" {unrelated['bound_with_features']:.2%}, 19 times in 20)",
        )
    cost = document["cost_ms"]
    yield (
        "all views and hashes of a 1-megapixel upload and the look-ups in 1 million codes",
        f"{cost['hashes alone, total']:.1f} ms of CPU, decoding apart; local features"
        f" {cost['local features']:.0f} ms more",
    )
