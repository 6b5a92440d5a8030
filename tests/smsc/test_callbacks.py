"""The provider's calls read: every format, charset and signature, and whatever is none of them."""

from __future__ import annotations

import hashlib
import json
import zlib
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.smsc.callbacks import MOST, Callback, Incoming, Status, WaitCall, meaning, read, verified
from relay.smsc.reading import Unreadable

MD5 = "ef0546448f66ce6cfa7103dba804b5ab"
SHA1 = "6974c373951337e35731131a4b796b6c4ed76418"
SIGNED = {"id": "1234", "phone": "79999999999", "status": "1"}
CODECS = {"utf-8": "utf-8", "windows-1251": "cp1251", "koi8-r": "koi8-r", "": "cp1251"}


def form(params, codec="ascii"):
    """The parameters as a form's body."""
    pairs = ((quote_from_bytes(n.encode()), quote_from_bytes(v.encode(codec))) for n, v in params.items())
    return "&".join("=".join(pair) for pair in pairs).encode()


def xml(params, codec="utf-8"):
    """The parameters as an XML document's elements."""
    lines = "".join(f"<{name}>{value}</{name}>" for name, value in params.items())
    return f'<?xml version="1.0" encoding="{codec}"?><sms>{lines}</sms>'.encode(codec)


def as_json(params, codec="utf-8"):
    """The parameters as a JSON object."""
    return json.dumps(params, ensure_ascii=False).encode(codec)


def heard(body=b"", query=b"", content_type=""):
    """What a call says that can be read."""
    found = read(query, content_type, body)
    assert isinstance(found, Callback), found
    return found


@pytest.mark.parametrize("body", [form, xml, as_json])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("md5", MD5),
        ("md5", MD5.upper()),
        ("sha1", SHA1),
        ("crc32", "2224289909"),
        ("crc32", "8493f875"),
        ("crc32", "8493F875"),
    ],
)
def test_a_status_is_read_and_its_signature_holds(body, name, value):
    """In each format, with the signature inside or in the query (the vendor's `!`)."""
    inside, outside = heard(body(SIGNED | {name: value})), heard(body(SIGNED), f"{name}={value}".encode())

    assert Status(id="1234", phone="79999999999", status=1) == inside.news == outside.news
    assert (True, True) == (verified(inside, "secret"), verified(outside, "secret"))


@pytest.mark.parametrize(
    ("params", "secret"),
    [
        (SIGNED | {"md5": MD5}, "Secret"),
        (SIGNED | {"md5": MD5}, ""),
        (SIGNED, "secret"),
        (SIGNED | {"md5": ""}, "secret"),
        (SIGNED | {"md5": "secret"}, "secret"),
        (SIGNED | {"md5": SHA1}, "secret"),
        (SIGNED | {"crc32": "02224289909"}, "secret"),
        (SIGNED | {"sha256": hashlib.sha256(b"1234:79999999999:1:secret").hexdigest()}, "secret"),
        (SIGNED | {"status": "20", "md5": MD5}, "secret"),
        (SIGNED | {"id": "1235", "md5": MD5}, "secret"),
        (SIGNED | {"md5": MD5, "crc32": "1"}, "secret"),
        (SIGNED | {"md5": "é" * 32}, "secret"),
    ],
)
def test_no_signature_but_the_right_one_holds(params, secret):
    """Missing, empty, of something else, with another secret, or one right and one wrong."""
    assert not verified(heard(form(params, "utf-8")), secret)


def test_a_parameter_that_comes_twice_is_signed_as_it_is_read():
    """Query and body differ: what counts is what the signature must be of."""
    both = heard(form(SIGNED | {"md5": MD5}), b"status=20&id=9")
    assert 1 == both.news.status
    assert verified(both, "secret")

    twice = heard(form(SIGNED | {"md5": MD5}) + b"&status=20")
    assert 20 == twice.news.status
    assert not verified(twice, "secret")


def test_short_crc32_in_hex_holds_with_and_without_its_zeros():
    """A small number is written in eight digits, or in as many as it has."""
    number = next(n for n in range(10_000) if zlib.crc32(b"%d:7:1:s" % n) < 1 << 24)
    crc = zlib.crc32(b"%d:7:1:s" % number)
    for value in (f"{crc:08x}", f"{crc:x}", str(crc)):
        assert verified(heard(form({"id": str(number), "phone": "7", "status": "1", "crc32": value})), "s")


@pytest.mark.parametrize("charset", ["utf-8", "windows-1251", "koi8-r", ""])
@pytest.mark.parametrize("algorithm", ["md5", "sha1", "crc32"])
def test_a_message_is_read_in_every_charset(charset, algorithm):
    """The text as it was written; what is signed is its octets as they were sent."""
    text, codec = "Принято: еду, буду в 7", CODECS[charset]
    octets = f"79999999999:{text}:79037672215:secret".encode(codec)
    value = str(zlib.crc32(octets)) if algorithm == "crc32" else hashlib.new(algorithm, octets).hexdigest()
    params = {"phone": "79999999999", "mes": text, "to": "79037672215", algorithm: value, "ts": "1700000000"}
    found = heard(form(params | ({"charset": charset} if charset else {}), codec))

    at = {"stamp": "1700000000", "at": 1_700_000_000_000}
    assert Incoming(phone="79999999999", text=text, to="79037672215", **at) == found.news
    assert verified(found, "secret")
    assert not verified(found, "other")


@pytest.mark.parametrize("charset", ["utf-8", "windows-1251"])
@pytest.mark.parametrize("body", [xml, as_json])
@pytest.mark.parametrize("told", [True, False])
def test_documents_in_both_charsets(charset, body, told):
    """XML and JSON in utf-8 or windows-1251, named in the query or not at all."""
    text, codec = "Принято, еду", CODECS[charset]
    signature = hashlib.md5(f"79:{text}:70:secret".encode(codec)).hexdigest()
    params = {"phone": "79", "mes": text, "to": "70", "md5": signature}
    query = f"charset={charset}".encode() if told else b""
    found = heard(body(params, codec), query)

    assert text == found.news.text
    assert verified(found, "secret")


def test_json_with_escapes_is_signed_in_whatever_charset():
    """Of escapes nobody can tell which octets were meant: windows-1251 is tried as well."""
    signature = hashlib.md5("79:да:70:secret".encode("cp1251")).hexdigest()
    body = json.dumps({"phone": "79", "mes": "да", "to": "70", "md5": signature}).encode()
    assert verified(heard(body), "secret")


def test_a_text_that_only_utf_8_can_write():
    """A picture has no octets in the other charsets, which then are not tried."""
    signature = hashlib.md5("79:👍:70:secret".encode()).hexdigest()
    assert verified(heard(as_json({"phone": "79", "mes": "👍", "to": "70", "md5": signature})), "secret")


def test_the_header_is_believed_last():
    """It may say windows-1251 whatever is written; where the octets are no utf-8 it decides."""
    header = "application/x-www-form-urlencoded; charset=koi8-r"
    said = {"phone": "79", "to": "70"}
    assert "ДА" == heard(form(said | {"mes": "ДА"}, "utf-8"), b"", header).news.text
    assert "ДА" == heard(form(said | {"mes": "ДА"}, "koi8-r"), b"", header).news.text


def test_published_vectors_of_the_other_kinds():
    """A message by `mes`, a confirming call by `waitcall`, each signed in its own way."""
    message = heard(b"phone=79999999999&mes=Hello&to=79037672215&md5=f4ba8bae96d08d1dbcbbcba67099fbbf")
    call = heard(b"phone=79999999999&waitcall=1&ts=1700000000&md5=6e4a8933303d32f597dc5603ea898df4")
    both = heard(
        b"phone=79999999999&waitcall=1&mes=Hello&to=79037672215&md5=f4ba8bae96d08d1dbcbbcba67099fbbf"
    )

    assert Incoming(phone="79999999999", text="Hello", to="79037672215") == message.news
    assert WaitCall(phone="79999999999", stamp="1700000000", at=1_700_000_000_000) == call.news
    assert WaitCall(phone="79999999999", to="79037672215") == both.news
    assert [True] * 3 == [verified(each, "secret") for each in (message, call, both)]
    assert [False] * 3 == [verified(each, "Secret") for each in (message, call, both)]


def test_the_record_of_a_call_is_a_call():
    """A message whose text says that the phone called, whatever follows."""
    for text in ("[waitcall] ", "[waitcall] 79037672215", " [waitcall]"):
        assert WaitCall(phone="7", stamp="5") == meaning(Incoming(phone="7", text=text, stamp="5"))
    said = Incoming(phone="7", text="I saw [waitcall]")
    assert said == meaning(said)


def test_everything_that_a_status_may_tell():
    """Error, time, price, and what an HLR query found; nothing that identifies the card."""
    found = heard(
        form(
            SIGNED
            | {"status": "20", "err": "6", "ts": "1700000000", "cost": "2,50", "imsi": "250", "net": "MTS"}
        )
    )
    assert (
        Status(
            id="1234",
            phone="79999999999",
            status=20,
            err=6,
            at=1_700_000_000_000,
            cost="2.50",
            lookup={"net": "MTS"},
        )
        == found.news
    )


@pytest.mark.parametrize(
    "body",
    [
        b"[" + as_json(SIGNED) + b"]",
        b'\xef\xbb\xbf{"id": 1234, "phone": 79999999999, "status": 1.0, "more": {"a": []}}',
        b'<sms id="1234" phone="79999999999" status="1"/>',
        b"<list><all><sms><id>1234</id><phone>79999999999</phone><status>1</status></sms></all></list>",
        b"\r\n<?xml version='1.0'?>\n<a><id><![CDATA[1234]]></id><!-- --><phone>79999999999</phone>%s</a>"
        % b"<status>1</status>",
        b"id=1234&phone=%37" + b"9999999999&status=+1&&novalue&=x",
    ],
)
def test_forms_that_nobody_has_seen_are_read_with_charity(body):
    """Numbers and strings, lists of one, attributes and elements, marks of byte order."""
    assert Status(id="1234", phone="79999999999", status=1) == heard(body).news


BOMB = b"".join(
    [
        b"<!DOCTYPE a [<!ENTITY b0 'x'>",
        *(b'<!ENTITY b%d "%s">' % (n + 1, b"&b%d;" % n * 10) for n in range(9)),
        b"]>",
    ]
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"id=1&phone=2",
        b"id=1&status=1",
        b"phone=2&status=1",
        b"id=1&phone=2&status=delivered",
        b"&".join([b"a=1"] * 300) + b"&id=1&phone=2&status=1",
        b"id=1&phone=2&status=1&x=" + b"y" * MOST,
        b'{"id": 1',
        b"[1, 2]",
        b"[" * 50_000,
        b'[{"id":1,"phone":2,"status":1},{"id":1,"phone":2,"status":2}]',
        b"<sms><id>1</id>",
        b"<",
        BOMB + b"<a><id>&b9;</id><phone>2</phone><status>1</status></a>",
        b"<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/'><a><id>1</id><phone>2</phone><status>1</status></a>",
        b'<!doctype a [<!entity x SYSTEM "file:///etc/passwd">]><a id="&x;" phone="2" status="1"/>',
        b'<!DOC\x01TYPE a [<!EN\x01TITY x "1">]><a id="1" phone="2" status="1"/>',
        '<?xml version="1.0" encoding="utf-16"?><a/>'.encode("utf-16"),
        b"<a><id>1</id><phone>2</phone><status>1</status><status>20</status></a>",
        b"<a>" * 20_000,
    ],
    ids=lambda body: body[:20].decode("ascii", "replace"),
)
def test_what_makes_no_sense_is_unreadable(body):
    """No fields, too many, too much, broken documents, documents with a DTD: no exception, no guess."""
    assert isinstance(read(b"", "", body), Unreadable)


def test_an_entity_of_nobody_reaches_no_value():
    """XML's own entities are read; any other makes the document broken."""
    assert "a<b" == heard(b"<s><phone>1</phone><to>2</to><mes>a&lt;b</mes></s>").news.text
    assert isinstance(read(b"", "", b"<s><phone>1</phone><to>2</to><mes>a&x;b</mes></s>"), Unreadable)


def test_no_nul_comes_out():
    """What a database could not hold is not among the text."""
    assert "ab" == heard(b"phone=1&to=2&mes=a%00b").news.text


@given(query=st.binary(max_size=200), header=st.text(max_size=60), body=st.binary(max_size=400))
def test_no_octets_raise(query, header, body):
    """Whatever comes is a value, and nothing unsigned is believed."""
    found = read(query, header, body)
    assert isinstance(found, Unreadable) or not verified(found, "a secret that nobody knows")


@given(
    start=st.sampled_from(
        [b"{", b"[", b"<a ", b"<a><mes>", b"id=1&phone=2&status=1&", b"<?xml version='1.0'"]
    ),
    body=st.binary(max_size=200),
)
def test_no_broken_document_raises(start, body):
    """Nor does what begins well."""
    assert read(b"", "text/xml", start + body) is not None
