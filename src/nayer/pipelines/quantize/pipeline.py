"""Wiring of the pipeline `quantize`."""

from kedro.pipeline import Node, Pipeline

from nayer.pipelines.quantize import nodes


def create_pipeline() -> Pipeline:
    """Student or teacher, and synthetic images -> an INT8 file with its figures."""
    return Pipeline(
        [
            Node(nodes.export_fp32, ["student", "teacher", "params:quantize"], "fp32", name="export_fp32"),
            Node(
                nodes.quantize_model,
                ["fp32", "student", "memory_sample", "params:quantize"],
                "int8",
                name="quantize_model",
            ),
            Node(
                nodes.compare_precisions,
                ["fp32", "int8", "student", "teacher", "probe_sample", "params:quantize", "params:data"],
                "int8_metrics",
                name="compare_precisions",
            ),
            Node(
                nodes.measure_precisions,
                ["fp32", "int8", "probe_sample", "params:evaluate"],
                "int8_cost",
                name="measure_precisions",
            ),
            Node(
                nodes.report_precisions,
                ["int8_metrics", "int8_cost", "params:scenario"],
                "int8_report",
                name="report_precisions",
            ),
            Node(nodes.check_precisions, ["int8_metrics", "int8_report"], None, name="check_precisions"),
        ]
    )
