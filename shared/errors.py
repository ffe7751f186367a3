"""Every error of ours, one root, one sentence each.

HutchError                 str() is one sentence for the user: what is wrong and what to do
├── SettingsError          a setting or an agent's file is wrong; exit code 2
├── BadMessage             a message that can't be understood; dead-lettered, never retried
├── BrokerError            the broker refused or could not be reached
│   ├── BrokerUnavailable  no connection now; trying again can succeed
│   ├── Undeliverable      no queue takes this message, or none that our user may reach
│   ├── Unsendable         its properties don't fit a frame: never sent, and never will be
│   └── Unconfirmed        no confirm in time: the message may or may not be in its queue
├── StoreError             the store refused or could not be reached
│   └── StoreUnavailable   trying again can succeed
├── DamagedRow             what the store holds of a run can't be read: the run ends `failed`
├── RunLost                another instance owns this run now; stop, write nothing
├── RunHandedOver          this process ends: another goes on with the run from here
├── RunCancelled           the run is not wanted any more: it ends `cancelled`
├── JournalMismatch        a resumed run asks for another step than the one recorded
├── ToolInDoubt            a call that must not be made twice began, and nobody knows its end
├── ModelError             a model call failed for good; text safe to show a model apart
│   ├── ModelUnavailable   the model is away or overloaded; trying again later can succeed
│   └── ContextExceeded    the request is longer than the model's context; a shorter one can succeed
└── ToolError              a tool call failed; its text is shown to the model
"""

from typing import Literal

ModelFault = Literal["rate_limited", "unavailable", "timeout", "refused", "quota", "invalid"]
"""Why one try at a model failed; `invalid`: what came back is no usable reply."""


class HutchError(Exception):
    """The root: its text is one sentence that a user can act on."""

    exit_code = 1


class SettingsError(HutchError):
    """A setting, an agent's file or an argument is wrong; names file and field."""

    exit_code = 2


class BadMessage(HutchError):
    """A message that can't be understood: the reason says which field or byte."""


class BrokerError(HutchError):
    """The broker refused what was asked."""


class BrokerUnavailable(BrokerError):
    """The broker can't be reached now; the same call can succeed later."""


class Undeliverable(BrokerError):
    """The broker returned the message: no queue takes it; or our user may not reach the queue."""


class Unsendable(BrokerError):
    """The protocol can't carry the message's properties: trying again can't help."""


class Unconfirmed(BrokerError):
    """No confirm within the timeout: publish again with the same message_id."""


class StoreError(HutchError):
    """The store refused what was asked."""


class StoreUnavailable(StoreError):
    """The store can't be reached or is locked now; the same call can succeed later."""


class DamagedRow(HutchError):
    """A stored text or number can't be read; names the column and what is wrong with it."""


class RunLost(HutchError):
    """The fence has moved: another instance owns the run."""


class RunHandedOver(HutchError):
    """The process ends, and the run has come to a model call that another can begin as well."""


class RunCancelled(HutchError):
    """Somebody has cancelled the run."""


class JournalMismatch(HutchError):
    """A resumed run asks for another step than the one recorded: the run can't go on."""


class ToolInDoubt(HutchError):
    """A call of a tool that isn't repeatable began, and there is no result of it.

    `str()` is for the operator and shows the arguments; `public` only names the tool.
    """

    def __init__(self, tool: str, arguments: str) -> None:
        unknown = "and there is no result: whether it has acted is unknown"
        super().__init__(f"{tool} was called with {arguments}, {unknown}")
        self.public = f"{tool} was called, {unknown}"


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
    """A failure that the same call can overcome later, after all its own retries.

    `wait_s` is what the endpoint asked for; None: it did not say.
    """

    wait_s: float | None = None


class ContextExceeded(ModelError):
    """The request and the reply's limit are together longer than the model's context.

    `window` is the context's length in tokens, where the endpoint names it.
    """

    window: int | None = None


class ToolError(HutchError):
    """A tool could not be called or raised; the text goes to the model as the result.

    `detail` is the trace of what it raised, secrets masked: for the operator only.
    """

    def __init__(self, text: str, *, detail: str | None = None) -> None:
        super().__init__(text)
        self.detail = detail
