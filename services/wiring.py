"""Settings in, journeys out: the only place where objects meet."""

from __future__ import annotations

import functools
import json
import os
import secrets
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import cv2
import numpy as np
import structlog

from pipeline import plugins
from pipeline.actions import Action
from pipeline.domain import policy as policies
from pipeline.domain.digest import SPACE as BYTES
from pipeline.domain.generic import GenericBank
from pipeline.domain.ids import PlatformId, ProcessId, uuid7
from pipeline.domain.likeness import Likeness
from pipeline.domain.media import Frame, Media, Side
from pipeline.domain.policy import Policy
from pipeline.domain.signal import Metric, Space
from pipeline.errors import ConsentryError, Invalid, Misconfigured, Unavailable
from pipeline.exchanges import Exchange
from pipeline.gates import Gate
from pipeline.indexes import Index
from pipeline.indexes._sweep import QuestionFile, scan_chunk
from pipeline.journeys.desk import Desk
from pipeline.journeys.enrol_face import Office
from pipeline.journeys.notice_probing import Suspicion
from pipeline.journeys.policies import LivePolicies
from pipeline.journeys.register_film import Filmer, Films
from pipeline.journeys.rescan import Reach, Sweeper
from pipeline.journeys.restore_index import LiveIndexes, Me, follow
from pipeline.journeys.screen_film import Projector
from pipeline.journeys.screen_reference import Fetcher
from pipeline.journeys.screen_upload import Screener
from pipeline.journeys.see import Eye
from pipeline.journeys.see_copies import CopyEye
from pipeline.journeys.see_faces import FaceEye
from pipeline.journeys.share_index import BETWEEN, DEPOT, Sharing
from pipeline.journeys.sift import Sifter, Source
from pipeline.journeys.sync_exchange import Lists
from pipeline.media import features
from pipeline.media.films import SandboxedFilms
from pipeline.media.generic import CompiledBank, generic_frames
from pipeline.media.limits import ImageLimits
from pipeline.media.moments import Sampling, VideoLimits
from pipeline.media.sandbox import DecoderPool, SandboxLimits
from pipeline.media.strip import Shown, Wanted
from pipeline.media.views import budget_of
from pipeline.packs import CopyModel, FaceModel
from pipeline.packs._manifest import Manifest
from pipeline.ports import Blobs, Depot, Follower, Pins, Sift, Store
from pipeline.signals import SignalType
from pipeline.storage import Database, embedded
from pipeline.storage.blobs import FolderBlobs
from pipeline.storage.depot import StoreDepot
from pipeline.storage.keyring import KeyRing
from pipeline.storage.listen import Listener
from pipeline.storage.migrate import migrate, require_known
from pipeline.storage.shelf import FolderShelf
from pipeline.storage.store import PgStore
from pipeline.storage.vault import Pins as PinDigests
from pipeline.storage.vault import Secrets, signature_holds
from services.memory import keep_what_is_freed
from services.settings import Settings
from services.sources import source_at

if TYPE_CHECKING:
    from pipeline.packs._copies import CopyManifest

log = structlog.get_logger()

SHARE_FROM = 20_000
"""Codes from which the processes of a host share one copy; fewer are loaded in a moment."""

"""Two of glibc's settings, by their numbers in ``malloc.h``."""

ASK_AGAIN = 0.2
"""Seconds after which a process asks again whether policies have changed; waits are half a one."""


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class World:
    """Everything a service needs, built once a process."""

    settings: Settings
    database: Database
    keyring: KeyRing
    secrets: Secrets
    store: Store
    blobs: Blobs
    pins: Pins
    signals: tuple[SignalType, ...]
    decode: Callable[[bytes], Media]
    sketch: Callable[[bytes], Media]
    """The same, of a large picture at a fraction of its size: for a first look."""
    decoders: DecoderPool
    film: Films
    """How a video is read, moment by moment."""
    strip: Callable[[BinaryIO, Wanted], Iterator[Shown]]
    """A few pictures of a video, for people's eyes."""
    generic: Mapping[str, GenericBank]
    policy: Policy
    """The deployment's own policy: its file, or the built-in one."""
    policies: LivePolicies
    """Documents that were set since: the operator's, and each platform's terms."""
    desk: Desk
    face_spaces: tuple[Space, ...]
    face_models: Callable[[], tuple[FaceModel, ...]]
    """The configured packs, loaded when they are first asked for and then kept."""
    faces: Callable[[], FaceEye]
    """What looks at faces in uploads; the same way."""
    copy_spaces: tuple[Space, ...]
    copies: Callable[[], CopyEye]
    """What looks at whole pictures with copy-detection packs; the same way."""

    def warm(self) -> None:
        """Have ready soon what the first upload would have to wait for."""

        def warmed() -> None:
            dict(self.generic)
            noise = np.random.default_rng(1).integers(0, 256, (128, 128, 3), dtype=np.uint8)
            self._eye().look([Frame(noise)])  # its loops are compiled, once on a machine
            try:
                self.decoders.warm()
            except ConsentryError as error:
                log.warning("decoders.not_warm", error=str(error))

        threading.Thread(target=warmed, name="warm", daemon=True).start()

    def screener(self, live: LiveIndexes, *, remember: bool | None = None) -> Screener:
        """A screener over this process's indexes.

        ``remember`` says whether uploads leave their hashes; by the settings unless given.
        """
        return Screener(
            self.store,
            live,
            self._eye(),
            self.decode,
            self.policy,
            self.blobs,
            now,
            self.faces(),
            self.sketch,
            self.copies(),
            self.rules,
            remember=self.settings.backscan_days > 0 if remember is None else remember,
            suspicion=self.suspicion,
        )

    @property
    def suspicion(self) -> Suspicion:
        """When an account is taken to be probing."""
        within = timedelta(hours=self.settings.probing_hours)
        return Suspicion(self.settings.probing_uploads, within)

    def _eye(self) -> Eye:
        return Eye(
            self.signals,
            self.generic,
            self.policy,
            budget_of(self.settings.view_families),
            wide_codes=self.settings.wide_codes,
        )

    @property
    def reach(self) -> Reach:
        """What earlier uploads are compared in, and within how many bits."""
        return self._eye().reach

    def sifter(self, live: LiveIndexes) -> Sifter:
        """What reads old media again, over this process's indexes; they leave nothing."""

        def source_of(sift: Sift) -> Source:
            with self.store.transaction() as unit:
                hosts = unit.platforms.hosts(sift.platform)
            return source_at(sift.source, self.settings.max_bytes, hosts)

        screener = self.screener(live, remember=False)
        films = self.projector(live)
        return Sifter(self.store, live, screener, source_of, now, films)

    def sweeper(self, live: LiveIndexes) -> Sweeper:
        """What searches earlier uploads, over this process's indexes."""
        return Sweeper(
            self.store, live, self.screener(live), self.reach, QuestionFile, scan_chunk, now,
            self.projector(live),
        )  # fmt: skip

    def rules(self, platform: PlatformId) -> Policy:
        """What judges a platform's uploads at this moment."""
        return self.policies.of(self.policy, platform)

    @property
    def filmer(self) -> Filmer:
        """How videos are read for registration."""
        signal = self._film_signal()
        return Filmer(self.film, signal, self.generic.get(signal.space.name))

    def projector(self, live: LiveIndexes) -> Projector:
        """What screens videos over this process's indexes."""
        signal = self._film_signal()
        return Projector(
            self.store,
            live,
            self.screener(live),
            signal,
            self.generic.get(signal.space.name),
            self.policy,
            self.film,
            self.blobs,
            now,
            Sampling(rate=self.settings.video_rate, gap=max(2.5, 1 / self.settings.video_rate)),
            self.settings.wide_codes,
        )

    def fetcher(self, live: LiveIndexes, at_once: int) -> Fetcher:
        """What fetches uploads by address and screens them, ``at_once`` at a time."""
        most = self.settings.max_bytes
        return Fetcher(
            self.store, self.blobs, live, self.screener(live), now, most,
            self.settings.max_video_bytes, at_once,
        )  # fmt: skip

    def _film_signal(self) -> SignalType:
        for signal in self.signals:
            if signal.asks_parts and signal.space.metric is Metric.HAMMING:
                return signal
        raise Misconfigured("videos are hashed with pdq; name it in CONSENTRY_SIGNALS")

    def office(self, live: LiveIndexes) -> Office:
        """Where faces are enrolled, over this process's indexes."""
        return Office(
            self.store, self.blobs, self.pins, now, self.decode, self.face_models(), self.policy,
            live, signature_holds, _partners(self.settings.vouchers_file), self.settings.face_years,
            self.settings.face_text,
        )  # fmt: skip

    @property
    def spaces(self) -> tuple[Space, ...]:
        """Everything that this deployment compares in."""
        hashes = (signal.space for signal in self.signals)
        return (*hashes, features.SPACE, BYTES, *self.face_spaces, *self.copy_spaces)

    def lists(self) -> Lists:
        """What following partners' lists needs."""
        pdq = next(one.space for one in self.signals if one.space.name == "pdq")
        return Lists(
            self.store,
            self.blobs,
            now,
            lambda kind, given: cast(Exchange, plugins.build("exchanges", kind, None, **given)),
            pdq,
            self.generic.get("pdq"),
        )

    def action(self) -> Action:
        """How platforms are told."""
        return cast(Action, plugins.build("actions", "webhook"))

    def _index(self, space: Space) -> Index:
        """An empty index; the bits' secret order keeps anyone from aiming at a bucket."""
        if space.metric is Metric.INNER_PRODUCT:
            return cast(Index, plugins.build("indexes", "vectors", space))
        secret = self.secrets.digest("permutation", space.key.encode())
        return cast(Index, plugins.build("indexes", "hamming", space, permutation_seed=secret))

    def _sharing(self, role: str) -> Sharing | None:
        """This host's one copy of each index; who lives long writes it, everybody opens it."""
        folder = self.settings.segments
        if folder is None or not folder.is_dir():
            return None
        deployment = self.secrets.digest("segments", str(os.geteuid()).encode()).hex()[:16]
        return Sharing(
            self.store,
            FolderShelf(folder / f"consentry-{deployment}"),
            _host(),
            self._index,
            time.monotonic,
            _unshared,
            share_from=SHARE_FROM if role == "api" else sys.maxsize,
            depot=self.depot(),
        )

    @property
    def cluster_token(self) -> str:
        """What the hosts of this deployment's cluster know each other by."""
        return self.secrets.digest("cluster", b"ray").hex()

    def depot(self) -> Depot | None:
        """Where large indexes are published for other hosts, if anywhere."""
        return StoreDepot(self.settings.depot) if self.settings.depot else None

    @contextmanager
    def live(
        self, role: str, progress: Callable[[int], None] = lambda _: None, *, wait: bool = True
    ) -> Iterator[LiveIndexes]:
        """This process's indexes, followed by a thread until the block ends.

        With ``wait`` they are loaded before the block begins; without, the thread loads them and
        ``ready`` says when (a service answers 503 until then).
        """
        live = LiveIndexes(
            self.store,
            self.spaces,
            self._index,
            me(role),
            time.monotonic,
            self._sharing(role),
        )
        try:
            self.policies.refresh()
            if wait:
                live.restore(progress)
        except Unavailable:
            if wait:
                raise
        stop, listener = threading.Event(), Listener(self.database)
        asked_at = time.monotonic()

        def hear(seconds: float) -> None:
            nonlocal asked_at
            if time.monotonic() - asked_at > ASK_AGAIN:
                self.policies.refresh()
                asked_at = time.monotonic()
            listener.wait(seconds)

        thread = threading.Thread(
            target=follow,
            args=(live, hear, stop, _trouble),
            name="index-follower",
            daemon=True,
        )
        thread.start()
        try:
            yield live
        finally:
            stop.set()
            listener.close()
            thread.join(timeout=5)
            live.close()


@contextmanager
def open_world(
    settings: Settings, progress: Callable[[str], None] = lambda _: None
) -> Iterator[World]:
    """Everything, with the database up and its schema checked, closed at the end.

    The embedded PostgreSQL is migrated here; an operator's own server is migrated by the
    operator: raises ``UnknownSchema`` with what to do.
    """
    with database_url(settings, progress) as url:
        if settings.database_url is None:
            migrate(url, progress)
        database = Database(url, size=settings.pool_size)
        try:
            with database.transaction() as connection:
                behind = require_known(connection)
            if behind:
                log.warning("schema.behind", migrations=behind, do="run: consentry migrate")
            with closing(decoder_pool(settings)) as decoders:
                yield _world(settings, database, decoders)
        finally:
            database.close()


@contextmanager
def database_url(
    settings: Settings, progress: Callable[[str], None] = lambda _: None
) -> Iterator[str]:
    """The operator's database, or an embedded one that runs while anybody uses it."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    with embedded.running(settings.database_home, progress=progress) as server:
        yield server.url


def keyring(settings: Settings) -> KeyRing:
    """Where this deployment's key-encryption keys come from."""
    if settings.kek is not None:
        return KeyRing.text(settings.kek.get_secret_value(), "CONSENTRY_KEK")
    if settings.kek_command is not None:
        return KeyRing.command(shlex.split(settings.kek_command))
    return KeyRing.file(settings.key_file)


def decoder_pool(settings: Settings) -> DecoderPool:
    """Where this deployment's uploads are decoded; nothing is started before the first one."""
    return DecoderPool(
        ImageLimits(bytes=settings.max_bytes, pixels=settings.max_pixels, side=settings.max_side),
        SandboxLimits(
            decoders=settings.decoders,
            seconds=settings.decode_seconds,
            memory=settings.decode_memory << 20,
        ),
    )


def _world(settings: Settings, database: Database, decoders: DecoderPool) -> World:
    cv2.setNumThreads(1)  # one caller a thread; see services/__init__.py
    keep_what_is_freed()
    ring = keyring(settings)
    deployment = Secrets.load(database, ring)
    store = PgStore(database, ring, deployment)
    blobs = FolderBlobs(settings.blob_folder)
    packs = _manifests(settings)
    whole = _copy_manifests(settings)
    policy = _policy(settings.policy_file).with_likeness(_calibrated(packs))
    policy = policy.with_copies(pack.rule for pack in whole if pack.rule is not None)
    models = functools.cache(lambda: _models(settings))
    signals = tuple(cast(SignalType, plugins.build("signals", name)) for name in settings.signals)
    films = SandboxedFilms(
        decoders,
        VideoLimits(bytes=settings.max_video_bytes, seconds=settings.max_video_hours * 3600),
        settings.video_seconds,
    )
    return World(
        settings=settings,
        database=database,
        keyring=ring,
        secrets=deployment,
        store=store,
        blobs=blobs,
        pins=PinDigests(deployment),
        signals=signals,
        decode=decoders.decode,
        sketch=decoders.sketch,
        decoders=decoders,
        film=films,
        strip=films.strip,
        generic=_Generic(signals),
        policy=policy,
        policies=LivePolicies(store),
        face_spaces=tuple(pack.space for pack in packs),
        face_models=models,
        faces=functools.cache(lambda: FaceEye(models(), gates_of(settings.gates_file), policy)),
        copy_spaces=tuple(pack.space for pack in whole),
        copies=functools.cache(lambda: CopyEye(_copy_models(settings), policy)),
        desk=Desk(
            store,
            blobs,
            now,
            timedelta(days=settings.appeal_days),
            timedelta(minutes=settings.lease_minutes),
        ),
    )


_GENERIC: dict[tuple[type, Space], GenericBank] = {}
"""What signals say of generic content. It depends on their code alone, and takes a quarter of a
second: a process that opens several worlds works it out once."""


class _Generic(Mapping[str, GenericBank]):
    """Codes that say nothing, by the name of each signal that looks at parts of pictures.

    Worked out when they are first asked for: most commands look at no picture.
    """

    def __init__(self, signals: tuple[SignalType, ...]) -> None:
        self._signals = {signal.space.name: signal for signal in signals if signal.asks_parts}

    def __getitem__(self, name: str) -> GenericBank:
        signal = self._signals[name]
        key = (type(signal), signal.space)
        if key not in _GENERIC:
            _GENERIC[key] = CompiledBank(signal.compute(generic_frames(), Side.QUERY).codes)
        return _GENERIC[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._signals)

    def __len__(self) -> int:
        return len(self._signals)


def _models(settings: Settings) -> tuple[FaceModel, ...]:
    if settings.faces:
        _say_where_networks_run()
    home, most = settings.home / "packs", settings.max_faces
    wait = settings.faces_wait_ms / 1e3
    return tuple(
        cast(FaceModel, plugins.build("packs", name, home, max_faces=most, wait=wait))
        for name in settings.faces
    )


def _say_where_networks_run() -> None:
    """A card that was given to this process and is not used must not go unnoticed."""
    from pipeline.packs._card import card_here
    from pipeline.packs._runtime import runs

    found = runs(card_here=card_here())
    if found.instead:
        log.warning("networks.on_processor", why=found.instead)


def _manifests(settings: Settings) -> tuple[Manifest, ...]:
    """What the configured packs say of themselves; their networks stay closed."""
    if not settings.faces:
        return ()
    from pipeline.packs._install import told

    return tuple(told(name, settings.home / "packs") for name in settings.faces)


def _copy_manifests(settings: Settings) -> tuple[CopyManifest, ...]:
    """What the configured copy-detection packs say of themselves; their networks stay closed."""
    if not settings.copies:
        return ()
    from pipeline.packs import _copies

    home = settings.home / "packs"
    return tuple(_copies.opened(name, home)[0] for name in settings.copies)


def _copy_models(settings: Settings) -> tuple[CopyModel, ...]:
    if not settings.copies:
        return ()
    from pipeline.packs import _copies

    return tuple(_copies.build(name, settings.home / "packs") for name in settings.copies)


def _calibrated(packs: Iterable[Manifest]) -> dict[str, Likeness]:
    """What each pack's calibration says; one that has none must be named in the policy."""
    return {
        pack.name: Likeness(pack.calibration.review, pack.calibration.strong)
        for pack in packs
        if pack.calibration is not None
    }


def gates_of(file: Path | None) -> Sequence[Gate]:
    """The platform's own rating, then the operator's gates in their order.

    Raises ``Misconfigured``.
    """
    rating = cast(Gate, plugins.build("gates", "rating"))
    if file is None:
        return (rating,)
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Misconfigured(f"the gates file {file} cannot be read: {error}") from error
    if not isinstance(said, dict) or not all(isinstance(one, dict) for one in said.values()):
        raise Misconfigured(f"the gates file {file} is an object of gates with their settings")
    return (rating, *(cast(Gate, plugins.build("gates", name, **said[name])) for name in said))


def _partners(file: Path | None) -> dict[str, str]:
    """Organisations that may vouch for a face, with their public keys."""
    if file is None:
        return {}
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Misconfigured(f"the vouchers file {file} cannot be read: {error}") from error
    if not isinstance(said, dict) or not all(isinstance(key, str) for key in said.values()):
        raise Misconfigured(f"the vouchers file {file} is an object of names and public keys")
    return said


def _policy(file: Path | None) -> Policy:
    if file is None:
        return policies.DEFAULT
    try:
        return policies.parse(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, Invalid) as error:
        raise Misconfigured(f"the policy file {file} cannot be used: {error}") from error


def _trouble(error: Exception) -> None:
    log.warning("index.out_of_touch", error=str(error))


def me(role: str) -> Me:
    """This process as others on this host can recognise it."""
    return Me(
        ProcessId(uuid7(now(), secrets.token_bytes(10))),
        role,
        _host(),
        os.getpid(),
        _born(os.getpid()),
    )


def _unshared(error: Exception) -> None:
    log.warning("index.not_shared", error=str(error))


def alive(follower: Follower) -> bool | None:
    """Whether a process still runs; None where that cannot be seen from here.

    A generation of shared segments lives while a process uses it; an unused one is destroyed.
    """
    host, between, shelf = follower.host.partition(BETWEEN)
    if host == DEPOT:
        return True  # until it is destroyed, which ends it
    if host != _host():
        return None
    if between:
        return not FolderShelf(Path(shelf)).destroy_unused(follower.process)
    try:
        return _born(follower.pid) == follower.born
    except FileNotFoundError:
        return False


def _host() -> str:
    """This host, this boot and this process namespace: where a process number means something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()} {boot} {namespace}"


def _born(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 where /proc does not tell."""
    stat = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        return 0
    fields = stat.read_text().rpartition(")")[2].split()
    return -1 if fields[0] == "Z" else int(fields[19])
