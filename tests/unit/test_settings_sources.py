"""Where settings come from, who wins, and what is shown of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from contracts.errors import UsageError
from longwave.cli import app
from longwave.settings import ROLES, OriginSettings, ServeSettings, StorageSettings, load_settings, loaded
from longwave.settings_view import shown, to_json, to_table, without_password

PASSWORD = "hunter2-correct"
SENTINEL = (
    f"redis+sentinel://me:{PASSWORD}@h1:26379,h2:26379/main?sentinel_username=x&sentinel_password={PASSWORD}"
)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(
        tmp_path / "longwave.toml",
        """
        port = 1001
        host = "::1"
        log_level = "debug"
        origin = ["http://a", "http://b"]
        bus = ["redis://a", "redis://b"]
        redundancy = 2
        """,
    )


def test_flags_win_over_the_environment_that_over_the_file_and_that_over_defaults(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGWAVE_PORT", "1002")
    monkeypatch.setenv("LONGWAVE_HOST", "127.0.0.2")
    found = loaded(ServeSettings, {"config": file, "port": 1003, "host": None})
    settings = found.settings
    assert (settings.port, settings.host, settings.log_level) == (1003, "127.0.0.2", "debug")
    assert settings.window_seconds == 900
    names = ("port", "host", "log_level", "window_seconds")
    assert [found.sources[name] for name in names] == ["flag", "env", "file", "default"]
    assert settings.bus_urls == ("redis://a", "redis://b")
    assert [str(url) for url in settings.origin] == ["http://a/", "http://b/"]


def test_the_environment_names_the_file_and_every_command_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "s.toml", 'data_dir = "/somewhere"\nport = 7')
    monkeypatch.setenv("LONGWAVE_CONFIG", str(file))
    assert load_settings(StorageSettings, {}).data_dir == Path("/somewhere")
    monkeypatch.setenv("LONGWAVE_CONFIG", "")
    assert load_settings(StorageSettings, {}).data_dir == Path("data")


def test_one_file_serves_several_roles(file: Path) -> None:
    settings = load_settings(OriginSettings, {"config": file})
    assert (settings.port, hasattr(settings, "redundancy")) == (1001, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 80", r"s\.toml: 'prot' is no setting; did you mean port\?"),
        ("[serve]\nport = 80", r"s\.toml: 'serve' is no setting; .*longwave settings"),
        ("config = 'x'", r"s\.toml: 'config' is no setting"),
        ("port = 99999", r"s\.toml: port: "),
        ("port = {a = 1}", r"s\.toml: port: "),
        ("port = ", r"s\.toml: not TOML: "),
        ("\xff", r"s\.toml: not TOML: "),
    ],
)
def test_what_is_wrong_in_the_file_is_said_with_its_name(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "s.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=said):
        load_settings(ServeSettings, {"config": tmp_path / "s.toml"})


def test_a_wrong_value_is_named_where_it_came_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"^--window-seconds: "):
        load_settings(ServeSettings, {"config": file, "window_seconds": 1})
    monkeypatch.setenv("LONGWAVE_WINDOW_SECONDS", "1")
    with pytest.raises(UsageError, match=r"^LONGWAVE_WINDOW_SECONDS: "):
        load_settings(ServeSettings, {"config": file})
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_settings(ServeSettings, {"config": file.parent / "none"})


# ---- what is shown -----------------------------------------------------------------------------------------


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGWAVE_TOKEN", PASSWORD)
    monkeypatch.setenv("LONGWAVE_KEYS", f"k1={PASSWORD * 3}")
    monkeypatch.setenv("LONGWAVE_BUS", f"redis://:{PASSWORD}@one:1/0,{SENTINEL}")
    monkeypatch.setenv("LONGWAVE_S3_ENDPOINT", f"https://key:{PASSWORD}@minio:9000")
    monkeypatch.setenv("LONGWAVE_PUBLIC_URL", f"https://me:{PASSWORD}@example.net")
    monkeypatch.setenv(
        "LONGWAVE_ICE_SERVERS",
        json.dumps([{"urls": "turn:t.example", "username": "u", "credential": PASSWORD}]),
    )
    found = loaded(ServeSettings, {})
    document = to_json("serve", found)
    console = Console(record=True, width=200, file=None)
    with console.capture() as capture:
        console.print(to_table(found))
    assert PASSWORD not in json.dumps(document) + capture.get()
    values: Any = document["settings"]
    assert values["token"]["value"] == "***"
    assert values["bus"]["value"] == [
        "redis://:***@one:1/0",
        "redis+sentinel://me:***@h1:26379,h2:26379/main?sentinel_username=x&sentinel_password=***",
    ]
    assert values["s3_endpoint"]["value"] == "https://key:***@minio:9000"
    assert values["ice_servers"]["value"] == [{"url": "turn:t.example", "username": "u", "credential": "***"}]


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("redis://h:1", "redis://h:1"),
        ("redis://user@h", "redis://user@h"),
        ("redis://u:a@b@h/1", "redis://u:***@h/1"),
        ("http://[", "***"),
        ("no url: at all@", "no url: at all@"),
        ("s3://b/p?endpoint=http://me:pw@h:9&region=x", "s3://b/p?endpoint=http://me:***@h:9&region=x"),
        ("s3://b/p?endpoint=http%3A%2F%2Fme%3Apw%40h", "s3://b/p?endpoint=http://me:***@h"),
        ("http://h/?next=http://i/?token=abc", "http://h/?next=http://i/?token=***"),
        ("http://h/?a=b%20c&d", "http://h/?a=b%20c&d"),
    ],
)
def test_only_passwords_are_taken_out_of_urls(url: str, safe: str) -> None:
    assert without_password(url) == safe


def test_every_setting_of_every_role_has_a_description_and_can_be_shown() -> None:
    for name, kind in ROLES.items():
        document: Any = to_json(name, loaded(kind, {}))
        assert all(each["description"] for each in document["settings"].values())
        json.dumps(document)
    assert shown(None) is None


def test_the_command_shows_what_a_role_would_run_with(file: Path) -> None:
    run = CliRunner().invoke(app, ["settings", "origin", "--json", "--config", str(file), "--port", "7"])
    assert run.exit_code == 0, run.output
    document = json.loads(run.output)
    values = document["settings"]
    assert (document["role"], document["file"]) == ("origin", str(file))
    assert (values["port"]["value"], values["port"]["source"]) == (7, "flag")
    assert (values["host"]["value"], values["host"]["source"]) == ("::1", "file")
    assert values["bus"]["value"] == ["redis://a", "redis://b"]


def test_the_command_prints_a_line_for_each_setting() -> None:
    run = CliRunner().invoke(
        app, ["settings", "worker", "--bus", f"redis://:{PASSWORD}@h", "--bus", "redis://i"]
    )
    assert run.exit_code == 0, run.output
    lines = {line.split()[0]: line for line in run.output.splitlines()}
    assert lines.keys() >= {*ROLES["worker"].model_fields}
    assert "redis://:***@h, redis://i  flag" in lines["bus"]
    assert PASSWORD not in run.output


@pytest.mark.parametrize("words", [["--host", "x"], ["nobody"], ["worker", "--demo"]])
def test_a_role_or_an_option_that_is_none_is_refused(words: list[str]) -> None:
    run = CliRunner().invoke(app, ["settings", *words])
    assert run.exit_code != 0
