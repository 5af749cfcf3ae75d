"""``/metrics``: the sums of all fronts, who may read them, and what documents, alerts and dashboard say."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from supervisor.front.outcome.outcomes import Outcome
from supervisor.front.telemetry.metrics.call_metrics import BOUNDS_S
from supervisor.front.telemetry.metrics.metric_table import METRICS, page_rows
from supervisor.warden.cells.cell_states import CellState
from tests.conftest import MakeServer
from tests.support.eventually import eventually
from tests.support.processes import fronts_of
from tests.support.server import REPOSITORY, SPACE, Server

PAGE = (REPOSITORY / "docs/metrics.md").read_text(encoding="utf-8")
ALERTS = REPOSITORY / "deploy/alerts.yaml"
DASHBOARD = REPOSITORY / "deploy/grafana.json"
METRICS_TOKEN = "a-token-for-prometheus-only"
FUNCTIONS_MOST = 3
PROXIED = {"X-Forwarded-For": "6.6.6.6, 198.51.100.7"}

HELLO = "def handle(req):\n    print('line')\n    return {'status_code': int(req.query.get('code', '200'))}\n"
RAISES = "def handle(req):\n    raise ValueError('no')\n"
NAPS = "import time\ndef handle(req):\n    time.sleep(float(req.body or 0))\n    return {}\n"
EXITS = "import os\ndef handle(req):\n    os._exit(3)\n"
CHATTERS = "def handle(req):\n    for _ in range(30):\n        print('x')\n    return {}\n"

Samples = dict[str, list[tuple[dict[str, str], float]]]


@pytest.fixture(scope="module")
def watched(module_server: MakeServer) -> Iterator[Server]:
    """A server that everything of this page is switched on in."""
    yield module_server(
        metrics_token=METRICS_TOKEN,
        metrics_functions=FUNCTIONS_MOST,
        request_log="file",
        trusted_proxies='["127.0.0.0/8"]',
    )


# Whichever front takes it: each request has a connection of its own.
ALONE = {"Connection": "close"}


def scrape(server: Server) -> Samples:
    """The samples of a scrape, by their names."""
    headers = {"Authorization": f"Bearer {METRICS_TOKEN}", **ALONE}
    answer = server.client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return samples_of(answer.text)


def samples_of(text: str) -> Samples:
    """As prometheus-client's own parser reads them."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sum of the samples with these labels."""
    return sum(number for given, number in samples.get(name, ()) if labels.items() <= given.items())


@pytest.mark.promise("S167")
def test_a_scrape_of_any_front_is_the_sum_over_all(watched: Server) -> None:
    watched.deploy("hello", HELLO)
    watched.deploy("raises", RAISES)
    for number in range(12):  # whichever front takes them
        assert watched.call("hello", params={"code": str(200 + number % 2)}, headers=ALONE).is_success
        assert watched.call("raises", headers=ALONE).status_code == 500
    assert watched.call("nobodys").status_code == 404

    for _ in range(4):  # whichever front answers
        found = scrape(watched)
        whose = {"space": SPACE, "function": "hello"}
        assert value(found, "cellblock_calls_total", **whose, outcome="answered") == 12
        assert value(found, "cellblock_calls_total", space=SPACE, function="raises", outcome="raised") == 12
        assert value(found, "cellblock_calls_total", space="-", function="unknown", outcome="refused") == 1
        assert (
            value(found, "gateway_function_invocation_total", function_name=f"hello.{SPACE}", code="201") == 6
        )
        assert value(found, "gateway_functions_seconds_count", function_name=f"hello.{SPACE}") == 12
        assert value(found, "cellblock_queue_seconds_count", **whose) == 12
        assert 1 <= value(found, "cellblock_cold_start_seconds_count", **whose) <= 2
        assert value(found, "gateway_service_count", function_name=f"hello.{SPACE}") >= 1
        assert value(found, "cellblock_fronts", state="answered") == 2
        assert len(found["cellblock_front_memory_bytes"]) == 2
        assert all(number > 1e6 for _, number in found["cellblock_front_memory_bytes"])


def test_calls_that_run_and_wait_are_shown_while_they_do(watched: Server) -> None:
    watched.deploy("naps", NAPS, max_instances=1)
    assert watched.call("naps").status_code == 200
    calls = [threading.Thread(target=watched.call, args=("naps",), kwargs={"content": "1"}) for _ in range(2)]
    for one in calls:
        one.start()

    def running_and_waiting() -> tuple[float, float]:
        found = scrape(watched)
        running = value(found, "gateway_function_invocation_inflight")
        return running, value(found, "cellblock_calls_waiting")

    eventually(lambda: running_and_waiting() == (1, 1))
    for one in calls:
        one.join(60)
    assert running_and_waiting() == (0, 0)


@pytest.mark.promise("S168")
def test_functions_above_the_most_are_one_series(watched: Server) -> None:
    for number in range(FUNCTIONS_MOST + 2):
        watched.deploy(f"many-{number}", HELLO)
        assert watched.call(f"many-{number}").status_code == 200
    found = scrape(watched)
    named = {labels["function"] for labels, _ in found["cellblock_calls_total"]}
    assert len(named) <= FUNCTIONS_MOST + 2 and {"other", "unknown"} <= named
    assert value(found, "cellblock_calls_total", space="-", function="other", outcome="answered") >= 2


@pytest.mark.promise("S169")
def test_the_token_of_metrics_opens_metrics_and_nothing_else(watched: Server) -> None:
    theirs = {"Authorization": f"Bearer {METRICS_TOKEN}"}
    for headers, status in ((theirs, 200), (dict(watched.client.headers), 200), ({}, 401),
                            ({"Authorization": "Bearer wrong-wrong-wrong"}, 401)):  # fmt: skip
        answer = httpx.get(f"{watched.url}/metrics", headers=headers)
        assert answer.status_code == status, answer.text
    for method, path in (
        ("GET", f"/spaces/{SPACE}/functions"),
        ("GET", "/activity"),
        ("GET", "/healthz?verbose"),
        ("POST", f"/spaces/{SPACE}/functions/hello/invoke"),
    ):
        assert httpx.request(method, watched.url + path, headers=theirs).status_code == 401, path
    refused = httpx.post(f"{watched.url}/metrics", headers=theirs)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    head = httpx.head(f"{watched.url}/metrics", headers=theirs)
    assert (head.status_code, head.content) == (200, b"")
    assert METRICS_TOKEN not in watched.log


@pytest.mark.promise("S170")
def test_no_counter_goes_backwards_when_a_front_dies(make_server: MakeServer) -> None:
    server = make_server(metrics_token=METRICS_TOKEN)
    server.deploy("hello", HELLO)
    for _ in range(10):
        assert server.call("hello", headers=ALONE).status_code == 200
    before = scrape(server)
    fronts = fronts_of(server.pid)

    os.kill(fronts[0], signal.SIGKILL)
    eventually(lambda: len(set(fronts_of(server.pid)) - {fronts[0]}) == 2)
    eventually(lambda: value(scrape(server), "cellblock_fronts", state="answered") == 2)

    after = scrape(server)
    assert value(after, "cellblock_calls_total", function="hello", outcome="answered") == 10
    counters = [metric.name for metric in METRICS if metric.kind == "counter"]
    for name in (*counters, "gateway_functions_seconds_bucket", "gateway_functions_seconds_sum"):
        for labels, number in before.get(name, ()):
            assert value(after, name, **labels) >= number, (name, labels)
    assert {labels["front"] for labels, _ in after["cellblock_front_memory_bytes"]} == {"1", "2"}

    # A front that is stopped does not answer: what it told before stays in the sums.
    stopped = fronts_of(server.pid)[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        found = scrape_by_whoever_answers(server)
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert value(found, "cellblock_fronts", state="missing") == 1
    assert value(found, "cellblock_calls_total", function="hello", outcome="answered") == 10


def scrape_by_whoever_answers(server: Server) -> Samples:
    """A stopped front still takes connections: others are asked until one answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with httpx.Client(timeout=6.0) as client:
                answer = client.get(
                    f"{server.url}/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"}
                )
        except httpx.TimeoutException:
            assert time.monotonic() < deadline, "no front answers"
            continue
        return samples_of(answer.text)


# ---- what is said of the metrics ------------------------------------------------------------------------


def table(title: str) -> list[str]:
    """The rows of a section's table."""
    text = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return [line for line in text.splitlines() if line.startswith("|")][2:]


def test_the_page_says_of_every_metric_what_the_code_says() -> None:
    assert table("Every metric") == page_rows()


def test_the_page_names_the_ends_of_the_buckets() -> None:
    (said,) = re.findall(r"buckets of histograms end at (.*?) s\.", " ".join(PAGE.split()))
    in_ms, in_s = said.split(" ms, and at ")
    numbers = [float(one) / 1e3 for one in re.findall(r"[\d.]+", in_ms)]
    assert tuple(numbers + [float(one) for one in re.findall(r"[\d.]+", in_s)]) == BOUNDS_S


@pytest.mark.promise("S171")
def test_a_scrape_has_every_metric_of_the_page_with_its_labels_and_no_other(watched: Server) -> None:
    watched.deploy("hello", HELLO)
    watched.deploy("chatters", CHATTERS, log_lines=1)
    watched.deploy("exits", EXITS)
    assert watched.call("exits").status_code == 502
    watched.call("hello")
    watched.call("chatters")
    eventually(lambda: value(scrape(watched), "cellblock_log_records_dropped_total", why="limit") >= 29)
    found = scrape(watched)
    by_metric: dict[str, set[tuple[str, ...]]] = {}
    for name, samples in found.items():
        for labels, _ in samples:
            by_metric.setdefault(
                re.sub(r"_(bucket|count|sum)$", "", name) if name not in KNOWN else name, set()
            ).add(tuple(sorted(labels.keys() - {"le"})))
    assert by_metric == {metric.name: {tuple(sorted(metric.labels))} for metric in METRICS}
    assert value(found, "cellblock_log_records_kept_total") >= 3
    assert value(found, "cellblock_build_info") == 1
    assert value(found, "cellblock_cells_ended_total", cause="exited") >= 1
    assert value(found, "cellblock_cells", state="blank") >= 1
    assert value(found, "cellblock_layers", status="enforced") > 5


KNOWN = {metric.name for metric in METRICS}
# What Prometheus has of itself.
OF_PROMETHEUS = {"up": {"job", "instance"}}
WORDS = {
    "sum", "max", "min", "avg", "by", "without", "rate", "increase", "histogram_quantile", "topk",
    "label_values", "and", "or", "on", "unless", "offset",
}  # fmt: skip
# The values of labels that are of a closed set.
VALUES = {
    ("cellblock_calls_total", "outcome"): {outcome.value for outcome in Outcome},
    ("cellblock_cells", "state"): {state.value for state in CellState},
    ("cellblock_fronts", "state"): {"answered", "missing"},
    ("cellblock_layers", "status"): {"enforced", "degraded", "absent", "breached"},
    ("cellblock_log_records_dropped_total", "why"): {"limit", "disk"},
}


def expressions() -> dict[str, str]:
    """Every expression of the alerts and of the dashboard, by where it stands."""
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    found = {rule["alert"]: rule["expr"] for rule in group["rules"]}
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found[f"variable {variable['name']}"] = variable["query"]["query"]
    return found


def mistakes_of(expression: str, labels_of: dict[str, set[str]]) -> list[str]:
    """What of an expression no server exports: its metrics, their labels, and the values of those."""
    found, used = [], set()
    selectors = re.findall(r"([a-zA-Z_][\w:]*)\s*(?:{([^}]*)})?", re.sub(r'"[^"]*"', '""', expression))
    quoted = iter(re.findall(r'"([^"]*)"', expression))
    grouped = {label.strip() for group in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", expression)
               for label in group.split(",")}  # fmt: skip
    grouped |= set(re.findall(r"label_values\(\w+, (\w+)\)", expression))
    for name, matchers in selectors:
        if (
            name in WORDS
            or name in grouped
            or re.fullmatch(r"[smhd]|e\d*", name)
            or name == "__rate_interval"
        ):
            continue
        if name not in labels_of:
            found.append(f"no metric {name}")
            continue
        used |= labels_of[name]
        for label, operator in re.findall(r"(\w+)\s*(=~|!~|!=|=)", matchers):
            given = next(quoted)
            if label not in labels_of[name]:
                found.append(f"{name} has no label {label}")
            known = VALUES.get((name, label))
            if known is not None:
                words = given.split("|") if operator in ("=~", "!~") else [given]
                found += [f"{name}: {label} is never {word}" for word in words if word not in known]
    return found + [f"no label {label}" for label in grouped - used]


@pytest.mark.promise("S172")
def test_alerts_and_dashboard_ask_only_for_what_a_server_exports(watched: Server) -> None:
    watched.deploy("hello", HELLO)
    watched.call("hello")
    labels_of = {
        name: set().union(*(labels for labels, _ in samples)) for name, samples in scrape(watched).items()
    }
    labels_of |= OF_PROMETHEUS
    assert len(expressions()) > 40
    for where, expression in expressions().items():
        assert mistakes_of(expression, labels_of) == [], f"{where}: {expression}"


@pytest.mark.parametrize(
    ("expression", "mistake"),
    [
        ("rate(cellblock_call_total[5m])", "no metric cellblock_call_total"),
        ('cellblock_calls_total{name="x"}', "cellblock_calls_total has no label name"),
        ('cellblock_calls_total{outcome=~"raised|raises"}', "cellblock_calls_total: outcome is never raises"),
        ("sum by (space, name) (cellblock_calls_total)", "no label name"),
    ],
)
def test_an_expression_with_a_mistake_is_found(expression: str, mistake: str) -> None:
    labels_of = {metric.name: set(metric.labels) for metric in METRICS}
    assert mistakes_of(expression, labels_of) == [mistake]


def test_the_page_explains_every_alert_and_every_alert_says_what_to_do() -> None:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    said = {row.split("`")[1]: row for row in table("Every alert")}
    assert list(said) == [rule["alert"] for rule in group["rules"]]
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert f"| {rule['labels']['severity']} |" in said[rule["alert"]]
        assert rule["annotations"]["action"] in said[rule["alert"]]


# ---- the request log ------------------------------------------------------------------------------------


def lines_of(server: Server) -> list[dict[str, Any]]:
    path: Path = server.data_dir / "front/requests/requests.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.promise("S173")
def test_the_request_log_says_who_asked_for_what_and_no_secret(watched: Server) -> None:
    watched.deploy("hello", HELLO)
    call = watched.call("hello", "/a%20b", params={"code": "203", "key": "s3cret"}, headers=PROXIED)
    listed = watched.client.get(f"/spaces/{SPACE}/functions", params={"limit": "1"}, headers=PROXIED)
    nobody = httpx.post(
        f"{watched.url}/spaces/{SPACE}/functions/hello/invoke", headers={"Authorization": "Bearer t0p"}
    )
    ids = [answer.headers["x-call-id"] for answer in (call, listed, nobody)]

    def by_id() -> dict[str, dict[str, Any]]:
        return {line["call_id"]: line for line in lines_of(watched)}

    eventually(lambda: set(ids) <= set(by_id()))
    of_call, of_list, of_nobody = (by_id()[one] for one in ids)
    wanted = {
        "address": "198.51.100.7", "credential": "admin", "method": "POST", "status": 203,
        "outcome": "answered", "function": f"{SPACE}/hello",
        "path": f"/spaces/{SPACE}/functions/hello/invoke/a%20b",
    }  # fmt: skip
    assert {name: of_call[name] for name in wanted} == wanted
    assert 0 < of_call["duration_s"] < 60
    assert (of_list["address"], of_list["credential"], of_list["status"]) == ("198.51.100.7", "admin", 200)
    assert (of_list["path"], of_list["outcome"]) == (f"/spaces/{SPACE}/functions", None)
    assert (of_nobody["credential"], of_nobody["status"], of_nobody["outcome"]) == (None, 401, "refused")
    text = json.dumps(lines_of(watched))
    assert "s3cret" not in text and "t0p" not in text and watched.client.headers["authorization"] not in text


def test_without_the_setting_no_request_is_logged_and_with_stderr_each_is(
    server: Server, make_server: MakeServer
) -> None:
    assert server.client.get("/healthz").status_code == 200
    assert "cellblock.request" not in server.log and not (server.data_dir / "front/requests").exists()
    other = make_server(request_log="stderr")
    other.client.get("/healthz", headers={"X-Call-Id": "asked-1", **PROXIED})
    other.said('"call_id": "asked-1"')
    (line,) = [json.loads(line) for line in other.log.splitlines() if '"asked-1"' in line]
    assert (line["address"], line["path"], line["credential"]) == ("127.0.0.1", "/healthz", "admin")


# ---- readiness ------------------------------------------------------------------------------------------


@pytest.mark.promise("S174")
def test_readyz_says_what_fails_and_the_server_goes_on_with_what_it_knows(make_server: MakeServer) -> None:
    server = make_server(workers=1, metrics_token=METRICS_TOKEN)
    server.deploy("hello", HELLO)
    assert server.call("hello").status_code == 200
    assert httpx.get(f"{server.url}/readyz").json()["status"] == "ok"
    store = server.data_dir / "front/cellblock.db"
    store.rename(store.with_suffix(".away"))

    def degraded() -> dict[str, Any]:
        answer = httpx.get(f"{server.url}/readyz")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    eventually(lambda: degraded()["status"] == "degraded")
    (problem,) = degraded()["problems"]
    assert problem["part"] == "store" and "functions that are known here are served" in problem["message"]
    assert server.call("hello").status_code == 200
    assert value(scrape(server), "cellblock_store_errors_total") >= 1

    server.process.send_signal(signal.SIGSTOP)  # the warden
    try:
        eventually(lambda: httpx.get(f"{server.url}/readyz", timeout=30).status_code == 503)
        found = httpx.get(f"{server.url}/readyz", timeout=30).json()["error"]
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert "the warden did not answer within 2 s" in found["message"]
    assert [problem["part"] for problem in found["details"]["problems"]] == ["warden", "store"]
