"""The tables of a feedback store in SQLite, and how a file of an older version is brought up to date.

``hours`` and ``tallies`` hold sums by the hour, which triggers keep as decisions and feedback are written: what a page
shows of a million decisions is added up from some thousand rows. They stay when old decisions are dropped. Of tallies,
exclusions alone are counted by model.
"""

from __future__ import annotations

import sqlite3

APPLICATION = 0x4D534154
"""Marks the file as ours ("MSAT"), in SQLite's own field for that."""
FORMAT = 2
"""Version of the tables."""
COLUMNS = (
    *("id", "time", "model", "probability", "network", "field", "policy", "explored", "weights", "profile", "prompt"),
    *("thread", "request_group", "costs", "excluded", "target_met", "fallback", "elapsed_ms", "arm", "routed"),
)
"""What a record is read back from, in order."""
DERIVED = ("p", "best_p", "cheapest_p", "routed_p", "cost", "best_cost", "cheapest_cost", "routed_cost")
"""Columns that are computed from a record when it is written: the network's P(success) and the expected cost, in USD,
of the candidate that answered, of the one with the highest P(success), of the cheapest, and of the router's choice."""
LATENCIES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Upper bounds of the classes that times are counted in, in milliseconds."""
KEYS = ("hour", "policy", "request_group", "model")
SUMS = (
    *("decisions", "fallbacks", "explored", "priced", "cost", "best_cost", "cheapest_cost"),
    *("scored", "p", "best_p", "cheapest_p", "targets", "targets_met", "feedback", "score", "expected"),
)
"""Columns of ``hours`` that add up."""

_BY = "CAST(d.time / 3600 AS INTEGER) AS hour, d.policy AS policy, d.request_group AS request_group"
_PRICED = "d.cost IS NOT NULL AND d.best_cost IS NOT NULL AND d.cheapest_cost IS NOT NULL"


def _where(condition: str, value: str) -> str:
    return f"CASE WHEN {condition} THEN {value} ELSE 0 END"


AS_HOURS = (
    f"SELECT {_BY}, d.model AS model, 1 AS decisions, d.fallback AS fallbacks, d.explored AS explored, "
    + ", ".join(
        f"{_where(_PRICED, value)} AS {name}"
        for name, value in {"priced": "1", "cost": "d.cost", "best_cost": "d.best_cost"}.items()
    )
    + f", {_where(_PRICED, 'd.cheapest_cost')} AS cheapest_cost, d.p IS NOT NULL AS scored, "
    "ifnull(d.p, 0) AS p, ifnull(d.best_p, 0) AS best_p, ifnull(d.cheapest_p, 0) AS cheapest_p, "
    "d.target_met IS NOT NULL AS targets, ifnull(d.target_met, 0) AS targets_met, "
)
"""A decision ``d`` as a row of ``hours``, but for its feedback."""
LATENCY_OF = f"SELECT {_BY}, '' AS model, 'latency' AS what, " + (  # noqa: S608
    "CASE "
    + " ".join(f"WHEN d.elapsed_ms <= {bound} THEN '{bound}'" for bound in LATENCIES)
    + " ELSE '' END AS label, 1 AS count, d.elapsed_ms AS expected, 0.0 AS score FROM decisions d"
)
EXCLUDED_OF = (
    f"SELECT {_BY}, e.key AS model, 'excluded' AS what, e.value AS label, 1 AS count, 0.0 AS expected, "  # noqa: S608
    "0.0 AS score FROM decisions d, json_each(d.excluded) e"
)
CALIBRATION_OF = (
    f"SELECT {_BY}, '' AS model, 'calibration' AS what, "  # noqa: S608
    "CAST(min(9, CAST(d.probability * 10 AS INTEGER)) AS TEXT) AS label, 1 AS count, d.probability AS expected, "
    "f.score AS score FROM feedback f JOIN decisions d ON d.id = f.decision"
)
_COUNTED = "NEW.policy <> 'import'"
_ADD = ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)
_ADD_TALLY = ", ".join(f"{name} = {name} + excluded.{name}" for name in ("count", "expected", "score"))
_TALLY = "ON CONFLICT (hour, policy, request_group, model, what, label) DO UPDATE SET"
_INTO_TALLIES = "INSERT INTO tallies (hour, policy, request_group, model, what, label, count, expected, score)"

_TABLES = f"""
CREATE TABLE decisions (
    id TEXT PRIMARY KEY, time REAL NOT NULL, model TEXT NOT NULL, probability REAL, network TEXT NOT NULL,
    field TEXT NOT NULL, policy TEXT NOT NULL, explored INTEGER NOT NULL, weights TEXT NOT NULL, profile TEXT NOT NULL,
    prompt TEXT, thread TEXT NOT NULL, request_group TEXT NOT NULL, costs TEXT NOT NULL, excluded TEXT NOT NULL,
    target_met INTEGER, fallback INTEGER NOT NULL, elapsed_ms REAL, arm TEXT NOT NULL, routed TEXT NOT NULL,
    p REAL, best_p REAL, cheapest_p REAL, routed_p REAL, cost REAL, best_cost REAL, cheapest_cost REAL, routed_cost REAL
) WITHOUT ROWID;
CREATE TABLE feedback (
    position INTEGER PRIMARY KEY AUTOINCREMENT, decision TEXT NOT NULL UNIQUE REFERENCES decisions (id),
    score REAL NOT NULL CHECK (score BETWEEN 0 AND 1), source TEXT NOT NULL, time REAL NOT NULL
);
CREATE TABLE hours (
    hour INTEGER NOT NULL, policy TEXT NOT NULL, request_group TEXT NOT NULL, model TEXT NOT NULL,
    {", ".join(f"{name} REAL NOT NULL" for name in SUMS)},
    PRIMARY KEY (hour, policy, request_group, model)
) WITHOUT ROWID;
CREATE TABLE tallies (
    hour INTEGER NOT NULL, policy TEXT NOT NULL, request_group TEXT NOT NULL, model TEXT NOT NULL, what TEXT NOT NULL,
    label TEXT NOT NULL, count REAL NOT NULL, expected REAL NOT NULL, score REAL NOT NULL,
    PRIMARY KEY (hour, policy, request_group, model, what, label)
) WITHOUT ROWID;
CREATE INDEX decisions_time ON decisions (time);
CREATE INDEX decisions_arm ON decisions (arm, time) WHERE arm <> '';
CREATE INDEX decisions_thread ON decisions (thread, time) WHERE thread <> '';
CREATE INDEX decisions_prompt ON decisions (time) WHERE prompt IS NOT NULL;
"""
_TRIGGERS = (
    f"""CREATE TRIGGER count_decision AFTER INSERT ON decisions WHEN {_COUNTED} BEGIN
    INSERT INTO hours ({", ".join((*KEYS, *SUMS))})
    {AS_HOURS} 0, 0.0, 0.0 FROM decisions d WHERE d.id = NEW.id
    ON CONFLICT (hour, policy, request_group, model) DO UPDATE SET {_ADD};
    {_INTO_TALLIES} {LATENCY_OF} WHERE d.id = NEW.id AND d.elapsed_ms IS NOT NULL {_TALLY} {_ADD_TALLY};
    {_INTO_TALLIES} {EXCLUDED_OF} WHERE d.id = NEW.id {_TALLY} {_ADD_TALLY};
    END""",
    f"""CREATE TRIGGER count_feedback AFTER INSERT ON feedback BEGIN
    UPDATE hours SET feedback = feedback + 1, score = score + NEW.score,
        expected = expected + ifnull((SELECT probability FROM decisions WHERE id = NEW.decision), 0)
    WHERE (hour, policy, request_group, model) = (SELECT CAST(d.time / 3600 AS INTEGER), d.policy, d.request_group,
        d.model FROM decisions d WHERE d.id = NEW.decision);
    {_INTO_TALLIES} {CALIBRATION_OF} WHERE f.decision = NEW.decision AND d.probability IS NOT NULL
        AND d.policy <> 'import' {_TALLY} {_ADD_TALLY};
    END""",  # noqa: S608
)


def create(database: sqlite3.Connection) -> None:
    """Give an empty file its tables; within a transaction."""
    for statement in (*filter(str.strip, _TABLES.split(";")), *_TRIGGERS):
        database.execute(statement)
    database.execute(f"PRAGMA application_id = {APPLICATION}")
    database.execute(f"PRAGMA user_version = {FORMAT}")


_SCORES = "CASE WHEN json_valid(network) THEN network ELSE '{}' END"
_COPY = f"""INSERT INTO decisions SELECT id, time, model, probability, network, field, policy, explored, weights,
    profile, prompt, '', '', '{{}}', '{{}}', NULL, 0, NULL, '', '',
    (SELECT value FROM json_each({_SCORES}) WHERE key = model), (SELECT max(value) FROM json_each({_SCORES})),
    NULL, NULL, NULL, NULL, NULL, NULL FROM decisions_1"""  # noqa: S608


def migrate(database: sqlite3.Connection) -> None:
    """Bring a file of format 1 up to date; within a transaction. What it never held stays unknown."""
    database.execute("DROP INDEX IF EXISTS decisions_time")
    database.execute("ALTER TABLE feedback RENAME TO feedback_1")
    database.execute("ALTER TABLE decisions RENAME TO decisions_1")
    create(database)
    database.execute(_COPY)
    database.execute("INSERT INTO feedback SELECT * FROM feedback_1 ORDER BY position")
    database.execute("DROP TABLE feedback_1")
    database.execute("DROP TABLE decisions_1")
