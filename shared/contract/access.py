"""The names of the broker's users, and the rule that verifies a message's sender by its user.

An agent's user has the name of its mailbox, so it is never the name of a user with another purpose.
By its own user a process knows whether each process has a user of its own (see `objection`).
"""

from __future__ import annotations

from shared.contract.topology import GATEWAY, SCHEDULER, mailbox_name

OPERATOR = "operator"
"""The user that commands work with."""

FOR_ALL = frozenset({OPERATOR, GATEWAY})
"""Users that replay dead letters, so they may send in any name."""


def agent_user(agent: str) -> str:
    return mailbox_name(agent)


def objection(received_as: str, user_id: str | None, speaker: str) -> str | None:
    """Why a message that names `speaker`, a user, as its sender is refused; None: it is accepted.

    `user_id` was verified by the broker. If our own user is shared by several processes, senders
    can't be distinguished, and every message is accepted. `FOR_ALL` may send in any name.
    """
    if not divided(received_as) or user_id in {speaker, *FOR_ALL}:
        return None
    who = f"the broker's user '{user_id}'" if user_id else "a message without a user_id"
    return f"{who} speaks for '{speaker.removeprefix(agent_user(''))}'"


def divided(own: str) -> bool:
    """Whether each process has a user of its own, which is so if ours is one of them."""
    return own in {SCHEDULER, GATEWAY} or own.startswith(agent_user(""))
