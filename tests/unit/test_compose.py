"""What infra/compose and the Dockerfile say is what Longwave takes: commands, variables, ports."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic_settings import BaseSettings

from longwave.cli import app
from longwave.settings import IngestRoleSettings, OriginSettings, WorkerSettings, load_settings
from workers.redis_bus.address import parse_bus

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "infra" / "compose"
FILES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(COMPOSE.glob("*.yaml"))}
SERVICES: dict[str, dict[str, Any]] = FILES["compose"]["services"]
ROLES: dict[str, type[BaseSettings]] = {
    "ingest": IngestRoleSettings,
    "worker": WorkerSettings,
    "origin": OriginSettings,
}
OURS = [name for name in SERVICES if name.split("-")[0] in ROLES]
# The variables of .env, filled in.
FILLED = {
    "LONGWAVE_TOKEN": "0123456789abcdef" * 4,
    "REDIS_PASSWORD": "fedcba9876543210" * 4,
    "S3_ACCESS_KEY": "longwave",
    "S3_SECRET_KEY": "abcdef" * 6,
    "PUBLIC_ADDRESS": "192.0.2.1",
    "PUBLIC_URL": "https://radio.example",
}


def interpolated(text: str) -> str:
    """As compose fills `${NAME:?why}` in."""
    return re.sub(r"\$\{(\w+)(?::\?[^}]*)?\}", lambda match: FILLED[match[1]], text)


def settings_of(name: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    """The settings of a role as its container has them: the image's variables, its own, its flags."""
    role, *arguments = (interpolated(word) for word in SERVICES[name]["command"])
    for variable, value in environment.items():
        monkeypatch.setenv(variable, interpolated(str(value)))
    group = typer.main.get_command(app)
    context = group.commands[role].make_context(role, arguments)  # type: ignore[attr-defined]
    # An option that may be repeated and is not there is an empty tuple here, and None in the command.
    return load_settings(ROLES[role], {option: value or None for option, value in context.params.items()})


def test_the_whole_set_is_there() -> None:
    for role in ROLES:
        assert len([name for name in OURS if name.startswith(role)]) == 2
    assert {"edge", "redis-a", "storage"} <= SERVICES.keys()


@pytest.mark.parametrize("name", OURS)
def test_a_roles_flags_and_variables_are_those_of_its_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = SERVICES[name]["environment"]
    settings = settings_of(name, environment, monkeypatch)
    known = {f"LONGWAVE_{field.upper()}" for field in type(settings).model_fields}
    assert {variable for variable in environment if variable.startswith("LONGWAVE_")} <= known
    assert settings.bus_urls
    assert settings.shares_storage


def test_each_role_is_told_where_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OURS:
        settings = settings_of(name, SERVICES[name]["environment"], monkeypatch)
        urls = [getattr(settings, "advertise", None), *getattr(settings, "origin", ())]
        urls += getattr(settings, "sister", ())
        hosts = {url.host for url in urls if url is not None}
        assert hosts <= SERVICES.keys()
        assert name.startswith("worker") or settings.advertise.host == name


@pytest.mark.parametrize(("file", "buses"), [("two-buses", 2), ("sentinel", 1)])
def test_every_role_has_the_buses_of_an_override(
    file: str, buses: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = FILES[file]["services"]
    assert set(OURS) <= services.keys()
    there = SERVICES.keys() | services.keys()
    for name in OURS:
        environment = SERVICES[name]["environment"] | services[name]["environment"]
        urls = settings_of(name, environment, monkeypatch).bus_urls
        assert len(urls) == buses
        addresses = [parse_bus(url) for url in urls]
        assert {host for address in addresses for host, _ in address.hosts} <= there
        assert {address.master for address in addresses} == {"longwave" if file == "sentinel" else None}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_no_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service
    # Quarantine needs it: a crash is counted by the process after it.
    assert service["restart"] == "unless-stopped"
    assert "healthcheck" in service or "build" in service
    assert re.search(r":(\d+\.\d+(\.\d+)?(-\w+)?|local)$", service["image"])


def test_udp_ports_of_webrtc_are_open_and_nobody_shares_them() -> None:
    opened = {}
    for name in [name for name in OURS if name.startswith("ingest")]:
        environment = SERVICES[name]["environment"]
        low, high = map(int, environment["LONGWAVE_WHIP_UDP_PORTS"].split("-"))
        (published,) = SERVICES[name]["ports"]
        assert published == f"0.0.0.0:{low}-{high}:{low}-{high}/udp"
        opened[name] = set(range(low, high + 1))
    first, second = opened.values()
    assert not first & second


def test_what_has_to_be_filled_in_is_listed() -> None:
    used = {name for path in COMPOSE.glob("*.yaml") for name in re.findall(r"\$\{(\w+)", path.read_text())}
    listed = re.findall(r"^(\w+)=(.*)$", (COMPOSE / ".env.example").read_text(), re.MULTILINE)
    assert used == {name for name, _ in listed} == FILLED.keys()
    assert all(not value for name, value in listed if re.search("TOKEN|PASSWORD|SECRET", name))


def test_volumes_that_are_used_are_named() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"]}
    named = {volume for volume in used if not volume.startswith(".")}
    assert named == FILES["compose"]["volumes"].keys()
    assert all((COMPOSE / path).exists() for path in used - named)


# ------------------------------------------------------------------ the image

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_image_runs_as_a_number_that_is_not_root() -> None:
    (user,) = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert "0" not in user


def test_its_bases_are_pinned_to_a_release() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 3
    assert all(re.search(r":\d+\.\d+\.\d+-", base) for base in bases)


def test_its_variables_are_settings_of_every_role() -> None:
    variables = re.findall(r"^ +(LONGWAVE_\w+)=", DOCKERFILE, re.MULTILINE)
    assert len(variables) == 3
    for kind in ROLES.values():
        assert set(variables) <= {f"LONGWAVE_{field.upper()}" for field in kind.model_fields}


def test_what_the_wheel_is_made_of_gets_into_the_image() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    files = {project["project"]["readme"], *project["project"]["license-files"]}
    assert packages | files | {"pyproject.toml", "requirements.lock"} == let_in
