"""Fitting eight-bit layers to a BERT, layer by layer, each behind the eight-bit layers before it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from modelsat.errors import ConfigurationError
from modelsat.network import bert
from modelsat.network.instruction import TokenBatch
from modelsat.network.model import ModelSATModel, additive
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
    each = _ROWS // len(batches) + 1
    starts = [_Start.of(model, batch, capabilities, each, seed + number) for number, batch in enumerate(batches)]
    exact = [start.text for start in starts]
    rounded, masks, rows = exact, [start.text_mask for start in starts], [start.text_rows for start in starts]
    fitted: dict[str, QuantisedLinear] = {}
    last = len(model.phi.encoder.layer) - 1
    for index, layer in enumerate(model.phi.encoder.layer):
        if index == model.config.entry_layer:
            exact, rounded = (_behind(states, starts) for states in (exact, rounded))
            masks, rows = [start.mask for start in starts], [start.rows for start in starts]
        kept: dict[str, nn.Module] = {}
        for place, parts in _places(layer).items():
            name = f"encoder.layer.{index}.{place}"
            if index == last and place != "attention.self" and model.config.read_layer not in (None, last + 1):
                rows = [start.behind_rows for start in starts]  # the rest of the last layer serves candidates alone
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


@dataclass(frozen=True)
class _Start:
    """What the layers read of one batch: the instructions alone, then candidates behind them.

    Attributes:
        text: Embeddings of the instructions.
        behind: Those of the candidates.
        mask: Additive attention mask of both.
        text_rows: Positions, flattened, of the instructions that layers are fitted to.
        rows: The same of both.
        behind_rows: The same of the candidates among both.
    """

    text: Tensor
    behind: Tensor
    mask: Tensor
    text_rows: Tensor
    rows: Tensor
    behind_rows: Tensor

    @classmethod
    def of(cls, model: ModelSATModel, batch: TokenBatch, capabilities: Tensor, count: int, seed: int) -> _Start:
        ids, real = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask)
        text, behind, allowed, _ = model.starts(ids, real, capabilities)
        ones = real.new_ones(behind.shape[:2])
        parts = (real, torch.cat([real, ones], dim=1), torch.cat([torch.zeros_like(real), ones], dim=1))
        rows = (_choose(part.bool().flatten(), count, np.random.default_rng(seed)) for part in parts)
        return cls(text, behind, additive(allowed, text), *rows)

    @property
    def text_mask(self) -> Tensor:
        """Additive attention mask of the instructions."""
        length = self.text.shape[1]
        return self.mask[:, :, :length, :length]


def _behind(states: Sequence[Tensor], starts: Sequence[_Start]) -> list[Tensor]:
    """The candidates enter behind the instructions."""
    return [torch.cat([state, start.behind], dim=1) for state, start in zip(states, starts, strict=True)]


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
