"""What describes the API: the document and the page."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.api import Front, refused


@pytest.fixture
def document(api: Front) -> dict[str, Any]:
    return api("GET", "/openapi.json", headers={"Authorization": "none"}).json()


def test_openapi_describes_every_resource_and_every_reference_in_it_leads_somewhere(document):
    assert set(document["paths"]) == {
        "/spaces",
        "/spaces/{space}",
        "/spaces/{space}/audit",
        "/audit",
        "/spaces/{space}/functions",
        "/spaces/{space}/functions/{name}",
        "/spaces/{space}/functions/{name}/code",
        "/spaces/{space}/functions/{name}/logs",
        "/spaces/{space}/functions/{name}/versions",
        "/spaces/{space}/functions/{name}/rollback",
        "/spaces/{space}/functions/{name}/invoke",
        "/spaces/{space}/functions/{name}/invoke/{path}",
        "/spaces/{space}/logs",
        "/spaces/{space}/secrets",
        "/spaces/{space}/secrets/{name}",
        "/spaces/{space}/variables",
        "/spaces/{space}/variables/{name}",
        "/spaces/{space}/activity",
        "/activity",
        "/zygotes/renew",
        "/healthz",
        "/readyz",
    }
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        part: Any = document
        for step in reference.split("/"):
            part = part[step]


def test_openapi_describes_invoking_with_its_five_methods_and_the_bearer_scheme(document):
    for path in ("invoke", "invoke/{path}"):
        item = document["paths"][f"/spaces/{{space}}/functions/{{name}}/{path}"]
        assert set(item) == {"parameters", "get", "post", "put", "patch", "delete"}
        assert {one["name"] for one in item["parameters"]} == set(
            re.findall(r"{(\w+)}", f"{{space}}{{name}}{path}")
        )
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert document["security"] == [{"bearer": []}]


def test_openapi_names_each_operation_once_and_each_refusal_by_the_envelope(document):
    operations = [
        operation
        for item in document["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for operation in operations:
        assert operation["summary"]
        for status, response in operation["responses"].items():
            if status == "default" or status[0] in "45":
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorEnvelope"}
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_the_docs_need_no_credential_and_nothing_from_elsewhere(api):
    page = api("GET", "/docs", headers={"Authorization": "none"})
    assert page.status_code == 200
    assert "//" not in re.sub(r"window\.location\.\S+", "", page.text).replace("// ", "")
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(assets) >= 3
    for asset in assets:
        assert asset.startswith("/docs/assets/")
        found = api("GET", asset, headers={"Authorization": "none"})
        assert found.status_code == 200
        assert len(found.content) > 1000
    assert '"validatorUrl": null' in page.text


def test_the_root_leads_a_browser_to_the_docs_and_tells_others_where_they_are(api):
    browser = api("GET", "/", headers={"Authorization": "none", "Accept": "text/html,*/*;q=0.8"})
    assert (browser.status_code, browser.headers["location"]) == (303, "/docs")
    other = api("GET", "/", headers={"Authorization": "none", "Accept": "*/*"})
    assert (other.status_code, other.text.count("\n")) == (200, 1)
    assert "/docs" in other.text and other.headers["content-type"].startswith("text/plain")


def test_only_the_docs_and_the_description_are_open(api):
    """Health is answered before the API; here it is only not guarded."""
    for path in ("/openapi.json", "/docs"):
        assert api("GET", path, headers={"Authorization": "none"}).status_code == 200
    for path in ("/docsx", "/openapi.jsonx", "/doc", "/redoc", "/docs../x", "/x"):
        refused(api("GET", path, headers={"Authorization": "none"}), 401)
    for path in ("/healthz", "/readyz"):
        refused(api("GET", path, headers={"Authorization": "none"}), 404)
