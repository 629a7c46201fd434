"""Eight-bit linear layers with fixed scales, fitted to inputs that the layer really sees.

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

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""How much of the spread between input channels moves into the weights."""
CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of the range of the inputs that are kept."""
PAIR = 127
_DAMPING = 0.01


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
