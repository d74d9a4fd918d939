"""Parameters of the real data."""

from typing import Annotated, Literal

from pydantic import Field

from nayer.core.config import Config, Count, Place, Text


class DataConfig(Config):
    """The real data: for the teacher and the evaluation only."""

    dataset: Text
    """Real data set: digits, fashion_mnist, cifar10, cifar100, tiny_imagenet, image_folder, test_folder, or none."""
    folder: Place
    """Folder in which the files of the data set lie; digits needs none."""
    image_size: Count
    """Side of the images in pixels; the pictures of a folder are resized to it, other data sets have a fixed size."""
    channels: Literal[1, 3] | None
    """Channels of the pictures of a folder: 1 reads them as grey, 3 or null as RGB; other data sets have their own."""
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the shorter side of a folder's pictures that is kept, from the middle; torchvision's usual Resize(256)
    before CenterCrop(224) is 0.875."""
    class_names: list[Text] | Place | None
    """Class names in the order of the teacher's classes: a list, or a text file with one name a line; null takes the
    data set's own. If its own names are given in another order, its labels are changed to match; other words are taken
    to be in its order."""
