"""Modules that lie beside the proxy's configuration: a scorer that misbehaves on demand, keys, a log of payloads."""

SCORER = '''
import time
from dataclasses import replace

import numpy as np

from modelsat.errors import CheckpointError, ScorerUnavailableError
from modelsat.storage.checkpoint import SHIPPED
from modelsat.inference import load_scorer


class Scripted:
    """The default weights; a text that says so makes a call hang, raise or return NaN."""

    def __init__(self):
        self._scorer = load_scorer(SHIPPED)
        self.version = self._scorer.version

    def score(self, texts, profiles):
        text = " ".join(texts)
        if "please hang" in text:
            time.sleep(1.0)
        if "please raise" in text:
            raise RuntimeError("scripted")
        if "please be away" in text:
            raise ScorerUnavailableError("scripted")
        if "please lack weights" in text:
            raise CheckpointError("scripted")
        if "please exit" in text:
            raise SystemExit(3)
        scores = self._scorer.score(texts, profiles)
        return replace(scores, p=np.full_like(scores.p, np.nan)) if "please be nan" in text else scores


scorer = Scripted()
'''

AUTHENTICATION = """
from litellm.proxy import proxy_server
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.auth.auth_checks import can_key_call_model

KEYS = {"MASTER": [], "sk-only-small-1f9c2b7d": ["small"], "sk-only-ladder-7c3e5a1b": ["ladder", "placed"]}


async def authenticate(request, api_key):
    # Keys without a database, held to LiteLLM's own check of what a key may call.
    if api_key not in KEYS:
        raise Exception("unknown key")
    tenant = {"tenant": "eu-bank"} if "ladder" in api_key else {}
    key = UserAPIKeyAuth(api_key=api_key, models=KEYS[api_key], metadata=tenant)
    if request.method == "POST" and key.models:
        model = (await request.json())["model"]
        await can_key_call_model(model, proxy_server.llm_model_list, key, proxy_server.llm_router)
    return key
"""

PAYLOADS = """
import json
import pathlib

from litellm.integrations.custom_logger import CustomLogger

FILE = pathlib.Path(__file__).with_name("payloads.jsonl")


class Payloads(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        payload = kwargs["standard_logging_object"]
        kept = {"model_group": payload["model_group"], "model_id": payload["model_id"], "id": payload["trace_id"]}
        kept["messages"] = payload["messages"]
        for name in ("routing_decision", "spend_logs_metadata"):
            kept[name] = payload["metadata"].get(name)
        with FILE.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(kept, default=str) + "\\n")


payloads = Payloads()
"""
