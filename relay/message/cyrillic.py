"""How much a text looks like Russian or Ukrainian: the pairs of its letters, judged.

A guess at a charset decodes the same octets in several ways and asks here which reading
people would have written. The judgement must be right for a single word, such as an
alarm's subject, and in capitals too, where the charsets differ by nothing but the letters.
"""

from __future__ import annotations

from functools import lru_cache

# How often one letter follows another, in steps of about 1.3 bits: a row for each first letter, a column for
# each second one in the same order, "^" the edge of a word. ё is counted as е, ґ as г.
_LETTERS = "^абвгдежзийклмнопрстуфхцчшщъыьэюяіїє"
_TABLE = """
^077868648748678897877755654010525624
а936766657276778367685356644000046225
б460202501515624606306033004450102400
в781425731705646745545040222361104600
г561223400500434706115000300000200400
д683424754605636745445021220342303500
е944667465457778558773335554000022001
ж352005600603306300004000100030200200
з674635400504466644335021220043004400
и845655736666677456771555653000057000
й741204500203634301553002110000000000
к681300520601614806666015013300200500
л674121743705315700325100400247067600
м774500700604444741315000200150205500
н680256803805217800566424330075147601
о827877566467777467774334653000144241
п570000700603403838336014210331102500
р682553852704255834556252240362425500
с663422620707645664586144330446107500
т782602701705336737636110300357413500
у744646554046565165660322535000151014
ф260000400500300504034200000000000400
х640200400400013504113000000000000400
ц450200500603000311003003000045223600
ч460200710604206301043000000041300300
ш450200500605314303143000300030100200
щ240000600500000500002000000002000000
ъ000203413002321224230000002000001000
ы704523503064553044452253330000004100
ь801111206005136410540003040000033001
э301122011023434013350100220000000000
ю602301010000001001250002605000020003
я802525514015345023353033122000033002
і744636234045546225541124432000034143
ї500000000000000000000010000000000000
є500002000003031001040000000000010010
"""
_FOLD = str.maketrans("ёґў", "егу")
_USUAL = {
    row[0] + second: int(digit) - 3
    for row in _TABLE.split()
    for second, digit in zip(_LETTERS, row[1:], strict=True)
}
_MARKS = frozenset("«»“”„’‘–—…№°±·§©®€\xa0•−")  # signs beyond ASCII that texts do hold
_APART = frozenset("№°±·§©®€")  # of these, the ones that do not follow a letter at once
_ODD_SIGN, _ODD_CASE, _STRANGE = -6, -6, -5


_ENOUGH = 2000  # letters; more would not change the judgement


def score(text: str) -> int:
    """The sum of the judgements of all neighbours in `text`; what nobody writes is negative."""
    total = 0
    before = " "
    for each in text[:_ENOUGH]:
        if each > "\x7f" or before > "\x7f":
            total += _pair(before, each)
        before = each
    return total + (_pair(before, " ") if before > "\x7f" else 0)


@lru_cache(maxsize=8192)
def _pair(first: str, second: str) -> int:
    one, two = _class(first), _class(second)
    judged = _USUAL.get(one + two, 0 if one == two == "^" else _STRANGE)
    if second > "\x7f" and two == "^" and (second not in _MARKS or (one != "^" and second in _APART)):
        judged += _ODD_SIGN
    if one != "^" != two and first.islower() and second.isupper():
        judged += _ODD_CASE
    return judged


def _class(letter: str) -> str:
    """The letter's place in the table; "^" for anything that is no letter, "?" for other letters."""
    low = letter.lower().translate(_FOLD)
    if low in _LETTERS:
        return low
    return "?" if letter.isalpha() else "^"
