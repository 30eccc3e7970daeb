"""Alipay's signatures (RSA2): what is signed of a request, of an answer and of a notice, and the money in their texts.

A request and a notice are signed over their parameters, `name=value` in the order of the names, joined by `&`; an
answer over the very text of its inner object, as it stands in the JSON, so that nothing may parse and write it anew.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SIGN_TYPE = "RSA2"  # RSA PKCS #1 v1.5 with SHA-256, 2048 bits
UNSIGNED = ("sign",)  # of a request
UNSIGNED_IN_NOTICES = ("sign", "sign_type")
_YUAN = re.compile(r"(-?)([0-9]{1,11})(?:\.([0-9]{1,2}))?")


class Node(NamedTuple):
    """The inner object of an answer: what it says, and the signed text."""

    said: dict[str, Any]
    text: str
    sign: str


def sign(key: rsa.RSAPrivateKey, parameters: Mapping[str, str]) -> str:
    """The parameter `sign` of a request."""
    return sign_text(key, canonical(parameters, UNSIGNED))


def sign_text(key: rsa.RSAPrivateKey, text: str) -> str:
    """A signature in base64."""
    return base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def is_signed(key: rsa.RSAPublicKey, text: str, signature: str) -> bool:
    """Whether the owner of the key signed this text."""
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def canonical(parameters: Mapping[str, str], unsigned: tuple[str, ...]) -> str:
    """What a signature over parameters is over: empty ones count as missing."""
    names = sorted(name for name, value in parameters.items() if value and name not in unsigned)
    return "&".join(f"{name}={parameters[name]}" for name in names)


def read_node(body: str, method: str) -> Node | None:
    """The inner object of an answer to a method, with its signed text; None: not an answer to it."""
    for name in (f"{method.replace('.', '_')}_response", "error_response"):
        found = re.search(rf'"{name}"\s*:\s*', body)
        if found is None:
            continue
        try:
            said, end = json.JSONDecoder().raw_decode(body, found.end())
            whole = json.loads(body)
        except (ValueError, RecursionError):
            return None
        if not isinstance(said, dict) or not isinstance(whole, dict) or whole.get(name) != said:
            return None
        signature = whole.get("sign")
        return Node(said, body[found.end() : end], signature if isinstance(signature, str) else "")
    return None


def yuan(fen: int) -> str:
    """An amount as Alipay writes it: yuan with two decimals."""
    return f"{fen // 100}.{fen % 100:02d}"


def fen_of(text: object) -> int | None:
    """An amount of Alipay in fen; None when it is none."""
    found = _YUAN.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        return None
    minus, whole, part = found.groups()
    fen = int(whole) * 100 + int((part or "").ljust(2, "0"))
    return -fen if minus else fen
