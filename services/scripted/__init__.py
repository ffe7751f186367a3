"""The scripted model: an OpenAI-compatible endpoint with canned answers for the shipped examples.

It is no real model: every completion has `"model": "scripted"`, an estimated usage, and ids that
are the same for the same request. It serves chat completions and the Responses API, streamed (word
by word) and not. A reply is determined, in this order, by

1. directives in the last user text, for tests and load (below);
2. the first rule of `script.yaml` that matches the system text, the tools and the user's text;
3. the generic rule: call each offered tool once, in one turn, then answer in a sentence
   that repeats the question and the tools' results.

Directives, anywhere in the text:

    [[latency 0.5]]                  answer after half a second
    [[fail 503 2]]                   the first two attempts of this same request get a 503
    [[fail 429 1 retry-after 1]]     likewise, with a Retry-After header in seconds
    [[reply TEXT]]                   answer with this text
    [[call TOOL {"key": "value"}]]   call this tool; several are called in one turn (with
                                     `tool_protocol: schema` only the first); brackets in it
                                     must be in pairs
    [[malformed]]                    the calls' arguments are broken JSON
    [[length]]                       cut off: finish_reason is "length"
    [[refuse]]  [[empty]]            a refusal; an empty answer
    [[drop]]                         the connection closes before the answer is complete
    [[then]]                         the directives after it apply to the next turn
    [[again]]                        repeat the calls in every turn while tools are offered

The text is divided at each `[[then]]`. The n-th model call since the last user message obeys the
n-th part; later calls obey the last part, whose calls are made once. Directives are removed before
the text is compared with rules. They are not read in the system text, in tool results or in the
earlier tasks that a tick lists: so they apply only to the agent that receives the task. To direct a
worker, put the directive into the arguments of a call:
`[[call bob {"prompt": "Hello [[latency 1]]"}]]`.
"""
