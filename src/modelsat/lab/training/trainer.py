"""Capability instruction tuning on ``transformers.Trainer``, which brings checkpoints, resume and launchers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import Trainer

from modelsat.errors import ConfigurationError
from modelsat.lab.training.arguments import CapabilityTrainingArguments
from modelsat.lab.training.batches import Batch, CapabilityBatches, descriptions_of
from modelsat.lab.training.corpus import Corpus
from modelsat.lab.training.frozen import FrozenStates
from modelsat.lab.training.losses import objective
from modelsat.lab.training.validation import embed_texts, validate
from modelsat.network.instruction import InstructionTokenizer
from modelsat.network.model import ModelSATModel

TEXTS_FILE = "descriptions.safetensors"
"""Part of a checkpoint: the embeddings of task descriptions in use, and the step they were made at."""


class CapabilityInstructionTrainer(Trainer):
    """Trains a :class:`~modelsat.network.model.ModelSATModel` on logged outcomes.

    Validation reports on every group and, apart, on models left out of training; ``eval_loss`` is the mean Brier
    score over these parts, so ``metric_for_best_model="eval_loss"`` keeps the checkpoint that is best at both.

    Args:
        model: The network.
        tokenizer: Tokenises instructions and task descriptions.
        corpus: Outcomes, split, profiles; checked before anything else.
        args: Settings.
        frozen: States behind the network's frozen layers; computed again at every step if ``None``.
        **kwargs: Further arguments of ``transformers.Trainer``.

    Raises:
        OutcomesError: See :meth:`~modelsat.lab.training.corpus.Corpus.check`.
        ConfigurationError: ``token_noise`` would change states at every step.
    """

    args: CapabilityTrainingArguments

    def __init__(
        self,
        model: ModelSATModel,
        tokenizer: InstructionTokenizer,
        corpus: Corpus,
        args: CapabilityTrainingArguments,
        *,
        frozen: FrozenStates | None = None,
        **kwargs: Any,
    ) -> None:
        corpus.check()
        self.corpus, self.tokenizer = corpus, tokenizer
        self.prompt_ids = tokenizer.ids(corpus.table.prompts.tolist())
        self.descriptions = descriptions_of(corpus)
        self._texts: Tensor | None = None
        self._embedded_at = -1
        _freeze(model, args)
        if args.device.type == "cpu":  # the fused backward takes twice as long there as plain matrix products
            model.phi.set_attn_implementation("eager")
        pad_id = int(model.config.phi_config.pad_token_id or 0)
        batches = CapabilityBatches(
            corpus,
            self.prompt_ids,
            args,
            pad_id,
            self.descriptions,
            noise_id=model.config.inquiry_ids[0],
            tasks=model.config.reference_tasks,
        )
        super().__init__(model=model, args=args, train_dataset=batches, eval_dataset=batches, **kwargs)
        if frozen is not None and args.token_noise:
            raise ConfigurationError("frozen_states keeps one state a prompt: set token_noise to 0, or leave it out")
        self._frozen = frozen
        self.model_accepts_loss_kwargs = False

    def get_train_dataloader(self) -> DataLoader[Batch]:
        """Elements of the data set are whole batches."""
        loader: DataLoader[Batch] = DataLoader(
            self.train_dataset,  # type: ignore[arg-type]
            batch_size=1,
            collate_fn=_only,
            num_workers=self.args.dataloader_num_workers,
        )
        return self.accelerator.prepare(loader)  # type: ignore[no-any-return]

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW with a larger learning rate for psi, W and the head (second stage of the paper).

        A text encoder that psi shares with phi counts as phi; one of its own learns with psi.
        """
        if self.optimizer is None:
            network: ModelSATModel = self.accelerator.unwrap_model(self.model)
            named = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
            phi = [p for n, p in named if n.startswith("phi.")]
            new = [p for n, p in named if not n.startswith("phi.")]
            groups = [{"params": new, "lr": self.args.capability_learning_rate}]
            groups += [{"params": phi, "lr": self.args.learning_rate}] if phi else []
            self.optimizer = torch.optim.AdamW(
                groups,
                betas=(self.args.adam_beta1, self.args.adam_beta2),
                eps=self.args.adam_epsilon,
                weight_decay=self.args.weight_decay,
                fused=True,
            )
        return self.optimizer

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The objective of :func:`~modelsat.lab.training.losses.objective` on one batch."""
        labels, targets, weights = (inputs.pop(name) for name in ("labels", "targets", "weights"))
        index, rows = inputs.pop("description_index"), inputs.pop("rows")
        states = None
        if self._frozen is not None:
            with self.accelerator.autocast():
                states = self._frozen.of(rows.tolist(), inputs["input_ids"].shape[1])
        logits = model(**inputs, descriptions=self._embed(index), states=states).float()
        loss = objective(logits, labels, targets, weights, self.args.terms)
        return (loss, logits) if return_outputs else loss

    def evaluate(self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval") -> Any:
        """Metrics on the validation prompts, see :func:`~modelsat.lab.training.validation.validate`."""
        network = self.accelerator.unwrap_model(self.model)
        with self.accelerator.autocast():
            report = validate(network, self.tokenizer, self.corpus, self.prompt_ids, self._frozen)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in report.items()}
        metrics["epoch"] = self.state.epoch or 0.0
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """Train; a resumed run goes on with the embeddings of task descriptions that the interrupted one had."""
        if isinstance(resume_from_checkpoint, str | os.PathLike):
            texts = Path(resume_from_checkpoint) / TEXTS_FILE
            if texts.is_file():
                stored = load_file(texts)
                self._texts, self._embedded_at = stored["texts"], int(stored["step"])
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the network and, in checkpoints, the embeddings of task descriptions in use."""
        super().save_model(output_dir, _internal_call)
        if _internal_call and output_dir is not None and self._texts is not None and self.args.should_save:
            texts = {"texts": self._texts.cpu().contiguous(), "step": torch.tensor(self._embedded_at)}
            save_file(texts, Path(output_dir) / TEXTS_FILE)

    def _embed(self, index: Tensor) -> Tensor:
        """Text embeddings of the descriptions at ``index`` (profiles, statements)."""
        if self.args.psi_gradient:
            used, place = index.unique(return_inverse=True)
            return self._encode([self.descriptions[position] for position in used.tolist()])[place]
        step = self.state.global_step
        changes = self.accelerator.unwrap_model(self.model).psi is None  # psi's own encoder is frozen here
        if self._texts is None or (changes and step % self.args.refresh_steps == 0 and step != self._embedded_at):
            with torch.no_grad():
                self._texts, self._embedded_at = self._encode(self.descriptions), step
        self._texts = self._texts.to(index.device)
        return self._texts[index]

    def _encode(self, texts: list[str]) -> Tensor:
        return embed_texts(self.accelerator.unwrap_model(self.model), self.tokenizer, texts)


def _freeze(model: ModelSATModel, args: CapabilityTrainingArguments) -> None:
    if args.freeze_embeddings or model.frozen_layers:
        model.phi.get_input_embeddings().weight.requires_grad_(False)
    if model.psi is not None and not args.psi_gradient:
        model.psi.requires_grad_(False)
    if args.trains == "connector":
        for encoder in (model.phi, model.psi):
            if encoder is not None:
                encoder.requires_grad_(False)


def _only(batch: list[Batch]) -> Batch:
    return batch[0]
