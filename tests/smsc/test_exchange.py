"""What the errors of the HTTP library mean, and where else the provider can be reached."""

import inspect
from urllib.parse import parse_qsl

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions

from relay.smsc import exchange

FOREIGN = [
    each
    for module in (client_exceptions, http_exceptions)
    for each in vars(module).values()
    if inspect.isclass(each)
    and issubclass(each, Exception)
    and each.__module__ == module.__name__
    and each is not aiohttp.ClientError  # the root itself is never raised
    and not issubclass(each, aiohttp.WSMessageTypeError)  # no web sockets here
]
UNHEARD = {
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientConnectorDNSError,
    aiohttp.ClientConnectorSSLError,
    aiohttp.ClientSSLError,
    aiohttp.ClientProxyConnectionError,
    aiohttp.ConnectionTimeoutError,
    client_exceptions.UnixClientConnectorError,
}


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda each: each.__name__)
def test_every_error_of_the_library_is_classified(foreign):
    """An error that a new version brings fails here until it is put into a table."""
    error = foreign.__new__(foreign)
    assert isinstance(error, exchange.TROUBLE)
    assert exchange.words(error) != ""
    assert exchange.no_connection(error) is (foreign in UNHEARD)


def test_no_row_of_the_tables_hides_another():
    """The most exact class stands first."""
    known = [each for each, _ in (*exchange.NO_CONNECTION, *exchange.BROKEN)]
    for place, each in enumerate(known):
        assert not any(issubclass(each, earlier) for earlier in known[:place])


def test_errors_never_speak_for_themselves():
    """What an error says may quote an address or a secret; people read words of ours."""
    assert exchange.words(OSError("apikey=secret")) == "the connection broke"
    assert exchange.words(TimeoutError()) == "it fell silent"
    assert exchange.words(ValueError("secret")) == "something was not as announced"
    assert exchange.words(KeyError("secret")) == ""


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://smsc.ru", tuple(f"https://www{n}.smsc.ru" for n in (2, 3, 4, 5))),
        ("http://smsc.ru:8080", tuple(f"http://www{n}.smsc.ru:8080" for n in (2, 3, 4, 5))),
        ("https://smscentre.com", ("https://www2.smscentre.com",)),
        ("https://smsc.kz", ("https://www2.smsc.kz",)),
        ("https://smsc.ua", ("https://www2.smsc.ua",)),
        ("https://www2.smsc.ru", ()),
        ("https://smsc.ru.example.com", ()),
        ("http://127.0.0.1:8080", ()),
    ],
)
def test_mirrors_are_the_vendors_alone(url, expected):
    """Credentials go to no host that the vendor does not name."""
    assert expected == exchange.mirrors(url)


@pytest.mark.asyncio
async def test_fields_are_encoded_in_utf_8():
    """Whatever a field holds, it comes back from the form; a lone surrogate is a question mark."""
    fields = [("mes", "Привет & =+\n%"), ("sender", "\ud800")]
    body = exchange.Encoded(fields)
    octets = b"".join([piece async for piece in body.chunks()])
    assert parse_qsl(octets.decode("ascii"), keep_blank_values=True) == [fields[0], ("sender", "?")]
    assert body.size == len(octets)


class Gone:
    """A writer whose connection is closed."""

    transport = None


@pytest.mark.asyncio
async def test_a_connection_that_is_gone_is_seen_before_a_byte_leaves():
    """What is known to be closed is never written to."""
    with pytest.raises(aiohttp.ClientConnectionResetError):
        await exchange._alive(Gone())


@pytest.mark.asyncio
async def test_a_body_is_written_and_never_read_back():
    """The library may not turn a body with files and secrets into a text."""
    upload = exchange._Upload(exchange.Encoded([("psw", "secret")]), None, 1.0)
    with pytest.raises(TypeError, match="written, not decoded"):
        upload.decode()
    assert "secret" not in repr(upload)
