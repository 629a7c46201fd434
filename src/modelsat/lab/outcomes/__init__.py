"""Logged outcomes of models on items: reading, checking, splitting by question text, and profiles made from them."""

from modelsat.lab.outcomes.table import OutcomeTable, Split, question_key, read_outcomes, split_by_question

__all__ = ["OutcomeTable", "Split", "question_key", "read_outcomes", "split_by_question"]
