"""Priors that stand in for the BatchNorm term: each prefers the images that it should, judged by the right layers."""

import pytest
import torch
from torch import nn

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.models.classifier import Classifier
from nayer.synthesis.parts.priors import PRIORS, check_prior

NAMES, SPEC = ("ant", "bee", "cat"), ImageSpec(8, 1, (0.5,), (0.5,))
VIT = (
    'transformers:vit{"hidden_size":16,"image_size":8,"intermediate_size":16,"num_attention_heads":2,'
    '"num_hidden_layers":2,"patch_size":2}'
)
CONVNEXT = 'transformers:convnext{"depths":[1,1],"hidden_sizes":[6,12],"image_size":8,"num_stages":2,"patch_size":2}'


def judged(name: str, teacher: Classifier, images: torch.Tensor) -> float:
    prior = PRIORS[name](teacher)
    with prior.recording():
        return prior.loss(teacher(images)).item()


@pytest.fixture(params=[VIT, CONVNEXT], ids=["vit", "convnext"])
def teacher(request) -> Classifier:
    torch.manual_seed(0)
    return Classifier.build(request.param, NAMES, SPEC).eval()


@pytest.mark.parametrize("name", [name for name in PRIORS if name != "none"])
def test_a_prior_has_a_gradient_for_every_image_and_leaves_no_hooks(name, teacher):
    images = torch.rand(6, 1, 8, 8, requires_grad=True)
    prior = PRIORS[name](teacher)
    with prior.recording():
        loss = prior.loss(teacher(images))
    loss.backward()
    assert loss.ndim == 0
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()
    assert not any(module._forward_pre_hooks for module in teacher.modules())


class LayerNorm2d(nn.LayerNorm):
    """A LayerNorm over channels, like those of timm and torchvision."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class AsWideAsDeep(nn.Module):
    """A network with maps of 8 x 8 and 8 channels, a LayerNorm of the pooled features, and one that is never used."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 8, 3, padding=1), LayerNorm2d(8) if first else nn.Identity()
        self.pooled, self.unused, self.head = nn.LayerNorm(8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pooled(self.norm(self.stem(x)).mean((2, 3))))


def test_channels_are_told_from_width_where_both_are_as_many():
    torch.manual_seed(0)
    made = Classifier(AsWideAsDeep(first=True), "own", NAMES, SPEC).eval()
    images = torch.rand(6, 1, 8, 8)
    features = made.network.stem((images - 0.5) / 0.5)
    pooled = made.network.norm(features).mean((2, 3))

    def term(values: torch.Tensor) -> torch.Tensor:
        flat = values.flatten(0, -2)
        normal = (flat - flat.mean(1, keepdim=True)) / (flat.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
        return (normal.mean(0) ** 2 + (normal.var(0, correction=0) - 1) ** 2).mean()

    wanted = (term(features.permute(0, 2, 3, 1)) + term(pooled)) / 2
    assert judged("layer_norm", made, images) == pytest.approx(wanted.item(), rel=1e-4)


def test_activation_rewards_strong_features_and_classes_that_come_equally_often(teacher):
    images = torch.rand(6, 1, 8, 8)
    head = [module for module in teacher.network.modules() if isinstance(module, nn.Linear)][-1]
    seen = []
    hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    share = teacher(images).softmax(1).mean(0)
    hook.remove()
    wanted = -seen[0].abs().mean() + 50 * (share * share.log()).sum()
    assert judged("activation", teacher, images) == pytest.approx(wanted.item(), rel=1e-4)


def test_layer_norm_statistics_are_those_of_what_is_normalised_channel_by_channel():
    torch.manual_seed(0)
    teacher = Classifier.build(VIT, NAMES, SPEC).eval()
    seen = []
    layers = [module for module in teacher.network.modules() if isinstance(module, nn.LayerNorm)]
    hooks = [layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for layer in layers]
    images = torch.rand(6, 1, 8, 8)
    teacher(images)
    for hook in hooks:
        hook.remove()
    terms = []
    for values in seen:
        centred = values - values.mean(-1, keepdim=True)
        normal = (centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()).reshape(-1, values.shape[-1])
        variance = normal.square().mean(0) - normal.mean(0).square()
        terms.append((normal.mean(0).square() + (variance - 1).square()).mean())
    assert judged("layer_norm", teacher, images) == pytest.approx(torch.stack(terms).mean().item(), rel=1e-3)


def test_a_prior_that_looks_at_what_is_not_there_is_refused():
    words = "prior: 'layer_norm' needs a LayerNorm, which 'wrn-10-1' lacks; choose one of none, activation"
    with pytest.raises(InputError, match=words):
        check_prior(Classifier.build("wrn-10-1", NAMES, SPEC), "layer_norm")
