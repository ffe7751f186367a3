"""The sent messages, the expected answers and the received ones, with a journal of them."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from tests.fuzz.draws.plan import Message

SHOWN = 300
"""Characters of a body or of properties that the journal keeps; `--show` prints them whole."""
REFUSAL = "refusal"
"""Not a run's answer. If a replayed message gets it twice, both must be equal."""


@dataclass
class Ledger:
    """Every thread writes here; an answer is kept as a digest, so that an hour's fit in memory."""

    journal: TextIO
    sent: Counter[str] = field(default_factory=Counter)
    """The number of messages by outcome: confirmed, or why not."""
    calls: dict[str, str] = field(default_factory=dict)
    """Every correlation id that was sent, and by which message."""
    owed: int = 0
    unanswered: set[str] = field(default_factory=set)
    """The messages that expect an answer, by call."""
    replayable: set[str] = field(default_factory=set)
    """Calls whose refusal a replay may overrule: for an `expiration`, without which a message is
    replayed, or for an id that a forgotten session has used, and that is free again."""
    received: dict[str, dict[str, set[bytes]]] = field(default_factory=lambda: defaultdict(dict))
    """The received answers by call, then by the run and epoch that answers."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Answers that no client can read, by call, and why."""
    statuses: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def trying(self, where: str, message: Message) -> None:
        with self._lock:
            self.calls[message.call] = where
            if "expiration" in message.properties:
                self.replayable.add(message.call)

    def became(self, where: str, message: Message, fate: str) -> None:
        """`fate` is "confirmed", or why not."""
        with self._lock:
            self.sent[fate.partition(":")[0]] += 1
            if message.owed and fate == "confirmed":
                self.owed += 1
                if message.call not in self.received:
                    self.unanswered.add(message.call)
            line = {
                "at": round(time.time(), 3),
                "message": where,
                "fate": fate,
                "exchange": message.exchange,
                "key": message.key,
                "reply": message.reply,
                "properties": repr(message.properties)[:SHOWN],
                "bytes": len(message.body),
                "body": repr(message.body[:SHOWN]),
            }
            self.journal.write(json.dumps(line) + "\n")
            self.journal.flush()

    def commanded(self, what: str, outcome: str) -> None:
        with self._lock:
            line = {"at": round(time.time(), 3), "order": what, "outcome": outcome[-SHOWN:]}
            self.journal.write(json.dumps(line) + "\n")
            if what.startswith("hutch forget "):
                self.replayable |= {call for call, ways in self.received.items() if REFUSAL in ways}

    def forgive(self, calls: set[str]) -> None:
        """Their answers can't be received any more: the client has lost its channel."""
        with self._lock:
            self.owed -= len(calls & self.unanswered)
            self.unanswered -= calls

    def receive(self, call: str, message_id: str, body: bytes) -> None:
        try:
            said = json.loads(body)
        except ValueError as error:
            said = {"status": "unreadable", "content": ""}
            self.unreadable[call] = str(error)
        refused = message_id.endswith(".refused")
        way = REFUSAL if refused else message_id
        what = json.dumps([said["status"], said["content"]]).encode() if refused else body
        with self._lock:
            self.statuses[said["status"]] += 1
            digest = hashlib.sha256(what).digest()[:16]
            self.received[call].setdefault(way, set()).add(digest)
            self.unanswered.discard(call)

    def unexpected(self) -> set[str]:
        return self.received.keys() - self.calls.keys()

    def in_two_ways(self) -> set[str]:
        """Calls with more answers than one. A run that was replayed answers once in each epoch."""
        return {call for call in self.received if _differ(self._ways(call))}

    def _ways(self, call: str) -> dict[str, set[bytes]]:
        left_out = {REFUSAL} if call in self.replayable else set()
        return {way: said for way, said in self.received[call].items() if way not in left_out}

    def where(self, call: str) -> str:
        """The message's id, to find it in the journal."""
        return f"{self.calls.get(call, '?')} ({call[:60]!r})"


def _differ(ways: dict[str, set[bytes]]) -> bool:
    runs = {way.partition(".")[0] for way in ways}
    return len(runs) > 1 or any(len(bodies) > 1 for bodies in ways.values())


def opened(folder: Path) -> TextIO:
    return (folder / "journal.jsonl").open("w", encoding="utf-8")
