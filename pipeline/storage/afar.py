"""What a store that is asked over the network says when it fails, by our own names.

``fsspec`` gives most of it as ``OSError``, but what its S3 client could not even ask (nobody there,
no credentials, a broken answer) comes as that client's own errors, which share no ancestor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import Unavailable

_CLIENTS = ("botocore", "aiobotocore", "aiohttp", "fsspec", "s3fs")


@contextmanager
def asking(store: str, meanwhile: str = "") -> Iterator[None]:
    """Ask a store, called ``store`` in messages that end with what happens ``meanwhile``.

    Raises ``FileNotFoundError`` as it comes and ``Unavailable`` for everything else that is the
    store's, with what to do about it.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        why = _why(error)
        if why is None:
            raise
        raise Unavailable("; ".join(filter(None, (f"{store} {why}", meanwhile)))) from error


def _why(error: Exception) -> str | None:
    """What a store's error means; None where it is not a store's."""
    kind = type(error)
    if isinstance(error, PermissionError):
        return "refuses these credentials (AWS_ACCESS_KEY_ID): allow them to list, read and write"
    if kind.__module__.partition(".")[0] in _CLIENTS:
        if "Credentials" in kind.__name__:
            return "was given no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        return f"does not answer ({kind.__name__}): see AWS_ENDPOINT_URL_S3 and the network"
    return "does not answer now" if isinstance(error, OSError) else None
