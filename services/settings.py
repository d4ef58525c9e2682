"""The environment, read once, frozen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from pipeline.domain.consent import HASHES_TEXT
from pipeline.domain.enrolment import FACE_TEXT, YEARS

Names = Annotated[tuple[str, ...], NoDecode]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(BaseSettings):
    """Every setting with its meaning and default; each is ``CONSENTRY_<NAME>`` outside."""

    model_config = SettingsConfigDict(
        env_prefix="CONSENTRY_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("DATABASE_URL", "CONSENTRY_DATABASE_URL", "database_url"),
        description="PostgreSQL to use (18 or newer). Without it an embedded one is started.",
    )
    home: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("consentry")),
        description="Where keys, sealed media and the embedded database lie. Back it up apart"
        " from the database: whoever has both can read what is held.",
    )
    erasures: Path | None = Field(
        default=None,
        description="The list of what was erased, which a restore replays; by default"
        " erasures.jsonl under CONSENTRY_HOME. Keep it apart from the database and its backups.",
    )
    kek: SecretStr | None = Field(
        default=None,
        description="Key-encryption keys as id:base64[,id:base64], the first is current."
        " Instead of the key file.",
    )
    kek_command: str | None = Field(
        default=None,
        description="A command that prints the same, for a key management service.",
    )
    segments: Path | None = Field(
        default=Path("/dev/shm"),  # noqa: S108 - what lies there is in a folder of mode 0700
        description="A folder on a tmpfs where the processes of a host share one copy of each large"
        " index; empty for a copy each.",
    )
    depot: str | None = Field(
        default=None,
        description="A folder or a store (s3://bucket/prefix; extra `cluster`) where large indexes"
        " are published, sealed, so that a new host takes them from there instead of rebuilding"
        " them.",
    )
    compact_minutes: int = Field(
        default=10,
        gt=0,
        description="Within how many minutes what was removed is gone from the depot; receipts"
        " wait for it.",
    )
    policy_file: Path | None = Field(
        default=None, description="A JSON policy document; without it the built-in default."
    )
    wide_codes: int = Field(
        default=2_000_000,
        ge=0,
        description="Up to how many codes the wide radius is asked, which wants a second witness.",
    )
    view_families: int = Field(
        default=8,
        ge=0,
        le=10,
        description="In how many ways parts of an upload are looked for, of: borders, captions,"
        " blocks, tilted pictures, collages, pictures in pictures, turned pictures, halves,"
        " centres, quarters. Fewer cost less and find less;"
        " `bench robustness --view-families` says how much.",
    )
    signals: Names = Field(
        default=("pdq", "phash"), min_length=1, description="Signals to compute, by name."
    )
    faces: Names = Field(
        default=(),
        description="Installed face packs to look with, by name (`consentry packs list`). Without"
        " one, faces are not looked at.",
    )
    copies: Names = Field(
        default=(),
        description="Installed copy-detection packs to look at whole pictures with, for people who"
        " opted in to local features (`consentry packs install FOLDER`).",
    )
    max_faces: int = Field(
        default=32, gt=0, description="Faces looked at in one picture, the largest first."
    )
    faces_wait_ms: float = Field(
        default=5.0,
        ge=0,
        le=1000,
        description="Where a graphics card runs the face networks: how many milliseconds at most a"
        " face waits for those of other uploads, to go in one batch with them; 0 for never. On a"
        " processor nothing waits, because batches gain nothing there.",
    )
    gates_file: Path | None = Field(
        default=None,
        description="A JSON object of gates and their settings, asked in order where a platform"
        " gives no rating.",
    )
    face_text: str = Field(
        default=FACE_TEXT,
        description="Version of the consent text shown before a face is enrolled.",
    )
    face_years: int = Field(
        default=YEARS,
        gt=0,
        le=YEARS,  # the texts that people agree to and read say so
        description="Years until consent to templates is asked for again; at most 3.",
    )
    vouchers_file: Path | None = Field(
        default=None,
        description="A JSON object of organisations that may vouch for a face: name to public key.",
    )
    max_bytes: int = Field(default=64 << 20, gt=0, description="Largest picture, in bytes.")
    max_pixels: int = Field(default=100_000_000, gt=0, description="Largest picture, in pixels.")
    max_side: int = Field(default=30_000, gt=0, description="Longest side, in pixels.")
    decoders: int = Field(
        default_factory=cores,
        gt=0,
        description="Processes that decode uploads, for each service; by system: as many as cores.",
    )
    decode_seconds: float = Field(
        default=60.0, gt=0, description="Longest time that decoding one picture may take."
    )
    decode_memory: int = Field(
        default=2048, gt=0, description="Memory that decoding one file may take, in MiB."
    )
    max_video_bytes: int = Field(
        default=2 << 30,
        gt=0,
        description="Largest video, in bytes; it is sealed as it comes, never held whole.",
    )
    max_video_hours: float = Field(default=4, gt=0, description="Longest video, in hours.")
    video_seconds: float = Field(
        default=1800, gt=0, description="Longest time that decoding one video may take."
    )
    video_rate: float = Field(
        default=1,
        gt=0,
        le=30,
        description="Frames of an uploaded video to look at, a second; long ones are first looked"
        " at by their key frames. Registered videos are hashed frame by frame.",
    )
    backscan_days: int = Field(
        default=90,
        ge=0,
        description="Days for which the hashes of screened uploads are kept, sealed, so that they"
        " are found when somebody registers later; never faces. 0 keeps none.",
    )
    rescan_minutes: int = Field(
        default=60,
        ge=0,
        description="How often workers look for earlier uploads of what was registered since, in"
        " minutes; 0 leaves it to `consentry rescan`.",
    )
    appeal_days: int = Field(
        default=14, ge=0, description="Days for which media outlive a decision."
    )
    lease_minutes: int = Field(default=10, gt=0, description="How long a reviewer's claim holds.")
    consent_text: str = Field(
        default=HASHES_TEXT, description="Version of the consent text shown at registration."
    )
    sync_minutes: int = Field(
        default=60, gt=0, description="How often workers read partners' lists, in minutes."
    )
    host: str = Field(default="127.0.0.1", description="Address that the services listen on.")
    api_port: int = Field(default=8700, ge=0, le=65535, description="Port of the HTTP API.")
    console_port: int = Field(default=8701, ge=0, le=65535, description="Port of the console.")
    portal_port: int = Field(default=8702, ge=0, le=65535, description="Port of the portal.")
    exit_url: str = Field(
        default="https://www.wikipedia.org/",
        pattern=r"^https?://",
        description="The harmless page that the portal's quick exit opens.",
    )
    secure_cookies: bool = Field(
        default=False, description="Cookies over HTTPS only; turn on behind TLS."
    )
    organisation: str = Field(
        default="", description="Your organisation's name, as reports to authorities need it."
    )
    second_factor: Literal["required", "optional"] = Field(
        default="required",
        description="Whether reviewers must have a security key or an app for codes.",
    )
    console_origin: str | None = Field(
        default=None,
        description="The console's address as browsers see it, such as https://review.example;"
        " security keys are bound to it. Without it, whatever address is asked for.",
    )
    oidc_issuer: str | None = Field(
        default=None,
        description="Address of an OpenID Connect provider for single sign-on to the console.",
    )
    oidc_client: str = Field(default="consentry", description="This console's client id there.")
    oidc_secret: SecretStr | None = Field(
        default=None, description="This console's client secret there."
    )
    oidc_claim: str = Field(
        default="email", description="The claim whose value is a reviewer's login."
    )
    probing_uploads: int = Field(
        default=6,
        ge=0,
        description="From how many variants of one registered picture an account is taken to be"
        " probing, and the platform told; 0 for never.",
    )
    probing_hours: float = Field(
        default=24.0, gt=0, le=720, description="Within how many hours these are counted."
    )
    rate_per_minute: int = Field(
        default=6000, gt=0, description="Requests a minute that a new API key may make."
    )
    secrets: Path | None = Field(
        default=None,
        description="A folder with settings as files, as container engines mount secrets: the file"
        " is called like the variable, such as database_url or consentry_kek.",
    )
    schema_patience: float = Field(
        default=0.0,
        ge=0,
        description="Seconds for which `serve` waits until the database has been migrated; in a"
        " rolling upgrade more than the migration takes.",
    )
    metrics_host: str = Field(
        default="127.0.0.1", description="Address that a worker's figures are served on."
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of a worker's figures for Prometheus; 0 serves none.",
    )
    pool_size: int = Field(default=8, gt=0, description="Database connections a process.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - there is none
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then files in ``CONSENTRY_SECRETS``."""
        folder = os.environ.get("CONSENTRY_SECRETS")
        if folder is None or not Path(folder).is_dir():  # ``_there`` refuses one that is not there
            return init_settings, env_settings, file_secret_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, folder)

    @field_validator("secrets")
    @classmethod
    def _there(cls, value: Path | None) -> Path | None:
        """Without its secrets a service would start on defaults: another database, other keys."""
        if value is not None and not value.is_dir():
            raise ValueError(f"CONSENTRY_SECRETS names {value}, and there is no such folder")
        return value

    @field_validator("signals", "faces", "copies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @property
    def key_file(self) -> Path:
        """Where key-encryption keys lie unless they come from elsewhere (0600)."""
        return self.home / "keys" / "kek.json"

    @property
    def erasure_list(self) -> Path:
        """The list of what was erased."""
        return self.erasures or self.home / "erasures.jsonl"

    @property
    def blob_folder(self) -> Path:
        """Where sealed media lie."""
        return self.home / "media"

    @property
    def database_home(self) -> Path:
        """Where the embedded PostgreSQL lives."""
        return self.home / "postgres"


DANGERS: Mapping[str, str] = {
    "database_url": "Holds a password: give it as a file (`CONSENTRY_SECRETS`), not on a command"
    " line.",
    "home": "Lost keys cannot be recovered; a full disk stops reviews.",
    "erasures": "Lost, a restore is refused; an old copy brings back whoever left since it.",
    "kek": "Whoever has it and the database reads everything; lost, everything sealed is lost.",
    "kek_command": "Runs with this service's rights; no shell is involved.",
    "segments": "A folder on a disk would keep hashes after a withdrawal.",
    "depot": "Holds sealed indexes: whoever has it and a key reads hashes.",
    "compact_minutes": "A withdrawal's receipt waits as long.",
    "policy_file": "Wider distances bring false cases, narrower ones miss copies.",
    "wide_codes": "More costs time for each upload.",
    "view_families": "Fewer miss altered copies.",
    "signals": "Without pdq, devices' hashes find nothing.",
    "faces": "A pack that was not calibrated on your people errs by group; check its licence.",
    "copies": "A pack that was not calibrated errs; check its licence.",
    "max_faces": "Fewer miss faces in crowds; the answer says when the bound bit.",
    "faces_wait_ms": "Longer fills batches, and each upload with faces waits as long.",
    "gates_file": "Too calm, a gate hides faces; too nervous, it asks about holidays.",
    "face_text": "Must name the text that people really saw.",
    "vouchers_file": "Whoever is in it can have a face enrolled without your looking.",
    "max_bytes": "Every upload being screened is held in memory.",
    "max_pixels": "More memory for each decoder.",
    "max_side": "More memory for each decoder.",
    "decode_seconds": "A hostile file holds a decoder as long.",
    "decode_memory": "As much for each decoder, at worst at once.",
    "max_video_bytes": "As much disk for each video in the queue.",
    "max_video_hours": "A long video holds a worker for long.",
    "video_seconds": "A hostile video holds a decoder as long.",
    "video_rate": "More costs decoding time; fewer miss short scenes.",
    "backscan_days": "Uploads' hashes are kept as long: personal data of everybody who uploads.",
    "appeal_days": "Media under review are kept as long after a decision.",
    "lease_minutes": "Too short, and two people may look at one case in turn.",
    "consent_text": "Must name the text that people really saw.",
    "host": "Anything but this machine needs TLS in front.",
    "exit_url": "Must be a page that nobody would ask about.",
    "secure_cookies": "Without it, sessions travel in clear over HTTP.",
    "second_factor": "Optional, a stolen password is enough to see intimate images.",
    "console_origin": "Changed later, security keys no longer fit.",
    "oidc_issuer": "Whoever runs it can sign in as any reviewer.",
    "oidc_secret": "Give it as a file (`CONSENTRY_SECRETS`).",
    "oidc_claim": "A claim that users can edit lets them be somebody else.",
    "rate_per_minute": "Higher makes probing quicker.",
    "probing_uploads": "Higher notices probing later, lower accuses more often.",
    "secrets": "Its files must be readable by this service alone.",
    "metrics_host": "Figures need no key: keep them inside your network.",
    "pool_size": "All processes together must stay below the server's `max_connections`.",
    "log_level": "`debug` logs every probe; nothing personal at any level.",
}
"""What goes wrong when a setting is wrong, of those where something does."""


def settings_table() -> str:
    """Every setting as a row of a Markdown table: variable, default, meaning, danger."""
    rows = ["| variable | default | meaning | danger |", "|---|---|---|---|"]
    for name, setting in Settings.model_fields.items():
        alias = setting.validation_alias
        outside = (
            alias.choices[0] if isinstance(alias, AliasChoices) else f"CONSENTRY_{name.upper()}"
        )
        if setting.default_factory is not None:
            default = "by system"
        elif setting.default is None:
            default = "none"
        else:
            value = setting.default
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            default = f"`{text.lower() if isinstance(value, bool) else text}`"
            if value == ():
                default = "none"
        meaning = (setting.description or "").replace("|", "\\|")
        danger = DANGERS.get(name, "").replace("|", "\\|")
        rows.append(f"| `{outside}` | {default} | {meaning} | {danger} |")
    return "\n".join(rows) + "\n"
