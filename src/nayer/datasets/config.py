"""Parameters of the real data."""

from typing import Annotated, Literal

from pydantic import Field

from nayer.core.config import Config, Count, Place, Text


class DataConfig(Config):
    """The real data: for the teacher and the evaluation only."""

    dataset: Text
    """digits, fashion_mnist, cifar10, cifar100, tiny_imagenet, image_folder, test_folder, or none."""
    folder: Place
    """Where the files of the data set lie; digits need none."""
    image_size: Count
    """Side of the images in pixels; the pictures of a folder are resized to it, other sets have their own."""
    channels: Literal[1, 3] | None
    """Of the pictures of a folder: 1 reads them as grey, null and 3 as RGB; other sets have their own."""
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of the pictures of a folder: the share of the shorter side that is shown, from the middle. Resize(256) before
    CenterCrop(224), as torchvision's own, is 0.875."""
    class_names: list[Text] | Place | None
    """Names in the order of the teacher's classes: a list, or a text file with one a line; null takes the data set's
    own. If these are given in another order, its labels follow them; other words are taken to be in its order."""
