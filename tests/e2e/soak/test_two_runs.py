"""Two runs of one scenario at once: the second is refused, and told about the first."""

import time
from pathlib import Path

import pytest

STATE = Path("data", ".resume", "test", "distill", "state.pt")


@pytest.mark.campaign(short=1, long=5)
def test_the_second_run_is_refused_until_the_first_is_dead(case, typed, started, project):
    assert typed("kedro", "run", "--env", "test", "--pipelines", "lte,teacher").returncode == 0
    long = ("kedro", "run", "--env", "test", "--params", "distill.epochs=100000,runtime.checkpoint_seconds=0.1")
    first = started(*long, "--pipelines", "distill")
    while not (project / STATE).exists():
        assert first.poll() is None
        time.sleep(0.2)
    before = {path: path.read_bytes() for path in (project / "data").rglob("*.safetensors")}
    for pipelines in ("distill", "evaluate", "teacher", "lte"):
        second = typed("kedro", "run", "--env", "test", "--pipelines", pipelines)
        assert second.returncode == 1
        assert f"in use by process {first.pid} (" in second.stderr, second.stderr
        assert "Traceback" not in second.stderr
    assert {path: path.read_bytes() for path in before} == before
    first.kill()
    first.wait(timeout=30)
    again = typed("kedro", "run", "--env", "test", "--pipelines", "lte")
    assert again.returncode == 0, again.stderr
