"""The columns of a payment and of an operation, with their types: what names a row, what never changes, and the rest."""

PAYMENT_KEY = "project_id bigint, payment_no bigint"
PAYMENT_FIXED = (
    "payment_id text, method text, source text, amount bigint, currency text, description text, customer_id text, "
    "created_at timestamptz, request jsonb"
)
PAYMENT_LIVE = (
    "status text, captured bigint, refunded bigint, reserved bigint, sale_id bigint, flag text, "
    "changed_at timestamptz"
)
OPERATION_KEY = "project_id bigint, operation_id bigint"
OPERATION_FIXED = (
    "payment_no bigint, kind text, amount bigint, currency text, request_id text, request_hash text, description text, "
    "merchant_refund_id text, account_id bigint, return_key text, request jsonb, created_at timestamptz, "
    "limit_at timestamptz"
)
OPERATION_LIVE = (
    "status text, stage text, code integer, order_number text, authentication jsonb, reference text, details jsonb, "
    "changed_at timestamptz, "
    "wake_at timestamptz, attempt integer, seq smallint"
)

PAYMENT_COLUMNS = f"{PAYMENT_KEY}, {PAYMENT_FIXED}, {PAYMENT_LIVE}"
OPERATION_COLUMNS = f"{OPERATION_KEY}, {OPERATION_FIXED}, {OPERATION_LIVE}"
