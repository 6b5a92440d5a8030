"""Mail that is signed for tests, by dkimpy, and the zone that lets it be verified."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

import dkim
import nacl.signing
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import rsa

MAIL = b"""\
From: Ops <ops@mon.example.com>\r
To: 79991234567@sms.example.com\r
Subject: Disk 95 %\r
Message-ID: <1@mon.example.com>\r
Date: Fri, 20 Nov 2026 03:00:00 +0000\r
\r
The disk  is full. \r
\r
"""

SMALL = (  # no library makes keys of 512 bits any more
    b"""-----BEGIN RSA PRIVATE KEY-----
MIIBOwIBAAJBAKij9kuS5wkG/Lab/pzp6iElippfymNBFkmDNva+K040jatl27xE
rjT1bVSqDAA37O61pfGLELzregf+ilKRFX8CAwEAAQJAOTEyDDtL40HdXsjUtr6V
ypwCv4wRBUxDlLbNYyznXuPifdD0azIdz1gDjFvn1n1KGgf8oN4PtRJovk5YG9Nl
0QIhAN/GbBMV0QhVytCO2+5iAqZi8EoNNXIBFahjrDQcsY5VAiEAwOz5wg9l4kFq
2YmePpP9ebGkKAciT+QlpB1Fhh+gQIMCIQDENp8jKPkOHvPkZa+Q2d3K+WwK8oQP
f8X2zdb8JsDFtQIgIi+bzjxmRGJtKaEOLm6Q4uiMex9QgDGgTeV19V9TSTsCIQDA
iRO5F0kVi3Peih+Y1tysWQvyzyX7B3Jlsz1a9BZsYQ==
-----END RSA PRIVATE KEY-----
""",
    "v=DKIM1; k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKij9kuS5wkG/Lab/pzp6iElippfymNBFkmDNv"  # noqa: ISC004 - one record
    "a+K040jatl27xErjT1bVSqDAA37O61pfGLELzregf+ilKRFX8CAwEAAQ==",
)


@cache
def rsa_key(bits: int = 2048) -> tuple[bytes, str]:
    """A private key as dkimpy takes it, and its record."""
    key = rsa.generate_private_key(65537, bits)
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
    return private, f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"


@cache
def ed_key() -> tuple[bytes, str]:
    """The same of Ed25519 (RFC 8463)."""
    key = nacl.signing.SigningKey.generate()
    public = base64.b64encode(bytes(key.verify_key)).decode()
    return base64.b64encode(bytes(key)), f"v=DKIM1; k=ed25519; p={public}"


def signed(
    mail: bytes = MAIL,
    *,
    domain: str = "mon.example.com",
    selector: str = "s",
    key: tuple[bytes, str] | None = None,
    **how: Any,
) -> bytes:
    """The mail with a signature on top."""
    private, record = key or rsa_key()
    algorithm = b"ed25519-sha256" if "ed25519" in record else b"rsa-sha256"
    names = {"signature_algorithm": algorithm, "canonicalize": (b"relaxed", b"relaxed")} | how
    field: bytes = dkim.DKIM(mail).sign(selector.encode(), domain.encode(), private, **names)
    return field + mail


def resigned(mail: bytes, *tags: bytes, key: tuple[bytes, str] | None = None) -> bytes:
    """The mail, its topmost signature made anew with more tags, which dkimpy alone would not write."""

    class Signer(dkim.DKIM):
        def gen_header(self, fields: list[tuple[bytes, bytes]], *rest: Any, **more: Any) -> bytes:
            extra = [tuple(tag.split(b"=", 1)) for tag in tags]
            kept = [each for each in fields if each[0] not in dict(extra)]
            made: bytes = super().gen_header([*extra, *kept], *rest, **more)
            return made

    private, _ = key or rsa_key()
    field: bytes = Signer(mail).sign(b"s", b"mon.example.com", private, canonicalize=(b"relaxed", b"relaxed"))
    return field + mail


def zone(
    domain: str = "mon.example.com", *, policy: str = "v=DMARC1; p=reject", **records: Any
) -> dict[str, Any]:
    """A domain that signs with the RSA key under s, and sends from 127.0.0.1."""
    return {
        domain: [("TXT", "v=spf1 ip4:127.0.0.1 -all")],
        f"s._domainkey.{domain}": [("TXT", rsa_key()[1])],
        f"_dmarc.{domain}": [("TXT", policy)],
    } | records


def sealed(
    mail: bytes,
    *,
    domain: str = "lists.example.org",
    selector: str = "a",
    results: str = "none",
    key: tuple[bytes, str] | None = None,
) -> bytes:
    """The mail with one more ARC set on top, sealed by who found these results."""
    private, _ = key or rsa_key()
    found = f"Authentication-Results: {domain}; {results}\r\n".encode()
    made = dkim.arc_sign(found + mail, selector.encode(), domain.encode(), private, domain.encode())
    return b"".join(made) + mail
