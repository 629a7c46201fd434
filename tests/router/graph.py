"""A graph whose state holds a decision, read back from each checkpointer; also run by itself."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from typing import Any, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from modelsat.router import Failure, Router, RoutingDecision

ROUTER = Router(["gpt-4o-mini", "gpt-4o", "o3"], constraints={"deny_models": ["o3"]}, fallback="gpt-4o")


class State(TypedDict, total=False):
    """The question and who answers it."""

    question: str
    decision: RoutingDecision


def decide(state: State) -> State:
    """Route the question; with a failure besides, so that every field is used."""
    failed = Failure("ScoringError", "for the sake of it")
    return {"decision": ROUTER.route(state["question"]).model_copy(update={"failure": failed})}


def savers(file: str, address: str | None = None) -> Iterator[Any]:
    """The checkpointers: in memory, SQLite in a file and, given its address, PostgreSQL."""
    yield InMemorySaver()
    yield SqliteSaver(sqlite3.connect(file, check_same_thread=False))
    if address is not None:
        from langgraph.checkpoint.postgres import PostgresSaver

        with PostgresSaver.from_conn_string(address) as saver:
            saver.setup()
            yield saver


def kept(*addresses: str) -> dict[str, Any]:
    """By checkpointer, what a thread holds of a decision: ``"same"``, or what is there instead."""
    found = {}
    for saver in savers(*addresses):
        graph = StateGraph(State)
        graph.add_node("decide", decide)
        graph.add_edge(START, "decide")
        graph.add_edge("decide", END)
        app = graph.compile(checkpointer=saver)
        thread: Any = {"configurable": {"thread_id": "1"}}
        decided = app.invoke({"question": "hi"}, thread)["decision"]
        back = app.get_state(thread).values["decision"]
        same = isinstance(back, RoutingDecision) and back == decided and back.excluded["o3"].forbidden
        found[type(saver).__name__] = "same" if same else back
    return found


if __name__ == "__main__":
    sys.stdout.write(f"{kept(*sys.argv[1:])}\n")
