"""No password reaches a file, MLflow or the terminal, whatever the MLflow server does."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from clones import committed, heard_until_distilling

RUN = ("kedro", "run", "--env", "test")
IN_ADDRESS, IN_REMOTE = "hunter2-address", "ghp-remote-token"
VARIABLES = {
    "MLFLOW_TRACKING_PASSWORD": "hunter2-mlflow",
    "AWS_ACCESS_KEY_ID": "AKIA-hunter2",
    "AWS_SECRET_ACCESS_KEY": "hunter2-aws",
    "HF_TOKEN": "hf_hunter2",
}
SECRETS = (IN_ADDRESS, IN_REMOTE, *VARIABLES.values(), base64.b64encode(f"user:{IN_ADDRESS}".encode()).decode())
# A server that only reports itself healthy, and else answers with an error or not at all.
UNWILLING = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health" or "{how}" != "silence":
            self.send_response(200 if self.path == "/health" else {how!r})
            self.end_headers()
    do_POST = do_GET

HTTPServer(("127.0.0.1", int(sys.argv[-1])), Answer).serve_forever()
"""


def leaks(project: Path, *said: str) -> list[str]:
    """Places in which a secret is found, except .git/config, where this test puts one."""
    files = [file for file in project.rglob("*") if file.is_file() and file != project / ".git" / "config"]
    found = [f"{secret} in {file}" for file in files for secret in SECRETS if secret.encode() in file.read_bytes()]
    return found + [f"{secret} in: {text}" for text in said for secret in SECRETS if secret in text]


def with_password(address: str) -> str:
    return address.replace("://", f"://user:{IN_ADDRESS}@")


@pytest.fixture
def hosted(project) -> Path:
    """The project in git, with a remote whose address holds a token."""
    (project / ".gitignore").open("a").write("\nservice.log\nserver*\n")
    committed(project)
    remote = f"https://x-access-token:{IN_REMOTE}@git.example.org/somebody/project.git"
    subprocess.run(("git", "remote", "add", "origin", remote), cwd=project, check=True)
    return project


def server(service, project: Path) -> str:
    command = ("mlflow", "server", "--backend-store-uri", f"sqlite:///{project}/server.db", "--host", "127.0.0.1")
    destination = str(project / "server-artifacts")
    return with_password(service(*command, "--artifacts-destination", destination, healthy="health"))


def test_from_the_first_run_to_the_champion_no_secret_is_written(hosted, typed, service):
    address = server(service, hosted)
    chain = typed(*RUN, MLFLOW_TRACKING_URI=address, **VARIABLES)
    assert chain.returncode == 0, chain.stderr
    onnx = ("--params", "promote.onnx=student.onnx")
    promoted = typed(*RUN, "--pipelines", "promote", *onnx, MLFLOW_TRACKING_URI=address, **VARIABLES)
    assert promoted.returncode == 0, promoted.stderr
    assert (hosted / "server.db").is_file()
    assert leaks(hosted, chain.stdout, chain.stderr, promoted.stdout, promoted.stderr) == []


def test_a_server_lost_in_the_middle_leaves_no_secret_in_the_outbox(hosted, started, service):
    address = server(service, hosted)
    process = started(*RUN, "--params", "distill.epochs=60", MLFLOW_TRACKING_URI=address, **VARIABLES)
    told = heard_until_distilling(process)
    service.stop()
    told += process.stderr.readlines()
    assert process.wait(300) == 0, "".join(told)
    assert list((hosted / "data" / ".outbox").rglob("*.json"))
    assert leaks(hosted, *told) == []


@pytest.mark.parametrize("how", [401, 403, 500, "silence"])
def test_a_server_that_refuses_is_told_in_one_sentence_without_the_password(how, hosted, typed, service, tmp_path):
    stub = tmp_path / "stub.py"
    stub.write_text(UNWILLING.format(how=how))
    address = with_password(service(sys.executable, str(stub), healthy="health"))
    done = typed(*RUN, MLFLOW_TRACKING_URI=address, **VARIABLES)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr, done.stderr
    assert "MLFLOW_TRACKING_URI" in done.stderr
    assert leaks(hosted, done.stdout, done.stderr) == []
    written = [file for file in (hosted / "data").rglob("*") if file.is_file()]
    assert {file.parent.name for file in written} <= {".locks"}, "only the locks, which were taken before"
    assert not any(file.stat().st_size for file in written)


@pytest.mark.parametrize(
    "setting",
    [
        f"teacher.weights=https://user:{IN_ADDRESS}@models.example.org/teacher.pt",
        f"teacher.weights=https://{IN_ADDRESS}@models.example.org/teacher.pt",
        f"lte.encoder=https://user:{IN_ADDRESS}@models.example.org/encoder",
        f"data.folder=s3://user:{IN_ADDRESS}@bucket/data",
        f"runtime.address=user:{IN_ADDRESS}@node1:29400",
    ],
)
def test_a_password_in_a_parameter_is_refused_and_not_shown(setting, hosted, typed):
    done = typed(*RUN, "--params", setting)
    assert done.returncode == 1
    assert setting.partition("=")[0] in done.stderr
    assert leaks(hosted, done.stdout, done.stderr) == []
    assert not (hosted / "data").exists()
