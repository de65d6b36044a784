"""The recorder that watches every statement of the suite must itself be able to say no."""

import pytest
from tests import statements
from tests.world import OpenWorld

BAD = [
    "INSERT INTO payment (payment_no) VALUES (1)",
    "UPDATE payment SET status = 'x' WHERE payment_no = $1",
    "UPDATE payment SET project_id = 1",
    "UPDATE callback c SET state = 'x' FROM due WHERE c.callback_id = due.callback_id RETURNING c.project_id",
    "DELETE FROM lane WHERE lane = $1",
    "SELECT project_id FROM payment WHERE payment_no = $1 FOR UPDATE",
    "SELECT 1 FROM operation o WHERE o.wake_at < $1 ORDER BY 1 FOR UPDATE SKIP LOCKED",
    "WITH due AS (SELECT operation_id FROM operation WHERE wake_at < $2 FOR UPDATE SKIP LOCKED) "
    "UPDATE operation SET wake_at = $3 FROM due WHERE project_id = $1 AND operation.operation_id = due.operation_id",
    "INSERT INTO attempt (callback_id) SELECT callback_id FROM callback WHERE project_id = $1",
]
GOOD = [
    "SELECT 1 FROM payment WHERE payment_no = $1",
    "SELECT 1 FROM payment WHERE project_id = $1 FOR UPDATE",
    "UPDATE node SET until = $3 WHERE node_id = $1",
    "INSERT INTO lane (project_id, lane) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    "INSERT INTO notice (project_id, reference) VALUES ($1, $2) ON CONFLICT (project_id) DO UPDATE SET times = notice.times + 1",
    "COMMIT;",
]


@pytest.mark.parametrize("statement", BAD)
def test_a_write_or_a_lock_that_names_no_project_is_found(statement: str):
    assert statements.flaws(statement)


@pytest.mark.parametrize("statement", GOOD)
def test_a_sound_statement_is_left_alone(statement: str):
    assert [] == statements.flaws(statement)


async def test_the_recorder_hears_every_table_of_the_payment_family_being_written(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.refund()
        await world.work()
        heard = {table for statement in statements.seen for table in statements.writes_to(statement)}
        family = {
            "payment",
            "operation",
            "transition",
            "ledger_entry",
            "exchange",
            "lane",
            "callback",
            "attempt",
        }
        assert family <= heard
