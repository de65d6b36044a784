"""One worker emptying a full queue of callbacks into fast endpoints."""

import uvloop

from bench import orders, pgbench
from bench.client import closed_loop
from bench.rig import Rig, rig
from bench.sink import Sink


def measure(*, quick: bool) -> dict[str, float]:
    """Sales are taken while no worker runs; then one starts. Raises AssertionError when a callback is lost or doubled."""
    callbacks = 2_000 if quick else 12_000
    with rig(worker=False) as built:
        drained = uvloop.run(_drain(built, callbacks))
        return {**drained, **pgbench.beside(built, drained["per_second"], quick=quick)}


async def _drain(built: Rig, callbacks: int) -> dict[str, float]:
    ports = built.sink_ports
    sales = [
        orders.sale(built, f"queued-{number}", callback_port=ports[number % len(ports)])
        for number in range(callbacks)
    ]
    _, _, answers = await closed_loop(built.gate, sales, 64)
    assert all(status == 200 for status, _ in answers), "a sale was not accepted"
    sink = await Sink(built.secret).listen(*ports)
    built.start_worker()
    await sink.until(1)  # starting a worker is not what is measured
    before_s, come = built.cpu_s()["worker"], len(sink.raw)
    await sink.until(callbacks)
    used_s = built.cpu_s()["worker"] - before_s
    sink.close()
    sink.check(("awaiting redirect result",))
    assert callbacks == len(sink.raw), "a callback came twice"
    seconds = sink.times[-1] - sink.times[0]
    return {"per_second": callbacks / seconds, "worker_cpu_us": used_s / (callbacks - come) * 1e6}
