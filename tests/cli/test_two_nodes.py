"""The files for two nodes in containers: each is good by itself, and they agree with each other."""

from __future__ import annotations

import shutil
import subprocess
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from relay import config
from relay.cli.common import complaints

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging" / "two-nodes"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
HAPROXY = (FOLDER / "haproxy.cfg").read_text()
RELAYS = [name for name in COMPOSE["services"] if name.startswith("relay")]


@pytest.fixture
def loaded(tmp_path):
    """The nodes' configuration, with a key where the container has one."""
    text = (FOLDER / "config.yaml").read_text().replace("/run/secrets/", f"{tmp_path}/")
    (tmp_path / "apikey").write_text("secret\n")
    (tmp_path / "config.yaml").write_text(text)
    return config.load(tmp_path / "config.yaml")


def test_the_configuration_loads(loaded):
    """It is good as it stands, without a warning."""
    assert [] == [*loaded.warnings, *complaints(loaded)]


def test_the_configuration_fits_the_containers(loaded):
    """Database, listener, check and the balancer's network are those of compose.yaml and haproxy.cfg."""
    (listener,) = loaded.config.listeners
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert (ip_network(network["subnet"]),) == listener.proxy_protocol
    assert "send-proxy-v2" in HAPROXY
    database = urlsplit(loaded.config.store)
    made = COMPOSE["services"][database.hostname]["environment"]
    assert (database.username, database.path) == (made["POSTGRES_USER"], f"/{made['POSTGRES_DB']}")
    port = listener.address.rpartition(":")[2]
    servers = [line.split()[1:3] for line in HAPROXY.splitlines() if line.strip().startswith("server ")]
    assert [[name, f"{name}:{port}"] for name in RELAYS] == servers
    assert f"check port {loaded.config.web.listen.rpartition(':')[2]} " in HAPROXY
    assert "GET /healthz\n" in HAPROXY


def test_the_containers_find_what_they_need():
    """Secrets are declared, files are there, and the image is as the Dockerfile makes it."""
    image = (ROOT / "Dockerfile").read_text()
    named = {name for each in COMPOSE["services"].values() for name in each.get("secrets", ())}
    assert named == set(COMPOSE["secrets"])
    assert 2 == len(RELAYS) == len({COMPOSE["services"][name]["hostname"] for name in RELAYS})
    for name in RELAYS:
        relay = COMPOSE["services"][name]
        assert relay["environment"]["PGPASSFILE"].rpartition("/")[2] in relay["secrets"]
        (mount,) = relay["volumes"]
        ours, theirs, _ = mount.split(":")
        assert (FOLDER / ours).is_file()
        assert f"SMSC_RELAY_CONFIG={theirs}" in image
        made = relay["build"]["dockerfile_inline"]
        assert made.endswith("USER 10001:10001\n")
        assert "USER 10001:10001" in image
        assert made.split("RUN ")[1].split("/bin/pip")[0] in image
    assert (FOLDER / COMPOSE["services"]["haproxy"]["volumes"][0].split(":")[0]).is_file()


@pytest.mark.skipif(not shutil.which("haproxy", path="/usr/sbin:/usr/bin"), reason="HAProxy is not installed")
def test_haproxy_takes_its_configuration():
    """By its own word."""
    program = shutil.which("haproxy", path="/usr/sbin:/usr/bin")
    said = subprocess.run(
        [program, "-c", "-f", str(FOLDER / "haproxy.cfg")], check=False, capture_output=True, text=True
    )
    assert (0, "") == (said.returncode, said.stderr.replace("Configuration file is valid\n", ""))
