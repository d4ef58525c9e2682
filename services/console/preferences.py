"""What a reviewer chose for themself: how pictures are shown, which keys do what, or no keys."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.domain.house import Display, HouseRules, display
from pipeline.errors import Invalid
from services.console import words

_KEY = re.compile(r"(Ctrl\+|Alt\+|Shift\+)*([^\s+]|\+|Enter|F\d{1,2}|Arrow\w+|Home|End)")
_TAKEN = {" ", "Tab", "Escape"}
"""Space reveals while it is held; the others belong to the browser."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What holds for one reviewer."""

    display: Display
    keys: Mapping[str, str]
    keys_on: bool


def of(rules: HouseRules, stored: Mapping[str, Any]) -> Preferences:
    """The organisation's defaults with what somebody chose over them."""
    return Preferences(
        display(stored.get("display", {}), rules.display),
        {**words.KEYS, **stored.get("keys", {})},
        bool(stored.get("keys_on", True)),
    )


def chosen(fields: Mapping[str, str]) -> dict[str, Any]:
    """What the form on the page of preferences says; raises ``Invalid`` naming what is wrong."""
    keys = {
        action: said
        for action, usual in words.KEYS.items()
        if (said := fields.get(f"key:{action}", usual).strip()) and said != usual
    }
    for action, key in keys.items():
        if not _KEY.fullmatch(key) or key in _TAKEN:
            raise Invalid(f"{name(action)}: {key!r} cannot be a key; use one such as u or Ctrl+u")
    every = {**words.KEYS, **keys}
    used: dict[str, list[str]] = defaultdict(list)
    for action, key in every.items():
        for other in used[key.lower()]:
            if words.together(action, other):
                raise Invalid(f"{name(action)} and {name(other)} have the same key {key!r}")
        used[key.lower()].append(action)
    shown = {
        "greyscale": bool(fields.get("greyscale")),
        "cartoon": bool(fields.get("cartoon")),
        "blur": _number(fields.get("blur", "0"), "Blur"),
        "brightness": _number(fields.get("brightness", "100"), "Brightness"),
    }
    display(shown)
    return {"display": shown, "keys": keys, "keys_on": bool(fields.get("keys_on"))}


def name(action: str) -> str:
    """What a key does, in words."""
    if action in words.KEY_NAMES:
        return words.KEY_NAMES[action]
    return words.outcome(action)


def _number(text: str, what: str) -> int:
    if not text.isdecimal() or len(text) > 4:
        raise Invalid(f"{what} is a whole number")
    return int(text)
