"""Requests with files, octet by octet."""

import asyncio
from email.parser import BytesParser
from email.policy import HTTP

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.smsc.multipart import PIECE, Attachment, Form


def attachment(*chunks, name="a.pdf", type_="application/pdf", size=None):
    """A file that comes in these chunks."""

    async def give():
        for chunk in chunks:
            yield chunk

    return Attachment(
        name=name, type=type_, size=sum(map(len, chunks)) if size is None else size, chunks=give
    )


def pieces(form):
    """The pieces of a form's body."""

    async def collect():
        return [piece async for piece in form.chunks()]

    return asyncio.run(collect())


def octets(form):
    """The whole body of a form."""
    return b"".join(pieces(form))


def parsed(form):
    """The parts of a form as an independent parser sees them."""
    head = f"Content-Type: {form.content_type}\r\n\r\n".encode()
    return list(BytesParser(policy=HTTP).parsebytes(head + octets(form)).iter_parts())


def test_the_exact_octets():
    """Fields come first, then files under names of their own, then the end."""
    form = Form(id="0abc", fields=[("mes", "Привет\n<file 1>")], files=[attachment(b"%PDF", b"-1\r\n")])
    mark = form.boundary
    expected = (
        f"--{mark}\r\n"
        'Content-Disposition: form-data; name="mes"\r\n\r\n'
        "Привет\n<file 1>\r\n"
        f"--{mark}\r\n"
        'Content-Disposition: form-data; name="file1"; filename="a.pdf"\r\n'
        "Content-Type: application/pdf\r\n\r\n"
        "%PDF-1\r\n\r\n"
        f"--{mark}--\r\n"
    ).encode()
    assert expected == octets(form)
    assert form.content_type == f"multipart/form-data; boundary={mark}"


def test_a_form_without_files_is_a_form():
    """Fields alone are framed too."""
    form = Form(id="1", fields=[("a", "b")])
    assert form.size == len(octets(form))
    assert [part["Content-Disposition"].params["name"] for part in parsed(form)] == ["a"]


def test_the_same_request_has_the_same_octets():
    """A repeat is byte-identical, another id has another boundary."""
    one, same, other = (Form(id=id_, fields=[("a", "b")], files=[attachment(b"x")]) for id_ in "112")
    assert octets(one) == octets(same)
    assert one.boundary != other.boundary
    assert len(one.boundary) <= 70  # RFC 2046 section 5.1.1


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("Отчёт за май.pdf", "Отчёт за май.pdf"),
        ('a"; filename="b.exe', "a_; filename=_b.exe"),
        ("a\r\nX: y", "a__X: y"),
        ("..\\a/b\x00c\u2028d\x85e", ".._a_b_c_d_e"),
        ("", "file"),
        ("\ud800", "?"),
    ],
)
def test_a_file_name_stays_inside_its_quotes(name, sent):
    """Names keep their alphabet as raw UTF-8; what could end them is replaced."""
    form = Form(id="1", fields=[], files=[attachment(b"x", name=name)])
    head = octets(form).split(b"\r\n\r\n")[0]
    assert f'filename="{sent}"'.encode() in head
    assert head.count(b"\r\n") == 2
    assert form.size == len(octets(form))


@pytest.mark.parametrize(
    ("type_", "sent"),
    [
        ("audio/x-wav", "audio/x-wav"),
        ("", "application/octet-stream"),
        ("text/plain\r\nX: y", "application/octet-stream"),
        ("text/plain; charset=x", "application/octet-stream"),
    ],
)
def test_a_type_is_a_type(type_, sent):
    """A file's type cannot open another header."""
    form = Form(id="1", fields=[], files=[attachment(b"x", type_=type_)])
    assert f"\r\nContent-Type: {sent}\r\n\r\n".encode() in octets(form)


def test_files_keep_their_order_and_come_in_pieces():
    """A large chunk is cut, so that its progress is seen; octets pass unchanged."""
    large = bytes(range(256)) * 1000
    form = Form(
        id="1", fields=[("mes", "x" * 100_000)], files=[attachment(large), attachment(b"2", name="2")]
    )
    assert max(map(len, pieces(form))) <= PIECE
    assert form.size == len(octets(form))
    assert [large, b"2"] == [part.get_payload(decode=True) for part in parsed(form)[1:]]


@pytest.mark.parametrize(("size", "says"), [(3, "fewer"), (1, "more")])
def test_a_file_of_another_size_is_told(size, says):
    """What does not hold its announced length cannot be sent as a whole."""
    form = Form(id="1", fields=[], files=[attachment(b"ab", size=size)])
    with pytest.raises(ValueError, match=says):
        octets(form)


def test_a_file_lets_go_of_its_source_when_left_early():
    """Whoever stops in the middle closes the file's own iterator."""
    closed = []

    async def give():
        try:
            yield b"x" * 10
            yield b"y" * 10
        finally:
            closed.append(True)

    async def leave():
        chunks = Form(
            id="1", fields=[], files=[Attachment(name="a", type="a/b", size=20, chunks=give)]
        ).chunks()
        async for piece in chunks:
            if piece.startswith(b"x"):
                break
        await chunks.aclose()
        return list(closed)

    assert asyncio.run(leave()) == [True]


class Plain:
    """An iterator of chunks that is no generator."""

    def __init__(self):
        self.left = [b"a", b"b"]

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop(0)


def test_a_file_may_come_from_any_iterator():
    """What cannot be closed is simply read."""
    form = Form(id="1", fields=[], files=[Attachment(name="a", type="a/b", size=2, chunks=Plain)])
    assert b"\r\n\r\nab\r\n" in octets(form)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=5), st.text(max_size=50)), max_size=3),
    st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=100)), max_size=3),
    st.text(max_size=20),
)
def test_the_length_is_known_beforehand(fields, files, id_):
    """Whatever the contents, Content-Length is right and no part begins or ends elsewhere."""
    form = Form(
        id=id_, fields=fields, files=[attachment(data, name=name, type_="a/b") for name, data in files]
    )
    body = octets(form)
    assert form.size == len(body)
    assert body.count(f"--{form.boundary}".encode()) == len(fields) + len(files) + 1
