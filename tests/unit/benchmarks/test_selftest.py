"""The self-test of a device passes on this one, and says what does not hold where that is so."""

import torch
from harness import selftest


def test_this_processor_passes(monkeypatch):
    monkeypatch.delitem(selftest.CHECKS, "compiled")  # takes a compiler, and a minute
    found = list(selftest.run(torch.device("cpu")))
    assert [each.name for each in found if not each.passed] == []
    details = {each.name: each.detail for each in found}
    assert details["resume"] == "to the bit"
    assert details["a step as on the CPU"] == "off by 0.0e+00"


def test_what_a_device_gets_wrong_is_told_and_the_rest_is_still_tried(monkeypatch):
    def wrong(device: torch.device) -> str:
        return selftest.require(False, f"{device} cannot add")

    monkeypatch.setattr(selftest, "CHECKS", {"sums": wrong, "formats": selftest.channels_last})
    found = list(selftest.run(torch.device("cpu")))
    assert [(each.name, each.passed) for each in found] == [("sums", False), ("formats", True)]
    assert found[0].detail == "AssertionError: cpu cannot add"
