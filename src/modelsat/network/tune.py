"""Quantisation-aware tuning: the eight-bit layers of a network learn, together, to answer as the float network does.

:mod:`modelsat.network.quantise` rounds layer by layer; what its errors add up to is seen only at the end. Here the
integers themselves, their steps and the biases move along the gradient of the difference between the eight-bit and the
float network's logits; rounding passes gradients straight through (Bengio et al., arXiv 1308.3432; LSQ, arXiv
1902.08153). No labels are needed, any prompts will do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from modelsat.network.calibrate import places, swap
from modelsat.network.instruction import TokenBatch
from modelsat.network.model import ModelSATModel
from modelsat.network.quantise import PAIR, QuantisedLinear

_CONTRAST = 4.0
"""Weight of the candidates' differences, which decide who is chosen, beside the logits themselves."""
_WARMUP = 0.1


class _Learning(nn.Module):
    """Some outputs of an eight-bit layer; computes what the integers will."""

    def __init__(self, layer: QuantisedLinear, outputs: slice) -> None:
        super().__init__()
        self._scale, self._zero = layer.scale, layer.zero
        self.register_buffer("inverse", torch.from_numpy(1.0 / (layer.smooth * layer.scale)))
        self.whole = nn.Parameter(torch.from_numpy(layer.weight[:, outputs].astype(np.float32)))
        self.steps = nn.Parameter(torch.from_numpy(np.log(layer.steps[outputs])))
        self.bias = nn.Parameter(torch.from_numpy(layer.bias[outputs].copy()))

    def forward(self, inputs: Tensor) -> Tensor:
        grid = (_rounded(inputs * self.inverse) + self._zero).clamp(0, 255) - self._zero
        return (grid @ self.integers()) * (self.steps.exp() * self._scale) + self.bias

    def integers(self) -> Tensor:
        """Rounded weights: within -127..127, and no two neighbours of one sign beyond 127 together."""
        whole = _rounded(self.whole).clamp(-127, 127)
        first, second = whole[0::2], whole[1::2]
        kept = first.detach()
        second = torch.minimum(torch.maximum(second, -PAIR - kept.clamp(max=0)), PAIR - kept.clamp(min=0))
        return torch.stack([first, second], dim=1).flatten(0, 1)


def _rounded(values: Tensor) -> Tensor:
    return values + (torch.round(values) - values).detach()


def tune_layers(
    model: ModelSATModel,
    layers: Mapping[str, QuantisedLinear],
    batches: Sequence[TokenBatch],
    capabilities: Tensor,
    *,
    candidates: int = 16,
    learning_rate: float = 0.02,
    report: Callable[[int, float], None] = lambda _step, _loss: None,
    seed: int = 0,
) -> dict[str, QuantisedLinear]:
    """Tune eight-bit layers against the float network, which is left as it was.

    Args:
        model: The float network.
        layers: What :func:`~modelsat.network.calibrate.fit_layers` made of it.
        batches: Prompts, one step each, gone through once.
        capabilities: All candidates to draw from, shape (models, capability_size).
        candidates: How many stand beside a prompt.
        learning_rate: Of the weights, in integers a step; a tenth of it for steps (relative) and biases.
        report: Called with each step and its loss.
        seed: Draws the candidates.
    """
    student = copy.deepcopy(model).float().eval()
    learning = _install(student, layers)
    whole = [module.whole for parts in learning.values() for module in parts]
    other = [value for parts in learning.values() for module in parts for value in (module.steps, module.bias)]
    student.requires_grad_(False)
    for parameter in (*whole, *other):
        parameter.requires_grad_(True)
    optimiser = torch.optim.Adam(
        [{"params": whole, "lr": learning_rate}, {"params": other, "lr": learning_rate / 20}], betas=(0.9, 0.99)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [learning_rate, learning_rate / 20], total_steps=len(batches) + 1, pct_start=_WARMUP
    )
    rng = np.random.default_rng(seed)
    for step, batch in enumerate(batches):
        drawn = capabilities[torch.from_numpy(rng.choice(len(capabilities), candidates, replace=False))]
        ids, mask = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask)
        with torch.no_grad():
            wanted = model(ids, mask, drawn)
        error = student(ids, mask, drawn) - wanted
        loss = error.square().mean() + _CONTRAST * (error - error.mean(dim=1, keepdim=True)).square().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        report(step, float(loss.detach()))
    return {name: _finished(layers[name], parts) for name, parts in learning.items()}


def _install(student: ModelSATModel, layers: Mapping[str, QuantisedLinear]) -> dict[str, list[_Learning]]:
    learning: dict[str, list[_Learning]] = {}
    encoder: Any = student.phi.encoder
    for index, layer in enumerate(encoder.layer):
        for place, parts in places(layer).items():
            fitted = layers.get(f"encoder.layer.{index}.{place}")
            if fitted is None:
                continue
            size = len(fitted.bias) // len(parts)
            made = [_Learning(fitted, slice(part * size, (part + 1) * size)) for part in range(len(parts))]
            swap(layer, dict(zip(parts, made, strict=True)))
            learning[f"encoder.layer.{index}.{place}"] = made
    return learning


@torch.no_grad()
def _finished(layer: QuantisedLinear, parts: Sequence[_Learning]) -> QuantisedLinear:
    def joined(values: Sequence[Tensor]) -> Any:
        return torch.cat(list(values), dim=-1).numpy()

    return replace(
        layer,
        weight=joined([part.integers() for part in parts]).astype(np.int8),
        steps=np.exp(joined([part.steps for part in parts])).astype(np.float32),
        bias=joined([part.bias for part in parts]).astype(np.float32),
    )
