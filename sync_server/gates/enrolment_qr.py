"""An enrolment code as the QR picture that a gate's own scanner reads in its enrolment mode (wire.invitation)."""

from __future__ import annotations

import io
from pathlib import Path

import segno
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sync_server.errors import ConfigurationError
from sync_server.settings import Settings
from wire.invitation import TooLong, invitation_text
from wire.messages import EnrolmentCode

INK, PAPER = "#14202b", "#fff"


def enrolment_svg(settings: Settings, code: EnrolmentCode, root_public: bytes, border: int = 4) -> str:
    """The picture, as an SVG element; ConfigurationError: `gate_ca_file` cannot be carried by it."""
    ca = b"" if settings.gate_ca_file is None else _read_ca(settings.gate_ca_file)
    try:
        text = invitation_text(settings.base_url, code.secret, root_public, ca)
    except TooLong as error:
        raise ConfigurationError(f"gate_ca_file: {error}") from error
    picture = io.BytesIO()
    segno.make_qr(text, error="m", boost_error=False).save(
        picture, kind="svg", xmldecl=False, scale=4, border=border, dark=INK, light=PAPER
    )
    return picture.getvalue().decode()


def _read_ca(path: Path) -> bytes:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (OSError, ValueError, x509.ExtensionNotFound) as error:
        raise ConfigurationError(f"gate_ca_file: {path} is no CA certificate in PEM form ({error})") from error
    if not is_ca:
        raise ConfigurationError(f"gate_ca_file: {path} is a server's own certificate: name that of its CA")
    return certificate.public_bytes(Encoding.DER)
