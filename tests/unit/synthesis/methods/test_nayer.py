"""NAYER's synthesis step, and faults of publicly available code that it must not have."""

import pytest
import torch

from nayer.core.images import to_uint8
from nayer.synthesis.methods.nayer import Nayer
from nayer.synthesis.parts.inversion import InversionLoss


@pytest.fixture
def make(make_method):
    def build(**changes) -> Nayer:
        return make_method("nayer", **changes)

    return build


def test_images_are_uint8_and_balanced_by_class(make, student):
    batch = make(synthesis__batch_size=12).step(student)
    assert batch.images.shape == (12, 1, 8, 8)
    assert batch.images.dtype == torch.uint8
    assert torch.bincount(batch.labels).tolist() == [4, 4, 4]


def test_student_is_in_evaluation_mode_while_synthesising_and_left_unchanged(make, student):
    method = make()
    method.start_epoch(1)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    seen = []
    student.network.register_forward_pre_hook(lambda module, _: seen.append(module.training))
    method.step(student)
    assert seen
    assert not any(seen)
    assert student.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in student.parameters())
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


def test_teacher_gets_no_gradient_and_keeps_no_hooks(make, student, teacher):
    make().step(student)
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in teacher.parameters())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in teacher.modules())
    assert not teacher.training


def test_the_best_step_of_a_batch_is_kept_and_forgotten_by_the_next(make, student, teacher, monkeypatch):
    method = make(synthesis__steps=3)
    made, totals = [], iter([5.0, 1.0, 3.0, 9.0, 8.0, 7.0])

    def losses(self, images, labels, _):
        made.append(to_uint8(images.detach().clone()))
        total = images.mean() * 0 + next(totals)
        return {"ce": total, "bn": total, "adversarial": total, "synthesis_loss": total}, teacher(images)

    monkeypatch.setattr(InversionLoss, "__call__", losses)
    first, second = method.step(student), method.step(student)
    assert torch.equal(first.images, made[1])
    # Every step is worse than the first batch, and still its own best one is stored, not its unoptimised first images.
    assert torch.equal(second.images, made[5])


def test_noise_is_drawn_anew_for_every_batch(make, student):
    method = make()
    weights = []
    for _ in range(2):
        method.step(student)
        weights.append(method.noise.weight.detach().clone())
    assert not torch.equal(*weights)


def test_adversarial_term_is_off_during_the_warm_up(make, student):
    method = make(warmup_epochs=2)
    method.start_epoch(0)
    assert method.step(student).losses["adversarial"] == 0
    method.start_epoch(2)
    assert method.step(student).losses["adversarial"] < 0


def test_generator_lives_its_epochs_and_ends_with_the_warm_up(make):
    method = make(warmup_epochs=3, epochs=9, synthesis__generator_life=5)
    renewed, generator = [], method.generator
    for epoch in range(12):
        method.start_epoch(epoch)
        if method.generator is not generator:
            renewed.append(epoch)
            generator = method.generator
    assert renewed == [3, 5, 10]


def test_running_statistics_survive_a_new_generator_and_advance_once_per_batch(make, student):
    method = make(synthesis__steps=4)
    advances = []
    advance = method.loss.statistics.advance
    method.loss.statistics.advance = lambda: (advances.append(1), advance())
    method.step(student)
    running = [value.clone() for value in method.loss.statistics.running]
    method.renew()
    assert len(advances) == 1
    assert all(torch.equal(a, b) for a, b in zip(running, method.loss.statistics.running, strict=True))


def test_total_is_the_weighted_sum_of_the_terms(make, student):
    method = make()
    method.start_epoch(1)
    losses = method.step(student).losses
    config = method.config
    total = config.ce_weight * losses["ce"] + config.bn_weight * losses["bn"]
    total += config.adversarial_weight * losses["adversarial"]
    assert losses["synthesis_loss"].item() == pytest.approx(total.item(), rel=1e-6)


def test_training_lowers_the_loss_within_a_batch(make, student, teacher, monkeypatch):
    with torch.no_grad():
        teacher.network.head.weight *= 20  # an untrained teacher hardly tells images apart
    method = make(synthesis__steps=60, synthesis__bn_weight=0.0, synthesis__latent=64, synthesis__generator_width=16)
    seen = []
    losses = InversionLoss.__call__
    monkeypatch.setattr(InversionLoss, "__call__", lambda *given: seen.append(found := losses(*given)) or found)
    method.step(student)
    assert seen[-1][0]["synthesis_loss"] < 0.8 * seen[0][0]["synthesis_loss"]


@pytest.mark.parametrize(
    "ablation",
    [
        {},
        {"synthesis__noisy_layer": "fixed"},
        {"synthesis__noisy_layer": "none"},
        {"synthesis__linear_per": "image"},
        {"synthesis__linear_per": "batch"},
        {"synthesis__normalise": False},
        {"synthesis__input": "noise"},
    ],
    ids=str,
)
def test_state_round_trip_makes_the_same_images(ablation, make, student):
    method = make(**ablation)
    method.step(student)
    copy = make(**ablation)
    copy.load_state_dict(method.state_dict())
    images = []
    for each in (method, copy):
        torch.manual_seed(9)
        images.append(each.step(student).images)
    assert torch.equal(*images)


def test_a_fixed_linear_is_learnt_on_from_batch_to_batch_and_ends_with_its_generator(make, student):
    method = make(synthesis__noisy_layer="fixed", synthesis__generator_life=1)
    method.step(student)
    weight = method.noise.weight
    before = weight.detach().clone()
    method.step(student)
    assert method.noise.weight is weight
    assert not torch.equal(before, weight)
    method.start_epoch(1)
    method.step(student)
    assert not torch.equal(method.noise.weight, weight)


def test_without_a_noisy_layer_the_generator_takes_the_rows_of_the_table(make, embeddings):
    assert make(synthesis__noisy_layer="none").generator.project.in_features == embeddings.table.shape[1]
