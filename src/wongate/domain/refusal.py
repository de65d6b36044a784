"""The rules said no: never a bug, never a decline of a payment."""


class Refused(Exception):
    """A request that changes nothing, answered with one of the catalogue's codes (`domain.codes`).

    `http_status`, `field` and `constraint` follow the table of E-5 and the body of E-7.
    """

    def __init__(
        self, code: int, http_status: int = 400, field: str | None = None, constraint: str | None = None
    ) -> None:
        super().__init__(f"{code} {field or ''}".strip())
        self.code = code
        self.http_status = http_status
        self.field = field
        self.constraint = constraint


class Unfit(Exception):
    """What a person filled in cannot be saved. The text is an English sentence that the catalogues translate."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
