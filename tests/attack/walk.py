"""A seeded random walk; run by hand: python walk.py FROM TO."""
from __future__ import annotations
import asyncio, random, sys, tempfile, contextlib, logging, collections
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parents[1])); sys.path.insert(0, str(Path(__file__).parents[2]))
from harness import *  # noqa
import harness
from relay.config import Alias
from relay.smsc.sandbox import Sandbox
from relay.queue.states import State, FINAL
from relay.app import App
from relay.model import Kind

FAULTS = ["reset","accepted-reset","http500","accepted-http500","html","accepted-html","empty","accepted-empty","cut","accepted-cut",1,3,5,6,7,8,9,2,4]
FATES = ["4567","4568","4569","4570","4571","4572","2006","0107","0130","0122","0118","0112","0114","0115","0009","0007","0008","3022"]

async def walk(seed, mode):
    rnd = random.Random(seed)
    folder = Path(tempfile.mkdtemp())
    clock = StillClock()
    sandbox = Sandbox(now=lambda: clock.now()/1000)
    config = settings(folder, aliases={"oncall": Alias.model_validate({"to": ["+79991234567","+79991232006","+79991234570"]})},
                      delivery={"give_up": 6*3600_000})
    app = None
    n = 0
    crashes = 0
    steps = 25
    problems = []
    async def start():
        app = App(config, clock=clock, chance=rnd.random, sandboxes={"main": sandbox}, patience=0.2)
        cm = app.running()
        await cm.__aenter__()
        return app, cm
    app, cm = await start()
    j = Journey(app, sandbox, clock, folder)
    try:
        for _ in range(steps):
            what = rnd.choice(["mail","mail","mail","fault","time","time","many","drop","crash"] if "crash" in mode else ["mail","mail","mail","fault","time","time","many","drop"])
            if what in ("mail","many"):
                k = rnd.choice([1,1,2,3]) if what=="mail" else rnd.choice([6,9,15])
                rc = [f"7999123{f}@sms.example.com" for f in rnd.sample(FATES, min(k,len(FATES)))]
                if rnd.random()<.3: rc.append("oncall@sms.example.com")
                if rnd.random()<.2: rc.append("g777@sms.example.com")
                text = rnd.choice(["aaa","bbb","ccc"]) if rnd.random()<.4 else f"text {n}"
                n += 1
                await j.mail(f"From: x@mon.example.com\nSubject: s\n\n{text}\n", rc, sender=f"s{rnd.randint(1,3)}@mon.example.com")
            elif what == "fault":
                sandbox.next_send_faults.extend(rnd.choices([f for f in FAULTS if ("money" in mode or f not in (2,3,4))], k=rnd.choice([1,2,4])))
            elif what == "time":
                await j.pass_time(rnd.choice([0,0.5,1,5,11,30,61,200]))
            elif what == "drop":
                os_ = [o for o in await j.orders() if o.state in (State.WAITING, State.MERGED)]
                if os_:
                    from relay.delivery import settle
                    from relay.delivery.settle import News
                    from relay.queue.states import Event
                    o = rnd.choice(os_)
                    with contextlib.suppress(Exception):
                        await app.settler.settle([News(order=o.id, event=Event.DROPPED, outcome=settle.person(Kind.REFUSED,"5.7.0","dropped"))])
                    app.kick_all()
            elif what == "crash":
                crashes += 1
                await asyncio.sleep(rnd.random()*0.03)
                # kill: cancel loops and calls without drain
                tasks = [t for w in app.workers.values() for t in w._tasks] + list(app._loops)
                for l in app.listeners: await l.close()
                for t in tasks: t.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                clock.sleepers.clear(); clock._now += 1
                await app._stack.aclose()
                await asyncio.sleep(0.01)
                app, cm = await start()
                j = Journey(app, sandbox, clock, folder)
        sandbox.next_send_faults.clear()
        await j.pass_time(8*3600)
        orders = await j.orders()
        byid = {o.id:o for o in orders}
        for o in orders:
            if o.finished_at is None: problems.append(("open", o.state.value, o.target, o.kind, o.reason, o.request_id is not None))
        reqs = [dict(r) for r in await app.store.engine.read(__import__("sqlalchemy").select(__import__("relay.queue.schema",fromlist=["x"]).request))]
        for r in reqs:
            if r["state"]!="done": problems.append(("request", r["state"], r["due_at"]))
        for w in app.workers.values():
            if w._busy: problems.append(("busy", len(w._busy)))
        if sandbox.max_in_flight>14: problems.append(("slots", sandbox.max_in_flight))
        seen = {}
        groups = {"79991230001"}
        for m in sorted(sandbox.messages, key=lambda m:m.accepted_at):
            key=(m.phone,m.text)
            if key in seen and m.accepted_at-seen[key][0]<60:
                ga = str(m)[:0]
                problems.append(("twice<60", m.phone, m.text, m.accepted_at-seen[key][0], seen[key][1], m.id))
            seen[key]=(m.accepted_at,m.id)
        # messages for each own id: twice under one id?
        c = collections.Counter((m.id,m.phone) for m in sandbox.messages)
        for k,v in c.items():
            if v>1: problems.append(("same id twice",k,v))
        # unique texts: at most one message
        u = collections.Counter((m.phone,m.text) for m in sandbox.messages if "text" in m.text)
        for (ph,t),v in u.items():
            own = [o for o in orders if o.target.lstrip("+")==ph]
            direct = sum(1 for call in sandbox.calls if 0)
            if v>1: problems.append(("dup",ph,t,v))
        q = [c_ for c_ in sandbox.calls if c_.path.endswith("status.php") and b'"error_code": 9' in (c_.answer or b"")]
        if q: problems.append(("status9", len(q)))
        notices=[dict(r) for r in await app.store.engine.read(__import__("sqlalchemy").select(__import__("relay.queue.schema",fromlist=["x"]).notice))]
        f = collections.Counter(x["order_id"] for x in notices if x["action"]=="failed" or x["unknown"])
        for k,v in f.items():
            if v>1: problems.append(("notices",byid[k].target,v))
        parents={o.parent_id for o in orders}
        for o in orders:
            bad = o.state in (State.FAILED,State.UNKNOWN,State.DROPPED) 
            if bad and o.id not in f and o.id not in parents: problems.append(("untold",o.state.value,o.target))
            if o.state is State.DELIVERED and o.id in f: problems.append(("told wrong", o.target))
        for x in notices:
            if x["state"]!="done": problems.append(("notice",x["state"]))
        for l in app._loops:
            if l.done(): problems.append(("loop died", repr(l.exception())))
        if len(sys.argv)>4:
            for o in orders:
                if sys.argv[4] in o.target or sys.argv[4]=="all":
                    print(o.id, o.sender, o.state, o.target, "into", o.merged_into, "parent", o.parent_id, (await app.store.contents({o.content_id}))[o.content_id].text)
                    for l in await app.store.story(o.id): print("    ", (l["at"]-START)/1000, l["event"], l["detail"][:120])
            for c_ in sandbox.calls:
                if c_.path.endswith(("send.php","status.php")) and sys.argv[4] in (c_.params.get("phones") or c_.params.get("phone") or ""): print(c_.started_at-START/1000, c_.path[5:], c_.params.get("id"), c_.params.get("phones") or c_.params.get("phone"), c_.params.get("mes"), (c_.answer or b"")[:60])
            for x in notices: print((x["created_at"]-START)/1000, x["order_id"], x["action"], x["status"], x["reason"], x["unknown"])
    except BaseException as e:
        problems.append(("EXC", repr(e)[:300], [repr(l.exception()) for l in app._loops if l.done() and not l.cancelled()]))
    finally:
        for l in app.listeners: await l.close()
        tasks = [t for w in app.workers.values() for t in w._tasks] + list(app._loops)
        for t in tasks: t.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await app._stack.aclose()
        await sandbox.stop()
    return problems

async def main():
    mode = sys.argv[3]
    logging.disable(logging.CRITICAL)
    harness.PATIENCE = 20
    tally = collections.Counter(); first={}
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        try:
            p = await asyncio.wait_for(walk(seed, mode), 120)
        except TimeoutError:
            p=[("TIMEOUT",)]
        for each in p:
            k = (each[0], each[1]) if each[0] in("open","untold","request") else each[0]
            tally[k]+=1; first.setdefault(k,(seed,each))
        print(seed, collections.Counter(e[0] for e in p) or "ok", flush=True)
    for k,v in tally.items(): print(v,k,first[k])
asyncio.run(main())
