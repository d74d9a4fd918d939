"""What INT8 keeps is measured against the teacher and, with labels, against the truth; the larger loss counts."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from nayer.export.comparison import keeps, latencies
from nayer.export.onnx import to_onnx


@dataclass(frozen=True)
class Says:
    """A stand-in for an ONNX file that gives these answers."""

    answers: list[int]
    content: bytes

    def predict(self, pixels: torch.Tensor) -> torch.Tensor:
        return F.one_hot(torch.tensor(self.answers), 3).float()


PIXELS = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
FP32, INT8 = Says([0, 1, 2, 0], b"12345678"), Says([0, 1, 1, 1], b"12")
TEACHER = torch.tensor([0, 1, 2, 1])


def test_agreement_accuracy_and_size_side_by_side_and_the_larger_loss():
    found = keeps(FP32, INT8, TEACHER, PIXELS, torch.tensor([0, 1, 2, 0]))
    assert found["fp32"] == {"agreement": 0.75, "top1": 1.0, "file_bytes": 8}
    assert found["int8"] == {"agreement": 0.75, "top1": 0.5, "file_bytes": 2}
    assert found["loss_points"] == 50
    assert found["images"] == 4


def test_without_labels_agreement_alone_is_what_can_be_lost():
    found = keeps(FP32, INT8, torch.tensor([0, 1, 2, 0]), PIXELS, None)
    assert "top1" not in found["fp32"]
    assert found["loss_points"] == 50


def test_of_the_teacher_itself_accuracy_alone_counts_where_there_are_labels():
    says = FP32.predict(PIXELS).argmax(1)
    better = torch.tensor([0, 1, 1, 1])
    found = keeps(FP32, INT8, says, PIXELS, better, of_teacher=True)
    assert (found["int8"]["agreement"], found["loss_points"]) == (0.5, -50)
    assert keeps(FP32, INT8, says, PIXELS, better)["loss_points"] == 50
    assert keeps(FP32, INT8, says, PIXELS, None, of_teacher=True)["loss_points"] == 50


def test_what_fp32_is_known_to_say_is_not_asked_again():
    silent = Says([], b"12345678")
    found = keeps(silent, INT8, TEACHER, PIXELS, torch.tensor([0, 1, 2, 0]), fp32_says=FP32.predict(PIXELS).argmax(1))
    assert found == keeps(FP32, INT8, TEACHER, PIXELS, torch.tensor([0, 1, 2, 0]))


def test_what_gains_has_lost_nothing():
    found = keeps(INT8, FP32, torch.tensor([0, 1, 2, 0]), PIXELS, None)
    assert found["loss_points"] < 0


def test_latencies_are_of_both_files_for_one_image_and_for_many(teacher):
    fp32 = to_onnx(teacher)[0]
    found = latencies(fp32, fp32, PIXELS, 0.01)
    assert found["fp32"].keys() == found["int8"].keys() == {"latency_ms_batch_1", "latency_ms_batch_64"}
    assert found["fp32"]["latency_ms_batch_64"] > found["fp32"]["latency_ms_batch_1"] > 0
