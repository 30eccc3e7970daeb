"""How the centre is known over TLS: by what its signed key set pins, by the CA of the enrolment, or a public one."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

from gate_agent.time_trust import Now
from wire.keyset import KeySet

CENTRE_CA = "centre-ca.pem"
"""In the data directory: the authorities that were named when the box was enrolled."""
NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: it leaves dates to us, since it would judge them by the system clock."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Who may speak for the centre: a server that holds one of `keys` (SHA-256 of its SubjectPublicKeyInfo) under any
    certificate, or one with a certificate for its address by one of `cas` (DER) or of `ca_file` (PEM). Nothing of all
    that: one by a public authority.
    """

    keys: tuple[bytes, ...] = ()
    cas: tuple[bytes, ...] = ()
    ca_file: Path | None = None
    key_set_version: int = field(default=0, compare=False)

    @property
    def pins(self) -> bool:
        """Whether the key set has a say in it."""
        return bool(self.keys or self.cas)


class Untrusted(ssl.SSLError):
    """Whoever answers is not believed; a sentence that says why."""

    def __str__(self) -> str:
        return str(self.args[-1])


class WrongKey(Untrusted):
    """It has none of the keys and CAs that the key set pins."""


class OutOfDate(Untrusted):
    """Its certificate does not count at the gate's time."""


def trust_of(data_dir: Path, key_set: KeySet | None) -> Trust:
    """What this box goes by. Without `key_set`: a cache in front of the centre, which has certificates of its own."""
    path = data_dir / CENTRE_CA
    ca_file = path if path.exists() else None
    if key_set is None:
        return Trust(ca_file=ca_file)
    return Trust(key_set.tls_keys, key_set.tls_cas, ca_file, key_set.version)


class CentreTls(HTTPAdapter):
    """Makes the connections of a session to one centre, and breaks off those to anybody else before a word is said."""

    def __init__(self, trust: Trust, now: Callable[[], Now]) -> None:
        """`now`: the gate's own time, by which certificates are judged."""
        self._trust, self._now = trust, now
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: object) -> None:
        """Called by HTTPAdapter: every pool of this session makes connections that look at the trust."""
        super().init_poolmanager(connections, maxsize, block, **kwargs)
        trust, now = self._trust, self._now

        class Connection(_Connection):
            def connect(self) -> None:
                self.connect_trusting(trust, now())

        class Pool(HTTPSConnectionPool):
            ConnectionCls = Connection

        self.poolmanager.pool_classes_by_scheme = {"http": HTTPConnectionPool, "https": Pool}


class _Connection(HTTPSConnection):
    def connect_trusting(self, trust: Trust, now: Now) -> None:
        """A pinned key is looked for first; one of another key may still be by a CA that counts."""
        self.ca_certs = self.ca_cert_dir = None  # what `requests` would have it believe
        shown = b""
        if trust.keys:
            shown = self._shown_key()
            if shown in trust.keys:
                self.is_verified = True
                return
            self.close()
        if trust.keys and not trust.cas and trust.ca_file is None:
            raise _wrong_key(trust, shown)
        self.ssl_context, self.cert_reqs = _by_authority(trust), ssl.CERT_REQUIRED
        try:
            super().connect()
        except ssl.SSLCertVerificationError as error:
            if trust.pins:
                raise _wrong_key(trust, shown) from error
            raise
        try:
            _check_dates(self._certificate(), now)
        except OutOfDate:
            self.close()
            raise

    def _shown_key(self) -> bytes:
        """The hash of the key that the other side proved to have."""
        self.ssl_context, self.cert_reqs = create_urllib3_context(cert_reqs=ssl.CERT_NONE), ssl.CERT_NONE
        self.ssl_context.check_hostname = False
        super().connect()
        public = self._certificate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return sha256(public).digest()

    def _certificate(self) -> x509.Certificate:
        """The other side's own."""
        assert isinstance(self.sock, ssl.SSLSocket)
        return x509.load_der_x509_certificate(self.sock.getpeercert(binary_form=True) or b"")


def _by_authority(trust: Trust) -> ssl.SSLContext:
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    if trust.cas:
        context.load_verify_locations(cadata=b"".join(trust.cas))
    if trust.ca_file is not None:
        context.load_verify_locations(trust.ca_file)
    if not trust.cas and trust.ca_file is None:
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context


def _check_dates(certificate: x509.Certificate, now: Now) -> None:
    """By the gate's own time, never the system clock, which may say 1970 after a power cut. Raises OutOfDate.

    While the time is not known, the certificate must not have ended before the time that it cannot be before; the
    centre's signed answer then tells the time. Until anything is known nothing is asked of the dates.
    """
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now.at_ms is not None and _utc(now.at_ms) < begins:
        raise OutOfDate(f"its certificate begins at {_told(begins)}, and the gate's time is {_told(_utc(now.at_ms))}")
    not_before_ms = now.floor_ms if now.at_ms is None else now.at_ms
    if not_before_ms is not None and _utc(not_before_ms) >= ends:
        later = "it is not before" if now.at_ms is None else "the gate's time is"
        raise OutOfDate(f"its certificate ended at {_told(ends)}, and {later} {_told(_utc(not_before_ms))}")


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _wrong_key(trust: Trust, shown: bytes) -> WrongKey:
    key = f"has the TLS key {shown.hex()[:16]}…" if shown else "has a certificate of another CA"
    return WrongKey(
        f"who answers there {key}, and version {trust.key_set_version} of the key set pins {len(trust.keys)} other keys"
        f" and {len(trust.cas)} CAs: pin a new key with sync-server keys pin before it is used"
    )
