"""Which codec a charset's label means, in whatever way software spells it."""

from __future__ import annotations

import codecs
from functools import lru_cache

_UNTRUE = ""  # a label that says nothing

_ALIASES = {
    # Cyrillic as mailers and devices spell it
    "win-1251": "cp1251", "win1251": "cp1251", "windows1251": "cp1251", "windows-cp1251": "cp1251",
    "cp-1251": "cp1251", "x-cp1251": "cp1251", "x-cp-1251": "cp1251", "x-windows-1251": "cp1251",
    "microsoft-cp1251": "cp1251", "1251": "cp1251", "ansi-1251": "cp1251", "cyrillic-windows": "cp1251",
    "koi8r": "koi8-r", "koi8": "koi8-r", "koi-8": "koi8-r", "koi-8-r": "koi8-r", "koi": "koi8-r",
    "x-koi8-r": "koi8-r", "cskoi8r": "koi8-r", "iso-ir-111": "koi8-r", "koi8-e": "koi8-r",
    "koi8-ru": "koi8-u", "koi8u": "koi8-u", "koi-8-u": "koi8-u",
    "cp-866": "cp866", "dos-866": "cp866", "dos866": "cp866", "866": "cp866", "x-cp866": "cp866",
    "alt": "cp866", "oem": "cp866", "oem866": "cp866",
    "x-mac-cyrillic": "mac-cyrillic", "x-mac-ukrainian": "mac-cyrillic", "maccyrillic": "mac-cyrillic",
    "x-iso-8859-5": "iso8859-5",
    # western and the rest
    "utf8mb4": "utf-8", "utf8mb3": "utf-8", "unicode-1-1-utf-8": "utf-8", "x-utf-8": "utf-8", "utf": "utf-8",
    "unicode-1-1-utf-7": "utf-7", "x-unicode-2-0-utf-7": "utf-7",
    "windows-874": "cp874", "tis-620": "cp874", "x-windows-874": "cp874",
    "iso-8859-8-i": "iso8859-8", "iso-8859-8-e": "iso8859-8", "iso-8859-6-i": "iso8859-6",
    "iso-8859-6-e": "iso8859-6", "x-sjis": "cp932", "windows-31j": "cp932", "x-ms-cp932": "cp932",
    "ms932": "cp932", "shift-jis": "cp932", "sjis": "cp932", "x-euc-jp": "euc-jp", "x-gbk": "gb18030",
    "gb2312": "gb18030", "gbk": "gb18030", "cp936": "gb18030", "windows-936": "gb18030",
    "x-euc-cn": "gb18030",
    "gb-2312-80": "gb18030", "chinese": "gb18030", "gb2312-80": "gb18030", "x-x-big5": "cp950",
    "big5": "big5-hkscs", "ks-c-5601-1987": "cp949", "ks-c-5601": "cp949", "ksc-5601": "cp949",
    "euc-kr": "cp949", "x-windows-949": "cp949", "windows-949": "cp949",
    "iso-8859-9": "cp1254", "latin5": "cp1254", "iso-8859-11": "cp874", "macintosh": "mac-roman",
    "x-mac-roman": "mac-roman", "windows1250": "cp1250", "cp-1250": "cp1250", "x-cp1250": "cp1250",
    "win-1250": "cp1250", "cp-1254": "cp1254", "cp-1257": "cp1257", "cp-850": "cp850", "cp-437": "cp437",
    "windows1252": "cp1252", "win-1252": "cp1252", "cp-1252": "cp1252", "x-cp1252": "cp1252",
    # western by habit: what software writes that does not know
    "latin-1": "iso8859-1", "x-iso-8859-1": "iso8859-1", "x-ansi": "iso8859-1",
    "iso-8859-1-windows-3.1-latin-1": "iso8859-1",
    # no charset at all
    "us-ascii": _UNTRUE, "ascii": _UNTRUE, "ansi-x3.4-1968": _UNTRUE, "646": _UNTRUE, "ansi": _UNTRUE,
    "unknown": _UNTRUE, "x-unknown": _UNTRUE, "unknown-8bit": _UNTRUE, "x-user-defined": _UNTRUE,
    "unicode": _UNTRUE, "default": _UNTRUE, "8bit": _UNTRUE, "7bit": _UNTRUE, "none": _UNTRUE,
    "binary": _UNTRUE, "null": _UNTRUE, "utf-8bit": _UNTRUE,
}  # fmt: skip

SEVERAL = frozenset((  # more than one octet a character: octets in the form of UTF-8 prove nothing there
    "gb18030", "gbk", "gb2312", "big5", "big5hkscs", "cp950", "cp932", "cp949", "shift_jis",
    "shift_jisx0213", "shift_jis_2004", "euc_jp", "euc_jisx0213", "euc_jis_2004", "euc_kr", "johab",
))  # fmt: skip
CODECS = SEVERAL | frozenset((
    "utf-8", "utf-7", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "cp1250",
    "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp437", "cp720",
    "cp737", "cp775", "cp850", "cp852", "cp855", "cp857", "cp858", "cp860", "cp861", "cp862", "cp863",
    "cp864", "cp865", "cp866", "cp869", "cp874", "cp1125", "koi8-r", "koi8-u", "koi8-t", "kz1048",
    "ptcp154", "iso8859-1", "iso8859-2", "iso8859-3", "iso8859-4", "iso8859-5", "iso8859-6", "iso8859-7",
    "iso8859-8", "iso8859-9", "iso8859-10", "iso8859-11", "iso8859-13", "iso8859-14", "iso8859-15",
    "iso8859-16", "mac-cyrillic", "mac-roman", "mac-latin2", "mac-greek", "mac-turkish", "mac-iceland",
    "mac-croatian", "mac-romanian", "hz", "iso2022_jp", "iso2022_jp_1", "iso2022_jp_2", "iso2022_jp_3",
    "iso2022_jp_2004", "iso2022_jp_ext", "iso2022_kr", "tis-620",
))  # fmt: skip


@lru_cache(maxsize=512)
def codec(label: str) -> str:
    """The codec that a label means, "" where it says nothing or nothing that is known."""
    name = label.partition("*")[0].strip(" \t\r\n\"'<>;:,=[]().").lower().replace("_", "-").replace(" ", "-")
    name = name.removeprefix("charset=").removeprefix("charset-").strip("\"'")[:40]
    name = _ALIASES.get(name, name)
    if not name or not name.isascii() or not name.isprintable():
        return ""
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        return ""
    found = _ALIASES.get(found, found)
    return found if found in CODECS else ""
