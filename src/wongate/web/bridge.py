"""The page between the platform and a window that a plain form does not open (N-1).

It takes the form that the merchant's page, or ours, has posted, makes sure that it is the one we made for this sale, and hands
it on: by the provider's script on wide screens, by a form on phones. It is the only page that runs somebody else's script, and
therefore has a policy of its own.
"""

import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from wongate.flows import page as paying
from wongate.flows import sale
from wongate.flows.platform import Platform
from wongate.web.http import read_body
from wongate.web.pages import language_of, show

FORM_MAX = 64 * 1024
_PHONE = re.compile("Mobi|Android|iPhone|iPad|iPod")


class BridgePage:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def routes(self) -> list[Route]:
        return [Route("/bridge/{provider}/{token}", self.cross, methods=["GET", "POST"])]

    async def cross(self, request: Request) -> Response:
        token = request.path_params["token"]
        found = await sale.find_by_token(self._platform, token)
        waiting = RedirectResponse(f"/result/{token}", status_code=303, headers={"Cache-Control": "no-store"})
        if found is None or request.method == "GET":
            return waiting  # a reload, or the way back: there is no form to hand on
        project, operation, _ = found
        raw = await read_body(request.scope, request.receive, FORM_MAX)
        form = self._platform.provider(project).read_form(raw)
        bridge = paying.bridge(self._platform, project, operation, form)
        if bridge is None:
            return waiting
        script_url = "" if _PHONE.search(request.headers.get("user-agent", "")) else bridge.script_url
        return show(
            request,
            "bridge.html",
            language=language_of(request),
            project=project,
            forms_to=bridge.origins,
            scripts_from=bridge.origins if script_url else (),
            frames_from=bridge.origins,
            form=form,
            bridge=bridge,
            script_url=script_url,
            return_url=f"{self._platform.page_url}/return/{project.account.provider}/{token}",
            result_url=f"/result/{token}",
        )
