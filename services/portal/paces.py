"""How often one network may ask for what costs us something, each bound for an hour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from fastapi import Request

from services.web.pace import Pace


def _hourly(number: int) -> Pace:
    return Pace(number=number, seconds=3600)


@dataclass(frozen=True, slots=True)
class Paces:
    """One app's bounds: wide enough for a helpline's network, too narrow for a flood."""

    cases: Pace = field(default_factory=lambda: _hourly(20))
    enrolments: Pace = field(default_factory=lambda: _hourly(20))
    reports: Pace = field(default_factory=lambda: _hourly(20))
    objections: Pace = field(default_factory=lambda: _hourly(20))
    looks: Pace = field(default_factory=lambda: _hourly(120))
    recoveries: Pace = field(default_factory=lambda: _hourly(30))
    sign_ins: Pace = field(default_factory=lambda: _hourly(60))


def paces_of(request: Request) -> Paces:
    """The app's bounds."""
    return cast(Paces, request.app.state.paces)
