"""Fixtures for the whole suite: an own home folder, no network, real cities where they are present."""

import os
import socket
from pathlib import Path

# Before anything imports torch or NumPy: the suite runs one process per core, and threads of each would only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

ROOT = Path(__file__).parent.parent
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test writes to its own `MOBISCOPE_HOME`."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MOBISCOPE_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection that leaves the machine fails the test."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and str(address[0]) not in LOOPBACK:
            pytest.fail(f"A test tried to connect to {address[0]}; nothing in Mobiscope may use the network by itself.")
        return connect(self, address)

    def guarded_look_up(host: object, *args: object, **kwargs: object) -> object:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in LOOPBACK | {None, "", "0.0.0.0"}:
            pytest.fail(f"A test tried to look up {name}; nothing in Mobiscope may use the network by itself.")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real cities; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("MOBISCOPE_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real cities in {folder}; set MOBISCOPE_REAL_DATA")
    return folder


@pytest.fixture(scope="session")
def tiny_city():
    """The synthetic city of size `tiny`, in memory, seed 0."""
    from engine.city.synthetic import synthesise

    return synthesise("tiny", seed=0)
