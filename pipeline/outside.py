"""Going out to an address that somebody else named, without being led anywhere else.

A name is resolved once and the connection goes to that very address, so that a second answer of
the name server (DNS rebinding) changes nothing. Addresses that are not public are refused,
whatever form they are written in, unless the operator allowed the host itself. There are no
redirects, no credentials in addresses, and no end of bytes or time.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from pipeline.errors import ConsentryError

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Iterable[str]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IETF = ipaddress.ip_network("192.0.0.0/24")  # older Pythons call part of it global
_PORTS = {"https": 443, "http": 80}


class Unreachable(ConsentryError):
    """An address that is not gone to, or that gave nothing; the message says which."""

    code = "unreachable"


class Slow(Unreachable):
    """An address that gave nothing, or not all, in the time that it was given."""


@dataclass(slots=True)
class Term:
    """When a connection ends: so many seconds after it began, unless it is put off."""

    seconds: float
    monotonic: Callable[[], float] = time.monotonic
    ends: float = float("inf")

    def begin(self) -> None:
        """The connection is being made."""
        self.ends = self.monotonic() + self.seconds

    def put_off(self, seconds: float) -> None:
        """It may last for so many seconds more than it was to."""
        self.ends += seconds

    @property
    def left(self) -> float:
        """Seconds until it ends."""
        return self.ends - self.monotonic()


def is_public(address: IpAddress) -> bool:
    """Whether an address is one of the internet's, looked at through every way of wrapping it."""
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour
        if address.teredo:
            inside = address.teredo[1]
        if address in _NAT64:
            inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inside is not None:
            return is_public(inside)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and address not in _IETF


def resolve(host: str, port: int) -> list[str]:
    """The numeric addresses of a name, as this machine's resolver has them."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable("the host of this address is not known to the name server") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class Target:
    """An address that was checked: connect to ``ip``, speak as if to ``host``."""

    host: str
    port: int
    ip: str


def target_of(url: str, *, private: bool = False, look_up: Resolve = resolve) -> Target:
    """Where an address leads; raises ``Unreachable`` for one that is not gone to.

    All that a name resolves to must be public, or none is used: a name with both kinds is a trap.
    ``private`` also takes other addresses and plain ``http``, for hosts that the operator named.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise Unreachable("this is no address that can be gone to") from error
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        raise Unreachable("an address begins with https://")
    if parts.username is not None or parts.password is not None:
        raise Unreachable("an address holds no user name and no password")
    host = (parts.hostname or "").rstrip(".")
    if not host or "%" in host or "\\" in parts.netloc:
        raise Unreachable("an address names a host")
    addresses = list(look_up(host, port))
    if not addresses:
        raise Unreachable("the host of this address is not known to the name server")
    for address in addresses:
        try:
            public = is_public(ipaddress.ip_address(address.partition("%")[0]))
        except ValueError as error:
            raise Unreachable("the name server answered something that is no address") from error
        if not (public or private):
            raise Unreachable("this address leads into a private network")
    return Target(host, port, addresses[0])


class Pinned(httpx.BaseTransport):
    """Sends a request to the address that was checked, and to no other."""

    def __init__(
        self,
        *,
        private: bool = False,
        look_up: Resolve = resolve,
        inner: httpx.BaseTransport | None = None,
    ) -> None:
        self._private, self._look_up = private, look_up
        self._inner = inner or httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Check, then send. Certificates are checked for the name, not for the number."""
        target = target_of(str(request.url), private=self._private, look_up=self._look_up)
        # The Host header was made from the name already; the connection goes to the number.
        request.extensions = {**request.extensions, "sni_hostname": target.host}
        request.url = request.url.copy_with(host=target.ip, port=target.port)
        return self._inner.handle_request(request)

    def close(self) -> None:
        """Let go of connections."""
        self._inner.close()


class _Hurried(httpcore.NetworkStream):
    """A connection that ends at its deadline, however slowly the other side goes on sending.

    A timeout of a read begins anew with every byte; somebody who sends one now and then would
    otherwise hold a worker for ever.
    """

    def __init__(self, inner: httpcore.NetworkStream, term: Term) -> None:
        self._inner, self._term = inner, term

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._left(timeout, httpcore.ConnectTimeout)
        return _Hurried(self._inner.start_tls(ssl_context, server_hostname, left), self._term)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def _left(self, timeout: float | None, late: type[Exception]) -> float:
        left = self._term.left
        if left <= 0:
            raise late
        return left if timeout is None else min(timeout, left)


class _Hurry(httpcore.SyncBackend):
    """Connections that last for so many seconds at most, each, or all until the end of one term."""

    def __init__(self, term: float | Term) -> None:
        self._term = term

    def connect_tcp(self, *where: Any, **how: Any) -> httpcore.NetworkStream:
        term = self._term if isinstance(self._term, Term) else Term(self._term)
        term.begin()
        return _Hurried(super().connect_tcp(*where, **how), term)


class Bounded(httpx.BaseTransport):
    """Sends each request over a connection of its own, which lasts for a ``term`` at most."""

    def __init__(self, term: float | Term) -> None:
        self._connections = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_keepalive_connections=0,
            network_backend=_Hurry(term),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send; what goes wrong is raised as httpx's own transport would."""
        url = request.url
        asked = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            came = self._connections.handle_request(asked)
        return httpx.Response(
            came.status, headers=came.headers, stream=_Coming(came), extensions=came.extensions
        )

    def close(self) -> None:
        """Let go of connections."""
        self._connections.close()


class _Coming(httpx.SyncByteStream):
    """An answer's body on its way."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        # Both libraries have the same names for these.
        kind: type[httpx.TransportError] = getattr(
            httpx, type(error).__name__, httpx.TransportError
        )
        raise kind(str(error)) from error


def client(
    *, private: bool = False, timeout: float = 10.0, whole: float | Term | None = None
) -> httpx.Client:
    """An HTTP client that goes where it was sent and nowhere else. No proxy of the environment.

    ``timeout`` is how long the other side may be silent, ``whole`` how long it may take in all.
    """
    return httpx.Client(
        transport=Pinned(private=private, inner=Bounded(whole) if whole else None),
        timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
        follow_redirects=False,
        trust_env=False,
    )


def fetch(
    http: httpx.Client,
    url: str,
    *,
    most: int,
    seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> bytes:
    """The bytes at an address: at most ``most`` and one, within ``seconds`` in all.

    One byte more than may be is enough for the decoder to refuse it by name. Raises
    ``Unreachable`` for anything that is not a plain 200.
    """
    parts, size = [], 0
    for part in pieces(http, url, seconds=seconds, monotonic=monotonic):
        parts.append(part)
        size += len(part)
        if size > most:
            break
    return b"".join(parts)[: most + 1]


def pieces(
    http: httpx.Client,
    url: str,
    *,
    seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> Generator[bytes, None, None]:
    """The bytes at an address as they come, for whoever stops when there are too many.

    Raises ``Unreachable`` for anything that is not a plain 200, and after ``seconds`` in all.
    """
    deadline = monotonic() + seconds
    try:
        with http.stream("GET", url, headers={"accept-encoding": "identity"}) as answer:
            if answer.is_redirect:
                raise Unreachable("this address answers with a redirect, which is not followed")
            if answer.status_code != 200:
                raise Unreachable(f"this address answered {answer.status_code} instead of 200")
            for part in _pieces(answer):
                yield part
                if monotonic() > deadline:
                    raise Slow(f"this address sent for longer than {seconds:g} seconds")
    except httpx.TimeoutException as error:
        raise Slow(f"this address did not answer in time ({type(error).__name__})") from error
    except httpx.HTTPError as error:
        raise Unreachable(f"this address gave no answer ({type(error).__name__})") from error


def _pieces(answer: httpx.Response) -> Iterator[bytes]:
    """As sent: a compressed body could be a bomb, and was not asked for."""
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise Unreachable("this address sends compressed, which was not asked for")
    yield from answer.iter_raw(1 << 16)
