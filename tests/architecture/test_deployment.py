"""The compose file, the image and the unit say what the program needs, and nothing else."""

import configparser
import re
from pathlib import Path

import pytest
import yaml

from sextant.settings import load_settings
from sextant.stages import PHRASE_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "config" / "docker" / "Dockerfile").read_text()


@pytest.mark.req("S0-34")
def test_the_database_comes_up_alone():
    database = COMPOSE["services"]["timescaledb"]
    assert "depends_on" not in database
    assert "profiles" not in database
    assert "healthcheck" in database


def test_the_database_image_is_pinned_and_has_the_licensed_features():
    image = COMPOSE["services"]["timescaledb"]["image"]
    assert re.fullmatch(r"timescale/timescaledb:\d+\.\d+\.\d+-pg\d+", image)


def test_the_daemon_waits_for_the_database_and_may_drain():
    daemon = COMPOSE["services"]["sextant"]
    assert daemon["depends_on"]["timescaledb"]["condition"] == "service_healthy"
    assert int(daemon["stop_grace_period"].removesuffix("s")) >= 60


def test_ollama_is_a_profile():
    assert COMPOSE["services"]["ollama"]["profiles"] == ["ollama"]


def test_the_database_listens_on_loopback_only():
    for port in COMPOSE["services"]["timescaledb"]["ports"]:
        assert port.startswith("127.0.0.1:")


@pytest.mark.req("S1-9", "S1-169")
def test_compose_and_the_example_pass_on_the_same():
    example = (ROOT / ".env.example").read_text()
    lines = [line for line in example.splitlines() if line and not line.startswith("#")]
    assert all(line.endswith("=") for line in lines), "the example holds placeholders only"
    named = {line.removesuffix("=") for line in lines}
    assert named == set(COMPOSE["services"]["sextant"]["environment"])


@pytest.mark.req("S1-9")
@pytest.mark.parametrize("config", sorted((ROOT / "config").glob("*.toml")), ids=lambda p: p.stem)
def test_what_a_shipped_configuration_asks_of_the_environment_is_passed_on(config):
    settings = load_settings(config)
    asked = {seat.api_key_env for seat in settings.seat if seat.api_key_env}
    asked |= {settings.storage.dsn_env, *settings.venue.secret_names, PHRASE_VARIABLE}
    assert asked <= set(COMPOSE["services"]["sextant"]["environment"])


@pytest.mark.parametrize(
    "package", ["src", "agents", "data", "execution", "risk", "prompts", "config"]
)
def test_the_image_holds_every_package(package):
    assert f"COPY {package} {package}" in DOCKERFILE
    assert f"!{package}" in (ROOT / ".dockerignore").read_text().splitlines()


def test_the_image_installs_from_the_lock_and_runs_as_a_user():
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    assert DOCKERFILE.index("USER sextant") < DOCKERFILE.index("ENTRYPOINT")


def test_the_unit_drains_and_restarts():
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read(ROOT / "config" / "systemd" / "sextant.service")
    service = unit["Service"]
    assert service["KillSignal"] == "SIGTERM"
    assert int(service["TimeoutStopSec"]) >= 60
    assert service["Restart"] == "on-failure"
    assert service["ExecStart"].split()[1] == "run"


def test_the_lock_files_name_no_registry():
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert "--hash=sha256:" in text
