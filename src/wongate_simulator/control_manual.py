"""The manual of the control API as data: shown at GET /control, and held to the routes by a test."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ManualCall:
    """One call: what it does, an example body, and what its members mean. `{url}` stands for the simulator's address."""

    method: str
    path: str
    purpose: str
    body: str = ""
    query: str = ""
    notes: list[str] = field(default_factory=list)


PAY_BODY = (
    '{"redirect_data": {"method": "POST", "url": "{url}/v3/v3Payment.jsp", "body": {...}}, "outcome": "card"}'
)

CALLS = [
    ManualCall(
        "POST",
        "/control/pay",
        "Plays the payer without a browser: opens the window with redirect_data of the callback, chooses the outcome and "
        "posts the result to the return URL.",
        PAY_BODY,
        notes=[
            "outcome: card, points, mixed, cancel (I009), fail (C002), expire (W111), abandon (nothing is sent); or an "
            'object: {"outcome": "card", "cc_part_cl": "0", "quota": "03"}, {"outcome": "fail", "code": "9994"}. '
            "Without it a preset is used, and without a preset card.",
            '"deliver": false leaves the result undelivered and only shows it.',
            'Answer: {"window": {mid, moid, amount, state, tid}, "result": {fields sent} or null, "return": {status, '
            "location, body} or null}. body is the first 2,000 characters; redirects are not followed. Doubled results "
            'appear under "repeated".',
            'A window that does not open: 422 {"code": "W007", "text": "..."}. A return URL that cannot be reached: 502, '
            "with return.status null and return.error.",
        ],
    ),
    ManualCall(
        "POST",
        "/control/outcomes",
        "Decides beforehand what the payer will choose; also windows opened by a browser then end by themselves.",
        '{"moid": "4001", "outcome": "cancel"}',
        notes=[
            'For an amount: {"amount": 1004, "outcome": "points"}. As a queue, one per window: {"queue": ["card", '
            '"cancel", {"outcome": "mixed", "cc_part_cl": "0"}]}.',
            "A preset for the Moid comes before one for the amount, and that before the queue.",
        ],
    ),
    ManualCall("GET", "/control/outcomes", "Lists the presets."),
    ManualCall("DELETE", "/control/outcomes", "Clears the presets."),
    ManualCall(
        "POST",
        "/control/faults",
        "Arms a fault switch; 201 with its id.",
        '{"on": "approve", "kind": "hang_after", "seconds": 40}',
        notes=[
            'on: window, approve, netcancel, cancel, inquiry, notice. times: how often (default 1) or "always". moid or '
            "tid: only for that payment.",
            "hang_before {seconds}: waits, then carries on as if the request had come only now. hang_after {seconds}: "
            "commits, waits, answers. Real seconds, default 40; DELETE ends the wait.",
            "reset {committed}, http_500 {committed, status}, garbage {committed, style: half, html, empty, bytes}: broken "
            "answers, before (default) or after the commit.",
            'code {code, text, committed}: any result code, for example a decline {"on": "approve", "kind": "code", '
            '"code": "3095", "text": "한도초과"}, 1620, A299, 2015, or 2056 with committed true or false.',
            'in_progress {settles: "done" or "failed", after_s}: on cancel; answers 2002 and settles later by the clock.',
            "wrong_signature; unpadded (amounts without leading zeros, signed as they are); euc_kr (although UTF-8 was "
            "asked for); override {fields}: replaces fields after signing.",
            "On window, for the result: duplicate_result, contradicting_result {first: success or failure}, foreign_host "
            "{host} in NextAppURL and NetCancelURL.",
            "On notice: duplicate, late {after_s}, lost.",
        ],
    ),
    ManualCall("GET", "/control/faults", "Lists the armed switches with what is left of them."),
    ManualCall(
        "DELETE",
        "/control/faults",
        "Disarms one switch, or all: then requests that hang go on.",
        query="?id=1",
    ),
    ManualCall(
        "GET",
        "/control/clock",
        "Tells the simulator's time (KST) and its offset to the system clock in seconds.",
    ),
    ManualCall(
        "POST",
        "/control/clock",
        "Moves the clock, and with --clock-file that of every program that shares the file.",
        '{"advance_s": 1800}',
        notes=['Or {"now": "2026-12-31T23:59:00+09:00"} (KST if no zone is given), or {"reset": true}.'],
    ),
    ManualCall(
        "GET",
        "/control/books",
        "The PG's own truth, one entry per payment, oldest first.",
        query="?moid=4001",
        notes=[
            'Answer: {"books": [{mid, moid, amount, tid, state, end_code, funding, approvals, net_cancels, cancelled, '
            "remain, opened_at, authenticated_at, approved_at, cancels: [{CancelMOID, tid, amount, remain, CancelNum, "
            "kind, state, cancelled_at}]}]}. Without moid: everything, streamed.",
            "state: opened, refused (end_code says how), authenticated, dead (net-cancelled before its approval), "
            "approved, cancelled. net_cancels counts net cancels that moved money back; cancelled sums every cancel that "
            "is done, remain is what is left of an approved payment.",
        ],
    ),
    ManualCall(
        "GET",
        "/control/exchanges",
        "The exchange log, newest first: fields, hash input without the key, verdict, hints on a wrong hash.",
        query="?moid=4001&kind=approve&limit=20",
        notes=[
            "kind: window, result, approve, netcancel, cancel, inquiry. tid filters too. The last 2,000 are kept."
        ],
    ),
    ManualCall(
        "GET",
        "/control/notices",
        "Notifications with their tries and last answers, newest first.",
        query="?limit=20",
    ),
    ManualCall("GET", "/control/merchants", "Merchants with all settings; of each key only a fingerprint."),
    ManualCall(
        "POST",
        "/control/merchants",
        "Adds a merchant or changes settings of a known one; kept across restarts and resets.",
        '{"mid": "nicepay00m", "notices": true, "notice_url": "http://127.0.0.1:8080/notice"}',
        notes=[
            'Settings and their defaults: key "", name "", edi_date_tolerance_s 3600 (0 = any), window_lifetime_s 1800, '
            'approval_lifetime_s 1800, net_cancel_window_s 300, cancel_period_days 365, min_amount 100, cc_part_cl "1", '
            'one_partial_only false, refuse_compound_partial false, partial_tid "new" or "original", wrong_hash_code '
            '"A211" or "A101", sign_failures false, sign_cancels true, notices false, notice_url "".',
        ],
    ),
    ManualCall(
        "POST", "/control/reset", "Forgets payments, faults, presets and the log. Merchants and clock stay."
    ),
    ManualCall("GET", "/healthz", "Answers once the simulator serves."),
]
