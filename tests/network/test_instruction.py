"""Long instructions keep their head and their tail."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from modelsat.errors import ConfigurationError
from modelsat.network.instruction import InstructionTokenizer, tokenizer_of


@pytest.fixture
def tokenizer():
    vocabulary = {"[CLS]": 0, "[SEP]": 1, "[UNK]": 2, **{f"w{i}": i + 3 for i in range(200)}}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    return InstructionTokenizer(raw, max_tokens=12, head_share=0.6)


def words(*numbers):
    return " ".join(f"w{number}" for number in numbers)


def test_short_text_is_untouched(tokenizer):
    assert tokenizer.ids([words(1, 2, 3)]) == [[0, 4, 5, 6, 1]]


def test_head_and_tail_are_kept(tokenizer):
    (ids,) = tokenizer.ids([words(*range(100))])
    assert ids == [0, *range(3, 9), *range(99, 103), 1]
    assert len(ids) == 12


def test_batch_is_right_padded(tokenizer):
    batch = tokenizer([words(1), words(1, 2, 3)])
    assert batch.input_ids.tolist() == [[0, 4, 1, 0, 0], [0, 4, 5, 6, 1]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


@pytest.mark.parametrize("joint", [" ", "\n\n", "", "\u6f22", "a" * 60, " " * 60])
def test_a_tokenizer_of_words_reads_no_more_than_it_keeps(joint):
    vocabulary = {"[UNK]": 0, **{f"w{i}": i + 1 for i in range(200)}}
    raw = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    raw.normalizer, raw.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer = InstructionTokenizer(raw, max_tokens=12, head_share=0.6)
    for text in (joint.join([words(*range(n)), words(*range(n, 80))]) for n in range(0, 80, 7)):
        ids = raw.encode(text, add_special_tokens=False).ids
        assert tokenizer.ids([text]) == [[*ids[:7], *ids[-5:]]]


def test_a_megabyte_is_cut_before_it_is_tokenised(tokenizer):
    text = f"{words(5)} " + "w7 " * 400_000 + words(9)
    began = time.perf_counter()
    (ids,) = tokenizer.ids([text])
    assert ids[1] == 8
    assert ids[-2] == 12
    assert time.perf_counter() - began < 5


def test_empty_text_is_special_tokens_only(tokenizer):
    assert tokenizer.ids([""]) == [[0, 1]]


def test_the_names_of_special_tokens_in_a_text_are_text():
    vocabulary = {"[CLS]": 0, "[SEP]": 1, "[MASK]": 2, "[": 3, "]": 4, "MASK": 5, "SEP": 6, "[UNK]": 7}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.add_special_tokens(["[CLS]", "[SEP]", "[MASK]"])
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    assert raw.encode("[MASK]", add_special_tokens=False).ids == [2]
    tokenizer = InstructionTokenizer(raw, max_tokens=12, head_share=0.6)
    assert tokenizer.ids(["[MASK] [SEP]"]) == [[0, 3, 5, 4, 3, 6, 4, 1]]


@pytest.mark.parametrize("budget", [-5, 0, 2])
def test_a_budget_without_room_is_refused(tokenizer, budget):
    with pytest.raises(ConfigurationError, match="no room"):
        InstructionTokenizer(tokenizer.raw, max_tokens=budget, head_share=0.6)


@pytest.mark.parametrize("tokens", [-5, 0, "x", None, True, 1.5])
def test_budgets_that_are_none_are_refused_when_read(tokens: Any) -> None:
    pytest.importorskip("transformers", reason="needs torch and transformers")
    from modelsat.network.config import ModelSATConfig

    with pytest.raises(ConfigurationError, match="max_instruction_tokens must be a whole number"):
        ModelSATConfig(max_instruction_tokens=tokens)
    config = {"max_instruction_tokens": tokens, "head_share": 0.5, "phi_config": {}}
    with pytest.raises(ConfigurationError, match="max_instruction_tokens must be a whole number"):
        tokenizer_of(config, b"{}")
