"""Structured logs: JSON lines on standard error, ids and counts, never personal data."""

from __future__ import annotations

import logging
import sys

import structlog

from services.settings import Settings


def configure(settings: Settings) -> None:
    """Set up logging for this process; the libraries' own logs are kept to warnings."""
    level = logging.getLevelNamesMapping().get(settings.log_level.upper(), logging.INFO)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s %(message)s")
    # Request lines of the HTTP client name webhook addresses; psycopg's quote statements;
    # the image decoder's tell what is in a file.
    for noisy in ("httpx", "httpcore", "psycopg", "psycopg.pool", "PIL"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Asked for at each line, so that another stream in the place of standard error is heeded.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
