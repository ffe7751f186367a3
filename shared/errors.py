"""All errors that Hutch raises on purpose.

HutchError                 str() is one sentence for the user: what is wrong and what to do
├── SettingsError          a setting or an agent's file is wrong; exit code 2
├── BadMessage             a message that can't be understood; dead-lettered, never retried
├── BrokerError            the broker refused or could not be reached
│   ├── Forbidden          the broker's user lacks a permission
│   ├── BrokerUnavailable  no connection now; trying again can succeed
│   ├── Undeliverable      no queue takes this message, or none that our user may reach
│   ├── Unsendable         its properties don't fit a frame: not sent, and no retry can help
│   └── Unconfirmed        no confirm in time: the message may or may not be in its queue
├── StoreError             the store refused or could not be reached
│   └── StoreUnavailable   trying again can succeed
├── DamagedRow             a run's row in the store can't be read: the run ends `failed`
├── RunLost                another instance owns this run now: stop, and write nothing
├── RunHandedOver          this process ends: another one continues the run from here
├── LimitReached           a shared limit of the run's model is used up: the run waits
├── RunCancelled           the run was cancelled: it ends `cancelled`
├── JournalMismatch        a resumed run asks for another step than the one recorded
├── ToolInDoubt            a call that must not be made twice has begun; its result is unknown
├── ToolsUnavailable       an object that tools need can't be opened; starting again can succeed
├── ModelError             a model call failed for good; `public` is the text for models
│   ├── ModelUnavailable   the model can't be reached or is overloaded; retry later
│   └── ContextExceeded    the request is longer than the model's context; shorten it
├── KnowledgeError         a document or a skill can't be read; the text says why
└── ToolError              a tool call failed; its text is shown to the model
"""

from typing import Literal

ModelFault = Literal["rate_limited", "unavailable", "timeout", "refused", "quota", "invalid"]
"""Why an attempt to call a model failed; `invalid`: the reply can't be used."""


class HutchError(Exception):
    """The root of all; its text is one sentence that a user can act on."""

    exit_code = 1


class SettingsError(HutchError):
    """A setting, an agent's file or an argument is wrong; the text names file and field."""

    exit_code = 2


class BadMessage(HutchError):
    """A message that can't be understood; the text names the field or byte."""


class BrokerError(HutchError):
    """The broker refused a request."""


class Forbidden(BrokerError):
    """The broker's user lacks a permission, which can be granted while the connection is open."""


class BrokerUnavailable(BrokerError):
    """The broker can't be reached now; the same call can succeed later."""


class Undeliverable(BrokerError):
    """No queue takes the message, so the broker returned it; or our user may not publish there."""


class Unsendable(BrokerError):
    """The message's properties don't fit into a frame: no retry can help."""


class Unconfirmed(BrokerError):
    """The broker sent no confirm in time: publish again with the same `message_id`."""


class StoreError(HutchError):
    """The store refused a request."""


class StoreUnavailable(StoreError):
    """The store can't be reached or is locked now; the same call can succeed later."""


class DamagedRow(HutchError):
    """A stored text or number can't be read; the text names the column and the problem."""


class RunLost(HutchError):
    """The run's fence has increased: another instance owns the run."""


class RunHandedOver(HutchError):
    """The process ends before the run's next model call, from which another process continues."""


class LimitReached(HutchError):
    """The run's next model call has to wait for a limit that all processes share.

    The run asks for the call again in `wait_s` seconds, and holds no slot until then.
    """

    def __init__(self, text: str, wait_s: float) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class RunCancelled(HutchError):
    """The run was cancelled."""


class JournalMismatch(HutchError):
    """A resumed run asks for another step than the one recorded, so it can't continue."""


class ToolInDoubt(HutchError):
    """A call of a tool that isn't repeatable has begun and has no recorded result.

    `str()` is for the operator and shows the arguments; `public` only names the tool.
    """

    def __init__(self, tool: str, arguments: str) -> None:
        unknown = "and there is no result: whether it has acted is unknown"
        super().__init__(f"{tool} was called with {arguments}, {unknown}")
        self.public = f"{tool} was called, {unknown}"


class ToolsUnavailable(HutchError):
    """An object of a class of tools can't be opened now; the process can start later."""


class ModelError(HutchError):
    """A model call failed for good.

    `str()` is for the operator; `public` is safe to show to a model or a requester.
    """

    def __init__(
        self,
        detail: str,
        *,
        public: str = "the model call failed",
        reason: ModelFault = "invalid",
    ) -> None:
        super().__init__(detail)
        self.public = public
        self.reason = reason


class ModelUnavailable(ModelError):
    """A model call failed in all its attempts, and can succeed later.

    `wait_s` is the wait that the endpoint asked for, None if it asked for none.
    """

    wait_s: float | None = None


class ContextExceeded(ModelError):
    """The request and the reply's limit are together longer than the model's context.

    `window` is the context's length in tokens, where the endpoint names it.
    """

    window: int | None = None


class KnowledgeError(HutchError):
    """A document or a skill can't be read; the text continues a sentence about it."""


class ToolError(HutchError):
    """A tool could not be called, or raised; the text goes to the model as the result.

    `detail` is the traceback with secrets masked, for the operator only.
    """

    def __init__(self, text: str, *, detail: str | None = None) -> None:
        super().__init__(text)
        self.detail = detail
