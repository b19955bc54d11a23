"""Models for the examples and tests: an MLP and a CNN for 8×8 digits, a transformer block, a ResNet block pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["MODELS", "BasicBlock", "DigitsCNN", "DigitsMLP", "ResNetBlocks", "TransformerBlock", "make"]


class DigitsMLP(nn.Module):
    """64 pixels → 128 → 64 → 10 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden1 = nn.Linear(64, 128)
        self.hidden2 = nn.Linear(128, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N, 10) of pixels (N, 64)."""
        x = F.relu(self.hidden1(pixels))
        x = F.relu(self.hidden2(x))
        return self.head(x)


class DigitsCNN(nn.Module):
    """Two convolutions with pooling between them, then a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.head = nn.Linear(32 * 2 * 2, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N, 10) of pixels (N, 64)."""
        x = pixels.reshape(-1, 1, 8, 8)
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.head(x.flatten(1))


class TransformerBlock(nn.Module):
    """Pre-norm causal self-attention and a GELU MLP."""

    def __init__(self, width: int = 128, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, width) → (N, T, width)."""
        batch, steps, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, steps, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.proj(mixed.transpose(1, 2).reshape(batch, steps, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch norm and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, groups=groups, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) → (N, outputs, H/stride, W/stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNetBlocks(nn.Module):
    """A pair of basic blocks: one that keeps its shape, one strided, widening and grouped."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.first = BasicBlock(channels, channels, 1, 1)
        self.second = BasicBlock(channels, 2 * channels, 2, 4)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, 2·channels, H/2, W/2)."""
        return self.second(self.first(x))


def _settle(model: nn.Module) -> nn.Module:
    """Batch-norm statistics that are not the identity."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return model.eval()


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (DigitsMLP, (32, 64)),
    "cnn": (DigitsCNN, (32, 64)),
    "transformer": (TransformerBlock, (2, 32, 128)),
    "resnet": (ResNetBlocks, (2, 16, 16, 16)),
}


def make(name: str, dtype: Any = torch.float32, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """A model with random weights and an input for it, in `dtype`."""
    torch.manual_seed(seed)
    build, shape = MODELS[name]
    model = _settle(build())
    return model.to(dtype), torch.randn(shape).to(dtype)
