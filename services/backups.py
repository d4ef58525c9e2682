"""``consentry backup`` and ``consentry restore``: everything in one sealed file, and back.

A restore ends with everybody who has left since the backup being erased again: until then no
service runs on that database.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from pipeline.domain.audit import stamp
from pipeline.errors import Invalid, Tampered
from services.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.journeys.forget_again import Forgotten

out = Console(width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, width=None if sys.stderr.isatty() else 240)


def add_to(app: typer.Typer) -> None:
    """Register both commands."""
    app.command()(backup)
    app.command()(restore)


def backup(
    file: Annotated[Path, typer.Argument(help="Where to write it; must not be there yet.")],
) -> None:
    """Write the database and the media under review into one sealed file.

    Services may go on meanwhile. Keep the key file and the list of erasures (CONSENTRY_ERASURES)
    elsewhere: a backup opens with the first, and is restored with the newest copy of the second.
    """
    if file.exists():
        raise Invalid(f"{file} is there already; name a new file")
    settings = Settings()
    with _bar() as bar:
        size = save(settings, file, _into(bar))
    out.print(f"{file}: {size:,} bytes, sealed under the current key-encryption key")
    out.print(f"the list of erasures goes on in {settings.erasure_list}; copy it elsewhere")


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    erasures: Annotated[
        Path | None,
        typer.Option(help="The newest copy of the list of erasures; by default this home's."),
    ] = None,
) -> None:
    """Restore a backup into an empty database; people who have left since stay erased."""
    settings = Settings()
    with _bar() as bar:
        forgotten = bring_back(settings, file, erasures or settings.erasure_list, _into(bar))
    out.print(
        f"restored; erased again: {forgotten.persons} persons, {forgotten.entries} entries,"
        f" {forgotten.media} media, {forgotten.keys} other keys"
    )
    out.print("services may run on it now")


def save(settings: Settings, file: Path, progress: Callable[[str, int], None]) -> int:
    """Write a backup; its size in bytes."""
    from pipeline.journeys.forget_again import list_erasures
    from pipeline.storage.backups import write_backup
    from pipeline.storage.erasures import ErasureList
    from services.wiring import keyring, now, open_world

    with open_world(settings) as world:
        kept = ErasureList(settings.erasure_list)
        list_erasures(world.store, kept)
        return write_backup(
            file,
            world.database.url,
            keyring(settings),
            settings.blob_folder,
            kept.place(),
            stamp(now()),
            progress,
        )


def bring_back(
    settings: Settings, file: Path, erasures: Path, progress: Callable[[str, int], None]
) -> Forgotten:
    """Restore a backup and erase again what was erased since; what that was."""
    from pipeline.journeys.forget_again import forget_again
    from pipeline.storage import Database
    from pipeline.storage.backups import (
        Backup,
        begin_restore,
        end_restore,
        leave_room,
        load,
        put_medium,
    )
    from pipeline.storage.blobs import FolderBlobs
    from pipeline.storage.erasures import ErasureList
    from pipeline.storage.migrate import migrate
    from pipeline.storage.store import PgStore
    from pipeline.storage.vault import Secrets
    from services.wiring import alive, database_url, keyring, now

    kept, ring = ErasureList(erasures), keyring(settings)
    with file.open("rb") as opened, database_url(settings) as url:
        reading = Backup(opened, ring)
        since = list(
            kept.since(reading.place)
        )  # before anything is written: it may be the wrong one
        begin_restore(url)
        for name, blocks in reading.sections():
            if name == "database":
                load(url, blocks, progress)
            elif name.startswith("media/"):
                progress(name, put_medium(settings.blob_folder, name, blocks))
            else:
                raise Tampered(f"the backup has a section {name!r} that this version does not know")
        migrate(url)
        leave_room(url, kept.place().seq)
        database = Database(url, size=2)
        try:
            store = PgStore(database, ring, Secrets.load(database, ring))
            forgotten = forget_again(
                store, FolderBlobs(settings.blob_folder), now, alive, since,
                lambda _: progress("erasures", 1),
            )  # fmt: skip
        finally:
            database.close()
        end_restore(url)
    return forgotten


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn(), console=err,
        transient=True,
    )  # fmt: skip


def _into(bar: Progress) -> Callable[[str, int], None]:
    tasks = {}

    def hear(section: str, size: int) -> None:
        what = section.partition("/")[0]
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=None)
        bar.advance(tasks[what], size)

    return hear
