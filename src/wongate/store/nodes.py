"""Node numbers for the id maker: leased, so that two living processes never share one."""

from datetime import datetime, timedelta

from wongate.connections.database import Tx
from wongate.connections.ids import NODES

LEASE = timedelta(minutes=2)


async def lease(tx: Tx, holder: str, now: datetime) -> int | None:
    """The lowest free node number. None when all are taken: by living processes, or ones that were killed within the lease."""
    for node in range(NODES):
        taken = await tx.fetchval(
            "INSERT INTO node (node_id, holder, until) VALUES ($1, $2, $3) "
            "ON CONFLICT (node_id) DO UPDATE SET holder = $2, until = $3 WHERE node.until < $4 RETURNING node_id",
            node,
            holder,
            now + LEASE,
            now,
        )
        if taken is not None:
            return node
    return None


async def renew(tx: Tx, node: int, holder: str, now: datetime) -> bool:
    """False when another process has the number by now."""
    return bool(
        await tx.fetchval(
            "UPDATE node SET until = $3 WHERE node_id = $1 AND holder = $2 RETURNING true",
            node,
            holder,
            now + LEASE,
        )
    )


async def release(tx: Tx, node: int, holder: str, now: datetime) -> None:
    await tx.execute("UPDATE node SET until = $3 WHERE node_id = $1 AND holder = $2", node, holder, now)
