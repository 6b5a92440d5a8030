"""Two accounts of one route: where one rests the other takes over, and nobody hears a thing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from accounts import BOTH, heard, moves, other, texts, two
from faults import HOUR, act, asked, bare, change_route, to
from harness import SENDER, Journey, StillClock, journey, settings

from relay import model
from relay.model import Rest
from relay.queue.states import State
from relay.smsc.client import Credentials
from relay.smsc.sandbox import Sandbox

OPERATOR = "noc@example.com"


@pytest_asyncio.fixture
async def relay(tmp_path: Path, clock: StillClock) -> AsyncIterator[Journey]:
    """A relay of two accounts that tells an operator."""
    config = two(tmp_path, reports={"gather": 0, "operator": OPERATOR})
    async with journey(tmp_path, clock=clock, config=config) as running:
        yield running


@pytest_asyncio.fixture
async def plain(tmp_path: Path, clock: StillClock) -> AsyncIterator[Journey]:
    """The same, and it makes no digests."""
    config = two(tmp_path, reports={"gather": 0, "operator": OPERATOR}, storm={"burst": 0})
    async with journey(tmp_path, clock=clock, config=config) as running:
        yield running


def resting(relay: Journey) -> dict[str, str]:
    """Why each account rests."""
    return {name: worker.resting.why.value for name, worker in relay.app.workers.items()}


def refuse_login(relay: Journey, account: str, psw: str = "wrong") -> None:
    """From now on the provider refuses the account's login (or, with its password, no more)."""
    relay.app.clients[account]._credentials = Credentials(login="sandbox", psw=psw)


async def unplug(relay: Journey) -> int:
    """Main's provider is gone: nobody listens on its port, which is the answer."""
    await relay.sandbox.stop()
    return urlsplit(relay.app.urls["main"]).port or 0


@pytest.mark.asyncio
async def test_out_of_money_the_next_account_sends_and_new_mail_goes_back_later(relay: Journey) -> None:
    """The alarm goes out by backup at once; the operator hears; once paid, main sends again."""
    relay.sandbox.set_balance("0")
    await relay.mail(bare("one"), to("4567"))
    await relay.pass_time(5)
    first = await relay.order()
    relay.sandbox.set_balance("1000")
    await relay.pass_time(120)
    await relay.mail(bare("two"), to("4568"))
    await relay.pass_time(5)

    assert (["one"], ["two"]) == (texts(other(relay)), texts(relay.sandbox))
    assert ("backup", ["to backup: main has no money"]) == (first.account, await moves(relay, first.id))
    assert ["main"] == [order.account for order in await relay.orders() if order.id != first.id]
    (told,) = [report for report in relay.reports() if report["To"] == OPERATOR]
    assert "What may go by another account" in " ".join(told.get_content().split())


@pytest.mark.asyncio
async def test_mail_that_comes_while_the_first_account_rests_does_not_try_it(relay: Journey) -> None:
    """Main is asked for its balance only; everything goes out by backup, in the order of priority."""
    relay.sandbox.set_balance("0")
    await relay.mail(bare("first"), to("4567"))
    await relay.pass_time(5)
    sends = len(relay.sends())
    for number in range(20):
        await relay.mail(bare(f"n{number}"), f"79991234{600 + number}@sms.example.com")
    await relay.pass_time(5)

    assert sends == len(relay.sends())
    assert 21 == len(heard(relay)) == len(other(relay).messages)
    assert {"backup"} == {order.account for order in await relay.orders()}


@pytest.mark.asyncio
async def test_what_waits_moves_by_priority_and_age(tmp_path: Path, clock: StillClock) -> None:
    """Hundreds that waited for two resting accounts go out in the order in which they should."""
    config = two(tmp_path)
    accounts = {name: config.accounts[name].model_copy(update={"slots": 1}) for name in BOTH}
    async with journey(
        tmp_path, clock=clock, config=config.model_copy(update={"accounts": accounts})
    ) as relay:
        relay.sandbox.set_balance("0")
        other(relay).set_balance("0")
        await relay.mail(bare("a"), to("4567"))
        await relay.pass_time(5)
        for number in range(230):
            change_route(relay, priority=number % 2)
            await relay.mail(bare(f"n{number}"), f"79991234{700 + number % 200}@sms.example.com")
        await relay.pass_time(1)
        waiting = {order.state for order in await relay.orders()}
        other(relay).set_balance("1000")
        await relay.pass_time(30)

        assert {State.WAITING} == waiting
        assert [] == relay.sandbox.messages
        sent = [int(text[1:]) for text in texts(other(relay)) if text != "a"]
        assert [*range(1, 230, 2), *range(0, 230, 2)] == sent


@pytest.mark.asyncio
async def test_a_refused_login_moves_everything(relay: Journey) -> None:
    """Nothing is asked of main meanwhile; when the login works again new mail goes there."""
    refuse_login(relay, "main")
    await relay.mail(bare("one"), to("4567"))
    await relay.pass_time(5)
    assert {"main": "login", "backup": ""} == resting(relay)
    refuse_login(relay, "main", "sandbox")
    await relay.pass_time(HOUR)
    await relay.mail(bare("two"), to("4568"))
    await relay.pass_time(5)

    assert (["one"], ["two"]) == (texts(other(relay)), texts(relay.sandbox))


@pytest.mark.asyncio
async def test_a_blocked_address_moves_everything(relay: Journey) -> None:
    """Error 4: the other provider does not know of it."""
    relay.sandbox.next_send_faults.append(4)
    await relay.mail(bare("one"), to("4567"))
    await relay.pass_time(5)

    assert {"main": "blocked", "backup": ""} == resting(relay)
    assert ["one"] == texts(other(relay))
    assert ["to backup: main is blocked"] == await moves(relay, (await relay.order()).id)


@pytest.mark.asyncio
async def test_a_dead_provider_lends_its_orders_after_ten_seconds(relay: Journey) -> None:
    """One refused connection is tried again; the second moves the alarm; a probe leads back."""
    port = await unplug(relay)
    await relay.mail(bare("one"), to("4567"))
    await relay.pass_time(9)
    assert ([], {"main": "", "backup": ""}) == (heard(relay), resting(relay))
    await relay.pass_time(2)
    assert (["one"], {"main": "unreachable", "backup": ""}) == (texts(other(relay)), resting(relay))
    await relay.mail(bare("two"), to("4568"))
    await relay.pass_time(1)
    await relay.sandbox.start(port=port)
    await relay.pass_time(61)
    await relay.mail(bare("three"), to("4569"))
    await relay.pass_time(5)

    assert (["one", "two"], ["three"]) == (texts(other(relay)), texts(relay.sandbox))
    assert {"main": "", "backup": ""} == resting(relay)
    (told,) = [report for report in relay.reports() if report["To"] == OPERATOR]
    assert "no connection to the provider can be made" in " ".join(told.get_content().split())


@pytest.mark.asyncio
async def test_a_dead_provider_alone_is_tried_as_ever(tmp_path: Path, clock: StillClock) -> None:
    """Where nobody else could send, unreachable is no rest: the steps of retry count."""
    async with journey(tmp_path, clock=clock, config=settings(tmp_path)) as relay:
        await unplug(relay)
        await relay.mail(bare("one"), to("4567"))
        await relay.pass_time(3 * 60)

        order = await relay.order()
        assert Rest.NONE is relay.app.workers["main"].resting.why
        assert (3, "waiting") == (order.attempts, order.state)


@pytest.mark.asyncio
async def test_two_accounts_that_both_rest(relay: Journey) -> None:
    """It waits; whichever is paid first sends, and the other one never does."""
    relay.sandbox.set_balance("0")
    other(relay).set_balance("0")
    await relay.mail(bare("one"), to("4567"))
    await relay.pass_time(30)
    order = await relay.order()
    assert ("waiting", "backup", []) == (order.state, order.account, heard(relay))
    relay.sandbox.set_balance("1000")
    await relay.pass_time(HOUR)
    other(relay).set_balance("1000")
    await relay.pass_time(HOUR)

    assert (["one"], []) == (texts(relay.sandbox), texts(other(relay)))
    order = await relay.order()
    assert ("delivered", "main") == (order.state, order.account)
    said = ["to backup: main has no money", "to main: backup has no money"]
    assert said == await moves(relay, order.id)


@pytest.mark.asyncio
async def test_an_order_that_moved_stays_though_the_first_account_works_again(plain: Journey) -> None:
    """It waits on backup for the end of a chain, and goes out there: no ping-pong."""
    plain.sandbox.set_balance("0")
    for number in range(50):
        await plain.mail(bare(f"n{number}"), to("4567"))
    await plain.pass_time(2)
    plain.sandbox.set_balance("1000")
    await plain.pass_time(40)
    back = resting(plain)
    waiting = {order.account for order in await plain.orders() if order.state is State.WAITING}
    await plain.pass_time(120)

    assert ({"main": "", "backup": ""}, {"backup"}) == (back, waiting)
    assert (0, 50) == (len(plain.sandbox.messages), len(other(plain).messages))


# -- what may be at the first provider ----------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("way", ["accepted-reset", "accepted-cut", "accepted-http500"])
async def test_an_unsure_order_that_the_first_provider_has_stays_there(relay: Journey, way: str) -> None:
    """Its answer was lost and main rests: it is asked about on main, and never goes to backup."""
    relay.sandbox.next_send_faults.extend([way, 3])
    await relay.mail(bare("one"), to("4567"))
    await relay.pass_time(0)
    relay.sandbox.set_balance("0")
    await relay.mail(bare("two"), to("4568"))
    await relay.pass_time(300)

    assert (["one"], ["two"]) == (texts(relay.sandbox), texts(other(relay)))
    assert ["main", "backup"] == [order.account for order in await relay.orders()]
    assert ["delivered", "delivered"] == [order.state for order in await relay.orders()]
    assert [] == [call for call in other(relay).calls if call.params.get("phone") == "79991234567"]


@pytest.mark.asyncio
async def test_an_unsure_order_moves_once_it_is_known_not_to_exist(relay: Journey) -> None:
    """Main heard nothing and has no money: a minute of "unknown", and backup sends it."""
    relay.sandbox.next_send_faults.extend(["reset", 3])
    await relay.mail(bare("one"), to("4567"))
    await relay.pass_time(0)
    relay.sandbox.set_balance("0")
    await relay.mail(bare("two"), to("4568"))
    await relay.pass_time(55)
    first = (await relay.orders())[0]
    assert ("unsure", "main", ["two"]) == (first.state, first.account, texts(other(relay)))
    await relay.pass_time(30)

    assert ([], ["two", "one"]) == (texts(relay.sandbox), texts(other(relay)))
    assert 2 <= len(asked(relay))
    events = [line["event"] for line in await relay.app.store.story(first.id)]
    assert events.index("lost") < events.index("absent") < events.index("moved")


@pytest.mark.asyncio
async def test_a_repeat_that_met_an_empty_purse_moves_after_its_questions(relay: Journey) -> None:
    """The first try broke, the repeat was refused for money: asked again, then sent by backup."""
    relay.sandbox.next_send_faults.extend(["reset", 3])
    await relay.mail(bare("one"), to("4567"))
    await relay.pass_time(5)
    relay.sandbox.set_balance("0")
    await relay.pass_time(200)

    assert ([], ["one"]) == (texts(relay.sandbox), texts(other(relay)))
    assert 2 == len(relay.sends())


@pytest.mark.asyncio
@pytest.mark.parametrize("silent", ["login", "blocked"])
async def test_an_unsure_order_that_nobody_can_be_asked_about_stays(relay: Journey, silent: str) -> None:
    """No questions while the login is refused: it is unsure until that works again."""
    relay.sandbox.next_send_faults.extend(["reset", 2 if silent == "login" else 4])
    await relay.mail(bare("one"), to("4567"))
    await relay.pass_time(0)
    refuse_login(relay, "main")
    await relay.mail(bare("two"), to("4568"))
    await relay.pass_time(HOUR)
    first = (await relay.orders())[0]
    assert ("unsure", "main", ["two"]) == (first.state, first.account, texts(other(relay)))
    refuse_login(relay, "main", "sandbox")
    await relay.pass_time(3 * HOUR)

    assert [("79991234567", "alarm\none"), ("79991234568", "alarm\ntwo")] == heard(relay)


@pytest.mark.asyncio
async def test_a_text_that_went_out_by_one_account_is_not_repeated_by_the_other(relay: Journey) -> None:
    """The window is the phone's: main said it, main's purse is empty, the same comes again."""
    await relay.mail(bare("door"), to("4567"))
    await relay.pass_time(1)
    relay.sandbox.set_balance("0")
    await relay.mail(bare("other"), to("4568"))
    await relay.pass_time(1)
    await relay.mail(bare("door"), to("4567"))
    await relay.pass_time(60)

    assert ["door", "other"] == sorted([*texts(relay.sandbox), *texts(other(relay))])
    assert ["delivered", "delivered", "merged"] == [order.state for order in await relay.orders()]


@pytest.mark.asyncio
async def test_the_chain_of_a_phone_is_counted_over_both_accounts(plain: Journey) -> None:
    """Thirty by main and thirty by backup are sixty to the phone: after 45 there is a minute's silence."""
    for number in range(30):
        await plain.mail(bare(f"m{number}"), to("4567"))
    await plain.pass_time(3)
    plain.sandbox.set_balance("0")
    for number in range(30):
        await plain.mail(bare(f"b{number}"), to("4567"))
    await plain.pass_time(5)
    early = len(heard(plain))
    await plain.pass_time(100)

    assert 40 <= early <= 45  # what main refused at first counts as well
    assert 60 == len(heard(plain)) == len(set(heard(plain)))


@pytest.mark.asyncio
async def test_a_speaker_that_waits_elsewhere_silences_nobody(relay: Journey) -> None:
    """The same text by a route of backup alone does not wait for main's money."""
    main_only = relay.app.config.routes[0].model_copy(
        update={"match": "*@poor.example.com", "account": "main", "accounts": ("main",)}
    )
    relay.app.config = relay.app.config.model_copy(update={"routes": (main_only, *relay.app.config.routes)})
    relay.sandbox.set_balance("0")
    await relay.mail(bare("door"), "79991234567@poor.example.com")
    await relay.pass_time(5)
    await relay.mail(bare("door"), to("4567"))
    await relay.pass_time(20)

    assert (["door"], ["waiting", "delivered"]) == (
        texts(other(relay)),
        [order.state for order in await relay.orders()],
    )


# -- several phones, groups, people -------------------------------------------------------


@pytest.mark.asyncio
async def test_a_halved_batch_goes_on_by_the_other_account(relay: Journey) -> None:
    """Refused for one number, then main has no money: the halves find the culprit on backup."""
    relay.sandbox.next_send_faults.extend([7, 3, 3])
    phones = [to(fate) for fate in ("4567", "4568", "4569", "0007")]
    await relay.mail(bare("all"), phones)
    await relay.pass_time(0)
    relay.sandbox.set_balance("0")
    await relay.pass_time(200)

    assert ["delivered"] * 3 + ["failed"] == [order.state for order in await relay.orders()]
    assert 3 == len(heard(relay)) == len(other(relay).messages)
    assert [SENDER] == [report["To"] for report in relay.reports() if report["To"] != OPERATOR]


@pytest.mark.asyncio
async def test_a_group_waits_for_its_own_account(relay: Journey) -> None:
    """Backup's g777 would be other people."""
    relay.sandbox.set_balance("0")
    await relay.mail(bare("all"), "g777@sms.example.com")
    await relay.pass_time(HOUR)
    order = await relay.order()
    assert ("waiting", "main", "") == (order.state, order.account, order.accounts)
    relay.sandbox.set_balance("1000")
    await relay.pass_time(2 * HOUR)

    assert (3, 0) == (len(relay.sandbox.messages), len(other(relay).messages))


@pytest.mark.asyncio
async def test_mail_of_the_gateway_keeps_the_account_that_it_names(tmp_path: Path, clock: StillClock) -> None:
    """Whoever writes credentials pays with these."""
    config = two(tmp_path)
    routes = (config.routes[0].model_copy(update={"gateway": True}), *config.routes[1:])
    accounts = {
        name: account.model_copy(update={"apikey": type(account.apikey)(f"key-{name}")})
        for name, account in config.accounts.items()
    }
    config = config.model_copy(update={"routes": routes, "accounts": accounts})
    async with journey(tmp_path, clock=clock, config=config) as relay:
        relay.sandbox.set_balance("0")
        command = ":key-main:::,,,:79991234567:door open"
        await relay.mail(f"From: {SENDER}\nSubject: x\n\n{command}\n", "send@sms.example.com")
        await relay.pass_time(HOUR)

        order = await relay.order()
        assert ("main", "") == (order.account, order.accounts)
        assert [] == other(relay).messages


@pytest.mark.asyncio
async def test_what_people_do_to_orders_keeps_their_accounts(relay: Journey) -> None:
    """A held order is released to whoever works; a retried one begins at its first account again."""
    relay.sandbox.set_balance("0")
    other(relay).set_balance("0")
    await relay.mail(bare("one"), to("4567"))
    await relay.pass_time(5)
    order = await relay.order()
    assert 200 == await act(relay, order.id, "hold")
    relay.sandbox.set_balance("1000")
    await relay.pass_time(HOUR)
    assert ("held", "backup") == ((await relay.order()).state, (await relay.order()).account)
    assert 200 == await act(relay, order.id, "release")
    await relay.pass_time(60)
    assert 200 == await act(relay, order.id, "retry")
    await relay.pass_time(60)

    again = (await relay.orders())[1]
    assert ("delivered", order.accounts, "main") == (again.state, again.accounts, again.account)
    assert (2, 0) == (len(relay.sandbox.messages), len(other(relay).messages))


@pytest.mark.asyncio
async def test_a_report_names_the_request_that_carried_it(relay: Journey) -> None:
    """Refused by backup in the end: the id is that of backup's request."""
    relay.sandbox.set_balance("0")
    await relay.mail(bare("one"), to("2006"))
    await relay.pass_time(60)

    (call,) = [call for call in other(relay).calls if call.path.endswith("send.php")]
    (report,) = [report for report in relay.reports() if report["To"] != OPERATOR]
    status = report.get_payload()[1].as_string()  # type: ignore[union-attr]
    assert f"X-SMSC-Id: {call.params['id']}" in status
    assert "Remote-MTA" in status


@pytest.mark.asyncio
async def test_queue_show_tells_the_accounts_that_were_tried(relay: Journey) -> None:
    """Those that may be used, and which request went by which."""
    relay.sandbox.set_balance("0")
    await relay.mail(bare("one"), to("4567"))
    await relay.pass_time(60)
    order = await relay.order()
    connector = aiohttp.UnixConnector(path=str(relay.app.config.web.socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"http://relay/api/queue/{model.show(order.id)}") as answer,
    ):
        shown = await answer.json()

    assert (["main", "backup"], "backup") == (shown["accounts"], shown["account"])
    claims = [line["detail"].split()[-1] for line in shown["story"] if line["event"] == "claimed"]
    assert ["main", "backup"] == claims
    assert "sms by main, or else backup" == shown["story"][0]["detail"]


@pytest.mark.asyncio
async def test_what_never_moved_expires_as_ever(relay: Journey) -> None:
    """Both rest until the time is over: failed, with the last cause."""
    relay.sandbox.set_balance("0")
    other(relay).set_balance("0")
    change_route(relay, expire=1_800_000)
    await relay.mail(bare("one"), to("4567"))
    await relay.pass_time(HOUR)

    order = await relay.order()
    assert ("failed", "4.3.0", "3") == (order.state, order.status, order.code)


# -- restarts -----------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_restart_while_the_first_account_rests(tmp_path: Path, clock: StillClock) -> None:
    """The rest was written down: what a door took meanwhile goes out by backup, main is not tried."""
    main, backup = (Sandbox(now=lambda: clock.now() / 1000) for _ in range(2))
    main.set_balance("0")
    boxes = {"sandbox": main, "backup": backup, "clock": clock}
    async with journey(tmp_path, config=two(tmp_path), **boxes) as relay:
        await relay.mail(bare("one"), to("4567"))
        await relay.pass_time(5)
    async with journey(tmp_path, config=two(tmp_path), only="smtp", **boxes) as relay:
        await relay.mail(bare("two"), to("4568"))
    sends = len([call for call in main.calls if call.path.endswith("send.php")])
    async with journey(tmp_path, config=two(tmp_path), **boxes) as relay:
        await relay.pass_time(5)

        assert (1, sends) == (sends, len(relay.sends()))
        assert ["one", "two"] == texts(backup)


@pytest.mark.asyncio
async def test_orders_of_an_account_that_is_configured_no_more_move(
    tmp_path: Path, clock: StillClock
) -> None:
    """Main was taken out of the file: what waited for it goes out by backup."""
    main, backup = (Sandbox(now=lambda: clock.now() / 1000) for _ in range(2))
    boxes = {"sandbox": main, "backup": backup, "clock": clock}
    async with journey(tmp_path, config=two(tmp_path), only="smtp", **boxes) as relay:
        for number in range(3):
            await relay.mail(bare(f"n{number}"), f"7999123456{number}@sms.example.com")
    config = two(tmp_path)
    routes = tuple(
        route.model_copy(update={"account": "backup", "accounts": ("backup",)}) for route in config.routes
    )
    config = config.model_copy(update={"accounts": {"backup": config.accounts["backup"]}, "routes": routes})
    async with journey(tmp_path, config=config, **boxes) as relay:
        await relay.pass_time(10)

        assert ["n0", "n1", "n2"] == sorted(texts(backup))
        said = await moves(relay, (await relay.orders())[0].id)
        assert ["to backup: main is configured no more"] == said


@pytest.mark.asyncio
async def test_a_crash_between_the_call_and_its_answer_moves_nothing(
    tmp_path: Path, clock: StillClock
) -> None:
    """Main has it, we died, and main has no money now: it is asked about, and backup never hears."""
    main, backup = (Sandbox(now=lambda: clock.now() / 1000) for _ in range(2))
    boxes = {"sandbox": main, "backup": backup, "clock": clock}
    async with journey(tmp_path, config=two(tmp_path), **boxes) as relay:
        main.next_send_faults.append("accepted-silence")
        await relay.mail(bare("one"), to("4567"))
        await relay.until(lambda: main.messages, "the message at main")
        for task in relay.app._loops:
            task.cancel()
    main.set_balance("0")
    async with journey(tmp_path, config=two(tmp_path), **boxes) as relay:
        await relay.mail(bare("two"), to("4568"))
        await relay.pass_time(300)

        assert (["one"], ["two"]) == (texts(main), texts(backup))
        assert ["delivered", "delivered"] == [order.state for order in await relay.orders()]
