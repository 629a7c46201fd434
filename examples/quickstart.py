"""Three models behind one chat model. Runs offline: python examples/quickstart.py

By default three ChatOpenAI clients talk to a stand-in provider on the loopback interface, so that no API key is needed;
the decisions are real, made by the shipped weights. With OPENAI_API_KEY set, --live asks OpenAI.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from rich.console import Console
from rich.table import Table
from rich.text import Text

from langchain_modelsat import ModelSATRouter
from modelsat import ModelSATError

MODELS = ("gpt-5.6-sol", "gpt-5.6-luna", "qwen3.7-flash")
TARGET = 0.85
QUESTIONS = [
    "What is the capital of Australia?",
    "Prove that there are infinitely many primes.",
    "Show that every finite integral domain is a field, step by step.",
]


class StandIn(BaseHTTPRequestHandler):
    """Just enough of an OpenAI-compatible provider: every model says who it is."""

    def log_message(self, *args: object) -> None:
        """Keep the console clean."""

    def do_POST(self) -> None:
        """Answer one chat completion."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = {"role": "assistant", "content": f"({request['model']} answers here)"}
        usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = {"id": "1", "object": "chat.completion", "created": 0, "model": request["model"]}
        data = json.dumps({**body, "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def stand_in_provider() -> Iterator[str]:
    """Run the stand-in; yields its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


def show(models: dict[str, ChatOpenAI], console: Console) -> None:
    """Route the questions and print what was decided and said."""
    router = ModelSATRouter(models=models, policy=f"cheapest(target={TARGET})")
    prompt = ChatPromptTemplate.from_messages([("system", "Answer briefly."), ("user", "{question}")])
    chain = prompt | router | StrOutputParser()
    router.warmup()

    title = f"P(success) of every candidate; the cheapest that reaches {TARGET} answers"
    table = Table(title=title, title_justify="left")
    table.add_column("Question", ratio=1)
    for name in models:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("USD", justify="right", no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    for number, question in enumerate(QUESTIONS, 1):
        decision = (prompt | router.selector).invoke({"question": question})
        style = {decision.model: "bold green"}
        scores = [Text(f"{decision.scores[name]:.2f}", style.get(name, "")) for name in models]
        cost = f"{decision.costs[decision.model]:.4f}"
        table.add_row(f"{number}. {question}", *scores, cost, f"{decision.elapsed_ms:.1f}")
    console.print(table)
    for number, question in enumerate(QUESTIONS, 1):
        console.print(Text(f"{number}. ") + Text(chain.invoke({"question": question}), "cyan"))
    recorded = router.invoke(QUESTIONS[-1]).response_metadata["routing_decision"]
    console.print(Text(f"Every answer records its decision: {recorded['model']}, {recorded['reason']}.", "dim"))


def main() -> None:
    """Run offline, or with --live."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--live", action="store_true", help="ask OpenAI (needs OPENAI_API_KEY)")
    arguments = parser.parse_args()
    console = Console()
    try:
        if arguments.live:
            if not os.environ.get("OPENAI_API_KEY"):
                parser.error("--live needs OPENAI_API_KEY")
            show({name: ChatOpenAI(model=name) for name in MODELS}, console)
        else:
            with stand_in_provider() as url:
                given = {"base_url": url, "api_key": "none", "use_responses_api": False}
                show({name: ChatOpenAI(model=name, **given) for name in MODELS}, console)
    except ModelSATError as error:
        console.print(f"[red]{type(error).__name__}:[/] {error}")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
