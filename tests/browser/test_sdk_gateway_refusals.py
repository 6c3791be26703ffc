"""Panels of the SDK behind the gateway that lose their session, or may not have what they ask for.

Real Chromium, whose third-party cookies are blocked, real nginx, real embedjwt; time is stepped.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gateway_sdk import SdkPage
from gateway_sdk_visit import (
    SESSION,
    STEPS,
    opened,
    pass_time,
    posts,
    visited,
    with_panel,
)
from gateway_site import (
    CROSS_SITE,
    GRAFANA,
    PANEL_URL,
    PLAIN_SERVICE,
    SAME_SITE,
    STRANGER,
    TTL,
    Site,
)
from gateway_visit import Visit
from playwright.sync_api import Playwright, expect

REDEEM = f"{GRAFANA}/gateway/session"


@pytest.fixture(scope="module")
def switches(switches: list[str], gateway: Site) -> list[str]:
    return [*switches, f"--host-resolver-rules={gateway.resolver_rules}"]


@pytest.fixture
def visit(gateway_visit: Visit) -> Visit:
    return gateway_visit


def end_session(visit: Visit) -> None:
    """As another application of the same person's would, some time after the last renewal."""
    pass_time(visit, TTL / 2)
    page = visit.page(SAME_SITE)
    visit.sign_out(page)
    page.close()


def test_a_panel_whose_session_was_ended_comes_back_by_itself(visit: Visit) -> None:
    sdk = with_panel(visit, CROSS_SITE)
    pass_time(visit, TTL / 2)
    sdk.page.evaluate(
        "url => fetch(url, { method: 'DELETE', credentials: 'include' }).then(() => {})", REDEEM
    )
    assert visit.context.cookies() == []
    sdk.frame().evaluate("() => { location.reload(); }")
    sdk.wait_for_grants(2)
    sdk.is_ready()
    [told] = sdk.page.evaluate("heard")
    trace_id = told["data"].pop("trace_id")
    status = {"type": "embedjwt/status", "code": "login_required", "status": 401}
    assert told == {"origin": GRAFANA, "data": status}
    assert trace_id in visit.site.logs()
    assert [event["reason"] for event in sdk.events("grant")] == ["first", "frame"]
    assert sdk.events("error") == []


def test_all_panels_come_back_whenever_their_frames_notice(visit: Visit) -> None:
    """The second one's word is on its way while the session is opened again for the first."""
    sdk = with_panel(visit)
    sdk.show("2")
    sdk.is_ready("2")
    end_session(visit)
    sdk.frame("1").evaluate("() => { location.reload(); }")
    sdk.wait_for_grants(2)
    loads = sdk.page.evaluate("loads")
    late = {"type": "embedjwt/status", "code": "login_required", "status": 401, "trace_id": "0"}
    sdk.frame("2").evaluate("late => parent.postMessage(late, '*')", late)
    sdk.page.wait_for_function("heard.length === 2")
    sdk.page.wait_for_function("before => loads > before", arg=loads)
    for panel in ("1", "2"):
        sdk.is_ready(panel)
    assert sdk.events("error") == []


def test_who_is_signed_out_upstream_as_well_signs_in_and_comes_back(visit: Visit) -> None:
    sdk = with_panel(visit)
    sdk.page.evaluate("person = ''")
    end_session(visit)
    sdk.frame().evaluate("() => { location.reload(); }")
    error = sdk.has_failed("login_required")
    assert (error["status"], error["retryable"]) == (401, False)
    asked = len(posts(visit, SESSION))
    pass_time(visit, 600)
    assert len(posts(visit, SESSION)) == asked  # nobody is there
    sdk.page.evaluate("person = 'ada'")
    sdk.focus()
    sdk.is_ready()
    assert sdk.events("grant")[-1]["reason"] == "retry"


def test_who_signs_in_when_asked_to_comes_back_at_once(visit: Visit) -> None:
    sdk = SdkPage(visit.page(SAME_SITE, "/sdk"))
    sdk.page.wait_for_function("!!window.begin")
    sdk.page.evaluate(
        """() => {
          person = "";
          begin({ onLoginRequired: async () => { person = "vera"; return true; } });
        }"""
    )
    sdk.show()
    sdk.is_ready(who="vera Viewer")
    assert {event["error"]["code"] for event in sdk.events("error")} == {"login_required"}


def test_a_person_without_rights_is_told_so(visit: Visit) -> None:
    """No rule opens whole dashboards to viewers; panels go on."""
    sdk = with_panel(visit)
    sdk.show("")
    error = sdk.has_failed("forbidden", "")
    assert (error["reason"], error["status"], error["retryable"]) == (
        "path_not_allowed",
        403,
        False,
    )
    assert len(error["traceId"]) == 32
    expect(sdk.panel("").get_by_role("alert")).to_contain_text(error["traceId"])
    assert error["traceId"] in visit.site.logs()
    sdk.is_ready("1")


def test_a_token_that_grafana_does_not_accept(visit: Visit) -> None:
    """Its clock is wrong by an hour, so that it takes every token for expired."""
    sdk = opened(visit)
    visit.site.grafana.ahead = 3600
    try:
        sdk.show()
        error = sdk.has_failed("grafana_unauthorized")
    finally:
        visit.site.grafana.ahead = 0
    assert error["reason"] == "grafana_login"
    assert error["traceId"] in visit.site.logs()
    sdk.panel().get_by_role("button", name="Retry").click()
    sdk.is_ready()


def test_a_browser_that_blocks_all_cookies_of_grafana(
    playwright: Playwright,
    chromium: str,
    switches: list[str],
    gateway: Site,
    tmp_path: Path,
) -> None:
    """As a person's settings may say, partitioned ones as well."""
    blocked = {"[*.]grafana.example.com,*": {"setting": 2}}
    profile = {"content_settings": {"exceptions": {"cookies": blocked}}}
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default" / "Preferences").write_text(json.dumps({"profile": profile}))
    context = playwright.chromium.launch_persistent_context(
        tmp_path,
        executable_path=chromium,
        args=switches,
        ignore_https_errors=True,
    )
    with context:
        visit = visited(gateway, context)
        sdk = opened(visit, CROSS_SITE)
        sdk.show()
        assert not sdk.has_failed("cookies_blocked")["retryable"]
        assert sdk.page.evaluate("loads") == 0
        asked = len(visit.requests)
        for _ in range(5):
            pass_time(visit, TTL)
        assert len(visit.requests) == asked


def test_forged_messages_are_ignored(visit: Visit) -> None:
    sdk = with_panel(visit)
    page = sdk.page
    message = {"type": "embedjwt/status", "code": "path_not_allowed", "status": 403}
    post = "message => { parent.postMessage(message, '*'); }"
    page.evaluate(post, message)
    page.evaluate(
        """src => new Promise((resolve) => {
          const frame = Object.assign(document.createElement("iframe"), { src, onload: resolve });
          document.body.append(frame);
        })""",
        PANEL_URL,
    )
    [beside] = [frame for frame in page.frames if frame.parent_frame and frame != sdk.frame()]
    beside.evaluate(post, message)
    for nonsense in (None, 7, "embedjwt/status", {"type": "other", "status": 403}):
        sdk.frame().evaluate(post, nonsense)
    page.wait_for_function("heard.length === 6")
    origins = [told["origin"] for told in page.evaluate("heard")]
    assert origins == [SAME_SITE, *[GRAFANA] * 5]
    sdk.is_ready()
    sdk.frame().evaluate(post, message | {"trace_id": "abc"})
    assert sdk.has_failed("forbidden")["traceId"] == "abc"


def test_a_panels_frame_that_went_elsewhere_is_not_believed(visit: Visit) -> None:
    sdk = with_panel(visit)
    frame = sdk.frame()
    frame.goto(f"{STRANGER}/")
    message = {"type": "embedjwt/status", "code": "path_not_allowed", "status": 403}
    frame.evaluate("message => { parent.postMessage(message, '*'); }", message)
    sdk.page.wait_for_function("heard.length === 1")
    [told] = sdk.page.evaluate("heard")
    assert told == {"origin": STRANGER, "data": message}
    assert sdk.events("state")[-1]["state"] == "ready"
    assert sdk.events("error") == []


def test_after_logout_nothing_is_asked_until_somebody_wants_it(visit: Visit) -> None:
    sdk = with_panel(visit, CROSS_SITE)
    sdk.page.evaluate("embed.logout()")
    assert visit.context.cookies() == []
    assert [a.status for a in visit.answers if a.request.method == "DELETE"] == [204]
    asked = len(visit.requests)
    sdk.has_failed("login_required")
    for _ in range(STEPS + 1):
        pass_time(visit, TTL)
        sdk.focus()
    sdk.page.evaluate("document.querySelector('grafana-panel').remove()")
    sdk.show()  # as applications of one page do, again and again
    sdk.has_failed("login_required")
    assert len(visit.requests) == asked
    sdk.page.evaluate("embed.retry()")
    sdk.is_ready()


def test_a_service_without_a_gateway_is_a_setting_that_is_wrong(visit: Visit) -> None:
    sdk = opened(visit, service=PLAIN_SERVICE, mode="gateway")
    sdk.show()
    error = sdk.has_failed("config")
    assert (error["reason"], error["status"]) == ("gateway_off", 404)
    assert not error["retryable"]
    asked = len(visit.requests)
    for _ in range(5):
        pass_time(visit, TTL)
    assert len(visit.requests) == asked


def test_a_token_for_an_address_where_the_gateway_is_before_grafana(visit: Visit) -> None:
    """It would be refused there, so no frame is made at all."""
    sdk = opened(visit, mode="url")
    sdk.show()
    assert not sdk.has_failed("config")["retryable"]
    assert not any(GRAFANA in request.url for request in visit.requests)
