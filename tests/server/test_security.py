"""Who is let in, and what every answer says to browsers."""

import re
from typing import Any

import pytest
from served import Served, served

from textgen.config import ServerConfig
from textgen.errors import ConfigError
from textgen.sampling.writer import Writer

TOKEN = "a-token-that-nobody-guesses"
PATHS = ("/", "/health", "/openapi.json", "/metrics", "/v1/models", "/v1/models/prose", "/nowhere")


def status(made: Served, path: str = "/v1/models", method: str = "GET", **headers: str) -> int:
    return made.client.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}).status_code


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.7",
        "[::2]",
        "",
        "[x",
    ],
)
def test_other_hosts_are_refused_against_dns_rebinding(here: Served, host: str) -> None:
    assert {status(here, path, host=host) for path in PATHS} == {403}
    response = here.client.post("/v1/completions", json={"prompt": "a"}, headers={"host": host})
    assert response.json()["error"]["code"] == "unknown_host"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:9", "[::1]:8000", "127.1.2.3", "localhost."]
)
def test_names_of_this_machine_are_known(here: Served, host: str) -> None:
    assert status(here, host=host) == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:3000", "file://", "http://127.0.0.1"]
)
def test_pages_of_other_origins_are_refused(here: Served, origin: str) -> None:
    for path in PATHS:
        assert status(here, path, origin=origin) == 403
    response = here.client.post("/v1/completions", json={"prompt": "a"}, headers={"origin": origin})
    assert response.status_code == 403 and "access-control-allow-origin" not in response.headers
    preflight = {"origin": origin, "access-control-request-method": "POST"}
    assert here.client.options("/v1/completions", headers=preflight).status_code == 403


def test_requests_without_an_origin_from_other_sites_are_refused(here: Served) -> None:
    assert status(here, sec_fetch_site="cross-site") == 403
    assert status(here, "/", sec_fetch_site="cross-site") == 200  # a link to the page
    assert status(here, sec_fetch_site="same-origin", origin="http://127.0.0.1:8000") == 200


def test_a_body_that_a_page_could_send_without_asking_is_refused(here: Served) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        response = here.client.post("/v1/completions", content=b'{"prompt": "a"}', headers={"content-type": kind})
        assert response.status_code == 415 and "Content-Type: application/json" in response.json()["error"]["message"]


def test_a_named_origin_may_use_the_server(writers: dict[str, Writer]) -> None:
    with served(writers, allow_origin=("https://app.example",), token=TOKEN) as made:
        ask = {"origin": "https://app.example", "access-control-request-method": "POST"}
        allowed = made.client.options("/v1/completions", headers=ask)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        assert "authorization" in allowed.headers["access-control-allow-headers"]
        sent = {"origin": "https://app.example", "authorization": f"Bearer {TOKEN}"}
        answer = made.client.post("/v1/completions", json={"max_tokens": 1}, headers=sent)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["vary"] == "Origin"
        assert made.client.options("/v1/completions", headers={"origin": "https://other.example"}).status_code == 403


def test_a_token_opens_everything_but_the_page_and_is_needed(writers: dict[str, Writer]) -> None:
    with served(writers, token=TOKEN) as made:
        for path in ("/metrics", "/v1/models", "/v1/models/prose", "/v1/completions", "/nowhere"):
            assert status(made, path) == 401
            for wrong in (
                "",
                "Bearer",
                f"Bearer {TOKEN}x",
                f"Basic {TOKEN}",
                TOKEN,
                f"Bearer {TOKEN[:-1]}",
                "Bearer é",
            ):
                response = made.client.get(path, headers={"authorization": wrong.encode("latin-1")})
                assert response.status_code == 401 and response.headers["www-authenticate"] == "Bearer"
                assert response.json()["error"]["code"] == "invalid_api_key"
            assert status(made, path, authorization=f"Bearer {TOKEN}") in (200, 404, 405)
        assert {status(made, path) for path in ("/", "/health", "/openapi.json")} == {200}
        assert "prose" not in made.client.get("/").text + made.client.get("/openapi.json").text


def test_tokens_are_compared_in_constant_time(writers: dict[str, Writer], monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("textgen.server.security.hmac.compare_digest", compare)
    with served(writers, token=TOKEN) as made:
        for given in (TOKEN, "", "x" * 5000):
            status(made, authorization=f"Bearer {given}")
    # Digests of one length, whatever the length of what was sent.
    assert {len(each) for pair in compared for each in pair} == {32} and len(compared) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "0.0.0.0"},
        {"host": "192.168.1.5"},
        {"host": "example.org"},
        {"host": "::"},
        {"token": "too short"},
        {"token": "é" * 20},
        {"allow_origin": ("*",)},
        {"allow_origin": ("example.org",)},
        {"allow_origin": ("https://example.org/path",)},
        {"allow_host": ("*.example.org",)},
        {"allow_host": ("example.org:80",)},
    ],
)
def test_settings_that_would_let_others_in_by_mistake_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"token is compulsory|must be"):
        ServerConfig(**wrong)


def test_off_loopback_addresses_and_named_hosts_are_known(writers: dict[str, Writer]) -> None:
    key = {"authorization": f"Bearer {TOKEN}"}
    with served(writers, host="0.0.0.0", token=TOKEN, allow_host=("models.example",)) as made:
        for host, wanted in (
            ("192.168.1.5:8000", 200),
            ("models.example", 200),
            ("evil.example", 403),
            ("[fe80::1]", 200),
        ):
            assert status(made, host=host, **key) == wanted


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_headers_that_browsers_heed(here: Served, path: str) -> None:
    headers = here.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "server" not in headers


def test_the_page_runs_its_own_script_and_no_other(here: Served) -> None:
    response = here.client.get("/")
    assert len(re.findall(r"'sha256-[\w+/=]+'", response.headers["content-security-policy"])) == 2
    assert not re.search(r"<script [^>]*src|<link[^>]*stylesheet|\son\w+=|style=", response.text)
    assert not re.search(r"https?://", response.text)


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/v1/models/../../pyproject.toml",
        "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v1/models//etc/passwd",
        "/static/../../etc/passwd",
        "/v1/models/prose%00.keras",
    ],
)
def test_no_path_opens_a_file(here: Served, path: str) -> None:
    response = here.client.get(path)
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_other_methods_and_paths_are_told_in_the_same_shape(here: Served) -> None:
    response = here.client.get("/v1/completions")
    assert response.status_code == 405 and response.headers["allow"] == "POST"
    assert "error" in response.json()
    assert here.client.post("/v1/models", json={}).status_code == 405
    assert here.client.head("/health").status_code == 200
