"""embedjwt's own login as people see it: real Chromium, real embedjwt, a real provider.

Grafana is played by the demo's stand-in, which verifies tokens against the published keys as
Grafana does, and shows in each panel whom it took the person for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest
from host_application import Site, running_site
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    expect,
)

from openid_person import PASSWORD, Person


@dataclass
class Visit:
    """A page in a fresh browser profile, the documents that it, its frames and its popups were
    shown, and what a document's own policy kept it from."""

    site: Site
    page: Page
    documents: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def note_answer(self, answer: Response) -> None:
        if answer.request.is_navigation_request() and not 300 <= answer.status < 400:
            self.documents.append(answer.url)

    def note_message(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.violations.append(message.text)

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    def forms_of_the_provider(self) -> list[str]:
        return [url for url in self.documents if url.startswith(self.site.embedding.kit.issuer)]

    def sign_in_at_the_provider(self, login: str) -> None:
        """Elsewhere, before: what is left of it is the provider's own cookies."""
        kit = self.site.embedding.kit
        with Person() as person:
            kit.sign_in(person, login)
            self.context.add_cookies(
                [
                    {"name": c.name, "value": c.value or "", "domain": "localhost", "path": c.path}
                    for c in person.browser.cookies
                ]
            )

    def heard(self) -> list[object]:
        heard: list[object] = self.page.evaluate("window.heard")
        return heard

    def go_without_a_click(self, url: str) -> None:
        """As a script does by itself; ``goto`` and ``evaluate`` count as the person's doing."""
        expression = f"location.assign({url!r})"
        self.context.new_cdp_session(self.page).send("Runtime.evaluate", {"expression": expression})

    def add_frame(self, **query: str) -> None:
        """A frame with the login, once it has loaded whatever there is."""
        self.page.evaluate(
            """(src) => new Promise((onload) => document.body.append(
                Object.assign(document.createElement("iframe"), { className: "login", src, onload })
            ))""",
            self.site.login(display="iframe", **query),
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("chromium")) as site:
        yield site


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    context = browser.new_context()
    visit = Visit(site, context.new_page())
    context.on("response", visit.note_answer)
    context.on("console", visit.note_message)
    yield visit
    context.close()


def fill_in_the_form(page: Page, login: str) -> None:
    page.locator("input[name=login]").fill(login)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("button[type=submit]").click()


def expect_panels(page: Page, login: str, role: str, name: str) -> None:
    expect(page.locator("iframe.panel")).to_have_count(2)
    for number in range(2):
        panel = page.frame_locator("iframe.panel").nth(number)
        expect(panel.locator(".who")).to_have_text(f"{login} {role}")
        expect(panel.locator("svg").first).to_be_visible()
    expect(page.locator("#person")).to_have_text(name)


def said(site: Site, status: str, **more: str) -> dict[str, object]:
    """A message as the host application gets it, in full."""
    data = {"type": "embedjwt:session", "status": status, **more}
    return {"origin": site.service, "data": data}


def wait_until_closed(popup: Page) -> None:
    if not popup.is_closed():
        popup.wait_for_event("close")


def test_a_person_with_an_sso_session_sees_panels_and_no_login_page(visit: Visit) -> None:
    visit.sign_in_at_the_provider("ada")
    visit.page.goto(visit.site.host)
    expect_panels(visit.page, "ada", "Admin", "Ada Admin")
    assert visit.page.url == f"{visit.site.host}/"
    top = [url for url in visit.documents if "/d-solo/" not in url]
    assert top == [f"{visit.site.host}/"] * 2  # first without a session, then with one


def test_nobody_signed_in_a_click_a_popup_and_panels(visit: Visit) -> None:
    page, site = visit.page, visit.site
    page.goto(site.host)
    expect(page.locator("body")).to_have_attribute("data-outcome", "login_required")
    assert page.url == f"{site.host}/?error=login_required"
    assert visit.forms_of_the_provider() == []
    with page.expect_popup() as opened:
        page.locator("#sign-in").click()
    popup = opened.value
    fill_in_the_form(popup, "vera")
    expect_panels(page, "vera", "Viewer", "Vera Viewer")
    assert visit.heard() == [said(site, "signed_in")]
    wait_until_closed(popup)
    assert len(visit.forms_of_the_provider()) == 1
    assert visit.violations == []


def test_a_popup_whose_login_failed_says_why_and_stays(visit: Visit) -> None:
    page, site = visit.page, visit.site
    page.goto(f"{site.host}/?error=seen")
    with page.expect_popup() as opened:
        page.locator("#sign-in").click()
    popup = opened.value
    popup.get_by_text("Cancel").click()
    expect(popup.locator("main")).to_contain_text("access_denied")
    assert visit.heard() == [said(site, "failed", code="access_denied")]
    close = popup.get_by_role("button", name="Close this window")
    close.evaluate("(button) => void setTimeout(() => button.click())")  # click() needs the page
    wait_until_closed(popup)


def test_a_frame_signs_in_silently_and_says_so(visit: Visit) -> None:
    visit.sign_in_at_the_provider("vera")
    visit.page.goto(f"{visit.site.host}/quiet")
    visit.add_frame(origin=visit.site.host)
    expect_panels(visit.page, "vera", "Viewer", "Vera Viewer")
    assert visit.heard() == [said(visit.site, "signed_in")]
    assert visit.forms_of_the_provider() == []
    frame = visit.page.frame_locator("iframe.login")
    expect(frame.get_by_role("heading")).to_have_text("You are signed in")


@pytest.mark.parametrize("storage", ["shared", "partitioned"])
def test_a_frame_where_nobody_is_signed_in_asks_for_a_popup(visit: Visit, storage: str) -> None:
    """Browsers part a frame on another site from its popup: no channel leads across then."""
    page, site = visit.page, visit.site
    if storage == "partitioned":
        visit.context.add_init_script("BroadcastChannel.prototype.postMessage = () => {}")
    page.goto(f"{site.host}/quiet")
    visit.add_frame(origin=site.host)
    button = page.frame_locator("iframe.login").get_by_role("button", name="Sign in with Acme")
    expect(button).to_be_visible()
    assert visit.forms_of_the_provider() == []
    assert visit.heard() == []
    with page.expect_popup() as opened:
        button.click()
    fill_in_the_form(opened.value, "ada")
    expect_panels(page, "ada", "Admin", "Ada Admin")
    assert visit.heard() == [said(site, "signed_in")]
    wait_until_closed(opened.value)
    expect(page.frame_locator("iframe.login").locator("#done")).to_be_visible()
    assert len(visit.forms_of_the_provider()) == 1  # in the popup
    assert visit.violations == []


def test_a_frame_that_waits_hears_of_a_login_in_another_tab(visit: Visit) -> None:
    page, site = visit.page, visit.site
    page.goto(f"{site.host}/quiet")
    visit.add_frame(origin=site.host)
    expect(page.frame_locator("iframe.login").get_by_role("button")).to_be_visible()
    visit.sign_in_at_the_provider("vera")
    visit.context.new_page().goto(site.login())
    expect_panels(page, "vera", "Viewer", "Vera Viewer")
    assert visit.heard() == [said(site, "signed_in")]


def test_a_silent_frame_where_nobody_is_signed_in_only_says_so(visit: Visit) -> None:
    visit.page.goto(f"{visit.site.host}/quiet")
    visit.add_frame(prompt="none", origin=visit.site.host)
    visit.page.wait_for_function("window.heard.length")
    assert visit.heard() == [said(visit.site, "login_required")]


@pytest.mark.parametrize("named", ["nobody", "the host", "itself"])
def test_a_page_that_is_on_no_list_learns_nothing(visit: Visit, named: str) -> None:
    """Whatever origin it names, and although the person is signed in."""
    page, site = visit.page, visit.site
    visit.sign_in_at_the_provider("ada")
    origin = {"nobody": "", "the host": site.host, "itself": site.stranger}[named]
    page.goto(f"{site.stranger}/quiet")
    visit.add_frame(origin=origin)
    assert page.frames[-1].url.startswith("chrome-error:")
    with page.expect_popup() as opened:
        login = site.login(display="popup", origin=origin)
        page.evaluate("url => void window.open(url, 'login', 'popup')", login)
    if named == "itself":
        expect(opened.value.locator("main")).to_contain_text("origin_not_allowed")
    else:
        wait_until_closed(opened.value)
    assert page.evaluate("showPanels().catch(() => 'unreadable')") == "unreadable"
    assert visit.heard() == []


def test_sent_to_our_own_page_a_click_and_panels(visit: Visit) -> None:
    """Its form leads through redirects to the provider, which its own policy has to let it do."""
    page, site = visit.page, visit.site
    page.goto(f"{site.host}/quiet")
    visit.go_without_a_click(site.login(next=f"{site.host}/"))
    button = page.get_by_role("button", name="Sign in with Acme")
    expect(button).to_be_visible()
    assert visit.forms_of_the_provider() == []
    button.click()
    fill_in_the_form(page, "ada")
    expect_panels(page, "ada", "Admin", "Ada Admin")
    assert visit.violations == []


def test_after_a_logout_the_panels_are_gone(visit: Visit) -> None:
    visit.sign_in_at_the_provider("vera")
    visit.page.goto(visit.site.host)
    expect_panels(visit.page, "vera", "Viewer", "Vera Viewer")
    visit.page.locator("#sign-out").click()
    expect(visit.page.locator("iframe.panel")).to_have_count(0)
    assert visit.page.evaluate("showPanels()") == "login_required"


def test_a_logout_on_our_own_page_ends_the_providers_session_too(visit: Visit) -> None:
    page, site = visit.page, visit.site
    visit.sign_in_at_the_provider("vera")
    page.goto(site.host)
    expect_panels(page, "vera", "Viewer", "Vera Viewer")
    page.goto(f"{site.service}/session/logout?{urlencode({'next': f'{site.host}/'})}")
    page.get_by_role("button", name="Sign out").click()
    page.locator("button[name=logout]").click()  # the provider asks whether it is meant
    expect(page.locator("body")).to_have_attribute("data-outcome", "login_required")
    assert page.url == f"{site.host}/?error=login_required"
    assert visit.violations == []
