"""Files are told by their octets, whatever they are called."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.message import sniff


def zipped(*names: str, first: str = "") -> bytes:
    """A zip archive with these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        if first:
            archive.writestr("mimetype", first)
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


def ole(stream: str) -> bytes:
    """The beginnings of an old office document."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + stream.encode("utf-16-le")


CASES = [
    (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (b"GIF89a", "image/gif", "gif"),
    (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp", "webp"),
    (b"BM\x36\0\0\0\0\0\0\0", "image/bmp", "bmp"),
    (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav", "wav"),
    (b"RIFF\0\0\0\0AVI LIST", "video/x-msvideo", "avi"),
    (b"ID3\x04\0", "audio/mpeg", "mp3"),
    (b"\xff\xfb\x90\x64", "audio/mpeg", "mp3"),
    (b"\xff\xf1\x50\x80", "audio/aac", "aac"),
    (b"#!AMR\n", "audio/amr", "amr"),
    (b"OggS\0", "audio/ogg", "ogg"),
    (b"\0\0\0\x18ftypmp42", "video/mp4", "mp4"),
    (b"\0\0\0\x18ftypisom", "video/mp4", "mp4"),
    (b"\0\0\0\x18ftyp3gp5", "video/3gpp", "3gp"),
    (b"\0\0\0\x18ftypqt  ", "video/quicktime", "mov"),
    (b"\0\0\0\x18ftypM4V ", "video/x-m4v", "m4v"),
    (b"\0\0\0\x08wide", "video/quicktime", "mov"),
    (b"%PDF-1.4", "application/pdf", "pdf"),
    (zipped("a.txt"), "application/zip", "zip"),
    (zipped("word/document.xml"), f"{sniff._OOXML}wordprocessingml.document", "docx"),
    (zipped("xl/workbook.xml"), f"{sniff._OOXML}spreadsheetml.sheet", "xlsx"),
    (zipped("ppt/x.xml"), f"{sniff._OOXML}presentationml.presentation", "pptx"),
    (
        zipped(first="application/vnd.oasis.opendocument.text"),
        "application/vnd.oasis.opendocument.text",
        "odt",
    ),
    (ole("WordDocument"), "application/msword", "doc"),
    (ole("Workbook"), "application/vnd.ms-excel", "xls"),
    (ole("Other"), "application/x-ole-storage", "bin"),
    (b"{\\rtf1", "application/rtf", "rtf"),
    (b"MZ\x90\0\x03\0", "application/x-msdownload", "exe"),
    (b"\x7fELF\x02", "application/x-executable", "bin"),
    (b"#!/bin/sh\n", "text/x-shellscript", "sh"),
    (b"MZ is a text", "text/plain", "txt"),
    (b"BMW is a text", "text/plain", "txt"),
    ("Журнал".encode("cp1251"), "text/plain", "txt"),
    (b"\xff\xfet\0e\0", "text/plain", "txt"),
    (b"\xef\xbb\xbf <!DOCTYPE HTML>", "text/html", "html"),
    (b"<html>", "text/html", "html"),
    (b"<?xml version='1.0'?><svg>", "image/svg+xml", "svg"),
    (b"<?xml version='1.0'?><a>", "text/xml", "xml"),
    (b"BEGIN:VCALENDAR\r\n", "text/calendar", "ics"),
    (b"\xff\xe8\x00\x00", "application/octet-stream", "bin"),
    (b"\x00\x01\x02", "application/octet-stream", "bin"),
    (b"", "application/octet-stream", "bin"),
]


@pytest.mark.parametrize(
    ("data", "kind", "ending"), CASES, ids=[f"{n}-{case[2]}" for n, case in enumerate(CASES)]
)
def test_a_file_is_told_by_its_octets(data, kind, ending):
    """The table knows what channels take and what they must refuse, and the endings of names."""
    assert (kind, ending) == (sniff.sniff(data), sniff.extension(kind))


@given(st.binary(max_size=64))
def test_any_octets_have_a_type(data):
    """Nothing raises, and a type is always one."""
    assert sniff.sniff(data).count("/") == 1
