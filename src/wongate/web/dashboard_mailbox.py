"""The sandbox's mailbox: mails that would have gone out, with what is attached to them."""

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response

from wongate.connections.mail import Mailbox
from wongate.domain.rights import Right
from wongate.web.dashboard_access import Entry, NotFound, Visit

if TYPE_CHECKING:
    from wongate.web.dashboard import Dashboard

HOME = "/dashboard/mailbox"


def routes(dashboard: "Dashboard") -> list[Entry]:
    """None outside the sandbox: real mail is nobody else's business."""
    if dashboard.mailbox is None:
        return []
    pages = MailboxPages(dashboard, dashboard.mailbox)
    return [
        Entry(HOME, "GET", Right.REPORTS, pages.show),
        Entry(f"{HOME}/{{name}}", "GET", Right.REPORTS, pages.read),
        Entry(f"{HOME}/{{name}}/{{part}}", "GET", Right.REPORTS, pages.attachment),
    ]


class MailboxPages:
    def __init__(self, dashboard: "Dashboard", folder: Path) -> None:
        self._page = dashboard.shell.page
        self._mailbox = Mailbox(folder)

    async def show(self, visit: Visit) -> Response:
        return self._page(visit, "mailbox.html", letters=self._mailbox.letters(), home=HOME)

    async def read(self, visit: Visit) -> Response:
        letter = self._mailbox.letter(visit.request.path_params["name"])
        if letter is None:
            raise NotFound
        return self._page(visit, "mailbox_letter.html", letter=letter, home=HOME)

    async def attachment(self, visit: Visit) -> Response:
        letter = self._mailbox.letter(visit.request.path_params["name"])
        part = visit.request.path_params["part"]
        if letter is None or part not in map(str, range(len(letter.attachments))):
            raise NotFound
        attached = letter.attachments[int(part)]
        return Response(
            attached.content,
            media_type=attached.media_type,
            headers={"Content-Disposition": f'attachment; filename="{attached.name}"'},
        )
