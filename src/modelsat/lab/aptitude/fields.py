"""The fields that the core tasks belong to, as the data set files them."""

from __future__ import annotations

from functools import lru_cache

_FIELDS = {
    "biology": ("ori_mmlu-college_biology", "ori_mmlu-high_school_biology", "stemez-Biology", "stemez-Genetics"),
    "business": ("ori_mmlu-marketing", "stemez-Business", "theoremQA-Finance"),
    "chemistry": ("ori_mmlu-high_school_chemistry", "scibench-atkins", "stemez-Chemistry", "stemez-PhysicalChemistry"),
    "computer science": ("ori_mmlu-college_computer_science", "ori_mmlu-machine_learning", "theoremQA-EECS"),
    "economics": (
        "ori_mmlu-econometrics",
        "ori_mmlu-high_school_macroeconomics",
        "ori_mmlu-high_school_microeconomics",
        "stemez-Economics",
    ),
    "engineering": (
        "stemez-ElectricalMachines",
        "stemez-ElectronicCommunications",
        "stemez-Thermodynamics",
        "stemez-TransportPhenomena",
    ),
    "health": (
        "ori_mmlu-anatomy",
        "ori_mmlu-human_aging",
        "ori_mmlu-nutrition",
        "ori_mmlu-professional_medicine",
    ),
    "history": ("ori_mmlu-high_school_european_history", "ori_mmlu-high_school_us_history", "ori_mmlu-prehistory"),
    "law": ("ori_mmlu-international_law", "ori_mmlu-jurisprudence", "ori_mmlu-professional_law"),
    "math": (
        "ori_mmlu-elementary_mathematics",
        "ori_mmlu-high_school_mathematics",
        "ori_mmlu-high_school_statistics",
        "theoremQA-Math",
    ),
    "other": (
        "ori_mmlu-global_facts",
        "ori_mmlu-miscellaneous",
        "ori_mmlu-professional_accounting",
        "ori_mmlu-security_studies",
    ),
    "philosophy": ("ori_mmlu-formal_logic", "ori_mmlu-moral_disputes", "ori_mmlu-philosophy"),
    "physics": ("ori_mmlu-high_school_physics", "stemez-Optics", "stemez-Physics", "theoremQA-Physics"),
    "psychology": ("ori_mmlu-high_school_psychology", "ori_mmlu-professional_psychology", "stemez-Psychology"),
}


@lru_cache(maxsize=1)
def _by_task() -> dict[str, str]:
    return {task: field for field, tasks in _FIELDS.items() for task in tasks}


def field_of(task: str) -> str:
    """The field of a core task; any other task is a field of its own."""
    return _by_task().get(task, task)


def plain_name(task: str) -> str:
    """A core task's name without where its questions were taken from: ``"college biology"``."""
    for prefix in ("ori_mmlu-", "stemez-", "scibench-", "theoremQA-"):
        if task in _by_task() and task.startswith(prefix):
            return task.removeprefix(prefix).replace("_", " ")
    return task
