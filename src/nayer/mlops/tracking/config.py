"""MLflow settings."""

from nayer.core.config import Config, Text


class MlflowConfig(Config):
    """Store and experiment in which runs are recorded (`conf/base/mlflow.yml`)."""

    tracking_uri: Text
    experiment: Text
