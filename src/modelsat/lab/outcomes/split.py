"""Splits by question text, never by row: one question can stand in several data sets."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelsat.errors import OutcomesError
from modelsat.lab.outcomes.table import OutcomeTable, Rows

TEST_SHARE = 0.15
VALIDATION_SHARE = 0.07
_BUCKETS = 100


def question_key(prompt: str) -> str:
    """Return the question without its options, case, spaces and punctuation: the unit that splits are made by."""
    return re.sub(r"[^\w]+", "", re.split(r"\nA[.)] ", prompt)[0].casefold())


def buckets(prompts: NDArray[np.object_], groups: NDArray[np.object_] | None = None) -> NDArray[np.intp]:
    """Hash the group of each prompt, or its question text if it has none, to 0..99, shape (items,).

    Args:
        prompts: Shape (items,).
        groups: Names of groups, empty for items that have none, shape (items,).
    """
    keys = (question_key(prompt) for prompt in prompts) if groups is None else map(_key, prompts, groups)
    hashed = (hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:8] for key in keys)
    return np.array([int(digits, 16) % _BUCKETS for digits in hashed], dtype=np.intp)


def _key(prompt: str, group: str) -> str:
    return group or question_key(prompt)


@dataclass(frozen=True)
class Split:
    """Rows that train, choose and test. No question text stands in two of them."""

    train: Rows
    validation: Rows
    test: Rows

    def within(self, rows: Rows) -> Split:
        """Return the split restricted to ``rows``."""
        return Split(*(np.intersect1d(part, rows) for part in (self.train, self.validation, self.test)))

    def check(self, table: OutcomeTable) -> None:
        """Refuse a split that is empty somewhere or shares a question.

        Raises:
            OutcomesError: Naming the part or the items.
        """
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        for name, rows in parts.items():
            if not len(rows):
                raise OutcomesError(f"the {name} part of the split is empty: give more items, or another share")
        seen: dict[str, str] = {}
        for name, rows in parts.items():
            for row in rows:
                other = seen.setdefault(question_key(table.prompts[row]), name)
                if other != name:
                    raise OutcomesError(
                        f"item {table.item_ids[row]!r} of the {name} part asks a question that also stands in the "
                        f"{other} part: split by question text (split_by_question), never by row"
                    )


def split_by_question(table: OutcomeTable, test: float = TEST_SHARE, validation: float = VALIDATION_SHARE) -> Split:
    """Split by a hash of the question text: the same question falls on the same side in every data set and every run.

    Items that belong to a group (:attr:`OutcomeTable.groups`) fall on the side of their group.

    Args:
        table: Items.
        test: Share of questions that test, 0..1.
        validation: Share that chooses checkpoints, k and the calibration, 0..1.

    Raises:
        OutcomesError: The shares leave nothing to train on.
    """
    if not (test > 0 and validation > 0 and test + validation < 1):
        raise OutcomesError(f"test={test} and validation={validation} must be positive and add to less than 1")
    bucket = buckets(table.prompts, table.groups)
    first, second = round(test * _BUCKETS), round((test + validation) * _BUCKETS)
    return Split(
        train=np.flatnonzero(bucket >= second),
        validation=np.flatnonzero((bucket >= first) & (bucket < second)),
        test=np.flatnonzero(bucket < first),
    )
