"""THE TABLE: what may follow what. An event that the table does not list for a stage is refused, whoever brings it.

A *status* is what the merchant sees; a *stage* is our recovery point, committed before each outside call, so that a process
that dies knows on its return how far the money may have moved.
"""

from enum import StrEnum


class Kind(StrEnum):
    SALE = "sale"
    REFUND = "refund"


class Status(StrEnum):
    """Statuses of operations, on the wire (section 3.3)."""

    PROCESSING = "processing"
    AWAITING = "awaiting redirect result"
    SUCCESS = "success"
    DECLINE = "decline"


class Stage(StrEnum):
    NEW = "new"
    WAITING = "waiting"  # the payer is on the way to the window, or in it
    APPROVING = "approving"  # the approval may have been sent: it is never sent again
    UNDOING = "undoing"  # approval unknown, net cancel may have been sent: can no longer succeed
    CHECKING = "checking"  # declined, nothing to cancel; one more inquiry settles it
    RETURNING = "returning"  # declined for the merchant while the payer's money is still being brought back
    OFFERED = (
        "offered"  # declined, and the payer may try again on the Payment Page until its time comes (E-43)
    )
    RESERVED = "reserved"  # refund: money set aside, cancel not sent
    CANCELLING = "cancelling"  # refund: the cancel may have been sent
    ASKING = "asking"  # refund: outcome unknown
    REPEATING = "repeating"  # refund: a further cancel after an unknown one
    DONE = "done"


class Event(StrEnum):
    OPENED = "opened"  # accepted and sound: sale waits for the payer, refund has its reservation
    INVALID = "invalid"  # request data wrong: the payment becomes `error`
    REFUSED = "refused"  # sound but against a rule: declined without asking the provider
    CONFIRMED = "confirmed"  # the payer agreed; intent to approve
    SENT = "sent"  # intent to cancel
    APPROVED = "approved"
    DECLINED = "declined"
    DECLINED_FOR_NOW = "declined for now"  # the payer is offered another try
    RETRIED = "retried"  # the payer took it: a new sale of the same payment
    LAPSED = "lapsed"  # the payer did not: the payment is declined
    NOT_SENT = "not sent"
    UNANSWERED = "unanswered"
    UNDONE = "undone"  # the net or ordinary cancel is certain
    NOTHING_TO_UNDO = "nothing to undo"
    EXPIRED = "expired"  # the limit time has passed
    FOUND_APPROVED = "found approved"  # a success that nobody expected any more


class IllegalMove(Exception):
    """An event came at a stage that does not know it."""

    def __init__(self, kind: str, stage: str, event: str) -> None:
        super().__init__(f"a {kind} that is {stage} cannot be {event}")


S, G, E = Status, Stage, Event

TABLE: dict[tuple[Kind, Stage, Event], tuple[Status, Stage]] = {
    (Kind.SALE, G.NEW, E.OPENED): (S.AWAITING, G.WAITING),
    (Kind.SALE, G.NEW, E.INVALID): (S.DECLINE, G.DONE),
    (Kind.SALE, G.NEW, E.REFUSED): (S.DECLINE, G.DONE),
    (Kind.SALE, G.WAITING, E.CONFIRMED): (S.AWAITING, G.APPROVING),
    (Kind.SALE, G.WAITING, E.DECLINED): (S.DECLINE, G.DONE),
    (Kind.SALE, G.WAITING, E.DECLINED_FOR_NOW): (S.DECLINE, G.OFFERED),
    (Kind.SALE, G.WAITING, E.EXPIRED): (S.DECLINE, G.DONE),
    (Kind.SALE, G.APPROVING, E.APPROVED): (S.SUCCESS, G.DONE),
    (Kind.SALE, G.APPROVING, E.DECLINED): (S.DECLINE, G.DONE),
    (Kind.SALE, G.APPROVING, E.DECLINED_FOR_NOW): (S.DECLINE, G.OFFERED),
    (Kind.SALE, G.APPROVING, E.UNANSWERED): (S.AWAITING, G.UNDOING),
    (Kind.SALE, G.UNDOING, E.UNDONE): (S.DECLINE, G.DONE),
    (Kind.SALE, G.UNDOING, E.NOTHING_TO_UNDO): (S.DECLINE, G.CHECKING),
    (Kind.SALE, G.UNDOING, E.EXPIRED): (S.DECLINE, G.RETURNING),
    (Kind.SALE, G.CHECKING, E.NOTHING_TO_UNDO): (S.DECLINE, G.DONE),
    (Kind.SALE, G.CHECKING, E.FOUND_APPROVED): (S.DECLINE, G.RETURNING),
    (Kind.SALE, G.RETURNING, E.UNDONE): (S.DECLINE, G.DONE),
    (Kind.SALE, G.RETURNING, E.NOTHING_TO_UNDO): (S.DECLINE, G.CHECKING),
    (Kind.SALE, G.OFFERED, E.RETRIED): (S.DECLINE, G.DONE),
    (Kind.SALE, G.OFFERED, E.LAPSED): (S.DECLINE, G.DONE),
    (Kind.SALE, G.DONE, E.FOUND_APPROVED): (S.DECLINE, G.RETURNING),
    (Kind.SALE, G.DONE, E.UNANSWERED): (S.DECLINE, G.CHECKING),
    (Kind.REFUND, G.NEW, E.OPENED): (S.PROCESSING, G.RESERVED),
    (Kind.REFUND, G.NEW, E.REFUSED): (S.DECLINE, G.DONE),
    (Kind.REFUND, G.RESERVED, E.SENT): (S.PROCESSING, G.CANCELLING),
    (Kind.REFUND, G.CANCELLING, E.APPROVED): (S.SUCCESS, G.DONE),
    (Kind.REFUND, G.CANCELLING, E.DECLINED): (S.DECLINE, G.DONE),
    (Kind.REFUND, G.CANCELLING, E.NOT_SENT): (S.PROCESSING, G.RESERVED),
    (Kind.REFUND, G.CANCELLING, E.UNANSWERED): (S.PROCESSING, G.ASKING),
    (Kind.REFUND, G.ASKING, E.SENT): (S.PROCESSING, G.REPEATING),
    (Kind.REFUND, G.ASKING, E.APPROVED): (S.SUCCESS, G.DONE),
    (Kind.REFUND, G.ASKING, E.DECLINED): (S.DECLINE, G.DONE),
    (Kind.REFUND, G.REPEATING, E.APPROVED): (S.SUCCESS, G.DONE),
    (Kind.REFUND, G.REPEATING, E.DECLINED): (S.DECLINE, G.DONE),
    (Kind.REFUND, G.REPEATING, E.NOT_SENT): (S.PROCESSING, G.ASKING),
    (Kind.REFUND, G.REPEATING, E.UNANSWERED): (S.PROCESSING, G.ASKING),
}

FINAL = frozenset({Status.SUCCESS, Status.DECLINE})
"""Statuses an operation never leaves."""

UNRESOLVED = frozenset({G.UNDOING, G.CHECKING, G.RETURNING, G.ASKING, G.REPEATING})
"""Stages in which our books and the provider's may differ: together they are the unresolved list (I3)."""


def advance(kind: Kind, status: Status, stage: Stage, event: Event) -> tuple[Status, Stage]:
    """The status and stage after the event.

    Raises IllegalMove for what the table does not list, and for a success found under an operation that succeeded anyway.
    """
    move = TABLE.get((kind, stage, event))
    if move is None or (status in FINAL and move[0] is not status):
        raise IllegalMove(kind, stage, event)
    return move
