"""The HTTP door: accounts, methods, charsets, files, the JSON door, and faults on demand."""

import asyncio
import hashlib
import io
import json
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from relay.smsc.sandbox import Sandbox

pytestmark = pytest.mark.asyncio

PHONE = "79991234567"
MB = 2**20


async def multipart(client, fields, files, charset="utf-8"):
    """Post fields and files, as (name, file name, content) each, in bytes of our own making."""
    pieces = []
    for name, value in ({"login": "alex", "psw": "1", "phones": PHONE} | fields).items():
        pieces.append(f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode(charset))
    for name, file_name, content in files:
        head = f'Content-Disposition: form-data; name="{name}"; filename="{file_name}"\r\n'
        pieces.append(head.encode(charset) + b"Content-Type: audio/x-wav\r\n\r\n" + content)
    body = b"".join(b"--frontier\r\n" + piece + b"\r\n" for piece in pieces) + b"--frontier--\r\n"
    headers = {"Content-Type": 'multipart/form-data; boundary="frontier"'}
    async with client.session.post(
        f"{client.url}/sys/send.php", data=io.BytesIO(body), headers=headers
    ) as answer:
        return await answer.text()


async def door(client, body, **options):
    """Post a body to the JSON door."""
    headers = {"Content-Type": "application/json"}
    async with client.session.post(f"{client.url}/rest/send/", data=body, headers=headers) as answer:
        return answer.headers["Content-Type"], await answer.read()


@pytest.mark.parametrize(
    ("account", "code"),
    [
        ({"login": "alex", "psw": "123"}, None),
        ({"apikey": "k"}, None),
        ({"login": "alex", "apikey": "k"}, None),
        ({"login": "alex", "psw": "wrong"}, 2),
        ({"apikey": "wrong"}, 2),
        ({"login": "alex"}, 2),
        ({"login": "", "psw": "123"}, 2),
    ],
)
async def test_any_password_but_wrong_opens(client, account, code):
    """Without credentials of its own the sandbox takes all but `wrong` and nothing."""
    for endpoint in ("send", "status", "balance", "get"):
        answer = await client.ask(
            endpoint, phones=PHONE, mes="Hi", phone=PHONE, id=1, get_answers=1, **account
        )
        assert (answer.get("error_code") if isinstance(answer, dict) else None) == code


@pytest.mark.parametrize(
    ("account", "known"),
    [
        ({"login": "alex", "psw": "secret"}, True),
        ({"login": "alex", "psw": hashlib.md5(b"secret").hexdigest()}, True),
        ({"apikey": "k1"}, True),
        ({"apikey": "k2"}, True),
        ({"apikey": "k3"}, False),
        ({"login": "alex", "psw": "other"}, False),
        ({"login": "bob", "psw": "secret"}, False),
        ({"login": "", "psw": "k1"}, False),
    ],
)
async def test_credentials_are_held_against_the_call(account, known):
    """A login opens with its password or the MD5 of it, an API key by itself."""
    box = Sandbox(credentials={"alex": "secret", "": "k1, k2"})
    url = await box.start()
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url}/sys/balance.php", data=account) as answer,
        ):
            text = await answer.text()
            assert text == ("1000.00" if known else "ERROR = 2 (authorise error)")
    finally:
        await box.stop()


async def test_each_api_key_is_an_account(sandbox, client):
    """The key itself is shown nowhere."""
    await client.send(apikey="first")
    await client.send(apikey="second", mes="Other")
    logins = [message.login for message in sandbox.messages]
    assert len(set(logins)) == 2
    assert "first" not in repr(sandbox.messages) + repr([call.params for call in sandbox.calls])


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        (None, "cp1251"),
        ("windows-1251", "cp1251"),
        ("utf-8", "utf-8"),
        ("UTF-8", "utf-8"),
        ("koi8-r", "koi8-r"),
    ],
)
async def test_values_are_read_in_the_charset_of_the_request(sandbox, client, method, charset, codec):
    """The charset may stand anywhere in the request; the answer is in it too."""
    text = "Тревога: №1, 5+5"
    if codec == "koi8-r":
        text = "Тревога: 5+5"
    mes = quote(text.encode(codec))
    query = f"login=alex&psw=1&id=5&phones={PHONE}&mes={mes}" + (f"&charset={charset}" if charset else "")
    url = f"{sandbox.url}/sys/send.php"
    if method == "GET":
        request = client.session.get(URL(f"{url}?{query}", encoded=True))
    else:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        request = client.session.post(url, data=query.encode(), headers=headers)
    async with request as answer:
        assert await answer.read() == b"OK - 1 SMS, ID - 5"
    assert [message.text for message in sandbox.messages] == [text]
    extra = {"charset": charset} if charset else {}
    _, _, body = await client.raw("status", phone=PHONE, id=5, fmt=1, all=1, **extra)
    assert body.decode(codec).split(",", 7)[7] == f"Ожидает отправки,{text}"


async def test_a_wrong_charset_makes_a_wrong_text(sandbox, client):
    """UTF-8 without saying so is read as windows-1251, as the provider would."""
    await client.send(mes="Я")
    assert sandbox.messages[0].text == "Я".encode().decode("cp1251", "replace")


async def test_what_the_charset_lacks_is_a_question_mark(client):
    """A text that the answer's charset cannot hold loses letters, not the answer."""
    await client.send(mes="日本", charset="utf-8", id=5)
    assert (await client.ask("status", phone=PHONE, id=5, all=1))["message"] == "??"


async def test_unquoted_bytes_and_plus_signs(sandbox, client):
    """A plus is a space, an empty piece is nothing, raw bytes are taken as they are."""
    body = b"login=alex&psw=1&&phones=%2B79991234567&mes=a+b%2Bc \xcf&flag"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with client.session.post(f"{sandbox.url}/sys/send.php", data=body, headers=headers) as answer:
        assert answer.status == 200
    assert [message.text for message in sandbox.messages] == ["a b+c П"]
    assert sandbox.calls[0].body == body


async def test_the_body_wins_over_the_address(sandbox, client):
    """Parameters may stand in both."""
    url = f"{sandbox.url}/sys/send.php?fmt=1&mes=address&id=3"
    fields = {"login": "alex", "psw": "1", "phones": PHONE, "mes": "body"}
    async with client.session.post(url, data=fields) as answer:
        assert await answer.text() == "3,1"
    assert [message.text for message in sandbox.messages] == ["body"]


async def test_a_body_of_another_type_is_not_read(sandbox, client):
    """Only the two kinds of forms are forms."""
    headers = {"Content-Type": "text/plain"}
    url = f"{sandbox.url}/sys/balance.php"
    async with client.session.post(url, data=b"login=a&psw=b", headers=headers) as answer:
        assert await answer.text() == "ERROR = 2 (authorise error)"


async def test_files_are_parts_with_a_name(sandbox, client):
    """Order and names are kept, whatever the fields are called; names are raw UTF-8, without folders."""
    files = [("0", "тревога.wav", b"\x00\r\n--front\xff"), ("file7", 'C:\\dir\\a\\"b.mp3', b"")]
    assert (
        await multipart(client, {"mes": "Hi", "call": "1", "charset": "utf-8"}, files)
        == "OK - 21 SMS, ID - 1"
    )
    (message,) = sandbox.messages
    assert message.files[0] == ("тревога.wav", "audio/x-wav", b"\x00\r\n--front\xff")
    assert [file.name for file in sandbox.calls[0].files] == ["тревога.wav", 'a"b.mp3']


async def test_multipart_fields_are_in_the_charset_of_the_request(sandbox, client):
    """A file name that is not UTF-8 is read like the fields."""
    files = [("f", "тревога.jpg", b"x")]
    await multipart(client, {"mes": "Привет", "mms": "1"}, files, charset="cp1251")
    assert sandbox.messages[0].text == "Привет"
    assert sandbox.messages[0].files[0].name == "тревога.jpg"


async def test_an_extended_file_name_is_read_too(sandbox, client):
    """RFC 5987 names make a file as well; parts without headers are passed over."""
    body = (
        b"--b\r\nnonsense\r\n"
        b"--b\r\nContent-Disposition: form-data; name=f; filename*=UTF-8''%D1%8F.jpg\r\n\r\nx\r\n"
        b"--b\r\nContent-Disposition: form-data; name=mms\r\n\r\n1\r\n--b--\r\nepilogue"
    )
    url = f"{sandbox.url}/sys/send.php?login=a&psw=b&phones={PHONE}&mes=Hi"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    async with client.session.post(url, data=body, headers=headers) as answer:
        assert await answer.text() == "OK - 1 SMS, ID - 1"
    assert [file.name for file in sandbox.messages[0].files] == ["я.jpg"]


async def test_multipart_without_boundary_is_empty(sandbox, client):
    """Such a body holds nothing."""
    headers = {"Content-Type": "multipart/form-data"}
    async with client.session.post(f"{sandbox.url}/sys/balance.php", data=b"x", headers=headers) as answer:
        assert await answer.text() == "ERROR = 2 (authorise error)"


MAIL = {"mail": "1", "subj": "Hi", "sender": "a@b.example", "phones": "bob@example.com", "mes": "Hi"}


async def test_mail_takes_twenty_files(sandbox, client):
    """The twenty-first file is a parameter error."""
    files = [("f", f"{number}.txt", b"x") for number in range(21)]
    assert (await multipart(client, MAIL, files)).startswith("ERROR = 1")
    assert (await multipart(client, MAIL, files[:20])).startswith("OK")
    assert len(sandbox.messages[0].files) == 20


async def test_mail_takes_ten_megabytes_a_file(sandbox, client):
    """A file over 10 MB is a parameter error; what is over 15 MB in all goes as a link."""
    assert (await multipart(client, MAIL, [("f", "a", b"x" * (10 * MB + 1))])).startswith("ERROR = 1")
    files = [("f", "a", b"x" * (10 * MB)), ("f", "b", b"x" * (6 * MB)), ("f", "c", b"x" * (5 * MB))]
    assert (await multipart(client, MAIL, files)).startswith("OK")
    assert sandbox.messages[0].linked == ("b",)


async def test_calls_leave_out_what_they_cannot_play(sandbox, client):
    """Too large, of another type, or the fifth: left out, not refused."""
    files = [("f", "big.wav", b"x" * (5 * MB + 1)), ("f", "a.pdf", b"x")]
    files += [("f", f"{number}.MP3", b"x") for number in range(5)]
    assert await multipart(client, {"call": "1"}, files) == "OK - 40 SMS, ID - 1"
    assert [file.name for file in sandbox.messages[0].files] == ["0.MP3", "1.MP3", "2.MP3", "3.MP3"]
    assert await multipart(client, {"call": "1", "id": "2"}, files[:2]) == "ERROR = 1 (parameters error)"


@pytest.mark.parametrize(
    ("name", "size", "start"),
    [("a.png", MB, "OK"), ("a.png", MB + 1, "ERROR = 1"), ("a.exe", 1, "ERROR = 1")],
)
async def test_viber_takes_a_megabyte_of_known_types(client, name, size, start):
    """Other files are refused."""
    assert (await multipart(client, {"viber": "1"}, [("f", name, b"x" * size)])).startswith(start)


async def test_the_json_door(sandbox, client):
    """One flat object in UTF-8, answered in JSON whatever `fmt` says."""
    fields = {"login": "alex", "psw": "1", "phones": ["79991234561", 79991234562], "mes": "Привет", "fmt": 0}
    content_type, body = await door(client, json.dumps(fields | {"flash": True, "time": None, "cost": 3}))
    assert content_type == "application/json; charset=utf-8"
    assert body == b'{\n"id": 1,\n"cnt": 2,\n"cost": "5.00",\n"balance": "995.00"\n}'
    assert [(message.phone, message.text, message.kind) for message in sandbox.messages] == [
        ("79991234561", "Привет", "flash"),
        ("79991234562", "Привет", "flash"),
    ]
    assert sandbox.calls[0].params["fmt"] == "0"


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", 1), (b"[1]", 1), (b"\xff", 1), (b'{"login": "a"', 1), (b"{}", 2), (b'{"apikey": "k"}', 1)],
)
async def test_the_json_door_refuses_in_json(client, body, code):
    """What is no object is a parameter error."""
    assert json.loads((await door(client, body))[1])["error_code"] == code


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/sys/ping.php"), ("PUT", "/sys/send.php"), ("POST", "/rest/send")],
)
async def test_there_are_no_other_doors(sandbox, client, method, path):
    """Anything else is not found, and seen all the same."""
    async with client.session.request(method, sandbox.url + path) as answer:
        assert answer.status == 404
    assert [(call.method, call.path) for call in sandbox.calls] == [(method, path)]


@pytest.mark.parametrize("code", range(1, 10))
async def test_every_send_can_be_refused(sandbox, client, code):
    """A number in `fault` refuses sends, not questions."""
    sandbox.fault = code
    answer = await client.send(id=5)
    assert (answer["error_code"], answer.get("id")) == (code, 5 if code in {3, 6, 7, 8} else None)
    assert "balance" in await client.ask("balance")
    assert (await client.send(id="a b")).get("id") == (1 if code in {3, 6, 7, 8} else None)
    sandbox.fault = None
    assert "error_code" not in await client.send(id=5)


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ("http500", 500, b"<html>"),
        ("html", 200, b"<html>"),
        ("empty", 200, b""),
        ("cut", 200, b'{\n"'),
        ("slow", 200, b'{\n"id": 5,\n"cnt": 1\n}'),
    ],
)
async def test_every_call_can_break(sandbox, client, fault, status, body):
    """A name in `fault` breaks all calls, before anything is accepted."""
    sandbox.fault = fault
    found = await client.raw("send", phones=PHONE, mes="Hi", id=5, fmt=3)
    assert found[0] == status
    assert found[2].startswith(body)
    assert len(sandbox.messages) == (fault == "slow")
    assert (await client.raw("balance", fmt=3))[0] == status


@pytest.mark.parametrize("fault", ["reset", "accepted-reset", "silence", "accepted-silence"])
async def test_every_call_can_be_left_without_an_answer(sandbox, client, fault):
    """With `accepted-` before its name a fault breaks the answer alone."""
    sandbox.fault = fault
    with pytest.raises((aiohttp.ClientError, TimeoutError)):
        await asyncio.wait_for(client.send(id=5), 0.2)
    assert len(sandbox.messages) == fault.startswith("accepted")
    with pytest.raises((aiohttp.ClientError, TimeoutError)):
        await asyncio.wait_for(client.ask("balance"), 0.2)


async def test_faults_can_be_queued(sandbox, client):
    """One fault a call: of any kind from `next_faults`, of sends only from the other queue."""
    sandbox.next_faults.extend(["http500", 4])
    sandbox.next_send_faults.extend(["accepted-cut", 9])
    assert (await client.raw("balance"))[0] == 500
    assert await client.text("balance") == "ERROR = 4 (ip is blocked)"
    assert await client.text("balance") == "1000.00"
    assert await client.text("send", phones=PHONE, mes="Hi", id=5) == "OK - 1 SM"
    assert (await client.send(id=6))["error_code"] == 9
    assert (await client.send(id=7))["id"] == 7


async def test_stopping_breaks_what_is_kept_in_silence(clock):
    """A call without an answer does not hold the sandbox back; it can be started again."""
    box = Sandbox(now=clock)
    await box.stop()
    url = await box.start()
    box.fault = "silence"
    async with aiohttp.ClientSession() as session:
        call = asyncio.create_task(session.get(f"{url}/sys/balance.php"))
        await box.until(lambda: bool(box.calls))
        await box.stop()
        with pytest.raises(aiohttp.ClientError):
            await call
        box.fault = None
        url = await box.start()
        async with session.get(f"{url}/sys/balance.php?login=a&psw=b") as answer:
            assert await answer.text() == "1000.00"
    await box.stop()


async def test_the_address_of_ipv6_is_bracketed():
    """The base address can be used as it is."""
    box = Sandbox()
    try:
        url = await box.start("::1")
    except OSError:
        pytest.skip("no IPv6 on this machine")
    assert url.startswith("http://[::1]:")
    await box.stop()
