"""The memory bank: a ring buffer, drawn from without replacement."""

import io

import psutil
import pytest
import torch

from nayer.core.errors import InputError
from nayer.synthesis.memory import MemoryBank
from nayer.synthesis.sample import SyntheticSample


def numbered(first: int, count: int) -> torch.Tensor:
    return torch.arange(first, first + count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def bank_with(capacity: int, *batches: tuple[int, int]) -> MemoryBank:
    bank = MemoryBank(capacity, (1, 2, 2), torch.device("cpu"))
    for first, count in batches:
        bank.add(numbered(first, count), torch.arange(count) % 2)
    return bank


def test_the_oldest_images_make_room():
    bank = bank_with(5, (0, 4), (4, 3))
    assert len(bank) == 5
    assert sorted(bank.images[:, 0, 0, 0].tolist()) == [2, 3, 4, 5, 6]


def test_a_batch_larger_than_the_ring_leaves_its_newest():
    bank = bank_with(3, (0, 8))
    assert sorted(bank.images[:, 0, 0, 0].tolist()) == [5, 6, 7]


def test_no_image_comes_twice_before_all_have_come():
    bank = bank_with(10, (0, 10))
    seen = [value for _ in range(2) for value in bank.images[bank.draw(5), 0, 0, 0].tolist()]
    assert sorted(seen) == list(range(10))


def test_new_images_are_dealt_at_once():
    bank = bank_with(10, (0, 4))
    bank.draw(2)
    bank.add(numbered(4, 6), torch.zeros(6, dtype=torch.long))
    assert sorted(bank.images[bank.draw(10), 0, 0, 0].tolist()) == list(range(10))


def test_a_bank_smaller_than_the_batch_gives_all_it_has():
    assert len(bank_with(10, (0, 4)).draw(512)) == 4


def test_sample_is_balanced_by_class_and_newest_first():
    sample = bank_with(8, (0, 8)).sample(4, 2)
    assert sample.labels.tolist() == [0, 0, 1, 1]
    assert sample.images[:, 0, 0, 0].tolist() == [6, 4, 7, 5]


def test_a_sample_leaves_out_what_was_drawn_even_after_the_ring_has_gone_round():
    bank = bank_with(8, (0, 8))
    bank.add(numbered(8, 4), torch.arange(4) % 2, synthetic=False)
    assert bank.sample(8, 2).images[:, 0, 0, 0].tolist() == [6, 4, 7, 5]
    bank.add(numbered(12, 6), torch.arange(6) % 2)
    assert bank.sample(8, 2).images[:, 0, 0, 0].tolist() == [16, 14, 12, 17, 15, 13], "over what was drawn before"


def test_state_round_trip_deals_the_same_images():
    torch.manual_seed(0)
    bank = bank_with(6, (0, 4), (4, 4))
    bank.add(numbered(8, 1), torch.zeros(1, dtype=torch.long), synthetic=False)
    bank.draw(2)
    copy = MemoryBank(6, (1, 2, 2), torch.device("cpu"))
    copy.load_state_dict(bank.state_dict())
    assert torch.equal(bank.draw(4), copy.draw(4))
    assert copy.added == 9
    assert torch.equal(bank.sample(6, 2).images, copy.sample(6, 2).images)


def test_the_state_of_a_bank_that_is_hardly_filled_takes_little_room():
    bank = MemoryBank(100_000, (3, 32, 32), torch.device("cpu"))
    bank.add(torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.zeros(4, dtype=torch.long))
    torch.save(bank.state_dict(), written := io.BytesIO())
    assert written.tell() < 4 * 2**20


def test_a_state_copies_no_images_as_a_bank_on_disk_may_be_larger_than_the_memory(tmp_path):
    for spill in (None, tmp_path):
        bank = MemoryBank(100, (1, 2, 2), torch.device("cpu"), spill)
        bank.add(numbered(0, 4), torch.zeros(4, dtype=torch.long))
        assert bank.state_dict()["images"].data_ptr() == bank.images.data_ptr()


def test_sample_file_round_trip(tmp_path):
    sample = bank_with(8, (0, 8)).sample(4, 2)
    sample.save(tmp_path / "sample.safetensors")
    loaded = SyntheticSample.load(tmp_path / "sample.safetensors")
    assert torch.equal(loaded.images, sample.images)
    assert torch.equal(loaded.labels, sample.labels)


def test_a_bank_on_disk_deals_what_one_in_memory_deals_and_leaves_no_file(tmp_path):
    banks = [MemoryBank(6, (1, 2, 2), torch.device("cpu"), spill) for spill in (None, tmp_path / "spill")]
    assert list((tmp_path / "spill").iterdir()) == []
    dealt = []
    for bank in banks:
        torch.manual_seed(0)
        for first in (0, 4):
            bank.add(numbered(first, 4), torch.arange(4) % 2)
        dealt.append(bank.take(bank.draw(5)))
    assert torch.equal(*dealt)


def test_a_disk_too_full_for_the_bank_is_told_before_the_work(tmp_path, monkeypatch):
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(InputError, match=r"runtime\.memory_gib: .* 0\.0 GiB in .*No space left.*distill\.memory"):
        MemoryBank(6, (1, 2, 2), torch.device("cpu"), tmp_path)


class Watched(io.RawIOBase):
    """A file that keeps only the largest resident set while it is written."""

    def __init__(self) -> None:
        self.peak = self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.peak = max(self.peak, psutil.Process().memory_info().rss)
        self.size += len(data)
        return len(data)


def test_a_bank_of_160_000_cifar_images_takes_little_more_than_their_pixels_even_while_its_state_is_written():
    process = psutil.Process()
    before = process.memory_info().rss
    bank = MemoryBank(160_000, (3, 32, 32), torch.device("cpu"))
    batch = torch.randint(256, (400, 3, 32, 32), dtype=torch.uint8)
    for _ in range(400):
        bank.add(batch, torch.zeros(400, dtype=torch.long))
    for _ in range(4):
        bank.take(bank.draw(512))
    written = Watched()
    torch.save(bank.state_dict(), written)
    assert written.size > bank.images.numel()
    assert 0.4 * 2**30 < written.peak - before <= 0.6 * 2**30


def test_images_are_drawn_by_the_power_of_their_divergence():
    torch.manual_seed(0)
    bank = MemoryBank(4, (1, 2, 2), torch.device("cpu"), priority=2.0)
    bank.add(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.arange(4))
    bank.weigh(torch.arange(4), torch.tensor([1.0, 2.0, 3.0, 0.0]))
    drawn = torch.stack([bank.draw(1)[0] for _ in range(4000)]).bincount(minlength=4) / 4000
    torch.testing.assert_close(drawn, torch.tensor([1.0, 4.0, 9.0, 0.0]) / 14, atol=0.03, rtol=0)
    assert len(set(bank.draw(3).tolist())) == 3, "within a batch none comes twice"


@pytest.mark.parametrize("priority", [1.0, 100.0, 1e6])
def test_whatever_the_power_and_the_divergence_a_batch_is_drawn(priority):
    bank = MemoryBank(4, (1, 2, 2), torch.device("cpu"), priority=priority)
    bank.add(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.arange(4))
    for divergences in ([1e-9, 3.0, 1e-5, 1e-5], [0.0, 0.0, 0.0, 0.0], [torch.nan, torch.inf, 1.0, 2.0]):
        bank.weigh(torch.arange(4), torch.tensor(divergences))
        assert sorted(bank.draw(4).tolist()) == [0, 1, 2, 3]


def test_what_the_student_has_not_seen_is_as_likely_as_the_likeliest_and_chances_are_kept():
    bank = MemoryBank(4, (1, 2, 2), torch.device("cpu"), priority=1.0)
    for count in (2, 1):
        bank.add(torch.zeros(count, 1, 2, 2, dtype=torch.uint8), torch.zeros(count, dtype=torch.long))
        bank.weigh(torch.arange(2), torch.tensor([5.0, 2.0]))
    bank.add(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.zeros(1, dtype=torch.long))
    assert bank.chances.exp().tolist() == pytest.approx([5.0, 2.0, 5.0, 5.0])
    other = MemoryBank(4, (1, 2, 2), torch.device("cpu"), priority=1.0)
    other.load_state_dict(bank.state_dict())
    assert torch.equal(other.chances, bank.chances)
