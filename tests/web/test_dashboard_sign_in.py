"""The way into the Dashboard: password, second factor, sessions and their ends."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from tests.dashboard import PASSWORD, SHOP, Browser, Member, Office, open_office

from wongate.domain import one_time
from wongate.domain.rights import Role
from wongate.flows import passwords, people, sign_in
from wongate.flows.audit import OPERATOR
from wongate.flows.people import OPERATOR_MAY, Access


async def test_somebody_signs_in_with_password_and_code(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        browser = office.browser()

        answer = await office.give_password(browser, member)
        assert (303, "/dashboard/second-factor") == (answer.status, answer.location)
        assert "/dashboard/second-factor" == (await browser.get("/dashboard/profile")).location

        answer = await browser.post("/dashboard/second-factor", {"code": office.code(member)})
        assert (303, "/dashboard") == (answer.status, answer.location)
        assert member.login in (await browser.get("/dashboard/profile")).text


async def test_the_page_that_was_wanted_opens_after_sign_in(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        browser = office.browser()
        location = (await browser.get("/dashboard/profile?a=1")).location
        assert "/dashboard/sign-in?next=%2Fdashboard%2Fprofile%3Fa%3D1" == location

        wanted = (await browser.get(location)).field("next")
        await browser.post(
            "/dashboard/sign-in", {"login": member.login, "password": PASSWORD, "next": wanted}
        )
        await browser.get("/dashboard/second-factor")
        sent = {"code": office.code(member), "next": wanted}
        assert "/dashboard/profile?a=1" == (await browser.post("/dashboard/second-factor", sent)).location


async def test_sign_in_leads_to_no_other_site(database: str) -> None:
    evil = ("https://evil.example", "//evil.example", "/dashboard/\\evil.example", "/v2/x", "/dashboardx")
    async with open_office(database) as office:
        member = await office.member(Role.DESIGNER, second_factor=False)
        for wish in evil:
            sent = {"login": member.login, "password": PASSWORD, "next": wish}
            assert "/dashboard" == (await office.browser().post("/dashboard/sign-in", sent)).location


async def test_the_cookie_is_strict_and_the_token_is_not_in_the_database(database: str) -> None:
    async with open_office(database, page_url="https://pay.example") as office:
        member = await office.member(Role.DESIGNER, second_factor=False)
        browser = office.browser()
        answer = await office.give_password(browser, member)

        name, _, token = browser.cookie.partition("=")
        assert "__Host-wongate" == name
        assert len(token) >= 43  # 256 bits in base64
        attributes = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
        assert {"httponly", "secure", "path=/", "samesite=lax"} == attributes
        assert "includeSubDomains" in answer.headers["strict-transport-security"]
        assert 0 == await office.value(
            "SELECT count(*) FROM session s WHERE s::text LIKE '%' || $1 || '%'", token
        )


async def test_the_token_is_a_new_one_after_the_second_factor_and_the_old_one_is_dead(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        browser = office.browser()
        await office.give_password(browser, member)
        before = browser.cookie
        await browser.post("/dashboard/second-factor", {"code": office.code(member)})

        assert before != browser.cookie
        old = office.browser(cookie=before)
        assert "/dashboard/sign-in" in (await old.get("/dashboard/profile")).location


async def test_a_code_works_once_also_for_two_at_the_same_moment(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        browsers = [office.browser(address=f"203.0.113.{n}") for n in range(3)]
        for browser in browsers:
            await office.give_password(browser, member)
        code = office.code(member)

        answers = await asyncio.gather(
            *(browser.post("/dashboard/second-factor", {"code": code}) for browser in browsers)
        )
        assert [303, 403, 403] == sorted(answer.status for answer in answers)


@pytest.mark.parametrize(("steps", "status"), [(-3, 403), (-1, 303), (0, 303), (1, 303), (3, 403)])
async def test_codes_of_thirty_seconds_around_count_and_of_ninety_do_not(
    database: str, steps: int, status: int
) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        browser = office.browser()
        await office.give_password(browser, member)
        answer = await browser.post("/dashboard/second-factor", {"code": office.code(member, steps)})
        assert status == answer.status


async def test_an_earlier_code_does_not_work_after_a_later_one(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        for steps, status in ((1, 303), (0, 403)):
            browser = office.browser()
            await office.give_password(browser, member)
            answer = await browser.post("/dashboard/second-factor", {"code": office.code(member, steps)})
            assert status == answer.status


async def test_a_recovery_code_lets_in_once(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        browser = await office.enter(member)
        page = await browser.post("/dashboard/profile/recovery-codes")
        codes = re.findall(r"<code>((?:[a-z2-7]{4}-){5}[a-z2-7]{4})</code>", page.text)
        assert 10 == len(set(codes))
        dump = str(await office.rows("SELECT r::text FROM recovery_code r"))
        assert not any(code in dump or code.replace("-", "") in dump for code in codes)

        for status in (303, 403):
            other = office.browser()
            await office.give_password(other, member)
            typed = f" {codes[0].upper().replace('-', ' ')}"
            assert status == (await other.post("/dashboard/second-factor", {"code": typed})).status


async def test_known_and_unknown_logins_get_the_same_answer(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        answers = []
        for login in (member.login, "nobody@shop.example"):
            answer = await office.browser().post(
                "/dashboard/sign-in", {"login": login, "password": "wrong password"}
            )
            answers.append((answer.status, _without_what_differs(answer.text.replace(login, ""))))
        assert answers[0] == answers[1]
        assert 403 == answers[0][0]


def _without_what_differs(page: str) -> str:
    return re.sub(r'nonce="[^"]*"', "", page)


class CountedArgon2id:
    """The library's argon2id, keeping the parameters of every hash that it was made to compute."""

    def __init__(self) -> None:
        self.computed: list[str] = []

    def __call__(self, *, memory_cost: int, iterations: int, lanes: int, **others: Any) -> Argon2id:
        self.computed.append(f"$argon2id$v=19$m={memory_cost},t={iterations},p={lanes}")
        return Argon2id(memory_cost=memory_cost, iterations=iterations, lanes=lanes, **others)

    def verify_phc_encoded(self, password: bytes, password_hash: str) -> None:
        self.computed.append(password_hash.rsplit("$", 2)[0])  # what stands before salt and hash
        Argon2id.verify_phc_encoded(password, password_hash)


async def test_an_unknown_login_costs_one_hash_of_the_same_size_as_a_known_one(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long an answer takes must not tell which logins exist. Hashes are counted: times say more about the machine."""
    passwords.nobodys_hash()  # made once for each process
    argon2id = CountedArgon2id()
    monkeypatch.setattr(passwords, "Argon2id", argon2id)
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        for login in (member.login, "nobody@shop.example"):
            argon2id.computed.clear()
            outcome = await sign_in.sign_in(office.platform, login, "wrong password", "203.0.113.9", "")
            assert isinstance(outcome, sign_in.Wrong)
            assert ["$argon2id$v=19$m=19456,t=2,p=1"] == argon2id.computed, login


async def test_an_account_is_guessed_at_ever_more_slowly_from_any_address(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        outcomes = []
        for number in range(40):
            outcome = await sign_in.sign_in(
                office.platform, member.login, f"guess number {number}", f"198.51.100.{number}", ""
            )
            outcomes.append(outcome)
            office.clock.advance(seconds=1)
        tries = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, sign_in.Wrong)]
        assert [0, 1, 2, 3, 4, 5, 7, 11, 19, 35] == tries

        waiting = await sign_in.sign_in(office.platform, member.login, PASSWORD, "198.51.100.99", "")
        assert isinstance(waiting, sign_in.Wait)
        office.clock.advance(seconds=waiting.seconds)
        right = await sign_in.sign_in(office.platform, member.login, PASSWORD, "198.51.100.99", "")
        assert isinstance(right, sign_in.Entered)


async def test_an_address_that_guesses_at_many_accounts_waits_and_others_do_not(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.DESIGNER, second_factor=False)
        outcomes = [
            await sign_in.sign_in(office.platform, f"account{n}", "a guess", "198.51.100.1", "")
            for n in range(30)
        ]
        assert 20 == sum(isinstance(outcome, sign_in.Wrong) for outcome in outcomes)
        answer = await office.give_password(office.browser(address="198.51.100.2"), member)
        assert 303 == answer.status


async def test_a_hundred_guesses_at_once_are_not_more_than_five(database: str) -> None:
    """Counted before they are judged, over two processes."""
    async with open_office(database) as office, open_office(database) as other:
        member = await office.member(Role.SUPPORT)
        guesses = [
            sign_in.sign_in(where.platform, member.login, f"guess {n}", f"198.51.100.{n}", "")
            for n in range(50)
            for where in (office, other)
        ]
        outcomes = await asyncio.gather(*guesses)
        assert 5 == sum(isinstance(outcome, sign_in.Wrong) for outcome in outcomes)


async def test_codes_cannot_be_guessed_either(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        browser = office.browser()
        await office.give_password(browser, member)
        statuses = [
            (await browser.post("/dashboard/second-factor", {"code": f"{number:06}"})).status
            for number in range(8)
        ]
        assert [403] * 5 + [429] * 3 == statuses


async def test_an_idle_session_ends_after_thirty_minutes(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.SUPPORT))
        office.clock.advance(minutes=29, seconds=59)
        assert 200 == (await browser.get("/dashboard/profile")).status
        office.clock.advance(minutes=30)
        assert "/dashboard/sign-in" in (await browser.get("/dashboard/profile")).location


async def test_a_busy_session_ends_after_twelve_hours(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.SUPPORT))
        for _ in range(35):
            office.clock.advance(minutes=20)
            assert 200 == (await browser.get("/dashboard/profile")).status
        office.clock.advance(minutes=20)
        assert "/dashboard/sign-in" in (await browser.get("/dashboard/profile")).location


async def _changes_password(office: Office, member: Member, browser: Browser) -> None:
    sent = {"current": PASSWORD, "password": "a new and longer password"}
    assert 303 == (await browser.post("/dashboard/profile/password", sent)).status


async def _moves_second_factor(office: Office, member: Member, browser: Browser) -> None:
    secret = (await browser.get("/dashboard/profile/second-factor")).field("secret")
    code = one_time.code_of(secret, one_time.step_of(office.clock.now()))
    answer = await browser.post("/dashboard/profile/second-factor", {"secret": secret, "code": code})
    assert 200 == answer.status


async def _is_given_another_role(office: Office, member: Member, browser: Browser) -> None:
    access = Access(frozenset({Role.FINANCE}), frozenset({SHOP}))
    await people.change_access(office.platform, OPERATOR, OPERATOR_MAY, member.person_id, access)


async def _is_deactivated(office: Office, member: Member, browser: Browser) -> None:
    await people.set_active(office.platform, OPERATOR, OPERATOR_MAY, member.person_id, active=False)


async def _loses_second_factor(office: Office, member: Member, browser: Browser) -> None:
    await people.reset_second_factor(office.platform, OPERATOR, OPERATOR_MAY, member.person_id)


async def _ends_all_others(office: Office, member: Member, browser: Browser) -> None:
    await browser.post("/dashboard/profile/sessions")


@pytest.mark.parametrize(
    "event",
    [
        _changes_password,
        _moves_second_factor,
        _is_given_another_role,
        _is_deactivated,
        _loses_second_factor,
        _ends_all_others,
    ],
)
async def test_other_sessions_end_at_once_when_the_account_changes(
    database: str, event: Callable[[Office, Member, Browser], Awaitable[None]]
) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        other = await office.enter(member)
        browser = await office.enter(member)
        assert 200 == (await other.get("/dashboard/profile")).status

        await event(office, member, browser)
        assert "/dashboard/sign-in" in (await other.get("/dashboard/profile")).location


async def test_signing_out_ends_the_session_on_the_server(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.SUPPORT))
        kept = browser.cookie
        answer = await browser.post("/dashboard/sign-out")
        assert "/dashboard/sign-in?said=signed-out" == answer.location
        again = office.browser(cookie=kept)
        assert "/dashboard/sign-in" in (await again.get("/dashboard/profile")).location


async def test_a_new_user_first_chooses_a_password_then_sets_up_the_second_factor(database: str) -> None:
    async with open_office(database) as office:
        access = Access(frozenset({Role.SUPPORT}), frozenset({SHOP}))
        made = await people.create(office.platform, OPERATOR, OPERATOR_MAY, "new@shop.example", "", access)
        browser = office.browser()
        await browser.post("/dashboard/sign-in", {"login": "NEW@shop.example", "password": made.password})
        assert "/dashboard/new-password" == (await browser.get("/dashboard/profile")).location

        await browser.get("/dashboard/new-password")
        for weak, reason in (
            ("short", "at least 12"),
            ("password1234", "most used"),
            ("new@shop.example", "login"),
            ("abcabcabcabcabc", "repeats"),
            (made.password, "old one"),
        ):
            answer = await browser.post(
                "/dashboard/new-password", {"current": made.password, "password": weak}
            )
            assert 400 == answer.status
            assert reason in answer.text

        sent = {"current": made.password, "password": PASSWORD}
        assert 303 == (await browser.post("/dashboard/new-password", sent)).status
        assert "/dashboard/enrol" == (await browser.get("/dashboard/profile")).location

        page = await browser.get("/dashboard/enrol")
        secret = page.field("secret")
        assert '<svg class="square-code"' in page.text
        code = one_time.code_of(secret, one_time.step_of(office.clock.now()))
        wrong = await browser.post("/dashboard/enrol", {"secret": secret, "code": "000000"})
        assert (400, secret) == (wrong.status, wrong.field("secret"))
        page = await browser.post("/dashboard/enrol", {"secret": secret, "code": code})
        assert (200, 10) == (page.status, page.text.count("<li><code>"))
        assert 200 == (await browser.get("/dashboard/profile")).status
        assert secret not in str(await office.rows("SELECT p::text FROM person p"))


async def test_a_designer_needs_no_second_factor(database: str) -> None:
    async with open_office(database) as office:
        browser = await office.enter(await office.member(Role.DESIGNER, second_factor=False))
        assert "/dashboard/page-design" == (await browser.get("/dashboard")).location


async def test_enrolling_again_without_the_present_factor_is_not_possible(database: str) -> None:
    async with open_office(database) as office:
        member = await office.member(Role.SUPPORT)
        browser = office.browser()
        await office.give_password(browser, member)
        secret = one_time.spelled(b"x" * one_time.SECRET_BYTES)
        code = one_time.code_of(secret, one_time.step_of(office.clock.now()))
        for path in ("/dashboard/enrol", "/dashboard/profile/second-factor"):
            assert 303 == (await browser.post(path, {"secret": secret, "code": code})).status
        assert "/dashboard/second-factor" == (await browser.get("/dashboard/profile")).location
        kept = await office.value("SELECT sealed_totp FROM person WHERE person_id = $1", member.person_id)
        assert member.totp_secret == office.platform.vault.open(kept, place=f"person/{member.person_id}/totp")


async def test_a_password_with_old_parameters_is_hashed_anew_at_sign_in(database: str) -> None:
    weak = Argon2id(salt=b"s" * 16, length=32, iterations=1, lanes=1, memory_cost=8192)
    async with open_office(database) as office:
        member = await office.member(Role.DESIGNER, second_factor=False)
        async with office.platform.database.transaction() as tx:
            await tx.execute(
                "UPDATE person SET password_hash = $1", weak.derive_phc_encoded(PASSWORD.encode())
            )
        await office.give_password(office.browser(), member)
        kept = await office.value("SELECT password_hash FROM person")
        assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert 303 == (await office.give_password(office.browser(), member)).status


async def test_plain_http_is_for_this_machine_alone(database: str) -> None:
    async with open_office(database) as office:
        answer = await office.browser().get("/dashboard/sign-in", host="192.168.0.5:8080")
        assert 421 == answer.status
        assert "WONGATE_PAGE_URL" in answer.text
