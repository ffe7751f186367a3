import asyncio, time
from contextlib import AsyncExitStack
import httpx2, psutil, pytest
from tests.support.gateway import client, gateway, stream
from tests.support.processes.agents import define

pytestmark = [pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")]


def line(p, what):
    m = p.memory_full_info(); c = p.cpu_times()
    print(f"\nMEASURE {what}: pss {m.pss/1e6:.1f} uss {m.uss/1e6:.1f} rss {m.rss/1e6:.1f} MB cpu {c.user+c.system:.2f}", flush=True)
    return c.user + c.system


async def test_measure(system, agents):
    define(agents, system, bob="limits: {concurrency: 300}")
    system.agents("bob")
    child, address = gateway(system)
    p = psutil.Process(child.process.pid)
    await asyncio.sleep(3)
    a = line(p, "idle"); await asyncio.sleep(10); b = line(p, "idle+10s")
    print(f"MEASURE idle cpu ms/s {(b-a)*100:.1f}")
    limits = httpx2.Limits(max_connections=400)
    async with httpx2.AsyncClient(base_url=address, timeout=120, limits=limits) as http:
        for number in (50, 200):
            async with AsyncExitStack() as held:
                async def one(i):
                    sent = await http.post("/api/tasks", json={"agent": "bob", "content": f"[[latency 40]][[reply Hi {i} {number}.]]", "stream": True})
                    assert sent.status_code == 202, sent.text
                    s = await held.enter_async_context(stream(http, sent.json()["links"]["events"]))
                    return s
                streams = await asyncio.gather(*(one(i) for i in range(number)))
                c = line(p, f"{number} open"); await asyncio.sleep(8); d = line(p, f"{number} open +8s")
                print(f"MEASURE {number} cpu ms/s {(d-c)/8*1000:.1f}")
        await asyncio.sleep(1)
        line(p, "after")
