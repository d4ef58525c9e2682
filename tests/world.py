"""A whole deployment for a test: a fresh database, a home of its own, a clock to be moved."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import argon2
import numpy as np
import psycopg
import pytest
from PIL import Image

from pipeline.actions import DeliveryFailed
from pipeline.domain.case import Ground
from pipeline.domain.house import parse
from pipeline.domain.ids import CaseId, PlatformId, ReviewerId
from pipeline.domain.media import Rating, Upload
from pipeline.domain.screening import Screening
from pipeline.journeys import review
from pipeline.journeys.register import Registration, register
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.journeys.set_house_rules import set_house_rules
from pipeline.ports import Endpoint, Event
from pipeline.storage.vault import Pins
from services.accounts import add_platform
from services.settings import Settings
from services.wiring import World, now, open_world
from tests.pictures import RGB, textured

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Digests that cost a test nothing; the real cost is tested where digests are."""


def picture(seed: int = 1, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A generated picture that PDQ can tell from others."""
    return Image.fromarray(_pixels(seed, size).copy())


@lru_cache(maxsize=256)
def _pixels(seed: int, size: tuple[int, int]) -> RGB:
    return textured(size[0], size[1], seed)


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """An image as a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    at: datetime = field(default_factory=now)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> None:
        """Let time pass."""
        self.at += timedelta(**by)


@dataclass
class Platform:
    """An action that records what a platform is told, and fails when told to."""

    told: list[tuple[Event, Endpoint]] = field(default_factory=list)
    failing: bool = False

    def deliver(self, event: Event, endpoint: Endpoint) -> int:
        if self.failing:
            raise DeliveryFailed("the webhook answered 500", 500)
        self.told.append((event, endpoint))
        return 204


@dataclass
class Town:
    """A deployment with everything a story needs, in few words."""

    world: World
    live: LiveIndexes
    clock: Clock
    url: str

    def platform(
        self, name: str = "board", webhook: str | None = "http://127.0.0.1:9/hook"
    ) -> PlatformId:
        return add_platform(self.world, name, webhook, 1000).platform

    def reviewer(self, login: str = "ada", role: str = "reviewer") -> ReviewerId:
        with self.world.store.transaction() as unit:
            return unit.reviewers.add(login, "no password", role)

    def register(self, *images: bytes) -> Registration:
        done = register(
            self.world.store,
            self.world.pins,
            self.clock,
            self.world.decode,
            self.world.signals,
            [(f"image {number}", body) for number, body in enumerate(images)],
            self.world.generic,
        )
        self.live.catch_up()
        return done

    def screen(
        self,
        platform: PlatformId,
        body: bytes,
        content_id: str | None = None,
        rating: Rating = Rating.INTIMATE,
        uploader: str | None = None,
    ) -> Screening:
        upload = Upload(content_id or f"upload-{uuid4().hex[:8]}", uploader, rating)
        return self.world.screener(self.live).screen_file(platform, upload, body)

    def uphold(
        self, case: CaseId | None, reviewer: ReviewerId, reason: str = "It is hers."
    ) -> None:
        assert case is not None
        claim = review.claim(self.world.desk, case, reviewer)
        review.uphold(self.world.desk, case, claim.token, Ground.MATCH, reason)
        self.live.catch_up()

    def dismiss(
        self, case: CaseId | None, reviewer: ReviewerId, ground: Ground = Ground.WRONG_MATCH
    ) -> None:
        assert case is not None
        claim = review.claim(self.world.desk, case, reviewer)
        review.dismiss(self.world.desk, case, claim.token, ground, "It is another picture.")

    def rules(self, **rules: Any) -> None:
        """Other house rules; what is not named is as usual."""
        set_house_rules(self.world.store, parse(rules), "test")

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database's owner sees."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SET search_path = consentry")
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def make_town(migrated_url: str, tmp_path: Path) -> Iterator[Callable[..., Town]]:
    """Make a deployment; further calls are further processes of the same one."""
    opened: list[Any] = []
    clock = Clock()

    def make(role: str = "test", **settings: Any) -> Town:
        settings.setdefault("second_factor", "optional")  # tests of it say so themselves
        configured = Settings(
            database_url=migrated_url, home=tmp_path / "home", log_level="error", **settings
        )
        manager = open_world(configured)
        world = manager.__enter__()
        opened.append(manager)
        world = replace(
            world,
            pins=Pins(world.secrets, CHEAP),
            desk=replace(world.desk, clock=clock, chance=lambda: 1.0),
        )
        following = world.live(role)
        live = following.__enter__()
        opened.append(following)
        return Town(world, live, clock, migrated_url)

    yield make
    for manager in reversed(opened):
        manager.__exit__(None, None, None)


@pytest.fixture
def town(make_town: Callable[..., Town]) -> Town:
    """One deployment with one process."""
    return make_town()


def noise(seed: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """A picture of nothing."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    return Image.fromarray(pixels)
