"""The environment is read once, frozen, and neither it nor an error about it shows a secret."""

import os
import re
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from services import cli
from services.settings import DANGERS, Settings, settings_table

README = Path(__file__).parents[2] / "README.md"
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


@pytest.fixture
def read(monkeypatch):
    """Read the settings of an environment that holds nothing but what is given."""
    for name in list(os.environ):
        if name.upper().startswith("CONSENTRY_") or name.upper() == "DATABASE_URL":
            monkeypatch.delenv(name)

    def reading(**environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return Settings()

    return reading


def test_without_an_environment_everything_has_a_default(read):
    settings = read()
    assert settings.database_url is None
    assert settings.signals == ("pdq", "phash")
    assert (settings.max_bytes, settings.appeal_days) == (64 << 20, 14)
    assert settings.home.name == "consentry"


def test_services_listen_on_this_machine_alone_unless_told_otherwise(read):
    assert read().host == "127.0.0.1"


@pytest.mark.parametrize("variable", ["DATABASE_URL", "CONSENTRY_DATABASE_URL"])
def test_the_database_is_named_by_either_variable(read, variable):
    settings = read(**{variable: "postgresql://db/consentry"})
    assert settings.database_url.get_secret_value() == "postgresql://db/consentry"


def test_every_setting_but_the_database_is_its_name_behind_the_prefix(read):
    settings = read(
        CONSENTRY_HOME="/srv/consentry",
        CONSENTRY_API_PORT="9000",
        CONSENTRY_SECURE_COOKIES="true",
        CONSENTRY_LOG_LEVEL="debug",
        CONSENTRY_KEK_COMMAND="print-keys",
        CONSENTRY_POLICY_FILE="policy.json",
    )
    assert settings.home == Path("/srv/consentry")
    assert (settings.api_port, settings.secure_cookies) == (9000, True)
    assert (settings.log_level, settings.kek_command) == ("debug", "print-keys")
    assert settings.policy_file == Path("policy.json")


@pytest.mark.parametrize("written", ["pdq,phash", " pdq , phash ", "pdq,,phash,"])
def test_signals_are_named_with_commas_between(read, written):
    assert read(CONSENTRY_SIGNALS=written).signals == ("pdq", "phash")


@pytest.mark.parametrize("written", ["", " , "])
def test_a_deployment_without_signals_is_refused(read, written):
    with pytest.raises(ValidationError):
        read(CONSENTRY_SIGNALS=written)


def test_a_log_level_that_does_not_exist_is_refused(read):
    with pytest.raises(ValidationError):
        read(CONSENTRY_LOG_LEVEL="loud")


def test_folders_follow_from_home(read):
    settings = read(CONSENTRY_HOME="/srv/consentry")
    home = Path("/srv/consentry")
    assert settings.key_file == home / "keys" / "kek.json"
    assert settings.blob_folder == home / "media"
    assert settings.database_home == home / "postgres"


def test_settings_cannot_be_changed_once_they_are_read(read):
    settings = read()
    with pytest.raises(ValidationError, match="frozen"):
        settings.max_bytes = 1


def test_a_variable_of_somebody_else_is_none_of_our_business(read):
    assert read(CONSENTRY_SOMETHING_ELSE="1") == read()


def test_secrets_do_not_print(read):
    settings = read(
        DATABASE_URL=f"postgresql://consentry:{SECRET}@db/consentry",
        CONSENTRY_KEK=f"2026:{SECRET}",
    )
    assert SECRET in settings.kek.get_secret_value()
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert SECRET not in shown


BAD = {
    "CONSENTRY_API_PORT": "70000",
    "CONSENTRY_CONSOLE_PORT": "-1",
    "CONSENTRY_MAX_BYTES": "0",
    "CONSENTRY_MAX_PIXELS": "many",
    "CONSENTRY_APPEAL_DAYS": "-1",
    "CONSENTRY_LEASE_MINUTES": "0",
    "CONSENTRY_POOL_SIZE": "",
    "CONSENTRY_SECURE_COOKIES": "perhaps",
}


@pytest.mark.parametrize(("variable", "value"), BAD.items())
def test_a_value_that_cannot_be_used_is_refused_by_the_settings_name(read, variable, value):
    with pytest.raises(ValidationError) as caught:
        read(**{variable: value})
    (error,) = caught.value.errors()
    assert error["loc"] == (variable.removeprefix("CONSENTRY_").lower(),)


def test_an_error_never_repeats_what_was_set(read):
    with pytest.raises(ValidationError) as caught:
        read(CONSENTRY_API_PORT=SECRET)
    assert SECRET not in str(caught.value)


def test_the_command_line_says_which_setting_and_where_to_read_on(read, monkeypatch, capsys):
    monkeypatch.setenv("CONSENTRY_API_PORT", "70000")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["consentry", "doctor"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    told = " ".join(capsys.readouterr().err.split())
    assert caught.value.code == 1
    assert "error: a setting cannot be used (api_port:" in told
    assert "less than or equal to 65535" in told
    assert told.endswith("see Configuration in the README")


# --- the README ---------------------------------------------------------------------------------


def test_the_readme_tells_of_every_setting_as_the_code_has_it():
    told = README.read_text(encoding="utf-8")
    (table,) = re.findall(r"<!-- settings:begin -->\n(.*?)<!-- settings:end -->", told, re.DOTALL)
    assert table == settings_table(), (
        "paste the output of services.settings.settings_table() between the README's markers"
    )


def test_every_danger_is_of_a_setting_that_there_is():
    assert set(DANGERS) <= set(Settings.model_fields)
    assert len(DANGERS) > 30


def test_every_setting_has_a_meaning_and_a_row_of_its_own():
    head, rule, *rows = settings_table().splitlines()
    assert (head, rule) == (
        "| variable | default | meaning | danger |",
        "|---|---|---|---|",
    )
    assert len(rows) == len(Settings.model_fields)
    for row in rows:
        variable, default, meaning, danger = re.fullmatch(
            r"\| `(\w+)` \| (.+) \| (.+) \| (.*) \|", row
        ).groups()
        assert danger == "" or danger.endswith(".")
        assert variable == "DATABASE_URL" or variable.startswith("CONSENTRY_")
        assert default
        assert meaning.endswith(".")


def test_the_table_is_the_same_on_every_machine(monkeypatch):
    table = settings_table()
    monkeypatch.setenv("HOME", "/somewhere/else")
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere/data")
    assert settings_table() == table
    assert str(Path.home()) not in table


def test_a_folder_of_secrets_that_is_not_there_is_refused(read, tmp_path):
    """A mount that failed must not leave a service on an empty database with new keys."""
    (tmp_path / "database_url").write_text("postgresql://db/consentry")
    held = read(CONSENTRY_SECRETS=str(tmp_path)).database_url
    assert held is not None
    assert held.get_secret_value() == "postgresql://db/consentry"
    with pytest.raises(ValidationError, match="there is no such folder"):
        read(CONSENTRY_SECRETS=str(tmp_path / "nothing"))


def test_the_table_shows_variables_that_are_really_read(read, tmp_path):
    names = re.findall(r"^\| `(\w+)`", settings_table(), re.MULTILINE)
    path_like = {"CONSENTRY_HOME", "CONSENTRY_POLICY_FILE"}
    for name in names:
        default = read()
        words = {
            "CONSENTRY_SECURE_COOKIES": "true",
            "CONSENTRY_LOG_LEVEL": "debug",
            "CONSENTRY_SECOND_FACTOR": "optional",
            "CONSENTRY_EXIT_URL": "https://weather.example/",
            "CONSENTRY_VIEW_FAMILIES": "3",
            "CONSENTRY_FACE_YEARS": "1",
            "CONSENTRY_SECRETS": str(tmp_path),
        }
        value = words.get(name, "x" if name in path_like else "17")
        changed = read(**{name: value})
        assert changed != default, f"{name} is not read"
