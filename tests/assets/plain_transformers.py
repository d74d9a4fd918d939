"""A stranger's script, written without this project: networks of transformers, trained and saved."""

import sys
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from transformers import AutoConfig, AutoModelForImageClassification, ViTImageProcessor

# From nine down: in another order than that of the digits data set with which it is tested.
NAMES = ("nine", "eight", "seven", "six", "five", "four", "three", "two", "one", "zero")
SIZES = {
    "convnext": {
        "hidden_sizes": [24, 48], "depths": [2, 2], "num_stages": 2, "patch_size": 2, "layer_scale_init_value": 1.0
    },
    "mobilenet_v2": {"depth_multiplier": 0.35, "min_depth": 8, "output_stride": 8, "classifier_dropout_prob": 0.0},
    "resnet": {
        "embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "layer_type": "basic",
        "downsample_in_first_stage": False,
    },
    "swin": {"embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4], "patch_size": 1, "window_size": 4},
    "vit": {
        "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96, "patch_size": 2
    },
}  # fmt: skip


EPOCHS = {"convnext": 2, "mobilenet_v2": 5, "resnet": 2, "swin": 10, "vit": 8}


def train(kind, out):
    """Train a network; save it with its processor and its accuracy on a third of the digits."""
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    labels = 9 - torch.tensor(digits.target)
    split = train_test_split((images - 0.5) / 0.5, labels, test_size=540, random_state=0, stratify=digits.target)
    train_images, test_images, train_labels, test_labels = split
    config = AutoConfig.for_model(kind, num_channels=1, image_size=8, id2label=dict(enumerate(NAMES)), **SIZES[kind])
    model = AutoModelForImageClassification.from_config(config)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    for _ in range(EPOCHS[kind]):
        for batch in torch.randperm(len(train_images)).split(32)[:-1]:
            optimizer.zero_grad()
            model(pixel_values=train_images[batch], labels=train_labels[batch]).loss.backward()
            optimizer.step()
    model.eval()
    with torch.inference_mode():
        accuracy = (model(pixel_values=test_images).logits.argmax(1) == test_labels).float().mean().item()
    model.save_pretrained(out)
    ViTImageProcessor(size={"height": 8, "width": 8}, image_mean=[0.5], image_std=[0.5]).save_pretrained(out)
    (Path(out) / "accuracy.txt").write_text(str(accuracy))


if __name__ == "__main__":
    train(*sys.argv[1:])
