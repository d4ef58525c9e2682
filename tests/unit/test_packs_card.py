"""Batches are as large as a card has room for, with some left free."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.packs._card import HEADROOM, batch_for, card_here, free_bytes, inside

GIB = 1 << 30


@pytest.mark.parametrize(
    ("free", "batch"),
    [(78 * GIB, 256), (4 * GIB, 83), (GIB, 20), (inside(112), 1), (0, 1), (None, 256)],
)
def test_a_batch_is_what_fits_and_never_more_than_the_network_takes(
    free: int | None, batch: int
) -> None:
    assert batch_for(free, inside(112), 256) == batch


@given(st.integers(0, 200 * GIB), st.integers(1, GIB), st.integers(1, 4096))
def test_the_headroom_stays_free_and_one_more_would_not_fit(
    free: int, each: int, most: int
) -> None:
    batch = batch_for(free, each, most)
    room = free * (1 - HEADROOM)
    assert 1 <= batch <= most
    assert batch == 1 or batch * each <= room
    assert batch == most or (batch + 1) * each > room - 1


@pytest.mark.parametrize(
    ("script", "free"),
    [('[ "$1" = --id=1 ] && echo 2048', 2 * GIB), ("echo '[N/A]'", None), ("exit 9", None)],
)
def test_the_card_s_driver_says_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, free: int | None
) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    assert free_bytes() == free


def test_without_a_driver_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert free_bytes() is None


@pytest.mark.parametrize(("seen", "here"), [("0", True), ("2,3", True), ("", False), ("-1", False)])
def test_a_card_is_here_where_one_was_given_and_not_where_all_were_taken_out_of_sight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: str, here: bool
) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 2048\n")
    command.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    assert card_here() is here
    assert free_bytes() == (2 * GIB if here else None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert card_here(), "the driver answers for one"
    command.unlink()
    assert not card_here()
