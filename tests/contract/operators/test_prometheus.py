"""deploy/alerts.yaml and deploy/grafana.json, used: a real Prometheus asks each expression of a real server.

When an alert fires is tried by promtool, with the series of ``alert_cases``.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from tests.conftest import MakeServer
from tests.contract.operators.alert_cases import CASES, FIRST_FAULT, AlertCase, Series
from tests.contract.test_metrics import ALERTS, expressions
from tests.support.eventually import eventually
from tests.support.server import Server

METRICS_TOKEN = "a-token-for-prometheus-only"
RULES = {rule["alert"]: rule for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]}
PROMTOOL_SECONDS = 60
SCRAPE_S = 0.5
# What the dashboard's variables are where nobody has chosen.  A rate needs two scrapes.
CHOSEN = {"$space": ".*", "$function": ".*", "$__rate_interval": "30s"}
CODE = "def handle(req):\n    print('line')\n    return {}\n"


def installed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        missing = f"{program} is not installed (Debian: prometheus)"
        pytest.fail(missing) if os.environ.get("REQUIRE_SANDBOX") == "1" else pytest.skip(missing)
    return found


def promtool(*words: str | Path) -> str:
    """What promtool prints; it has to be content."""
    done = subprocess.run(
        [installed("promtool"), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=PROMTOOL_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- when alerts fire -----------------------------------------------------------------------------------


def told(text: str, labels: dict[str, str]) -> str:
    """An annotation with its labels filled in."""
    return re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels[found[1]], text)


def one_test(alert: str, at: int, series: Series, firing: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": f"{at}m", "alertname": alert, "exp_alerts": firing}],
    }


def assert_fires(alert: str, case: AlertCase, folder: Path) -> None:
    """It fires for the series of the case, with all that it says, and not for those that are nearly so."""
    rule = RULES[alert]
    firing = {
        "exp_labels": {**rule["labels"], **case.labels},
        "exp_annotations": {name: told(text, case.labels) for name, text in rule["annotations"].items()},
    }
    assert not any("{{" in text for text in firing["exp_annotations"].values())
    tests = [one_test(alert, case.at, case.fires, [firing]), one_test(alert, case.at, case.quiet, [])]
    file = folder / "tests.yaml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests})
    )
    promtool("test", "rules", file)


def test_promtool_finds_nothing_wrong_with_the_alerts() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "rules", ALERTS)


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_fires_when_it_has_to_and_not_for_what_is_nearly_that(alert: str, tmp_path: Path) -> None:
    assert_fires(alert, CASES[alert], tmp_path)


def test_the_very_first_fault_of_a_function_is_told_and_an_old_one_is_not_told_again(tmp_path: Path) -> None:
    """`increase` alone saw no first one: a series that begins at 1 has not grown."""
    assert_fires("CellblockFaults", FIRST_FAULT, tmp_path)


def test_control_an_alert_that_does_not_fire_fails_its_test(tmp_path: Path) -> None:
    case = CASES["CellblockBreached"]
    turned = AlertCase(fires=case.quiet, quiet=case.fires, at=case.at, labels=case.labels)
    with pytest.raises(AssertionError, match="FAILED"):
        assert_fires("CellblockBreached", turned, tmp_path)


# ---- what Prometheus has of a server --------------------------------------------------------------------


@contextmanager
def prometheus_of(server: Server, folder: Path) -> Iterator[httpx.Client]:
    """A Prometheus that scrapes the server as docs/metrics.md says, with our alerts, only more often."""
    (folder / "token").write_text(METRICS_TOKEN)
    job = {
        "job_name": "cellblock",
        "authorization": {"credentials_file": str(folder / "token")},
        "static_configs": [{"targets": [urlsplit(server.url).netloc]}],
    }
    (folder / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": f"{SCRAPE_S * 1000:.0f}ms", "evaluation_interval": "1s",
                           "scrape_timeout": f"{SCRAPE_S * 1000:.0f}ms"},
                "rule_files": [str(ALERTS)],
                "scrape_configs": [job],
            }
        )
    )  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        installed("prometheus"), f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
    ]  # fmt: skip
    with open(folder / "log", "wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as running:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
                eventually(lambda: _is_ready(client), "Prometheus is not ready")
                yield client
        finally:
            running.terminate()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def asked(client: httpx.Client, path: str, **parameters: str) -> Any:
    answer = client.get(f"/api/v1/{path}", params=parameters).json()
    assert answer["status"] == "success" and not answer.get("warnings"), (parameters, answer)
    return answer["data"]


@pytest.mark.slow
def test_prometheus_has_an_answer_to_every_expression_of_the_dashboard_and_takes_the_alerts(
    make_server: MakeServer, tmp_path: Path
) -> None:
    installed("prometheus")
    server = make_server(metrics_token=METRICS_TOKEN)
    dashboard = {where: text for where, text in expressions().items() if where not in RULES}
    with prometheus_of(server, tmp_path) as client:
        number = iter(range(1000))

        def left() -> dict[str, str]:
            """Expressions without an answer yet: a rate needs what happens between two scrapes."""
            server.deploy("busy", CODE.replace("line", f"line {next(number)}"))
            assert server.call("busy").status_code == 200
            return {where: text for where, text in dashboard.items() if not is_answered(client, text)}

        eventually(lambda: not left(), "some expressions have no answer")
        rules = {rule["name"]: rule for rule in asked(client, "rules")["groups"][0]["rules"]}
        assert rules.keys() == RULES.keys()
        eventually(lambda: set(health(client).values()) == {"ok"}, "not every alert was evaluated")
        assert {
            rule["name"] for rule in asked(client, "rules")["groups"][0]["rules"] if rule["alerts"]
        } == set()


def health(client: httpx.Client) -> dict[str, str]:
    return {rule["name"]: rule["health"] for rule in asked(client, "rules")["groups"][0]["rules"]}


def is_answered(client: httpx.Client, expression: str) -> bool:
    of_labels = re.fullmatch(r"label_values\((\w+), (\w+)\)", expression)
    if of_labels:
        return bool(asked(client, f"label/{of_labels[2]}/values", **{"match[]": of_labels[1]}))
    for variable, value in CHOSEN.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    found = asked(client, "query", query=expression)["result"]
    return any(sample["value"][1] != "NaN" for sample in found)
