"""Requests with files, framed as multipart/form-data (RFC 7578), byte-identical when repeated.

The boundary comes from the request's id and the length is known before the first byte, so
that a request can be repeated as it was and needs no chunked coding. File names go out as
raw UTF-8, as browsers send them and the provider's side reads them; what could end the
quoted name or the header line is replaced. Octets of files pass through as they come.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256

PIECE = 1 << 16  # the most octets handed on at once, so that progress is seen on slow lines

_TYPE = re.compile("[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")  # RFC 6838 section 4.2
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029"\\/]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file of a request. `chunks` gives its octets anew at each call, `size` of them in all."""

    name: str
    type: str
    size: int
    chunks: Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A request's body: fields first, then files, in the order given."""

    id: str
    fields: Sequence[tuple[str, str]]
    files: Sequence[Attachment] = ()

    @property
    def boundary(self) -> str:
        """The mark between parts: who knows none of our ids cannot write it into a text."""
        return f"smsc-relay-{sha256(b'boundary of ' + self.id.encode('utf-8', 'replace')).hexdigest()[:48]}"

    @property
    def content_type(self) -> str:
        """The value of the Content-Type header."""
        return f"multipart/form-data; boundary={self.boundary}"

    @property
    def size(self) -> int:
        """How many octets `chunks` gives, without looking at any file."""
        heads = sum(len(self._file_head(place, file)) for place, file in enumerate(self.files, 1))
        return len(self._fields()) + heads + sum(file.size + 2 for file in self.files) + len(self._end())

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The body, in pieces of at most `PIECE` octets.

        Raises ValueError where a file has not the size that was announced for it.
        """
        for piece in _pieces(self._fields()):
            yield piece
        for place, file in enumerate(self.files, 1):
            yield self._file_head(place, file)
            async with aclosing(_octets(file)) as pieces:
                async for piece in pieces:
                    yield piece
            yield b"\r\n"
        yield self._end()

    def _fields(self) -> bytes:
        parts = (
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="{_safe(name)}"\r\n\r\n{value}\r\n'
            for name, value in self.fields
        )
        return "".join(parts).encode("utf-8", "replace")

    def _file_head(self, place: int, file: Attachment) -> bytes:
        type_ = file.type if _TYPE.fullmatch(file.type) else "application/octet-stream"
        name = _safe(file.name) or "file"
        return (
            f"--{self.boundary}\r\n"
            f'Content-Disposition: form-data; name="file{place}"; filename="{name}"\r\n'
            f"Content-Type: {type_}\r\n\r\n"
        ).encode("utf-8", "replace")

    def _end(self) -> bytes:
        return f"--{self.boundary}--\r\n".encode()


async def _octets(file: Attachment) -> AsyncGenerator[bytes]:
    """The octets of a file; ValueError where they are not `size` in number."""
    left = file.size
    chunks = file.chunks()
    try:
        async for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                raise ValueError("a file has more octets than announced")
            for piece in _pieces(chunk):
                yield piece
    finally:
        if isinstance(chunks, AsyncGenerator):  # let go of what it holds now, not some time
            await chunks.aclose()
    if left:
        raise ValueError("a file has fewer octets than announced")


def _pieces(octets: bytes) -> list[bytes]:
    return [octets[at : at + PIECE] for at in range(0, len(octets), PIECE)]


def _safe(name: str) -> str:
    """A name that stays inside its quotes and on its line."""
    return _UNSAFE.sub("_", name)
