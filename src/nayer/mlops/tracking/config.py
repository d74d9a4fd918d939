"""Settings of MLflow."""

from nayer.core.config import Config, Text


class MlflowConfig(Config):
    """Where runs are recorded: `conf/base/mlflow.yml`."""

    tracking_uri: Text
    experiment: Text
