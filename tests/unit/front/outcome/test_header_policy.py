"""The table of what a function may send, and its page."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from supervisor.front.outcome.header_policy import TABLE, UNDERSCORE, Fate, fate_of, page_rows

PAGE = (Path(__file__).parents[4] / "docs/browsers.md").read_text(encoding="utf-8")
# By hand: what acts on more than the answer it is in.
FURTHER = [
    "Service-Worker-Allowed", "Clear-Site-Data", "NEL", "Report-To", "Reporting-Endpoints",
    "Strict-Transport-Security", "Public-Key-Pins", "Expect-CT", "Origin-Agent-Cluster", "Alt-Svc",
    "Accept-CH", "Critical-CH", "Set-Login", "Activate-Storage-Access", "Use-As-Dictionary",
    "Observe-Browsing-Topics", "Attribution-Reporting-Register-Source", "Shared-Storage-Write",
    "Sec-Session-Registration", "X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Buffering", "X-Sendfile",
    "X-Sendfile2", "X-Send-File", "X-Lighttpd-Send-File", "X-LiteSpeed-Location", "X-LiteSpeed-Purge",
    "X-Reproxy-URL", "X-Reproxy-File", "Surrogate-Control", "Surrogate-Key", "CDN-Cache-Control",
    "X-Varnish", "X-Varnish-TTL", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Original-URL",
    "X-Rewrite-URL", "X-Real-IP", "X-Envoy-Immediate-Health-Check-Fail", "X-Content-Type-Options", "Server",
    "Date", "Via", "Content-Length", "Set-Cookie2", "X_Accel_Redirect", "Set_Cookie", "X_Sendfile", "a_b",
    "_", "Content_Security_Policy",
]  # fmt: skip


@pytest.mark.parametrize("name", FURTHER)
def test_what_acts_on_more_than_its_answer_is_dropped(name: str) -> None:
    assert fate_of(name.lower()) is Fate.DROP


@pytest.mark.parametrize(
    "name",
    ["Content-Type", "ETag", "Location", "Cache-Control", "X-Mine", "Content-Disposition", "Vary",
     "Access-Control-Allow-Origin", "Content-Security-Policy", "Permissions-Policy", "X-Retry",
     "X-Acceleration", "X-Send", "Expected", "Retry-After"],
)  # fmt: skip
def test_what_is_about_the_answer_is_kept(name: str) -> None:
    assert fate_of(name.lower()) is Fate.KEEP


def test_the_table_has_each_name_once_in_lower_case_and_a_reason_for_each() -> None:
    names = Counter(name for rule in TABLE for name in rule.names)
    assert max(names.values()) == 1
    for name in names:
        assert re.fullmatch(r"[a-z0-9-]+\*?", name), name
    for rule in (*TABLE, UNDERSCORE):
        assert len(rule.why) > 10, rule


def test_every_line_of_the_table_is_what_is_done() -> None:
    for rule in TABLE:
        for name in rule.names:
            for instance in (name, name.replace("*", "x")) if name[-1] == "*" else (name,):
                assert fate_of(instance.rstrip("*")) is rule.fate, instance


def test_the_page_has_the_table() -> None:
    section = PAGE.split("\n## Headers of an answer\n")[1].split("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == page_rows()
