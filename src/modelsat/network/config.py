"""Configuration of the network, in transformers' conventions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from transformers import AutoConfig, PreTrainedConfig

from modelsat.capability.equating import FEATURES, OVERALL
from modelsat.capability.equating import reference_tasks as _default_tasks
from modelsat.errors import ConfigurationError
from modelsat.network.instruction import BUDGETS, check_budget

Order = Literal["instruction_first", "capability_first"]
InquiryPosition = Literal["own", "shared"]

PAPER_INQUIRY = (
    "Predict whether the model can handle the test instruction by indicating 'Yes' if it can and 'No' if it cannot."
)


class ModelSATConfig(PreTrainedConfig):
    """What is needed to build a :class:`~modelsat.network.model.ModelSATModel`; attributes are given by keyword.

    Attributes:
        phi_config: Configuration of the lightweight language model phi.
        psi_config: Configuration of the capability encoder's own text encoder. ``None``: psi shares phi's weights
            (mean of its last states).
        causal: True if phi is a causal LM; False for a bidirectional encoder.
        order: ``"instruction_first"`` reads the instruction once, with one branch per candidate;
            ``"capability_first"`` is the paper's sequence, one pass per candidate.
        inquiry_prompt: The performance inquiry prompt p that ends every branch.
        inquiry_ids: Its token ids.
        inquiry_position: ``"own"``: the inquiry stands behind e_c; ``"shared"``: an inquiry of one token is added to
            e_c, and a candidate is one position, a query that reads the instruction.
        entry_layer: Layers of phi that read the instruction alone; candidates enter behind them. 0: they enter with it.
        read_layer: Layers of phi behind which the instruction's mean state is read, for the lookup and as psi's
            embedding of task descriptions. Those above serve candidates only, and the last of them need not finish
            the instruction's own states. ``None``: all.
        feed_forward: Width of the feed-forward part of each of a BERT-like phi's layers; ``None``: as phi_config says.
        head_width: Width of the small head's hidden layer; phi's if ``None``.
        answer_ids: Token ids of 'Yes' and 'No': the score is read off phi's own LM head (causal phi). ``None``: off a
            small two-way head on the branch's last state and e_c.
        description_prefix: Text before every task description, for a psi with an encoder of its own that was trained
            with one (``"query: "``).
        max_description_tokens: Token budget of a task description, for a psi with an encoder of its own.
        max_instruction_tokens: Token budget of the instruction, special tokens included.
        head_share: Share of that budget given to the head of a long instruction; the rest keeps its tail.
        statement_features: Numbers that stand beside each task description.
        overall_features: Numbers that say how able the model is as a whole.
        reference_tasks: Tasks whose expected accuracies stand beside e_c, for the network to look up by instruction;
            those of the catalogue if not given. None: e_c alone, as in the paper.
        lookups: Mixtures of reference tasks that are looked up for an instruction.
        capability_width: Width of psi's output.
        scale: Calibration: the logit is multiplied by this.
        shift: Calibration: and this is added. P = sigmoid(scale * logit + shift).

    Raises:
        ConfigurationError: Values contradict each other, or no network can have them.
    """

    model_type = "modelsat"
    sub_configs = {"phi_config": AutoConfig, "psi_config": AutoConfig}  # noqa: RUF012

    phi_config: Any = None
    psi_config: Any = None
    causal: bool = False
    order: Order = "instruction_first"
    inquiry_prompt: str = PAPER_INQUIRY
    inquiry_ids: Sequence[int] = ()
    inquiry_position: InquiryPosition = "own"
    entry_layer: int = 0
    read_layer: int | None = None
    feed_forward: Sequence[int] | None = None
    head_width: int | None = None
    answer_ids: Sequence[int] | None = None
    description_prefix: str = ""
    max_description_tokens: int = 128
    max_instruction_tokens: int = 192
    head_share: float = 0.67
    statement_features: int = FEATURES
    overall_features: int = OVERALL
    reference_tasks: Sequence[str] = ()
    lookups: int = 4
    capability_width: int = 384
    scale: float = 1.0
    shift: float = 0.0

    def __init__(self, **fields: Any) -> None:
        if fields.get("reference_tasks") is None:
            fields["reference_tasks"] = _default_tasks()
        for name in _FIELDS:
            value = fields.pop(name, getattr(type(self), name))
            setattr(self, name, list(value) if isinstance(value, (list, tuple)) else value)
        self.phi_config, self.psi_config = _as_config(self.phi_config), _as_config(self.psi_config)
        self._check()
        super().__init__(**fields)

    def _check(self) -> None:
        first, shared = self.order == "instruction_first", self.inquiry_position == "shared"
        if self.order not in ("instruction_first", "capability_first"):
            raise ConfigurationError(f"order must be 'instruction_first' or 'capability_first', not {self.order!r}")
        if self.inquiry_position not in ("own", "shared"):
            raise ConfigurationError(f"inquiry_position must be 'own' or 'shared', not {self.inquiry_position!r}")
        if shared and (len(self.inquiry_ids) > 1 or not first):
            raise ConfigurationError(
                "inquiry_position: shared is for an inquiry of one token and order: instruction_first"
            )
        for name in BUDGETS:
            check_budget(name, getattr(self, name))
        if self.answer_ids is not None and not self.causal:
            raise ConfigurationError("answer_ids need the LM head of a causal phi")
        self._check_layers(first and self.answer_ids is None, shared)
        check_widths(None if self.causal else self.phi_config, self.feed_forward, self.head_width)

    def _check_layers(self, plain: bool, shared: bool) -> None:
        """Refuse layers that phi lacks, or that only a network of another kind has."""
        entry, read = self.entry_layer, self.read_layer
        layers = None if self.phi_config is None else _layers(self.phi_config)
        if entry and not (plain and shared):
            raise ConfigurationError(
                "entry_layer is for order: instruction_first, inquiry_position: shared and the small head"
            )
        if layers is not None and not 0 <= entry < layers:
            raise ConfigurationError(f"entry_layer must leave candidates a layer of phi's {layers}, not {entry}")
        if read is None:
            return
        if not plain:
            raise ConfigurationError("read_layer is for order: instruction_first and the small head")
        most = read if layers is None else layers
        if not entry <= read <= most:
            raise ConfigurationError(
                f"read_layer must be entry_layer ({entry}) to all of phi's layers ({most}), not {read}"
            )

    @property
    def branch(self) -> int:
        """Positions of a candidate: e_c and the inquiry behind it, or both in one."""
        return 1 if self.inquiry_position == "shared" else 1 + len(self.inquiry_ids)


_FIELDS = tuple(ModelSATConfig.__annotations__)


def check_widths(
    bert: PreTrainedConfig | None, feed_forward: Sequence[int] | None, head_width: int | None = None
) -> None:
    """Refuse widths that no network can have; ``bert`` is ``None`` where phi is not BERT-like.

    Raises:
        ConfigurationError: Naming the width.
    """
    if head_width is not None and head_width < 1:
        raise ConfigurationError(f"head_width must be positive, not {head_width}")
    if feed_forward is None:
        return
    if bert is None:
        raise ConfigurationError("feed_forward is for a BERT-like phi")
    if len(feed_forward) != _layers(bert) or min(feed_forward) < 1:
        raise ConfigurationError(
            f"feed_forward gives each of phi's {_layers(bert)} layers a positive width, not {list(feed_forward)}"
        )


def _layers(config: PreTrainedConfig) -> int:
    return int(config.num_hidden_layers)


def _as_config(value: PreTrainedConfig | dict[str, Any] | None) -> PreTrainedConfig | None:
    if not isinstance(value, dict):
        return value
    fields = dict(value)
    return AutoConfig.for_model(fields.pop("model_type"), **fields)
