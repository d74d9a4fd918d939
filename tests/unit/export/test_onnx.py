"""An ONNX file gives its classifier's logits, for any number of images; what is no file is one sentence."""

import pytest
import torch

from nayer.core.errors import InputError
from nayer.core.images import to_float
from nayer.export.onnx import OnnxFile, to_onnx


def test_any_number_of_images_gives_the_logits_of_the_classifier(teacher, tmp_path):
    file, deviation = to_onnx(teacher)
    file.save(tmp_path / "models" / "teacher.onnx")
    again = OnnxFile.load(tmp_path / "models" / "teacher.onnx")
    assert again.digest == file.digest
    assert deviation < 1e-4
    for count in (1, 300):
        pixels = torch.randint(256, (count, 1, 8, 8), dtype=torch.uint8)
        with torch.inference_mode():
            torch.testing.assert_close(again.predict(pixels), teacher(to_float(pixels)), atol=1e-4, rtol=0)


def test_what_is_no_model_is_one_sentence():
    with pytest.raises(InputError, match=r"^the ONNX file cannot be run \(.*\); make it again\.$"):
        OnnxFile(b"nothing").session()
