"""Reading logs through the API: what is selected, what is refused, what each form looks like."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from supervisor.logs import Record, Writer, rfc3339
from tests.support.api import Front, body, deploy, front, make_space, refused

LOGS = "/spaces/demo/functions/hello/logs"
OF_SPACE = "/spaces/demo/logs"
HOUR_NS = 3600 * 10**9
NOW_NS = time.time_ns()
LEVELS = ("debug", "info", "warning", "error", "critical")


def record(text: str, hours_ago: float, **fields: Any) -> Record:
    plain: dict[str, Any] = {
        "space": "demo", "name": "hello", "version": 1, "instance": "i-1", "call_id": "c-1",
        "timestamp": NOW_NS - int(hours_ago * HOUR_NS), "stream": "stderr", "level": "info", "text": text,
    }  # fmt: skip
    return Record(**{**plain, **fields})


RECORDS = [
    *(record(level, 50 - n, level=level) for n, level in enumerate(LEVELS)),
    record("out", 30, stream="stdout", instance="i-2", call_id="c-2"),
    record("report", 20, stream="platform"),
    record('Traceback\n  File "x"\nValueError: 50 % & + ü \\n', 10, level="error", call_id="c:3"),
    record("other", 8, name="other"),
    record("stranger", 7, space="stranger"),
    record("last", 5),
]
OWN = [one.text for one in RECORDS if one[:2] == ("demo", "hello")]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder: Path = tmp_path_factory.mktemp("logs")
    with front(folder) as one:
        deploy(one)
        deploy(one, "other")
        writer = Writer(one.settings.logs_dir)
        writer.append(RECORDS)
        assert writer.close()
        yield one


def ask(api: Front, path: str = LOGS, accept: str = "*/*", **query: Any) -> httpx.Response:
    return api("GET", path, params=query, headers={"Accept": accept})


def entries(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def texts(response: httpx.Response) -> list[str]:
    return [entry["text"] for entry in entries(response) if "event" not in entry]


def test_an_entry_says_whose_it_is_when_and_what_to_the_nanosecond(api: Front) -> None:
    response = ask(api, tail=1)
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["cache-control"] == "no-store"
    assert entries(response) == [
        {
            "name": "hello", "space": "demo", "version": 1, "instance": "i-1", "call_id": "c-1",
            "timestamp": rfc3339(RECORDS[-1].timestamp), "stream": "stderr", "level": "info", "text": "last",
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, OWN),
        ({"tail": 2}, OWN[-2:]),
        ({"tail": 0}, []),
        ({"since": "25h"}, OWN[-3:]),
        ({"since": "60h", "until": "49h30m"}, OWN[:1]),
        ({"since": rfc3339(RECORDS[5].timestamp)}, OWN[5:]),
        ({"since": rfc3339(RECORDS[5].timestamp + 1)}, OWN[6:]),
        ({"until": rfc3339(RECORDS[0].timestamp), "tail": 9}, OWN[:1]),
        ({"since": "5d", "limit": 9}, OWN),
        ({"level": "error"}, ["error", "critical", OWN[-2]]),
        ({"level": "debug"}, OWN),
        ({"stream": "stdout"}, ["out"]),
        ({"stream": "platform"}, ["report"]),
        ({"call_id": "c:3"}, [OWN[-2]]),
        ({"call_id": "c"}, []),
        ({"instance": "i-2"}, ["out"]),
        ({"q": "50 % & + ü \\n"}, [OWN[-2]]),
        ({"q": "\n  File"}, [OWN[-2]]),
        ({"q": "trace"}, []),
        ({"q": "r", "level": "error", "tail": 1}, [OWN[-2]]),
    ],
)
@pytest.mark.promise("S76")
def test_each_parameter_selects(api: Front, query: dict[str, Any], found: list[str]) -> None:
    assert texts(ask(api, **query)) == found


def test_a_space_has_the_logs_of_its_functions_and_of_no_others(api: Front) -> None:
    whole = [one.text for one in RECORDS if one.space == "demo"]
    assert texts(ask(api, OF_SPACE)) == whole
    make_space(api, "stranger")
    assert api("POST", "/spaces/stranger/functions", body("hello")).status_code == 201
    assert texts(ask(api, "/spaces/stranger/logs")) == ["stranger"]
    assert texts(ask(api, "/spaces/default/logs")) == []


def test_a_limit_is_said_with_the_cursor_to_go_on_from(api: Front) -> None:
    first = entries(ask(api, since="5d", limit=4))
    assert [one.get("text") for one in first] == [*OWN[:4], None]
    assert first[-1]["event"] == "more"
    rest = ask(api, cursor=first[-1]["cursor"])
    assert texts(rest) == OWN[4:]


def test_server_sent_events_carry_an_id_from_which_each_can_be_gone_on(api: Front) -> None:
    for query in ({"tail": 4}, {"since": "5d"}):
        response = ask(api, accept="text/event-stream", **query)
        assert response.headers["content-type"] == "text/event-stream"
        blocks = response.text.removesuffix("\n\n").split("\n\n")
        shown = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]
        found = [json.loads(one["data"])["text"] for one in shown]
        assert found == OWN[-len(found) :]
        for number, one in enumerate(shown):
            # What an EventSource sends again: the address it began with, and the last id.
            rest = api("GET", LOGS, params=query, headers={"Last-Event-ID": one["id"]})
            assert texts(rest) == found[number + 1 :]


def test_what_was_deleted_before_it_could_be_read_is_a_counted_gap(api: Front) -> None:
    deploy(api, "flood")
    writer = Writer(api.settings.logs_dir, segment_bytes=1000)
    for part in range(10):
        writer.append([record(f"{part}{number}", 4 - part / 10, name="flood") for number in range(10)])
        assert writer.flush()
    assert writer.close()
    where = "/spaces/demo/functions/flood/logs"
    first = entries(ask(api, where, since="9h", limit=10))
    segments = sorted((api.settings.logs_dir / "demo" / "flood").iterdir())
    assert len(segments) > 3
    for segment in segments[1:3]:
        segment.unlink()
    rest = entries(ask(api, where, cursor=first[-1]["cursor"]))
    gaps = [one for one in rest if one.get("event") == "gap"]
    assert {one["reason"] for one in gaps} == {"lost"}
    assert 10 + len(rest) - len(gaps) + sum(one["count"] for one in gaps) == 100
    events = ask(api, where, "text/event-stream", cursor=first[-1]["cursor"]).text
    assert events.count("event: gap\n") == len(gaps) > 0


# Each parameter with what it does not take, as the query says it.
BAD: dict[str, list[str]] = {
    "since": [
        "since=yesterday", "since=", "since=10", "since=-5m", "since=2026-01-31", "since=2026-01-31T12:00:00",
        "since=2026-02-30T12:00:00Z", "since=1969-01-31T12:00:00Z", "since=9999-01-31T12:00:00Z",
        "since=" + "1m" * 99,
    ],
    "until": ["until=now", "until=1m&follow=true"],
    "tail": ["tail=-1", "tail=10001", "tail=x", "tail=1&tail=2", "tail=1&cursor=1.0"],
    "follow": ["follow=perhaps"],
    "limit": ["limit=0", "limit=10001", "limit=1&tail=1", "limit=1&follow=1"],
    "level": ["level=loud", "level=INFO", "level="],
    "stream": ["stream=stdin"],
    "call_id": ["call_id=" + "c" * 129],
    "instance": ["instance=" + "i" * 129],
    "q": ["q=" + "q" * 1025],
    "cursor": ["cursor=x", "cursor=", "cursor=1.0.zz-1", "cursor=" + "1" * 2049],
    "lvl": ["lvl=error"],
    "Tail": ["Tail=1"],
}  # fmt: skip


@pytest.mark.parametrize(("field", "query"), [(field, query) for field in BAD for query in BAD[field]])
@pytest.mark.promise("S77")
def test_a_bad_parameter_is_a_422_that_names_it(api: Front, field: str, query: str) -> None:
    for path in (LOGS, OF_SPACE):
        error = refused(api("GET", f"{path}?{query}"), 422, field)
        assert error["details"]["field"] == field


def test_a_bad_last_event_id_is_a_422_that_names_the_header(api: Front) -> None:
    for value in ("x", "1", "1.0.x-1", "9" * 5000):
        error = refused(api("GET", LOGS, headers={"Last-Event-ID": value}), 422, "Last-Event-ID")
        assert error["details"]["field"] == "Last-Event-ID"


def test_a_function_that_is_not_there_has_no_logs(api: Front) -> None:
    refused(api("GET", "/spaces/demo/functions/nobody/logs"), 404)
    refused(api("GET", "/spaces/demo/functions/nobody/logs?follow=1"), 404)
    # Its folder is there; the space's function is not.
    refused(api("GET", "/spaces/stranger/functions/stranger/logs"), 404)


@pytest.mark.parametrize("path", [LOGS, OF_SPACE, f"{LOGS}?follow=1", f"{OF_SPACE}?follow=1"])
@pytest.mark.promise("T45")
def test_without_a_credential_there_is_nothing_to_see(api: Front, path: str) -> None:
    for header in ("", "Bearer another-token", "Basic dDBrZW4="):
        error = refused(api("GET", path, headers={"Authorization": header}), 401)
        assert not any(text in json.dumps(error) for text in OWN)
    assert api("GET", path.partition("?")[0]).status_code == 200  # the control
