"""Wiring of the pipeline `evaluate`."""

from kedro.pipeline import Node, Pipeline

from nayer.pipelines.evaluate import nodes


def create_pipeline() -> Pipeline:
    """Student, teacher, test data -> figures, costs, report."""
    return Pipeline(
        [
            Node(
                nodes.compare_models,
                [
                    "teacher",
                    "student",
                    "probe_sample",
                    "params:distill",
                    "params:evaluate",
                    "params:data",
                    "params:runtime",
                ],
                ["metrics", "per_class", "confusion"],
                name="compare_models",
            ),
            Node(
                nodes.train_baselines,
                [
                    "teacher",
                    "params:evaluate",
                    "params:distill",
                    "params:data",
                    "params:runtime",
                    "params:seed",
                    "reporter",
                ],
                "baselines",
                name="train_baselines",
                tags="gpu",
            ),
            Node(
                nodes.measure_cost,
                ["teacher", "student", "params:evaluate", "teacher_cost", "distill_cost"],
                "cost",
                name="measure_cost",
            ),
            Node(
                nodes.report_results,
                [
                    "metrics",
                    "cost",
                    "per_class",
                    "confusion",
                    "baselines",
                    "teacher_history",
                    "distill_history",
                    "memory_sample",
                    "label_embeddings",
                    "student",
                    "params:distill",
                    "parameters",
                ],
                ["training_curves", "synthetic_images", "embedding_similarity", "confusion_matrix", "report"],
                name="report_results",
            ),
        ]
    )
