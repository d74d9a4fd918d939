"""Fixtures: a clone of the project in which real command lines are typed, and services on loopback."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from clones import Typed, clone, environment, typing_in


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return clone(folder)


@pytest.fixture
def started(project: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """A function that types a command in the project and does not wait for it."""

    def start(*command: str, **variables: str) -> "subprocess.Popen[str]":
        kept = {**environment(), **variables}
        return subprocess.Popen(command, cwd=project, env=kept, stderr=subprocess.PIPE, text=True)

    return start


@pytest.fixture
def typed(project: Path) -> Typed:
    """A function that types a command in the project and waits for it."""
    return typing_in(project)


class Services:
    """Starts and stops commands that answer HTTP on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []

    def __call__(self, *command: str, healthy: str, **variables: str) -> str:
        """Start a command with a free --port and wait until it answers at /`healthy`; returns its address."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        self.last = (*command, "--port", port), f"http://127.0.0.1:{port}", healthy, variables
        return self.again()

    def again(self) -> str:
        """Start the last command once more, on the same port."""
        command, address, healthy, variables = self.last
        with (self.folder / "service.log").open("a") as log:
            settings = {"cwd": self.folder, "stdout": log, "stderr": log, "start_new_session": True}
            self.running.append(subprocess.Popen(command, env={**environment(), **variables}, text=True, **settings))
        for _ in range(240):
            with suppress(requests.RequestException):
                if requests.get(f"{address}/{healthy}", timeout=1).ok:
                    return address
            time.sleep(0.5)
        raise AssertionError((self.folder / "service.log").read_text())

    def stop(self) -> None:
        """Kill the command that was started last."""
        process = self.running.pop()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


@pytest.fixture
def service(project: Path) -> Iterator[Services]:
    services = Services(project)
    yield services
    while services.running:
        services.stop()
