"""What a file is, by its first octets: a small table of what phones and the provider take.

Labels and name endings are not believed: an `.exe` stays one under any name. What the table
does not know is text where it reads as text, otherwise `application/octet-stream`. It judges
nothing; the channels decide what they send.
"""

from __future__ import annotations

import re

UNKNOWN = "application/octet-stream"
TEXT = "text/plain"
ZIP = "application/zip"
_OOXML = "application/vnd.openxmlformats-officedocument."

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"ID3", "audio/mpeg"),
    (b"#!AMR", "audio/amr"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"%PDF-", "application/pdf"),
    (b"{\\rtf", "application/rtf"),
    (b"\x7fELF", "application/x-executable"),
    (b"\xca\xfe\xba\xbe", "application/java-vm"),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"#!", "text/x-shellscript"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"BEGIN:VCALENDAR", "text/calendar"),
    (b"BEGIN:VCARD", "text/vcard"),
    (b"\x78\x9f\x3e\x22", "application/vnd.ms-tnef"),
)

_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}

_BRANDS: tuple[tuple[bytes, str], ...] = (  # ISO base media files, by their first brand
    (b"3g", "video/3gpp"),
    (b"qt", "video/quicktime"),
    (b"M4V", "video/x-m4v"),
    (b"M4A", "audio/mp4"),
    (b"M4B", "audio/mp4"),
    (b"hei", "image/heic"),
    (b"mif1", "image/heic"),
    (b"avif", "image/avif"),
)

_OLE = (
    ("WordDocument".encode("utf-16-le"), "application/msword"),
    ("Workbook".encode("utf-16-le"), "application/vnd.ms-excel"),
    ("PowerPoint".encode("utf-16-le"), "application/vnd.ms-powerpoint"),
)
_IN_ZIP = (
    (b"word/", _OOXML + "wordprocessingml.document"),
    (b"xl/", _OOXML + "spreadsheetml.sheet"),
    (b"ppt/", _OOXML + "presentationml.presentation"),
    (b"mimetypeapplication/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text"),
    (
        b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.spreadsheet",
    ),
    (b"mimetypeapplication/epub", "application/epub+zip"),
)

_EXTENSIONS = {
    "image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp", "image/bmp": "bmp",
    "image/tiff": "tif", "image/heic": "heic", "image/avif": "avif", "image/svg+xml": "svg",
    "audio/wav": "wav", "audio/mpeg": "mp3", "audio/amr": "amr", "audio/ogg": "ogg", "audio/flac": "flac",
    "audio/mp4": "m4a", "audio/aac": "aac", "video/mp4": "mp4", "video/3gpp": "3gp",
    "video/quicktime": "mov", "video/x-m4v": "m4v", "video/x-msvideo": "avi", "video/webm": "webm",
    "application/pdf": "pdf", "application/rtf": "rtf", ZIP: "zip", "application/msword": "doc",
    "application/vnd.ms-excel": "xls", "application/vnd.ms-powerpoint": "ppt",
    _OOXML + "wordprocessingml.document": "docx", _OOXML + "spreadsheetml.sheet": "xlsx",
    _OOXML + "presentationml.presentation": "pptx", "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods", "application/epub+zip": "epub",
    "application/x-msdownload": "exe", "application/gzip": "gz", "application/x-7z-compressed": "7z",
    "application/vnd.rar": "rar", "application/x-bzip2": "bz2", "application/x-xz": "xz",
    "application/vnd.ms-tnef": "dat", "text/calendar": "ics", "text/vcard": "vcf", "text/html": "html",
    "text/xml": "xml", "text/x-shellscript": "sh", TEXT: "txt",
}  # fmt: skip

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # no text has these; ESC is in ISO-2022 ones
_WINDOW = 64 * 1024  # how far into a file its table of contents is looked for


def sniff(data: bytes) -> str:
    """The media type of a file, by its octets alone."""
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    return _framed(data) or _textual(data[:4096]) or UNKNOWN


def extension(kind: str) -> str:
    """The usual name ending for a type, "bin" where there is none."""
    return _EXTENSIONS.get(kind, "bin")


def _framed(data: bytes) -> str:
    """Types whose mark stands not at the very beginning, or not alone."""
    if data[:2] == b"MZ" and b"\0" in data[:64]:
        return "application/x-msdownload"
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12], "")
    if data[4:8] == b"ftyp":
        return next((kind for brand, kind in _BRANDS if data.startswith(brand, 8)), "video/mp4")
    if data[4:8] in (b"moov", b"mdat", b"wide"):
        return "video/quicktime"
    if data[:4] == b"PK\x03\x04":
        return next((kind for mark, kind in _IN_ZIP if data.find(mark, 0, _WINDOW) >= 0), ZIP)
    if data[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        return next((kind for mark, kind in _OLE if mark in data), "application/x-ole-storage")
    if data[:2] == b"BM" and data[6:10] == b"\0\0\0\0":
        return "image/bmp"
    return _mpeg(data)


def _mpeg(data: bytes) -> str:
    """MP3 or AAC without a tag: eleven set bits, then a layer that exists."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return ""
    if data[1] & 0xF6 == 0xF0:
        return "audio/aac"
    frame = (
        data[1] & 0x06 in (0x02, 0x04)
        and data[1] & 0x18 != 0x08
        and data[2] & 0xF0 != 0xF0
        and data[2] & 0x0C != 0x0C
    )
    return "audio/mpeg" if frame else ""


def _textual(head: bytes) -> str:
    if not head or (_CONTROL.search(head) and not head.startswith((b"\xff\xfe", b"\xfe\xff"))):
        return ""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1024].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    if b"<svg" in start and start.startswith((b"<?xml", b"<svg", b"<!doctype svg", b"<!--")):
        return "image/svg+xml"
    return "text/xml" if start.startswith(b"<?xml") else TEXT
