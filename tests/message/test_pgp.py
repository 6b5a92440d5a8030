"""PGP in the text: signed words are bared, closed ones are named."""

from __future__ import annotations

import pytest

from relay.message import content, pgp

SENTENCE = "the mail is encrypted, its text cannot be read"
SIGNATURE = (
    "-----BEGIN PGP SIGNATURE-----\nVersion: X\n\niQEzBAEBCAAdFiEE\n=aBcD\n-----END PGP SIGNATURE-----"
)
SIGNED = f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nDisk 95 %\n- -- \n- - item\n{SIGNATURE}"
CLOSED = "-----BEGIN PGP MESSAGE-----\n\nhQEMA7sPa\nwcBMA5\n=x1Yz\n-----END PGP MESSAGE-----"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SIGNED, "Disk 95 %\n-- \n- item"),
        (f"above\n\n{SIGNED}\nbelow\n- kept", "above\n\nDisk 95 %\n-- \n- item\nbelow\n- kept"),
        ("-----BEGIN PGP SIGNED MESSAGE-----\n\nno hash", "no hash"),
        ("-----BEGIN PGP SIGNED MESSAGE-----\nno gap: x\n\ny", "no gap: x\n\ny"),
        ("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\nno gap", "Hash: SHA256\nno gap"),
        ("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256", "Hash: SHA256"),
        (SIGNED.rpartition("\n=")[0] + "\n\nfooter of a list", "Disk 95 %\n-- \n- item\n\nfooter of a list"),
        (SIGNATURE, SIGNATURE),
        (
            SIGNED.partition("-----BEGIN PGP SIGNATURE")[0]
            + "-----BEGIN PGP SIGNATURE-----\nDiskFull\nPumpDown",
            "Disk 95 %\n-- \n- item\nDiskFull\nPumpDown",
        ),
        ("say -----BEGIN PGP SIGNED MESSAGE-----\nx", "say -----BEGIN PGP SIGNED MESSAGE-----\nx"),
        ("", ""),
    ],
)
def test_a_signature_goes_and_the_words_stay(text, expected):
    """Headers, dashes and signature are undone; what is no such message stays as it is."""
    assert (expected, False) == pgp.bare(text, SENTENCE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CLOSED, SENTENCE),
        (f"see below\n{CLOSED}\nbye", f"see below\n{SENTENCE}\nbye"),
        (CLOSED.replace("MESSAGE", "MESSAGE, PART 1/2"), SENTENCE),
        (CLOSED.partition("\n=")[0], SENTENCE),
        (CLOSED.partition("\n=")[0] + "\n\nlist footer", f"{SENTENCE}\n\nlist footer"),
        ("-----BEGIN PGP MESSAGE-----", SENTENCE),
        ("-----BEGIN PGP MESSAGE-----\nAlarm: db1 down\nfire", f"{SENTENCE}\nAlarm: db1 down\nfire"),
        ("-----BEGIN PGP MESSAGE-----\nVersion: X\nComment: y\n\nhQEMA7sPa\nfire!", f"{SENTENCE}\nfire!"),
        ("-----BEGIN PGP MESSAGE-----\nVersion: X", SENTENCE),
    ],
)
def test_a_closed_message_is_named_and_the_text_around_it_stays(text, expected):
    """One that lost its end as well."""
    assert (expected, True) == pgp.bare(text, SENTENCE)


def test_mails_with_pgp_in_their_text_are_read():
    """The note is said once; CRLF, a format and a transfer encoding do not matter."""
    letter = content.read(b"Content-Type: text/plain\r\n\r\n" + SIGNED.replace("\n", "\r\n").encode())
    assert ("Disk 95 %\n-- \n- item", ()) == (letter.plain, letter.notes)
    letter = content.read(b"\nhello\n" + CLOSED.encode())
    assert (f"hello\n{SENTENCE}", (SENTENCE,)) == (letter.plain, letter.notes)


def test_ten_thousand_beginnings_take_no_time():
    """Each line is looked at once or twice."""
    assert pgp.bare("-----BEGIN PGP MESSAGE-----\n" * 100_000, "x")[1]
