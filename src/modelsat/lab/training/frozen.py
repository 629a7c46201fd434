"""States behind frozen layers, computed once and kept: they are the same in every epoch, for all candidates.

Two files in a folder that any number of runs may share: float16 states of all prompts behind one another, a hole where
a prompt has not come up yet, and a checksum a prompt. A batch is computed together, in the arithmetic of the run that
comes first (bfloat16 where that is fast): many times as quick as a prompt at a time, and the same up to its rounding.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modelsat.errors import ConfigurationError
from modelsat.network.instruction import pad
from modelsat.network.layers import Layers
from modelsat.network.model import ModelSATModel

_STATES, _SUMS = "states.f16", "sums.u32"
_logger = logging.getLogger(__name__)


class FrozenStates:
    """States of prompts behind the network's frozen layers.

    Args:
        model: The network; its frozen layers and token embeddings stay as they are.
        ids: Token ids of every prompt.
        folder: Where to keep states, in a folder named by frozen weights and prompts.

    Raises:
        ConfigurationError: The folder cannot be written.
    """

    def __init__(self, model: ModelSATModel, ids: Sequence[Sequence[int]], folder: Path) -> None:
        self._model, self._ids = model, ids
        self._ends = np.cumsum([len(row) for row in ids])
        self._width = int(model.config.phi_config.hidden_size)
        self._folder = folder / f"behind-{model.frozen_layers}-{_digest(model, ids)}"
        total = int(self._ends[-1])
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for name, size in ((_STATES, total * self._width * 2), (_SUMS, len(ids) * 4)):
                with (self._folder / name).open("ab") as file:
                    file.truncate(size)
        except OSError as error:
            raise self._unwritable(error) from error
        self._states = np.memmap(self._folder / _STATES, np.float16, "r", shape=(total, self._width))
        self._sums = np.memmap(self._folder / _SUMS, np.uint32, "r", shape=(len(ids),))
        _logger.warning(
            "states behind %d frozen layers are kept in %s: %d of %d prompts so far, %.1f GB for all",
            *(model.frozen_layers, self._folder, np.count_nonzero(self._sums), len(ids), self._states.nbytes / 1e9),
        )

    def of(self, rows: Sequence[int], length: int) -> Tensor:
        """States of prompts, right-padded with zeros, float32, shape (prompts, length, width).

        Raises:
            ConfigurationError: The folder cannot be written, or a state does not fit float16.
        """
        padded = np.zeros((len(rows), length, self._width), dtype=np.float32)
        kept = [states for row in rows if (states := self._kept(row)) is not None]
        if len(kept) < len(rows):
            # all of them, so that an interrupted run computes the same batch again and gets the same rounding
            kept = self._compute(rows)
            for row, states in zip(rows, kept, strict=True):
                self._keep(row, states)
        for place, states in enumerate(kept):
            padded[place, : len(states)] = states
        return torch.from_numpy(padded).to(self._model.device)

    def _span(self, row: int) -> tuple[int, int]:
        return int(self._ends[row]) - len(self._ids[row]), int(self._ends[row])

    def _kept(self, row: int) -> NDArray[np.float16] | None:
        if not self._sums[row]:
            return None
        states = self._states[slice(*self._span(row))]
        if _sum(states) == self._sums[row]:
            return states
        _logger.warning("the states of prompt %d in %s are damaged: computed again", row, self._folder)
        return None

    def _compute(self, rows: Sequence[int]) -> list[NDArray[np.float16]]:
        batch = pad([self._ids[row] for row in rows], 0)
        device = self._model.device
        ids, mask = (torch.from_numpy(part).to(device) for part in (batch.input_ids, batch.attention_mask))
        states = self._model.read_frozen(ids, mask).half().masked_fill(mask.unsqueeze(-1) == 0, 0.0)
        if not bool(states.isfinite().all()):
            raise ConfigurationError(
                f"the states behind {self._model.frozen_layers} layers of this base do not fit float16: leave "
                "frozen_states out, or freeze another number of layers"
            )
        return [own[: len(self._ids[row])] for own, row in zip(states.cpu().numpy(), rows, strict=True)]

    def _keep(self, row: int, states: NDArray[np.float16]) -> None:
        """Written as a file, not through memory, so that a full disk is an error and not the end of the process."""
        try:
            for name, at, data in (
                (_STATES, self._span(row)[0] * self._width * 2, states.tobytes()),
                (_SUMS, row * 4, _sum(states).tobytes()),
            ):
                with (self._folder / name).open("r+b", buffering=0) as file:
                    file.seek(at)
                    file.write(data)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"frozen_states: cannot write to {self._folder} ({error.strerror or error}): name a folder with room for it"
        )


def _sum(states: NDArray[np.float16]) -> np.uint32:
    """A checksum that is never 0, which says that nothing was written."""
    return np.uint32(zlib.crc32(states.tobytes()) or 1)


def _digest(model: ModelSATModel, ids: Sequence[Sequence[int]]) -> str:
    """A hash over the weights that are frozen and the tokens of all prompts."""
    digest = hashlib.sha256()
    embeddings: Tensor = model.phi.get_input_embeddings().weight
    layers = Layers(model.phi).all[: model.frozen_layers]
    for weight in (embeddings, *(value for layer in layers for value in layer.state_dict().values())):
        digest.update(weight.detach().float().cpu().numpy().tobytes())
    digest.update(str(model.config.phi_config.to_dict()).encode())
    for row in ids:
        digest.update(np.asarray([len(row), *row], dtype=np.int64).tobytes())
    return digest.hexdigest()[:16]
