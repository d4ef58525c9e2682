"""A hand: a process on any host that claims pieces of work from the database and does them.

``python -m services.hand`` reads the same environment as every other service. It is told to end by
SIGTERM, and ends the piece it is at; killed, its claims run out and others take them up.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

import structlog

from pipeline.errors import ConsentryError
from pipeline.journeys import rescan, sift
from pipeline.storage.jobs import backoff
from services.logs import configure
from services.settings import Settings
from services.wiring import World, open_world

log = structlog.get_logger()

CHILD = "--child"
"""Told to a hand that shall end with whoever started it."""


def work(
    world: World,
    stop: threading.Event,
    did: Callable[[], None] = lambda: None,
    kinds: Sequence[str] = (rescan.KIND, sift.KIND),
) -> None:
    """Do pieces of work until ``stop``; ``did`` is called after each."""
    rng = random.SystemRandom()

    def pause(attempt: int) -> float:
        return backoff(attempt, rng)

    with ExitStack() as stack:
        live = stack.enter_context(world.live("hand", wait=False))
        sweeper = stack.enter_context(closing(world.sweeper(live)))
        makers = {rescan.KIND: sweeper.work, sift.KIND: world.sifter(live).work}
        works = [makers[kind] for kind in kinds]
        while not stop.is_set():
            try:
                busy = False
                for one in works:  # each has its turn, whatever the others found
                    busy |= one(pause)
            except ConsentryError as error:
                log.warning("hand.trouble", code=error.code, error=str(error))
                busy = False
            except Exception as error:  # one defective piece must not stop the others
                log.error("hand.defect", error=type(error).__name__)
                busy = False
            if busy:
                did()
            else:
                stop.wait(0.2)


def main() -> None:
    """Work until told to end."""
    settings = Settings()
    configure(settings.model_copy(update={"log_level": "warning"}))
    stop = threading.Event()
    for told in (signal.SIGTERM, signal.SIGINT):
        signal.signal(told, lambda *_: stop.set())
    if CHILD in sys.argv:
        threading.Thread(target=_end_with_parent, args=(os.getppid(), stop), daemon=True).start()
    with open_world(settings) as world:
        work(world, stop)


def _end_with_parent(parent: int, stop: threading.Event) -> None:
    """Whoever started us was killed: nobody would ever end us."""
    while not stop.wait(1.0):
        if os.getppid() != parent:
            stop.set()


if __name__ == "__main__":
    try:
        main()
    except ConsentryError as trouble:
        sys.exit(f"error: {trouble}")
