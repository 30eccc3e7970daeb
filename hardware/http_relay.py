"""Relay boards in the network: one GET is one pulse, timed by the board, on a wire that leads nowhere else.

Such boards believe whoever reaches them. So the request leaves by a named interface alone, and only while no default
route leads through it: a board in the visitors' network or behind the router to the world is not pulsed (gate.md).
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hardware import DeviceFault, library
from hardware.driver_thread import DriverThread
from hardware.relay import STOP_LIMIT_S
from hardware.turnstile import Direction

if TYPE_CHECKING:
    from requests import Session

CONNECT_LIMIT_S = 0.5
ANSWER_LIMIT_S = 1.0  # a visitor waits for it
LOOK_EVERY_S = 5.0  # how soon a board that went away is missed
ROUTES = Path("/proc/net")

_FLAG_UP = 0x1
_FLAG_REJECT = 0x200


class HttpRelay:
    """A board whose pulse is a URL for each way, `{pulse_ms}` or `{pulse_s}` in it standing for the length.

    `http://10.0.8.2/relay/0?turn=on&timer={pulse_s}` is a Shelly's. A URL without them pulses as the board is set up.
    Any 2xx is a pulse; redirects are not followed, the environment's proxies not used."""

    def __init__(
        self,
        urls: Mapping[Direction, str],
        interface: str,
        routes: Path = ROUTES,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._urls = dict(urls)
        self._url = next(iter(self._urls.values()))  # whose board is looked after, and named in a fault
        self._interface = interface
        self._routes = routes
        self._monotonic_ns = monotonic_ns
        self._lock = threading.Lock()
        self._fault: str | None = None
        self._answer: str | None = None  # what was wrong with the last answer to a pulse
        self._closing = threading.Event()
        self._look()
        self._thread = DriverThread("relay board", self._keep, self._closing, first_s=LOOK_EVERY_S)

    @property
    def fault(self) -> str | None:
        return self._fault or self._answer or self._thread.fault

    @property
    def ways(self) -> Collection[Direction]:
        return self._urls.keys()

    def pulse(self, direction: Direction, pulse_ms: int) -> int:
        with self._lock:
            if self._closing.is_set():
                raise DeviceFault(f"relay board {self._url} is closed")
            self._check_wire()
            began_ns = self._monotonic_ns()
            url = self._urls[direction]
            self._ask(url.replace("{pulse_ms}", str(pulse_ms)).replace("{pulse_s}", f"{pulse_ms / 1000:g}"))
            self._fault = None
            return began_ns

    def close(self) -> None:
        self._closing.set()
        self._thread.join(STOP_LIMIT_S)
        self._fault = f"relay board {self._url} is closed"

    def _ask(self, url: str) -> None:
        with library("requests"):
            import requests
            from urllib3.exceptions import NewConnectionError
        try:
            with (
                _session(self._interface) as session,
                session.get(
                    url, timeout=(CONNECT_LIMIT_S, ANSWER_LIMIT_S), allow_redirects=False, stream=True
                ) as answer,
            ):
                status = answer.status_code
        except requests.ConnectTimeout as error:
            raise self._not_there(error) from error
        except requests.RequestException as error:
            why = getattr(error.args[0], "reason", None) if error.args else None
            if isinstance(why, NewConnectionError):
                raise self._not_there(why) from error
            # The request went out, and then no answer or half of one: a pulse, but one that somebody has to look at
            self._answer = f"relay board {self._url} took a request and did not answer well: look whether it works"
        else:
            if not 200 <= status < 300:
                self._answer = f"relay board {self._url} answers {status}: is the URL the one its handbook gives?"
                raise DeviceFault(self._answer)
            self._answer = None

    def _not_there(self, error: Exception) -> DeviceFault:
        self._fault = f"relay board {self._url} is not there ({type(error).__name__}): check its power and its cable"
        return DeviceFault(self._fault)

    def _keep(self) -> float:
        self._look()
        return LOOK_EVERY_S

    def _look(self) -> None:
        """Whether the board could be asked now; nothing is sent to it."""
        with self._lock:
            try:
                self._check_wire()
                parts = urlsplit(self._url)
                where = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
                _connect(where, self._interface).close()
            except DeviceFault:
                return  # _check_wire has said it
            except OSError as error:
                self._not_there(error)
            else:
                self._fault = None

    def _check_wire(self) -> None:
        sentence = wire_fault(self._interface, self._routes)
        if sentence is not None:
            self._fault = sentence
            raise DeviceFault(sentence)


def wire_fault(interface: str, routes: Path = ROUTES) -> str | None:
    """Why a relay board must not be asked over `interface` now; None: it is there and no default route uses it."""
    try:
        socket.if_nametoindex(interface)
        ipv4 = (routes / "route").read_text(encoding="ascii").splitlines()[1:]
        ipv6_table = routes / "ipv6_route"  # not there where IPv6 is off
        ipv6 = ipv6_table.read_text(encoding="ascii").splitlines() if ipv6_table.exists() else []
    except OSError as error:
        return f"the network interface {interface} of a relay board cannot be used ({error.strerror}): check its name"
    if any(_is_default_ipv4(line.split(), interface) for line in ipv4) or any(
        _is_default_ipv6(line.split(), interface) for line in ipv6
    ):
        return f"a default route leads through {interface}: give the relay board a wire of its own, without a gateway"
    return None


def _is_default_ipv4(columns: list[str], interface: str) -> bool:
    """A row of /proc/net/route: interface, destination, gateway, flags, …, mask (the eighth)."""
    return len(columns) > 7 and columns[0] == interface and columns[7] == "00000000" and _is_used(columns[3])


def _is_default_ipv6(columns: list[str], interface: str) -> bool:
    """A row of /proc/net/ipv6_route: destination, its length, …, flags, interface (the last two)."""
    return len(columns) > 9 and columns[9] == interface and columns[1] == "00" and _is_used(columns[8])


def _is_used(flags: str) -> bool:
    return bool(int(flags, 16) & _FLAG_UP) and not int(flags, 16) & _FLAG_REJECT


def _bound_to(interface: str) -> tuple[int, int, bytes]:
    """The socket option with which nothing leaves by another interface, whatever the routes say."""
    return (socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")


def _connect(where: tuple[str, int], interface: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    line = socket.socket(family, socket.SOCK_STREAM)
    try:
        line.settimeout(CONNECT_LIMIT_S)
        line.setsockopt(*_bound_to(interface))
        line.connect(where)
    except OSError:
        line.close()
        raise
    return line


def _session(interface: str) -> Session:
    """A session for one request: its connection is not kept, for a board closes it when it likes."""
    from requests import Session
    from requests.adapters import HTTPAdapter

    class BoundAdapter(HTTPAdapter):
        """Every connection goes out by one interface."""

        def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
            super().init_poolmanager(*sizes, **options, socket_options=[_bound_to(interface)])

    session = Session()
    session.trust_env = False  # no proxy stands between a gate and its relay
    session.headers["Connection"] = "close"
    for scheme in ("http://", "https://"):
        session.mount(scheme, BoundAdapter(max_retries=0))
    return session
