"""The part of the shape that says who may come in, and how: listeners, TLS, senders, DNS."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from relay.config import places, units
from relay.config.places import Domain, FilePath, Listen, Nameserver, Network, PrivateNetwork
from relay.config.routing import Channel
from relay.config.setting import Shape, setting
from relay.config.units import ClientCertificate, Duration, Line, Name, Pattern, Secret, Size, Whole

Positive = Annotated[Duration, AfterValidator(units.positive)]


class Listener(Shape):
    """A door that mail comes in by."""

    address: Listen = setting(
        help="Where to listen: host:port, [v6]:port, unix:/path or systemd's fd:NAME; port 0 is any free one."
    )
    protocol: Literal["smtp", "lmtp"] = setting("smtp", help="smtp, or lmtp, which answers each recipient.")
    tls: Literal["none", "starttls", "required", "implicit"] = setting(
        "none",
        help="none, starttls (offered), required (nothing without it), implicit (from the first byte).",
    )
    tls_min: Literal["1.0", "1.1", "1.2", "1.3"] = setting(
        "1.2", help="The oldest version of TLS that is spoken; 1.0 and 1.1 with profile: legacy only."
    )
    tls_ciphers: Line = setting(
        "", help='Ciphers up to TLS 1.2, as OpenSSL lists them; "" is those with forward secrecy.'
    )
    client_ca: FilePath | None = setting(
        None, help="Clients may show certificates of these authorities, or these very ones; a PEM file."
    )
    auth: Literal["none", "optional", "required"] = setting(
        "none", help="Whether clients may, or must, log in."
    )
    auth_in_clear: tuple[PrivateNetwork, ...] = setting(
        [], help="Private networks whose clients may log in without TLS."
    )
    profile: Literal["strict", "legacy"] = setting(
        "strict", help="legacy is lenient with old devices; for private networks only."
    )
    line_endings: Literal["strict", "normalise"] = setting(
        "strict", help="A CR or LF that stands alone in a mail: refused (550 5.5.2), or made a line end."
    )
    proxy_protocol: tuple[Network, ...] = setting(
        [],
        help="Networks of proxies: what comes from there must begin with a PROXY header, and is believed.",
    )
    max_size: Size = setting("40MB", help="The largest mail taken, told to clients as SIZE.")
    answer: Literal["queued", "outcome"] = setting(
        "queued", help="When to answer DATA: once the mail is on disk, or with the provider's outcome."
    )
    answer_timeout: Positive = setting("20s", help="How long answer: outcome waits before it says queued.")
    connections: Annotated[Whole, Field(ge=0)] = setting(
        0, help="Connections at once by this door; 0: only limits.connections counts."
    )

    @property
    def socket(self) -> str:
        """The path of a unix socket, "" where the door is a TCP one."""
        return self.address.removeprefix("unix:") if self.address.startswith("unix:") else ""

    @property
    def host(self) -> str:
        """The host to bind, "" where the door is a unix socket, or one of systemd's."""
        return "" if self.address.startswith(("unix:", "fd:")) else places.split(self.address)[0]

    @property
    def port(self) -> int:
        """The port to bind, 0 for any free one."""
        return 0 if self.address.startswith(("unix:", "fd:")) else places.split(self.address)[1]


class Tls(Shape):
    """The certificate of the listeners."""

    certificate: FilePath = setting(help="The certificate with its chain, a PEM file.")
    key: FilePath = setting(help="Its private key, a PEM file.")


class Sender(Shape):
    """Somebody who may send; all conditions given must hold."""

    name: Name = setting(help="What this entry is called in logs, metrics and caps.")
    networks: Annotated[tuple[Network, ...], Field(min_length=1)] | None = setting(
        None, help="The client's address is in one of these networks."
    )
    users: dict[str, Secret] = setting(
        {}, help="The client has logged in as one of these: a name and its hash."
    )
    users_file: FilePath | None = setting(None, help="The same from an htpasswd file.")
    certificates: Annotated[tuple[ClientCertificate, ...], Field(min_length=1)] | None = setting(
        None, help="The client has shown one of these: a SHA-256 fingerprint, or a name in it."
    )
    from_: Annotated[tuple[Pattern, ...], Field(min_length=1)] | None = setting(
        None, alias="from", help="The envelope sender fits one of these; of users and certificates From, too."
    )
    require: Literal["", "spf", "dkim", "dmarc"] = setting(
        "", help="The sender's domain vouches for the mail."
    )
    trusted_sealers: tuple[Domain, ...] = setting(
        [], help="Only with dmarc: mailing lists and forwarders whose ARC seals are believed."
    )
    channels: tuple[Channel, ...] = setting([], help="The channels that it may use; none: all.")
    accounts: tuple[Line, ...] = setting(
        [], help="The accounts that may pay for it, every one of a route; none: all."
    )


class Dns(Shape):
    """How the domains of senders are looked up; asked only where a sender's require needs it."""

    servers: tuple[Nameserver, ...] = setting(
        [], help="DNS servers, address or address:port; without one those of the system."
    )
    timeout: Positive = setting("5s", help="How long a question is waited for, repeats included.")

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """The servers, address and port each."""
        return tuple((each, 53) if places.is_ip(each) else places.split(each) for each in self.servers)
