"""Eight-bit linear layers of a BERT with fixed scales, each fitted to inputs it sees behind the eight-bit ones before.

``W x + b`` becomes ``S (Q (q(x / s) - z)) + b'`` with integer ``Q`` and ``q``:

* a few channels of the input that reach furthest stay out of it and are multiplied in float32 (LLM.int8(), arXiv
  2208.07339): behind a GELU one channel can be twenty times as large as the rest;
* ``s`` moves the spread between channels of the input into the weights (SmoothQuant, arXiv 2211.10438), and ``q``
  rounds to 0..255 with one scale and zero point, clipped where that costs least;
* ``Q`` is rounded column by column, each column making up for the errors of those before it (GPTQ, arXiv 2210.17323);
* ``b'`` takes back the mean error that is left.

Scales are fixed, so a score depends on nothing else in its batch. Where a processor adds products of two neighbouring
inputs in 16 bits (AVX2 and AVX-512 without VNNI), large weights of the same sign would saturate; the weight scales are
chosen so that no such pair exists, and every processor computes the same integers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from modelsat.errors import ConfigurationError
from modelsat.network import bert
from modelsat.network.bert import Floats
from modelsat.network.instruction import TokenBatch
from modelsat.network.layers import additive
from modelsat.network.model import ModelSATModel

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""How much of the spread between input channels moves into the weights."""
CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of the range of the inputs that are kept."""
PAIR = 127
_DAMPING = 0.01
_PLACES = {
    "attention.self": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.output.dense": ("attention.output.dense",),
    "intermediate.dense": ("intermediate.dense",),
    "output.dense": ("output.dense",),
}
"""The eight-bit layers of a BERT layer, and the linear modules that each is made of."""
_KEPT = {"output.dense": 8}
"""Channels of a layer's input that stay in float32."""
_ROWS = 8192
"""Positions of the calibration prompts that a layer is fitted to."""


@dataclass(frozen=True, slots=True)
class QuantisedLinear:
    """An eight-bit linear layer.

    Attributes:
        smooth: What inputs are divided by, shape (inputs,).
        scale: Step of the inputs' grid.
        zero: Its zero point, 0..255.
        weight: Shape (inputs, outputs), int8.
        steps: Step of each output's weights, shape (outputs,).
        bias: Shape (outputs,).
        kept: Channels of the input that are multiplied in float32, shape (kept,); their rows of ``weight`` are zero.
        kept_weight: Their weights, shape (kept, outputs).
    """

    smooth: Floats
    scale: float
    zero: int
    weight: NDArray[np.int8]
    steps: Floats
    bias: Floats
    kept: NDArray[np.int64]
    kept_weight: Floats

    def __call__(self, inputs: Floats) -> Floats:
        """What the layer computes for inputs of shape (rows, inputs)."""
        grid = np.clip(np.rint(inputs / self.smooth / self.scale) + self.zero, 0, 255) - self.zero
        answers: Floats = grid @ (self.weight * (self.steps * self.scale)) + self.bias
        answers += inputs[:, self.kept] @ self.kept_weight
        return answers


def quantise(weight: Floats, bias: Floats, inputs: Floats, wanted: Floats, keep: int = 0) -> QuantisedLinear:
    """Fit an eight-bit layer to a float one.

    Args:
        weight: Shape (inputs, outputs).
        bias: Shape (outputs,).
        inputs: What the layer sees on calibration prompts behind eight-bit layers, shape (rows, inputs).
        wanted: What the float layer answers in the float network, shape (rows, outputs): the bias takes back the mean
            error of the layers before, too.
        keep: How many channels of the input stay in float32.
    """
    kept = np.sort(np.argsort(-np.abs(inputs).max(axis=0))[:keep])
    rest, rest_weight = inputs.copy(), weight.copy()
    rest[:, kept], rest_weight[kept] = 0.0, 0.0
    step = max(1, len(inputs) // 768)
    few, answers = rest[::step], rest[::step] @ rest_weight + bias
    candidates = (_rounded(rest_weight, bias, rest, share, clip) for share in SHARES for clip in CLIPS)
    best = min(candidates, key=lambda layer: float(np.square(layer(few) - answers).mean()))
    best = replace(_compensate(best, rest_weight, rest), kept=kept, kept_weight=weight[kept])
    return replace(best, bias=(best.bias - (best(inputs) - wanted).mean(axis=0)).astype(np.float32))


def _rounded(weight: Floats, bias: Floats, inputs: Floats, share: float, clip: float) -> QuantisedLinear:
    reach = np.maximum(np.abs(inputs).max(axis=0), 1e-3)
    smooth = reach**share / np.maximum(np.abs(weight).max(axis=1), 1e-4) ** (1.0 - share)
    smooth = (smooth / np.exp(np.log(smooth).mean())).astype(np.float32)
    low, high = ((edge / smooth) for edge in (inputs.min(axis=0), inputs.max(axis=0)))
    bottom, top = min(float(low.min()), 0.0) * clip, max(float(high.max()), 0.0) * clip
    scale = (top - bottom) / 255.0
    smoothed = weight * smooth[:, None]
    steps = _steps(smoothed)
    whole = np.clip(np.rint(smoothed / steps), -127, 127).astype(np.int8)
    none, nothing = np.zeros(0, dtype=np.int64), np.zeros((0, weight.shape[1]), dtype=np.float32)
    return QuantisedLinear(smooth, scale, round(-bottom / scale), whole, steps, bias, none, nothing)


def _steps(weight: Floats) -> Floats:
    """Steps for which no weight exceeds 127 and no two neighbours of one sign exceed 127 together."""
    pairs = np.abs(weight[0::2] + weight[1::2]).max(axis=0) if len(weight) % 2 == 0 else 0.0
    steps: Floats = np.maximum(np.maximum(np.abs(weight).max(axis=0) / 127.0, pairs / (PAIR - 1)), 1e-12)
    return steps.astype(np.float32)


def _compensate(layer: QuantisedLinear, weight: Floats, inputs: Floats) -> QuantisedLinear:
    """Round the weights input by input, with the rest making up for the error so far."""
    grid = np.clip(np.rint(inputs / layer.smooth / layer.scale) + layer.zero, 0, 255) - layer.zero
    seen = grid.astype(np.float64) * layer.scale
    moments = seen.T @ seen / len(seen)
    moments[np.diag_indices_from(moments)] += _DAMPING * np.diag(moments).mean()
    upper = np.linalg.cholesky(np.linalg.inv(moments)).T
    left = (weight * layer.smooth[:, None]).astype(np.float64)
    whole = np.zeros_like(left)
    for row in range(len(left)):
        rounded = np.clip(np.rint(left[row] / layer.steps), -127, 127)
        if row % 2:
            rounded = np.clip(rounded, -PAIR - np.minimum(whole[row - 1], 0), PAIR - np.maximum(whole[row - 1], 0))
        whole[row] = rounded
        error = (left[row] - rounded * layer.steps) / upper[row, row]
        left[row + 1 :] -= np.outer(upper[row, row + 1 :], error)
    return replace(layer, weight=whole.astype(np.int8))


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
    report: Callable[[str], None],
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
            exact, rounded = (
                [torch.cat([state, start.behind], dim=1) for state, start in zip(states, starts, strict=True)]
                for states in (exact, rounded)
            )
            masks, rows = [start.mask for start in starts], [start.rows for start in starts]
        kept: dict[str, nn.Module] = {}
        for place, parts in _PLACES.items():
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
            fitted[name] = quantise(weight, bias, inputs, right, _KEPT.get(place, 0))
            size = len(bias) // len(parts)
            for number, part in enumerate(parts):
                kept[part] = layer.get_submodule(part)
                _swap(layer, {part: _EightBit(fitted[name], slice(number * size, (number + 1) * size))})
            report(name)
        rounded = [_run(layer, state, mask) for state, mask in zip(rounded, masks, strict=True)]
        _swap(layer, kept)
        exact = [_run(layer, state, mask) for state, mask in zip(exact, masks, strict=True)]
    return fitted


def _swap(layer: nn.Module, modules: Mapping[str, nn.Module]) -> None:
    """Put modules in the places of those of the same names."""
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        setattr(layer.get_submodule(parent), child, module)


@dataclass(frozen=True)
class _Start:
    """What the layers read of one batch: embeddings of the instructions, and of the candidates that enter behind them.

    The additive attention mask is that of both; rows are flattened positions that layers are fitted to: of the
    instructions alone, of both, and of the candidates among both.
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
