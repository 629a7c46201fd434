"""Fitting eight-bit layers to a BERT, layer by layer, each behind the eight-bit layers before it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from modelsat.errors import ConfigurationError
from modelsat.network import bert, branches
from modelsat.network.instruction import TokenBatch
from modelsat.network.model import ModelSATModel
from modelsat.network.quantise import Floats, QuantisedLinear, quantise

KEPT = {"output.dense": 8}
"""Channels of a layer's input that stay in float32."""
_ROWS = 8192
"""Positions of the calibration prompts that a layer is fitted to."""


class _EightBit(nn.Module):
    """Some outputs of a quantised layer, in float arithmetic that equals the integers'."""

    def __init__(self, layer: QuantisedLinear, outputs: slice) -> None:
        super().__init__()
        self._smooth, self._scale, self._zero = torch.from_numpy(layer.smooth), layer.scale, layer.zero
        self._weight = torch.from_numpy((layer.weight * (layer.steps * layer.scale)).astype(np.float32)[:, outputs])
        self._bias = torch.from_numpy(layer.bias[outputs])
        self._kept = torch.from_numpy(layer.kept)
        self._kept_weight = torch.from_numpy(np.ascontiguousarray(layer.kept_weight[:, outputs]))

    def forward(self, inputs: Tensor) -> Tensor:
        grid = (torch.round(inputs / self._smooth / self._scale) + self._zero).clamp(0, 255) - self._zero
        return grid @ self._weight + inputs[..., self._kept] @ self._kept_weight + self._bias


@torch.no_grad()
def fit_layers(
    model: ModelSATModel,
    batches: Sequence[TokenBatch],
    capabilities: Tensor,
    report: Callable[[str], None] = lambda _: None,
    seed: int = 0,
) -> dict[str, QuantisedLinear]:
    """Fit all linear layers of phi's encoder; the network itself is left as it was.

    Args:
        model: A network that :func:`modelsat.network.bert.supports`, in float32.
        batches: Calibration prompts.
        capabilities: Candidates that stand beside them, shape (candidates, capability_size).
        report: Called with the name of every fitted layer.
        seed: Chooses the positions that are looked at.

    Raises:
        ConfigurationError: The network is of another kind.
    """
    if not bert.supports(model):
        raise ConfigurationError(
            "only a BERT with the small head and inquiry_position: shared can be quantised: train with that key, or "
            "export in float32"
        )
    states = [_start(model, batch, capabilities) for batch in batches]
    exact, rounded = [state for state, _, _ in states], [state for state, _, _ in states]
    masks = [mask for _, mask, _ in states]
    each = _ROWS // len(states) + 1
    rows = [_choose(real, each, np.random.default_rng(seed + i)) for i, (_, _, real) in enumerate(states)]
    fitted: dict[str, QuantisedLinear] = {}
    for index, layer in enumerate(model.phi.encoder.layer):
        kept: dict[str, nn.Module] = {}
        for place, parts in _places(layer).items():
            name = f"encoder.layer.{index}.{place}"
            first = layer.get_submodule(parts[0])
            weight, bias = bert.joined(layer.attention) if len(parts) > 1 else bert.parameters(first)
            swapped = {part: layer.get_submodule(part) for part in kept}
            inputs = _seen(layer, parts[0], rounded, masks, rows)
            _swap(layer, kept)
            right = _seen(layer, parts[0], exact, masks, rows) @ weight + bias
            _swap(layer, swapped)
            fitted[name] = quantise(weight, bias, inputs, right, KEPT.get(place, 0))
            size = len(bias) // len(parts)
            for number, part in enumerate(parts):
                kept[part] = layer.get_submodule(part)
                _swap(layer, {part: _EightBit(fitted[name], slice(number * size, (number + 1) * size))})
            report(name)
        rounded = [_run(layer, state, mask) for state, mask in zip(rounded, masks, strict=True)]
        _swap(layer, kept)
        exact = [_run(layer, state, mask) for state, mask in zip(exact, masks, strict=True)]
    return fitted


def _places(layer: nn.Module) -> dict[str, tuple[str, ...]]:
    """The eight-bit layers of a BERT layer, and the linear modules that each is made of."""
    return {
        "attention.self": tuple(f"attention.self.{name}" for name in ("query", "key", "value")),
        "attention.output.dense": ("attention.output.dense",),
        "intermediate.dense": ("intermediate.dense",),
        "output.dense": ("output.dense",),
    }


def _swap(layer: nn.Module, modules: Mapping[str, nn.Module]) -> None:
    """Put modules in the places of those of the same names."""
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        setattr(layer.get_submodule(parent), child, module)


def _start(model: ModelSATModel, batch: TokenBatch, capabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings and additive attention mask of one batch, and which positions, flattened, stand for something."""
    caught: list[Tensor] = []

    def catch(_: nn.Module, positional: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        caught.append(positional[0] if positional else keywords["hidden_states"])

    handle = model.phi.encoder.layer[0].register_forward_pre_hook(catch, with_kwargs=True)
    ids, mask = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask)
    try:
        model(ids, mask, capabilities)
    finally:
        handle.remove()
    size = model.config.branch * len(capabilities)
    allowed = branches.one_pass_mask(mask, len(capabilities), model.config.branch, causal=False)
    real = torch.cat([mask, mask.new_ones(len(mask), size)], dim=1).bool().flatten()
    return caught[0], torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min), real


def _run(layer: nn.Module, state: Tensor, mask: Tensor) -> Tensor:
    result = layer(state, mask)
    return result[0] if isinstance(result, tuple) else result  # type: ignore[no-any-return]


def _choose(real: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Some of the positions that stand for something."""
    places = np.flatnonzero(real.numpy())
    return torch.from_numpy(np.sort(rng.choice(places, min(count, len(places)), replace=False)))


def _seen(layer: nn.Module, part: str, states: list[Tensor], masks: list[Tensor], rows: list[Tensor]) -> Floats:
    """What a part of a layer gets to see, at the chosen positions."""
    seen: list[Tensor] = []

    def catch(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0].flatten(0, -2))
        raise _CaughtError

    handle = layer.get_submodule(part).register_forward_pre_hook(catch)
    try:
        for state, mask in zip(states, masks, strict=True):
            with contextlib.suppress(_CaughtError):
                _run(layer, state, mask)
    finally:
        handle.remove()
    return np.concatenate([values[chosen].numpy() for values, chosen in zip(seen, rows, strict=True)])


class _CaughtError(Exception):
    """Ends a pass through a layer where its input was seen."""
