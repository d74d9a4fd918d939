"""Wiring of the pipeline `teacher`."""

from kedro.pipeline import Node, Pipeline

from nayer.pipelines.teacher.nodes import make_teacher


def create_pipeline() -> Pipeline:
    """Real data, or a file of weights -> teacher."""
    inputs = ["params:teacher", "params:data", "params:runtime", "params:seed", "reporter"]
    outputs = ["teacher", "teacher_history", "teacher_cost"]
    return Pipeline([Node(make_teacher, inputs, outputs, name="make_teacher", tags="gpu")])
