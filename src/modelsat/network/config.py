"""Configuration of the network, in transformers' conventions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from transformers import AutoConfig, PreTrainedConfig

from modelsat.capability.ability import FEATURES
from modelsat.errors import ConfigurationError

Order = Literal["instruction_first", "capability_first"]

PAPER_INQUIRY = (
    "Predict whether the model can handle the test instruction by indicating 'Yes' if it can and 'No' if it cannot."
)


class ModelSATConfig(PreTrainedConfig):
    """What is needed to build a :class:`~modelsat.network.model.ModelSATModel`.

    Args:
        phi_config: Configuration of the lightweight language model phi.
        psi_config: Configuration of the capability encoder's own text encoder. ``None``: psi shares phi's weights
            (bidirectional phi only).
        causal: True if phi is a causal LM that scores with its own LM head; False for a bidirectional encoder with a
            two-way head.
        order: ``"instruction_first"`` reads the instruction once, with one branch per candidate;
            ``"capability_first"`` is the
            paper's sequence, one pass per candidate.
        inquiry_prompt: The performance inquiry prompt p that ends every branch.
        inquiry_ids: Its token ids.
        answer_ids: Token ids of 'Yes' and 'No' (causal phi).
        max_instruction_tokens: Token budget of the instruction, special tokens included.
        head_share: Share of that budget given to the head of a long instruction; the rest keeps its tail.
        statement_features: Numbers that stand beside each task description.
        capability_width: Width of psi's output.
        scale: Calibration: the logit is multiplied by this.
        shift: Calibration: and this is added. P = sigmoid(scale * logit + shift).
    """

    model_type = "modelsat"
    sub_configs = {"phi_config": AutoConfig, "psi_config": AutoConfig}  # noqa: RUF012

    def __init__(
        self,
        phi_config: PreTrainedConfig | dict[str, Any] | None = None,
        psi_config: PreTrainedConfig | dict[str, Any] | None = None,
        causal: bool = False,
        order: Order = "instruction_first",
        inquiry_prompt: str = PAPER_INQUIRY,
        inquiry_ids: Sequence[int] = (),
        answer_ids: tuple[int, int] | None = None,
        max_instruction_tokens: int = 192,
        head_share: float = 0.67,
        statement_features: int = FEATURES,
        capability_width: int = 384,
        scale: float = 1.0,
        shift: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if order not in ("instruction_first", "capability_first"):
            raise ConfigurationError(f"order must be 'instruction_first' or 'capability_first', not {order!r}")
        if causal and psi_config is None and phi_config is not None:
            raise ConfigurationError("a causal phi cannot serve as the capability encoder: give psi_config")
        self.phi_config = _as_config(phi_config)
        self.psi_config = _as_config(psi_config)
        self.causal = causal
        self.order = order
        self.inquiry_prompt = inquiry_prompt
        self.inquiry_ids = list(inquiry_ids)
        self.answer_ids = None if answer_ids is None else list(answer_ids)
        self.max_instruction_tokens = max_instruction_tokens
        self.head_share = head_share
        self.statement_features = statement_features
        self.capability_width = capability_width
        self.scale = scale
        self.shift = shift
        super().__init__(**kwargs)


def _as_config(value: PreTrainedConfig | dict[str, Any] | None) -> PreTrainedConfig | None:
    if not isinstance(value, dict):
        return value
    fields = dict(value)
    return AutoConfig.for_model(fields.pop("model_type"), **fields)
