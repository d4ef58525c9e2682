"""Faces on the command line, as a helpline and a verifier use it, with a real pack."""

from __future__ import annotations

import json

import pytest

from tests.faces import PACK, portrait_file
from tests.integration.test_cli import Shell, shell  # noqa: F401
from tests.packs import SHARED, installed

PORTRAITS = SHARED.resolve() / "portraits"


def test_a_helpline_enrols_and_a_verifier_approves(
    shell: Shell,  # noqa: F811
    request: pytest.FixtureRequest,
) -> None:
    portrait_file("obama")  # or skips
    home = request.config.cache.mkdir("packs")
    installed(PACK, home)
    (shell.home / "packs").symlink_to(home)

    def said(*words: object, **options: object) -> dict:
        done = shell(*words, CONSENTRY_FACES=PACK, **options)
        return json.loads(done.stdout.splitlines()[-1])

    photos = ("--photo", PORTRAITS / "obama.jpg", "--photo", PORTRAITS / "obama2.jpg")
    asked = said("enrol", "--new", *photos, "--json")
    assert asked["state"] == "pending"
    assert len(asked["pin"]) == 8
    assert [one["problem"] for one in asked["photos"]] == [None, None]
    shell("reviewers", "add", "vera", "--role", "verifier", CONSENTRY_PASSWORD="a long password")
    word = ("--as", "vera", "--reason", "Seen by video with her passport.")
    nobody = shell("verify", asked["case"], "--as", "otto", *word[2:], status=1)
    assert "otto is no verifier" in nobody.stderr
    done = said("verify", asked["case"], *word, "--json")
    assert done["state"] == "approved"
    found = said("screen", PORTRAITS / "obama3.jpg", "--rating", "intimate", "--json")
    assert found["verdict"] == "review"
    shown = shell("screen", PORTRAITS / "obama3.jpg", "--rating", "intimate", CONSENTRY_FACES=PACK)
    assert "from 0.434 on" in shown.stdout
    assert "1 in 100,000 strangers would look this alike" in shown.stdout
    shown = shell("screen", PORTRAITS / "obama3.jpg", CONSENTRY_FACES=PACK)
    assert "faces_not_looked_at:unknown_rating" in shown.stdout
    renewed = shell("enrol", asked["case"], "--renew", CONSENTRY_FACES=PACK)
    assert "she has agreed until" in renewed.stdout
    again = shell("verify", asked["case"], *word, status=1, CONSENTRY_FACES=PACK)
    assert "nothing waits for a verifier" in again.stderr
    few = shell("enrol", "--new", *photos[:2], status=1, CONSENTRY_FACES=PACK)
    assert "2 good photos are needed, 1" in few.stderr
