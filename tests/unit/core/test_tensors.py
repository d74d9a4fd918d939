"""Tensors as they are written to files."""

import io

import pytest
import torch

from nayer.core.tensors import own_storage


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.bfloat16, torch.float16, torch.float32, torch.int64])
@pytest.mark.parametrize("filled", [0, 3])
def test_a_part_of_a_tensor_is_saved_without_the_rest_and_without_a_copy(dtype, filled):
    whole = torch.arange(2**16).remainder(2).to(dtype).view(-1, 2, 2)
    part = own_storage(whole[:filled])
    assert torch.equal(part, whole[:filled])
    assert part.dtype == dtype
    torch.save(part, written := io.BytesIO())
    assert written.tell() < 2**12
    whole[:filled] = 0
    assert torch.equal(part, whole[:filled]), "it is the same memory"
