"""What torch.compile makes of networks, and where it cannot."""

import copy

import pytest
import torch

from nayer.models.compilation import compile_network, why_not_compiled

CPU = torch.device("cpu")


def test_a_machine_without_a_compiler_says_so():
    with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}):
        assert "compiler" in why_not_compiled(CPU)


@pytest.mark.usefixtures("compiler")
def test_hooks_that_come_and_go_are_called_while_they_are_there(teacher):
    seen, image = [], torch.rand(4, 1, 8, 8)
    network = copy.deepcopy(teacher.network)
    compile_network(network)
    plain = network(image)
    hook = network.bn.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].mean()))
    torch.testing.assert_close(network(image), plain)
    hook.remove()
    network(image)
    assert len(seen) == 1
    torch.testing.assert_close(plain, teacher.network(image))
