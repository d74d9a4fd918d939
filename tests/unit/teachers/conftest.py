"""Teachers that come with a description of how they are used."""

import pytest

from nayer.datasets.config import DataConfig
from nayer.teachers.config import TeacherConfig
from nayer.teachers.pretrained import load_pretrained
from nayer.teachers.sources import SOURCES, describe


@pytest.fixture
def as_described():
    """A function that makes the classifier of a TEACHER by its own description alone; returns both."""

    def make(teacher: str):
        source, about = describe(teacher, SOURCES)
        config = TeacherConfig(
            source=source,
            weights=about.weights,
            architecture=about.architecture,
            normalisation={"mean": list(about.mean), "std": list(about.std)},
            training=None,
        )
        names = list(about.class_names)
        data = DataConfig(dataset="none", folder="", image_size=about.image_size, channels=None, class_names=names)
        return load_pretrained(config, data, SOURCES), about

    return make
