"""Certificates for tests: an authority, pairs in files, clients that trust it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import trustme

from relay import config

HOST = "relay.example"


class Pki:
    """An authority, certificates of it in files, and clients that trust it."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.folder = folder

    def pair(self, name: str = "relay", *hosts: str, **options: Any) -> config.Tls:
        """A certificate and its key in two files: `NAME.pem` and `NAME.key`."""
        made = self.ca.issue_cert(*(hosts or (HOST,)), **options)
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
        key.write_bytes(made.private_key_pem.bytes())
        key.chmod(0o600)
        return config.Tls(certificate=certificate, key=key)

    def root(self) -> Path:
        """The authority's own certificate."""
        self.ca.cert_pem.write_to_path(self.folder / "ca.pem")
        return self.folder / "ca.pem"

    def client(self, own: config.Tls | None = None) -> ssl.SSLContext:
        """What a client needs that trusts the authority, and shows a certificate if it has one."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        if own is not None:
            context.load_cert_chain(own.certificate, own.key)
        return context
