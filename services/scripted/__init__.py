"""The scripted model: an OpenAI-compatible endpoint that plays the shipped examples.

It serves chat completions and the Responses API, streamed (word by word) and not.
Not a model: every completion says `"model": "scripted"`, with an estimate for usage and
ids that are the same for the same request. What it says comes, in this order, from

1. directives in the last user text, for tests and load (below);
2. the first rule of `script.yaml` that fits the system text, tools and user's text;
3. the generic rule: call each offered tool once, in one turn, then answer in a sentence
   that repeats the question and what the tools returned.

Directives, anywhere in the text:

    [[latency 0.5]]                  answer after half a second
    [[fail 503 2]]                   the first two tries of this very request get a 503
    [[fail 429 1 retry-after 1]]     likewise, with a Retry-After header in seconds
    [[reply TEXT]]                   answer with this text
    [[call TOOL {"key": "value"}]]   call this tool; several are called in one turn (under a
                                     schema the first); brackets in it must come in pairs
    [[malformed]]                    the calls' arguments are broken JSON
    [[length]]                       cut off: finish_reason is "length"
    [[refuse]]  [[empty]]            a refusal; an empty answer
    [[drop]]                         the connection closes before the answer is complete
    [[then]]                         what follows is for the next turn
    [[again]]                        repeat the calls in every turn while tools are offered

The text is cut at each `[[then]]`; the n-th model call since the user spoke obeys the n-th
part, later ones the last part, whose calls are made once. Directives are taken out before a
rule sees the text, and neither system text, tool results nor the earlier tasks that a tick
lists are read for them: so they hold for the agent asked and go no further. To direct a
worker, put the directive into the arguments of a call:
`[[call bob {"prompt": "Hello [[latency 1]]"}]]`.
"""
