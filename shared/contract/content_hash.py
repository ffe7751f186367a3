"""The hash of a task's content, by which a repeated task is recognised."""

from __future__ import annotations

import hashlib

from shared.contract.messages import Task, Trigger


def content_hash(message: Task | Trigger) -> str:
    """A hash that distinguishes a repeated task from another task with the same id.

    It leaves out the budget: a task that is sent again with another budget is the same task. Each
    part follows its length, so different parts never give the same text.
    """
    parts = (message.type, message.content, _context(message), message.session or "")
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def earlier_content_hash(message: Task | Trigger) -> str:
    """`content_hash` as 0.1.0 computed and stored it. NUL separates the parts, so texts with NUL
    can collide."""
    text = f"{message.type}\0{message.content}\0{_context(message)}"
    if message.session is not None:
        text += f"\0{message.session}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _context(message: Task | Trigger) -> str:
    return (message.context if message.type == "task" else None) or ""
