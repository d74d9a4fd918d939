"""The DAG that kedro-airflow makes of the pipelines names every node, in order, and puts GPU nodes in their queue."""

import ast
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from kedro.framework.cli.cli import KedroCLI
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project

from nayer.pipelines import CHAIN, ON_REQUEST, REGISTRY

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dag(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("dags")
    bootstrap_project(PROJECT)
    template = PROJECT / "deploy" / "airflow" / "dag.py.j2"
    command = ["airflow", "create", "--env", "test", "--jinja-file", str(template), "--target-dir", str(folder)]
    done = CliRunner().invoke(KedroCLI(PROJECT), command)
    assert done.exit_code == 0, done.output
    (file,) = folder.glob("*.py")
    return file.read_text()


def test_it_is_python_and_every_node_is_a_task_in_its_queue(dag):
    ast.parse(dag)
    found = dict(re.findall(r'task_id="(\w+)",\n.*\n\s+queue="(\w+)"', dag))
    assert found == {node.name: "gpu" if "gpu" in node.tags else "default" for node in pipelines["__default__"].nodes}
    assert {name for name, queue in found.items() if queue == "gpu"} >= {"make_teacher", "distill_student"}


def test_tasks_wait_for_those_whose_files_they_read(dag):
    edges = set(re.findall(r'tasks\["(\w+)"\] >> tasks\["(\w+)"\]', dag))
    wanted = {
        (parent.name, node.name)
        for node, parents in pipelines["__default__"].node_dependencies.items()
        for parent in parents
    }
    assert edges == wanted


def test_the_drawing_of_the_pipelines_names_every_node():
    bootstrap_project(PROJECT)
    drawing = (PROJECT / "docs" / "mlops.md").read_text().partition("```mermaid")[2].partition("```")[0]
    for name in (*CHAIN, *ON_REQUEST, *REGISTRY):
        assert f"subgraph {name}\n" in drawing
        assert all(node.name in drawing for node in pipelines[name].nodes)
