"""What part of a conversation to score: constructions made of logged questions, measured against their outcomes.

    python benchmarks/conversations.py [--items 40] [--data DIR] [--weights NAME]

Each construction hides one question, whose outcomes are known, in a conversation: before a short follow-up, split over
turns, behind tool results, after another topic. An extractor is good if what it returns is scored as the bare question
is: the error is the mean of |P(conversation) - P(question)| over prompts and models. AUC is that of the probabilities
against the outcomes of the question, mean over models; the first row has the bare question.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))
import outcomes as oc

from modelsat.inference import load_scorer
from modelsat.lab.evaluation.metrics import mean_auc
from modelsat.request.conversation import Extractor, last_user_turn_with_tail
from modelsat.request.envelopes import DEFAULT_READER
from modelsat.request.messages import Turn

DATASETS = ("gsm8k", "math_l5", "crux")
SHORT = 120
REPLY = (
    "Let me go through this step by step. First I restate what is given and what has to be found. Step 1: set up the "
    "quantities. Step 2: relate them to each other. Step 3: work towards the result, and check it at the end."
)
FOLLOW_UPS = {
    "yes": ["yes", "ok", "Yes please.", "sure, do it"],
    "continue": ["continue", "go on", "next", "Please keep going."],
    "fix it": ["fix it", "that is wrong, try again", "No, that's not right.", "check it again"],
    "explain step 2": ["explain step 2", "why?", "Can you explain the second step?", "how did you get that?"],
    "in another form": ["shorter please", "now in French", "just give me the final answer", "Put this in a table."],
}
REMINDER = "<system-reminder>The list of tasks is empty. Do not mention this to the user.</system-reminder>"
TOOL_OUTPUT = "total 48\n" + "\n".join(f"-rw-r--r-- 1 user user {n * 137} notes_{n}.txt" for n in range(30))

Messages = list[dict[str, str]]
Build = Callable[[str, str, random.Random], Messages]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def tool(text: str) -> dict[str, str]:
    return {"role": "tool", "content": text, "tool_call_id": "1"}


def halves(text: str) -> tuple[str, str]:
    """``text`` cut between two words near its middle."""
    at = text.find(" ", len(text) // 2)
    return (text[:at], text[at + 1 :]) if at > 0 else (text, "")


def follow_up(kind: str) -> Build:
    return lambda need, other, rng: [user(need), assistant(REPLY), user(rng.choice(FOLLOW_UPS[kind]))]


def twice(need: str, other: str, rng: random.Random) -> Messages:
    return [user(need), assistant(REPLY), user("go on"), assistant(REPLY), user(rng.choice(FOLLOW_UPS["yes"]))]


def split(need: str, other: str, rng: random.Random) -> Messages:
    first, second = halves(need)
    return [user(first), assistant("Go on, I am listening."), user(second)]


def announced(need: str, other: str, rng: random.Random) -> Messages:
    return [user("Hi! I need help with a question."), assistant("Of course. What is it?"), user(need)]


def tools_between(need: str, other: str, rng: random.Random) -> Messages:
    return [user(need), assistant("I look at the files first."), tool(TOOL_OUTPUT), user(f"{REMINDER}\ncontinue")]


def tools_last(need: str, other: str, rng: random.Random) -> Messages:
    return [user(need), assistant("I look at the files first."), tool(TOOL_OUTPUT), user(REMINDER)]


def reminded(need: str, other: str, rng: random.Random) -> Messages:
    return [user(f"{REMINDER}\n{need}\n{REMINDER}")]


def proposed(need: str, other: str, rng: random.Random) -> Messages:
    offer = f"Of course. Shall I answer this one? {need}"
    return [user("Hi, can you help me with my homework?"), assistant(offer), user(rng.choice(FOLLOW_UPS["yes"]))]


def switched(need: str, other: str, rng: random.Random) -> Messages:
    return [user(other), assistant(REPLY), user(need)]


def switched_back(need: str, other: str, rng: random.Random) -> Messages:
    return [user(other), assistant(REPLY), user(need), assistant(REPLY), user(rng.choice(FOLLOW_UPS["continue"]))]


CONSTRUCTIONS: dict[str, Build] = {
    "the bare question": lambda need, other, rng: [user(need)],
    "after a greeting": announced,
    **{f'then "{kind}"': follow_up(kind) for kind in FOLLOW_UPS},
    "two short turns after it": twice,
    "split over two turns": split,
    'proposed by the assistant, then "yes"': proposed,
    'tool results, then "continue"': tools_between,
    "tool results and a reminder last": tools_last,
    "wrapped in reminders": reminded,
    "after another topic": switched,
    "after another topic (short question)": switched,
    'after another topic, then "continue"': switched_back,
    'after another topic, then "continue" (short question)': switched_back,
}


def last_turn(turns: Sequence[Turn]) -> str:
    said = [turn.text for turn in turns if turn.role == "user"]
    return next((text for text in reversed(said) if text.strip()), turns[-1].text)


def all_user_turns(turns: Sequence[Turn]) -> str:
    return "\n\n".join(text for turn in turns if turn.role == "user" and (text := turn.text).strip())


def everything(turns: Sequence[Turn]) -> str:
    return "\n\n".join(text for turn in turns for text in (*turn.background, turn.text) if text.strip())


EXTRACTORS: dict[str, Extractor] = {
    "last turn": last_turn,
    "all user turns": all_user_turns,
    "everything": everything,
    "modelsat": last_user_turn_with_tail,
}


class Scores:
    """P(success) by text, each text scored once."""

    def __init__(self, weights: str, bank: oc.ProfileBank, models: Sequence[str]) -> None:
        self._scorer = load_scorer(weights)
        self._profiles = [bank.profile(model) for model in models]
        self._known: dict[str, np.ndarray] = {}

    def fill(self, texts: Sequence[str], batch: int = 64) -> None:
        new = sorted({text for text in texts if text not in self._known}, key=len)
        for start in track(range(0, len(new), batch), "scoring", console=Console(stderr=True), transient=True):
            part = new[start : start + batch]
            self._known.update(zip(part, self._scorer.score(part, self._profiles).p, strict=True))

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self._known[text] for text in texts])


def questions(items: oc.Outcomes, per_dataset: int, rng: random.Random, *, short: bool) -> np.ndarray:
    """Positions of test prompts, as many of each data set; short ones only where a topic is to be short."""
    lengths = items.items.prompt.str.len().to_numpy()
    chosen: list[int] = []
    for dataset in DATASETS:
        rows = items.rows(dataset, "test")
        rows = rows[(lengths[rows] < SHORT) == short]
        chosen += sorted(rng.sample(rows.tolist(), min(per_dataset, len(rows))))
    return np.array(chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=40, help="questions of each data set")
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--weights", default="modelsat-nano")
    arguments = parser.parse_args()
    items = oc.load(arguments.data)
    rng = random.Random(0)
    rows = {short: questions(items, arguments.items, rng, short=short) for short in (False, True)}
    columns = np.intersect1d(items.columns(rows[False], 0.99), items.columns(rows[True], 0.99))
    models = [items.models[column] for column in columns]
    scores = Scores(arguments.weights, oc.ProfileBank(items, arguments.data), models)
    prompts = items.items.prompt.to_numpy()
    others = [str(prompts[row]) for row in rng.sample(rows[False].tolist(), len(rows[False]))]
    texts: dict[tuple[str, str], list[str]] = {}
    needs: dict[str, np.ndarray] = {}
    for construction, build in CONSTRUCTIONS.items():
        used = needs[construction] = rows[construction.endswith("(short question)")]
        built = [
            DEFAULT_READER.turns(build(str(prompts[row]), other, rng))
            for row, other in zip(used, _others(others, prompts, used), strict=True)
        ]
        for name, extract in EXTRACTORS.items():
            texts[construction, name] = [extract(turns) for turns in built]
    bare = {short: [str(prompts[row]) for row in part] for short, part in rows.items()}
    scores.fill([text for part in [*texts.values(), *bare.values()] for text in part])
    table = Table(title=f"error of P(success) / AUC; {len(rows[False])} questions, {len(models)} models")
    table.add_column("construction")
    for name in EXTRACTORS:
        table.add_column(name, justify="right")
    for construction, used in needs.items():
        reference = scores([str(prompts[row]) for row in used])
        y = items.scores[np.ix_(used, columns)]
        cells = []
        for name in EXTRACTORS:
            p = scores(texts[construction, name])
            cells.append(f"{np.abs(p - reference).mean():.3f} / {mean_auc(p, y):.3f}")
        table.add_row(construction, *cells)
    Console(width=140).print(table)
    long = DEFAULT_READER.turns(twice(bare[False][0], "", rng) * 20)
    started = time.perf_counter()
    for _ in range(200):
        last_user_turn_with_tail(long)
    print(f"time of the extractor on {len(long)} turns: {(time.perf_counter() - started) / 200 * 1e6:.0f} microseconds")


def _others(others: Sequence[str], prompts: np.ndarray, used: np.ndarray) -> list[str]:
    """Another question for each, never the same one."""
    paired = [others[n % len(others)] for n in range(len(used))]
    return [
        others[(n + 1) % len(others)] if text == prompts[row] else text
        for n, (row, text) in enumerate(zip(used, paired, strict=True))
    ]


if __name__ == "__main__":
    main()
