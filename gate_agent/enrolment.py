"""How a box becomes a gate: a one-time code goes up, an identity comes back, an operator approves (wire.md §7)."""

from __future__ import annotations

import json
import secrets
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from gate_agent.centre_client import Answer, Centre, trouble_of
from gate_agent.centre_tls import CENTRE_CA, Trust
from gate_agent.disk import write_whole
from gate_agent.entries_view import EntriesView
from gate_agent.entry_push import SOFTWARE
from gate_agent.sync_state import Enrolment, LinkTrouble, SyncView
from gate_agent.sync_store import store_enrolment
from gate_agent.trusted_time import Clocks
from wire import keyset, messages, signing
from wire.invitation import Invitation
from wire.messages import DEVICE_BYTES, EnrolmentCode, EnrolReply, EnrolRequest
from wire.signing import SealFlaw
from wire.unreadable import UNREADABLE

ENROL_PATH = "/device/v1/enrol"
MAX_REPLY_BYTES = keyset.MAX_KEY_SET_BYTES + 1024
MAX_NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The box has a key and an identity, and is pending until an operator finds `check` on both screens."""

    device: bytes
    check: str

    def line(self) -> str:
        """One line of JSON for whoever called."""
        return json.dumps({"device": self.device.hex(), "check": self.check, "status": "pending"})


@dataclass(frozen=True, slots=True)
class NotEnrolled:
    """Nothing changed; why, and what to do."""

    say: str


def enrol(
    data_dir: Path,
    url: str,
    code: str,
    name: str,
    clocks: Clocks,
    *,
    ca_pem: str = "",
    replace: bool = False,
    token_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Enrolled | NotEnrolled:
    """Enrol by a code that was typed. `ca_pem`: the only authorities to believe over TLS; empty: the public ones."""
    typed = messages.read_enrolment_code(code)
    if typed is None:
        return NotEnrolled("this is no enrolment code: it has 24 letters and digits, as the centre shows them")
    return _enrol(data_dir, url, typed, ca_pem, name, clocks, replace, token_bytes)


def accept(
    data_dir: Path,
    invitation: Invitation,
    name: str,
    clocks: Clocks,
    *,
    replace: bool = False,
    token_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Enrolled | NotEnrolled:
    """Enrol by a code that a reader of the box has read."""
    ca_pem = ssl.DER_cert_to_PEM_cert(invitation.ca) if invitation.ca else ""
    return _enrol(data_dir, invitation.url, invitation.code, ca_pem, name, clocks, replace, token_bytes)


def _enrol(
    data_dir: Path,
    url: str,
    code: EnrolmentCode,
    ca_pem: str,
    name: str,
    clocks: Clocks,
    replace: bool,
    token_bytes: Callable[[int], bytes],
) -> Enrolled | NotEnrolled:
    """`name` is what operators see, usually the host's."""
    url = url.rstrip("/")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        return NotEnrolled(f"{url!r} is no address of a centre: give it as https://HOST[:PORT]")
    if ca_pem and not (url.startswith("https:") and _is_certificate(ca_pem)):
        return NotEnrolled(f"the CA cannot be used for {url}: it must be a certificate (PEM), the address begin https:")
    kept = _what_must_stay(data_dir, replace)
    if kept is not None:
        return kept
    private_key = token_bytes(signing.PRIVATE_KEY_BYTES)
    request = EnrolRequest(code.secret, signing.public_key_of(private_key), SOFTWARE, name[:MAX_NAME_CHARACTERS])
    with _ca_file(ca_pem) as ca_file:
        reply = _ask(Centre(url, clocks, Trust(ca_file=ca_file)), request)
    if isinstance(reply, NotEnrolled):
        return reply
    root = _pinned_root(reply, code)
    if root is None:
        return NotEnrolled(f"{url} is not the centre that made this code: its root key is another one")
    _keep_ca(data_dir, ca_pem)
    store_enrolment(data_dir, Enrolment(url, reply.device, root, reply.key_set), private_key)
    return Enrolled(reply.device, signing.check_characters(signing.public_key_of(private_key)))


def _is_certificate(pem: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):  # the latter: what is not even ASCII
        return False
    return True


@contextmanager
def _ca_file(pem: str) -> Iterator[Path | None]:
    """The authorities as a file for as long as it is asked; nothing is kept of a centre that did not enrol us."""
    if not pem:
        yield None
        return
    with tempfile.NamedTemporaryFile("w", suffix=".pem", encoding="ascii") as file:
        file.write(pem)
        file.flush()
        yield Path(file.name)


def _keep_ca(data_dir: Path, pem: str) -> None:
    """From now on these authorities are the only ones; none: the public ones."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not pem:
        (data_dir / CENTRE_CA).unlink(missing_ok=True)
        return
    write_whole(data_dir / CENTRE_CA, pem.encode("ascii"))


def _what_must_stay(data_dir: Path, replace: bool) -> NotEnrolled | None:
    """An enrolment is replaced only on demand, and never under a journal: its entries belong to who wrote them."""
    held = SyncView.open(data_dir).read()
    if held.device is None:
        return None
    if not replace:
        return NotEnrolled(
            f"this box is enrolled at {held.url} as {held.device.hex()}; --replace makes it another gate"
        )
    if _last_seq(data_dir) > 0:
        return NotEnrolled(
            "the journal here holds entries of the gate this box is: let them be sent, then enrol with a new --data"
        )
    return None


def _last_seq(data_dir: Path) -> int:
    """How many entries the journal here holds; 0 when there is none."""
    try:
        with EntriesView.open(data_dir) as journal:
            return journal.last_seq()
    except FileNotFoundError:
        return 0


def _ask(centre: Centre, request: EnrolRequest) -> EnrolReply | NotEnrolled:
    with closing(centre):
        headers = {"Content-Type": "application/msgpack"}
        answer = centre.exchange("POST", ENROL_PATH, MAX_REPLY_BYTES, msgspec.msgpack.encode(request), headers)
    if isinstance(answer, LinkTrouble):
        return NotEnrolled(answer.detail)
    reply = _read(answer)
    return NotEnrolled(trouble_of(answer, "an enrolment").detail) if reply is None else reply


def _read(answer: Answer) -> EnrolReply | None:
    if answer.status != 200:
        return None
    try:
        reply = msgspec.msgpack.decode(answer.body, type=EnrolReply)
    except UNREADABLE:
        return None
    return reply if len(reply.device) == DEVICE_BYTES else None


def _pinned_root(reply: EnrolReply, code: EnrolmentCode) -> bytes | None:
    """The root key that the code pins and that signed the key set; None for any other centre."""
    root = keyset.claimed_root(reply.key_set)
    if root is None or not code.pins(root):
        return None
    return None if isinstance(keyset.read_key_set(reply.key_set, root), SealFlaw) else root
