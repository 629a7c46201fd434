"""Settings of a training run, in transformers' conventions."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments

from modelsat.errors import ConfigurationError
from modelsat.lab.training.losses import LossWeights


@dataclass
class CapabilityTrainingArguments(TrainingArguments):
    """``transformers.TrainingArguments`` with what capability instruction tuning adds.

    ``per_device_train_batch_size`` counts prompts of a step; ``learning_rate`` is that of phi.

    Raises:
        ConfigurationError: Values that contradict each other.
    """

    per_device_train_batch_size: int = field(default=32, metadata={"help": "Prompts of a step."})
    capability_learning_rate: float = field(
        default=6e-4, metadata={"help": "Learning rate of psi's pooling, the connector W and the head."}
    )
    trains: str = field(
        default="all",
        metadata={"help": "'all', or 'connector': psi's pooling, W and the head only (stage 1 of the paper)."},
    )
    freeze_embeddings: bool = field(default=True, metadata={"help": "Leave phi's token embeddings as they are."})
    psi_gradient: bool = field(
        default=False, metadata={"help": "Let the gradient reach psi's text encoder; else they are embedded again."}
    )
    refresh_steps: int = field(default=60, metadata={"help": "Steps between two embeddings of the task descriptions."})
    likelihood_weight: float = field(default=1.0, metadata={"help": "Weight of the Bernoulli likelihood."})
    per_model_weight: float = field(default=0.1, metadata={"help": "Weight of loss 5 (instructions for a model)."})
    per_instruction_weight: float = field(
        default=0.1, metadata={"help": "Weight of the contrast among models for an instruction."}
    )
    distinguishing: float = field(
        default=0.0, metadata={"help": "Exponent of 4p(1-p) in an item's weight, p the share of models that pass."}
    )
    stronger_models: float = field(
        default=0.0, metadata={"help": "Exponent of a model's mean score in the odds of being drawn."}
    )
    teacher_weight: float = field(
        default=0.0, metadata={"help": "Share of a teacher's probability in the target, 0..1."}
    )
    max_candidates: int = field(default=20, metadata={"help": "Models drawn a step."})
    shots: tuple[int, ...] = field(
        default=(5, 10, 20, 20, 20), metadata={"help": "Items a core task of a drawn profile, one drawn at random."}
    )
    token_noise: float = field(
        default=0.0, metadata={"help": "Share of instruction tokens hidden behind the inquiry's first token, 0..1."}
    )
    subsample_statements: bool = field(default=True, metadata={"help": "Draw any number of statements, in any order."})
    statement_noise: bool = field(default=True, metadata={"help": "Redraw figures with their binomial error."})
    use_cpu: bool = field(default=False)
    remove_unused_columns: bool = False
    dataloader_num_workers: int = 0
    report_to: str | list[str] | None = "none"
    label_names: list[str] | None = field(default_factory=lambda: ["labels"])

    def __post_init__(self) -> None:
        if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
            self.use_cpu = True
        super().__post_init__()  # type: ignore[no-untyped-call]
        if self.trains not in ("all", "connector"):
            raise ConfigurationError(f"trains must be 'all' or 'connector', not {self.trains!r}")
        if not 0.0 <= self.teacher_weight <= 1.0:
            raise ConfigurationError(f"teacher_weight must lie in 0..1, not {self.teacher_weight}")
        if not (self.likelihood_weight or self.per_model_weight or self.per_instruction_weight):
            raise ConfigurationError("all three loss weights are 0: nothing would be learnt")
        self.shots = tuple(self.shots)
        if min(self.max_candidates, self.refresh_steps, *self.shots, len(self.shots)) < 1:
            raise ConfigurationError("max_candidates, refresh_steps and shots must be at least 1")
        exponents = (self.distinguishing, self.stronger_models)
        if min(*exponents, self.likelihood_weight, self.per_model_weight, self.per_instruction_weight) < 0:
            raise ConfigurationError("loss weights, distinguishing and stronger_models must not be negative")

    @property
    def terms(self) -> LossWeights:
        """Weights of the loss terms."""
        return LossWeights(self.likelihood_weight, self.per_model_weight, self.per_instruction_weight)


def fast_bfloat16() -> bool:
    """Whether bfloat16 is quick here: a GPU that knows it, or a processor with instructions for it.

    Other processors emulate it, many times slower than float32.
    """
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
