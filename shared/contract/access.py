"""The names of the broker's users, and the rule for which of them a message is believed.

An agent's user has the name of its mailbox, so none is ever a user that somebody else has made, and
a process knows by its own user that the broker tells agents apart (see `objection`).
"""

from __future__ import annotations

from shared.contract.topology import SCHEDULER, mailbox_name

OPERATOR = "operator"
"""Commands. It replays dead letters, so it may say anything in anybody's name."""


def agent_user(agent: str) -> str:
    return mailbox_name(agent)


def objection(received_as: str, user_id: str | None, speaker: str) -> str | None:
    """Why not to believe that `speaker`, a user, has sent what says so; None: it is believed.

    `user_id` is what the broker has vouched for. Where our own user is nobody's in particular, no
    agent is told from another. The operator speaks for everybody.
    """
    if not divided(received_as) or user_id in {speaker, OPERATOR}:
        return None
    who = f"the broker's user '{user_id}'" if user_id else "a message without a user_id"
    return f"{who} speaks for '{speaker.removeprefix(agent_user(''))}'"


def divided(own: str) -> bool:
    """Each process has a user of its own here, since ours is such a one."""
    return own == SCHEDULER or own.startswith(agent_user(""))
