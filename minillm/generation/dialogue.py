"""A dialogue in turns: a causal model continues a transcript, one reply at a time."""

from collections.abc import Iterator, Sequence

from minillm.errors import UsageError
from minillm.generation.continuation import stream, usual_sampling
from minillm.generation.text_stream import TextStream
from minillm.generation.writer import open_writer
from minillm.runs.run import Run

TEMPLATE = "User: {user}\nAssistant: {assistant}\n"


class Dialogue:
    """A conversation with a trained model, which sees it as one text.

    `template` says how a turn is written, with {user} and then {assistant} in it; a
    reply ends where the next turn would begin, or at `max_tokens`. Of a long dialogue
    the model sees the latest turns that leave room for a reply in its context. `turns`
    are pairs of a message and its reply. `settings` are those of `generate`. Raises
    UsageError for a model that is not causal and for a template that cannot be.
    """

    def __init__(
        self,
        run: Run | str,
        *,
        template: str = TEMPLATE,
        max_tokens: int = 100,
        stop: str | Sequence[str] = (),
        seed: int = 0,
        **settings,
    ):
        self.run = open_writer(run, objectives=("clm",), task="talk")
        self.turns = []
        before_user, rest = _split(template, "{user}", template)
        before_reply, after = _split(rest, "{assistant}", template)
        self._before_user, self._before_reply = before_user, before_reply
        self._after = after or "\n"
        next_turn = (self._after + before_user).rstrip(" ")
        tokenizer = self.run.tokenizer
        if not tokenizer.decode(tokenizer.encode(next_turn)):
            raise UsageError(
                f"template {template!r}: only spaces between two turns"
                + ("" if tokenizer.keeps_spaces else ", as wordpiece sees it")
            )
        self._stop = [next_turn, *([stop] if isinstance(stop, str) else stop)]
        # What cannot be is refused now, and not at the first reply.
        usual_sampling(self.run, **settings)
        TextStream(tokenizer, self._stop)
        self._max_tokens = max_tokens
        self._seed = seed
        self._settings = settings

    def reply(self, message: str) -> Iterator[str]:
        """The reply in pieces, each as soon as it is certain; then the turn is kept."""
        pieces = stream(
            self.run,
            self.prompt(message),
            max_tokens=self._max_tokens,
            stop=self._stop,
            seed=self._seed + len(self.turns),
            **self._settings,
        )
        reply = ""
        for piece in pieces:
            # A word's token holds the space before it: the model writes that space.
            piece = piece if reply else piece.lstrip()
            reply += piece
            yield piece
        self.turns.append((message, reply.rstrip()))

    def prompt(self, message: str) -> str:
        """What the model continues: the latest turns that fit, and the message."""
        opening = self._before_user + message + self._before_reply.rstrip(" ")
        context = self.run.model.config.context
        room = context - min(self._max_tokens, context // 2)
        prompt = opening
        for user, reply in reversed(self.turns):
            turn = self._before_user + user + self._before_reply + reply + self._after
            if len(self.run.tokenizer.encode(turn + prompt)) > room:
                break
            prompt = turn + prompt
        return prompt


def _split(text: str, name: str, template: str) -> tuple[str, str]:
    """What stands before and after the name, which must be there once."""
    parts = text.split(name)
    if len(parts) != 2:
        raise UsageError(
            f"template {template!r}: needs {{user}} and, after it, {{assistant}}"
        )
    return parts[0], parts[1]
