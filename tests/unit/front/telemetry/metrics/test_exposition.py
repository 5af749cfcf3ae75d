"""The text of a scrape, read back by prometheus-client's own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from supervisor.front.telemetry.metrics.call_metrics import BUCKETS
from supervisor.front.telemetry.metrics.exposition import SAMPLES_AT_ONCE, Scraped, pieces
from supervisor.front.telemetry.metrics.metric_table import METRICS
from supervisor.link_records import CallsRow, NumberRow


def calls(name: str, durations: list[int] | None = None) -> CallsRow:
    buckets = durations if durations is not None else [1] * BUCKETS
    return CallsRow(
        "calls", "s", name, {"answered": 2}, {"200": 2}, buckets, 1.5, [], 0.0, [], 0.0, 1, 2, 3, 4
    )


def read(scraped: Scraped) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    text = b"".join(pieces(scraped)).decode()
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_every_metric_has_its_help_and_type_once_however_many_samples_it_has() -> None:
    text = b"".join(pieces(Scraped([calls(f"f{number}") for number in range(3 * SAMPLES_AT_ONCE)]))).decode()
    assert text.count("# HELP ") == text.count("# TYPE ") == len(METRICS)
    for metric in METRICS:
        assert f"# TYPE {metric.name} {metric.kind}\n" in text


def test_a_function_has_every_sample_of_its_row() -> None:
    found = read(Scraped([calls("f")]))
    space, name = ("space", "s"), ("function_name", "f.s")
    assert found["cellblock_calls_total"] == {(("function", "f"), ("outcome", "answered"), space): 2}
    assert found["gateway_function_invocation_total"] == {(("code", "200"), name): 2}
    assert found["gateway_functions_seconds_bucket"][name, ("le", "+Inf")] == BUCKETS
    assert found["gateway_functions_seconds_bucket"][name, ("le", "0.0025")] == 2
    assert found["gateway_functions_seconds_count"][(name,)] == BUCKETS
    assert found["gateway_functions_seconds_sum"][(name,)] == 1.5
    assert found["gateway_function_invocation_inflight"][(name,)] == 1
    assert found["cellblock_calls_waiting"] == {(("function", "f"), space): 2}
    assert found["gateway_service_count"][(name,)] == 3
    assert found["cellblock_function_memory_bytes"] == {(("function", "f"), space): 4}
    assert "cellblock_queue_seconds_bucket" not in found  # it has waited for nothing


def test_a_histogram_of_any_length_is_one_with_our_buckets() -> None:
    """A front that was taken over tells what it likes: the scrape goes on."""
    for durations in ([3], [1] * 200):
        found = read(Scraped([calls("f", durations)]))["gateway_functions_seconds_bucket"]
        assert len(found) == BUCKETS


def test_a_number_that_is_in_no_table_is_left_out() -> None:
    rows = [
        NumberRow("number", "invented", "", 1.0, True),
        NumberRow("number", "cellblock_cells", "blank", 7, False),
    ]
    found = read(Scraped(list(rows)))
    assert found["cellblock_cells"] == {(("state", "blank"),): 7}
    assert "invented" not in found
