"""Leader and followers: of the ranks that train a model, rank 0 alone keeps the run.

It has the folder, the lock and the progress, and says before each call of its Learner
what it is; the others make the same one.
"""

from minillm.errors import DivergedError, Interrupted, MinillmError
from minillm.launcher import everywhere, is_everywhere
from minillm.learning.evaluate import Score
from minillm.learning.learner import Learner, Step
from minillm.runs.interrupt import Interrupts


class Leader(Learner):
    """The Learner of rank 0."""

    def step(self, number: int) -> Step:
        self.ranks.tell(("step", number))
        return super().step(number)

    def evaluate(self, every: int = 1) -> Score:
        self.ranks.tell(("evaluate", every))
        return super().evaluate(every)

    def check_alike(self) -> None:
        self.ranks.tell(("check_alike",))
        super().check_alike()

    def __exit__(self, kind, error, trace) -> None:
        # Whatever else ends this rank, ends all of them: `launcher.abort`.
        if error is None or isinstance(error, MinillmError | Interrupted):
            self.ranks.tell(error and everywhere(error))
        super().__exit__(kind, error, trace)


def follow(learner: Learner) -> None:
    """Make the calls that rank 0 makes, to the end. Raises what ended them there."""
    with Interrupts() as interrupts, learner:
        while told := learner.ranks.told(interrupts.signal):
            if isinstance(told, BaseException):
                raise told
            method, *arguments = told
            try:
                getattr(learner, method)(*arguments)
            except MinillmError as error:
                # Rank 0 raises the same, and says so; else this rank ends them all.
                if not (isinstance(error, DivergedError) or is_everywhere(error)):
                    raise
