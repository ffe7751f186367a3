"""The address that a client gives with a task, to receive its response as a webhook."""

from __future__ import annotations

from http import HTTPStatus

from services.gateway.problems import Problem
from services.gateway.webhooks.destination import Unreachable, checked
from shared.settings.gateway import GatewaySettings
from shared.store.messages.webhooks import Callback


def callback(settings: GatewaySettings, url: str, key_id: str) -> Callback:
    """The callback of a task. Raises `Problem` for an address that webhooks never reach."""
    if not settings.webhook_secrets():
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "callback_url: webhooks are off here: HUTCH_WEBHOOK_SECRET is not set",
        )
    try:
        checked(url, settings.webhook_hosts)
    except Unreachable as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"callback_url: {error}") from error
    return Callback(url, key_id)
