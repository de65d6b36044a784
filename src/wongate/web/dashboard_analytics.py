"""The Analytics board: tiles kept per person, moved by hand or by button, each a picture with its table, each to be taken out."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.responses import Response

from wongate.connections.database import Tx
from wongate.domain.rights import Right
from wongate.flows import saved
from wongate.reports.analytics import Ask
from wongate.reports.sheets import csv_lines
from wongate.web.dashboard_access import Entry, NotFound, Visit
from wongate.web.dashboard_drawings import Drawn, Speech, in_days
from wongate.web.dashboard_filters import SOURCE_NAMES
from wongate.web.dashboard_rankings import DOWN, customers, declined, hours, pivot
from wongate.web.dashboard_series import KINDS, conversion, operations, speed, turnover
from wongate.web.dashboard_shell import MESSAGES, N_
from wongate.web.dashboard_tiles import (
    CHARTS,
    FIRST_BOARD,
    MEASURES,
    PERIODS,
    TEMPLATES,
    TITLE_MAX,
    Tile,
)

if TYPE_CHECKING:
    from wongate.web.dashboard import Dashboard

HOME = "/dashboard/analytics"
ONE = f"{HOME}/tiles/{{tile:int}}"

MESSAGES |= {
    "tile-saved": N_("The tile is saved."),
    "tile-deleted": N_("The tile is deleted."),
}

Change = Callable[[list[Tile]], Sequence[Tile]]

PAINTERS: Mapping[str, Callable[[Tx, Tile, Ask, Speech], Awaitable[Drawn]]] = {
    "conversion": conversion,
    "turnover": turnover,
    "operations": operations,
    "pivot": pivot,
    "declines": declined,
    "codes": declined,
    "customers": customers,
    "hours": hours,
    "speed": speed,
}


def routes(dashboard: "Dashboard") -> list[Entry]:
    pages = Analytics(dashboard)
    see = Right.ANALYTICS
    return [
        Entry(HOME, "GET", see, pages.show),
        Entry(f"{HOME}/new", "GET", see, pages.ask_new),
        Entry(f"{HOME}/tiles", "POST", see, pages.add),
        Entry(f"{HOME}/columns", "POST", see, pages.set_columns),
        Entry(f"{HOME}/reset", "POST", see, pages.reset),
        Entry(ONE, "GET", see, pages.show_one),
        Entry(ONE, "POST", see, pages.save),
        Entry(f"{ONE}/edit", "GET", see, pages.edit),
        Entry(f"{ONE}/move", "POST", see, pages.move),
        Entry(f"{ONE}/delete", "POST", see, pages.delete),
        Entry(f"{ONE}/csv", "GET", see, pages.as_csv),
        Entry(f"{ONE}/svg", "GET", see, pages.as_svg),
    ]


class Analytics:
    def __init__(self, dashboard: "Dashboard") -> None:
        self._platform = dashboard.platform
        self._page = dashboard.shell.page

    async def show(self, visit: Visit) -> Response:
        tiles = [self._in_period(visit, tile) for tile in await self._board(visit)]
        drawn = [await self._draw(visit, tile) for tile in tiles]
        period = visit.request.query_params.get("period", "")
        return self._page(
            visit,
            "analytics.html",
            tiles=drawn,
            period=period if period in PERIODS else "",
            periods=[(name, text) for name, text in PERIODS.items() if name != "custom"],
            in_days=lambda ask: in_days(ask, visit.language),
            one_column=all(tile.wide for tile in tiles),
            home=HOME,
        )

    def _in_period(self, visit: Visit, tile: Tile) -> Tile:
        """The board's period goes before the tile's own."""
        period = visit.request.query_params.get("period", "")
        return replace(tile, period=period) if period in PERIODS and period != "custom" else tile

    async def _draw(self, visit: Visit, tile: Tile) -> Drawn:
        ask = tile.ask(visit.project_ids, visit.platform.clock.now(), visit.zone)
        speech = Speech(visit.language)
        return await self._platform.look_up(lambda tx: PAINTERS[tile.template](tx, tile, ask, speech))

    async def _board(self, visit: Visit) -> list[Tile]:
        stored = await saved.board(self._platform, visit.who.person.person_id)
        if stored is None:
            return list(FIRST_BOARD)
        return [tile for tile in map(Tile.of, stored) if tile is not None]

    async def _one(self, visit: Visit) -> Tile:
        """The tile that the path names. Raises NotFound."""
        number = int(visit.request.path_params["tile"])
        for tile in await self._board(visit):
            if tile.number == number:
                return tile
        raise NotFound

    async def show_one(self, visit: Visit) -> Response:
        drawn = await self._draw(visit, self._in_period(visit, await self._one(visit)))
        in_words = in_days(drawn.ask, visit.language)
        return self._page(visit, "analytics_tile.html", drawn=drawn, in_words=in_words, home=HOME)

    async def ask_new(self, visit: Visit) -> Response:
        template = visit.request.query_params.get("template", "conversion")
        return self._form(visit, Tile(0, template if template in TEMPLATES else "conversion"))

    async def edit(self, visit: Visit) -> Response:
        return self._form(visit, await self._one(visit))

    def _form(self, visit: Visit, tile: Tile) -> Response:
        return self._page(
            visit,
            "analytics_edit.html",
            tile=tile,
            templates=TEMPLATES,
            charts=CHARTS,
            kinds=[("", N_("Purchases and refunds")), *KINDS.items()],
            measures=MEASURES,
            downs=DOWN,
            periods=PERIODS,
            sources=[("", N_("Gate and Payment Page")), *SOURCE_NAMES.items()],
            title_max=TITLE_MAX,
            home=HOME,
        )

    async def add(self, visit: Visit) -> Response:
        def with_new(tiles: list[Tile]) -> Sequence[Tile]:
            number = max((tile.number for tile in tiles), default=0) + 1
            return [*tiles, _filled_in(visit, number)]

        return await self._change(visit, with_new, "tile-saved")

    async def save(self, visit: Visit) -> Response:
        number = (await self._one(visit)).number
        return await self._change(
            visit,
            lambda tiles: [_filled_in(visit, number) if tile.number == number else tile for tile in tiles],
            "tile-saved",
        )

    async def move(self, visit: Visit) -> Response:
        """One place `ahead` or `back`, or, dragged, to the `place` that the form names."""
        number = (await self._one(visit)).number
        aim = visit.form.get("place", "")

        def moved(tiles: list[Tile]) -> Sequence[Tile]:
            place = next(place for place, tile in enumerate(tiles) if tile.number == number)
            step = place + (-1 if visit.form.get("to") == "ahead" else 1)
            aimed = int(aim) if aim.isascii() and aim.isdecimal() and len(aim) < 4 else step
            tiles.insert(max(0, aimed), tiles.pop(place))
            return tiles

        return await self._change(visit, moved, "", f"#tile-{number}")

    async def delete(self, visit: Visit) -> Response:
        number = (await self._one(visit)).number
        return await self._change(
            visit, lambda tiles: [tile for tile in tiles if tile.number != number], "tile-deleted"
        )

    async def set_columns(self, visit: Visit) -> Response:
        wide = visit.form.get("columns") == "1"
        return await self._change(visit, lambda tiles: [replace(tile, wide=wide) for tile in tiles], "")

    async def reset(self, visit: Visit) -> Response:
        return await self._change(visit, lambda tiles: FIRST_BOARD, "saved")

    async def _change(self, visit: Visit, change: Change, said: str, anchor: str = "") -> Response:
        tiles = change(await self._board(visit))
        kept = [tile.as_json() for tile in tiles]
        await saved.save_board(self._platform, visit.who.person.person_id, kept)
        return visit.go(HOME + anchor, said) if not anchor else visit.go(HOME + anchor)

    async def as_csv(self, visit: Visit) -> Response:
        drawn = await self._draw(visit, self._in_period(visit, await self._one(visit)))
        text = "\ufeff" + csv_lines([drawn.headings, *(line.cells for line in drawn.lines)])
        return _file(text, "text/csv; charset=utf-8", f"{drawn.tile.template}.csv")

    async def as_svg(self, visit: Visit) -> Response:
        """A picture for a report. It carries no script, and is a download, never a page."""
        drawn = await self._draw(visit, self._in_period(visit, await self._one(visit)))
        if not drawn.svg:
            raise NotFound
        return _file(drawn.svg, "image/svg+xml", f"{drawn.tile.template}.svg")


def _file(text: str, kind: str, name: str) -> Response:
    return Response(text, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _filled_in(visit: Visit, number: int) -> Tile:
    """A tile as the form has it; what the form does not offer falls back to the template's own."""
    form = visit.form

    def one_of(known: Mapping[str, str], name: str, otherwise: str) -> str:
        return form.get(name, "") if form.get(name, "") in known else otherwise

    chosen = [
        int(text) for text in visit.several("project_ids") if text.isdecimal()
    ]  # the guard has looked at them
    return Tile(
        number=number,
        template=one_of(TEMPLATES, "template", "conversion"),
        title=form.get("title", "").strip()[:TITLE_MAX],
        period=one_of(PERIODS, "period", "7d"),
        since=form.get("since", "")[:30],
        until=form.get("until", "")[:30],
        source=one_of(SOURCE_NAMES, "source", ""),
        project_ids=tuple(chosen),
        wide=form.get("wide") == "1",
        compare=form.get("compare") == "1",
        chart=one_of(CHARTS, "chart", ""),
        kind=one_of(KINDS, "kind", ""),
        measure=one_of(MEASURES, "measure", "operations"),
        down=one_of(DOWN, "down", "time"),
    )
