"""Every demonstration: its task, and the settings that solve it in under a minute."""

from dataclasses import dataclass, field

from minillm.errors import UsageError, guess, quoted
from minillm.learning.config import TrainConfig
from minillm.text.synthetic.by_name import generated_task
from minillm.text.synthetic.recipe import Toy

# How much of the way from chance to the best possible score a model has to go.
SOLVED = 0.95


@dataclass(frozen=True)
class Demo:
    """A generated task, and the model that learns it.

    `seconds` is about how long training takes on two free cores, `counted` says which
    answers the score counts, `look` what can be seen in the run by the command `next`.
    """

    name: str
    learned: str
    known: str
    counted: str
    look: str
    next: str
    seconds: int
    settings: dict = field(repr=False)
    task: str = ""  # what `--data` takes, where that is not the name

    @property
    def toy(self) -> Toy:
        return generated_task(self.task or self.name)

    def config(self, **options) -> TrainConfig:
        """The run to be trained."""
        return TrainConfig(
            objective=self.toy.objective,
            data=self.toy.spec,
            **{"d_model": 32, **self.settings, **options},
        )


# Rates and steps were found by trying: each solves its task for seeds 0, 1 and 2.
ANSWERS = {"tokenizer": "chars", "n_layers": 1, "n_heads": 2, "batch": 64, "lr": 0.005}
WORDS = {**ANSWERS, "tokenizer": "wordpiece", "arch": "encoder"}
# What counts in these texts is the distance, not the place in the window.
READS = {"tokenizer": "chars", "n_layers": 2, "context": 64, "batch": 32}
READS |= {"positions": "sinusoidal"}

DEMOS = {
    each.name: each
    for each in (
        Demo(
            "copy",
            learned="write down a string that was read",
            known="No string held out is among those to train on: who learns by heart "
            "gets none right.",
            counted="strings copied without a mistake",
            look="in the cross-attention, each place of the answer looks at the same "
            "place of the source: a diagonal",
            next="minillm attention {run} python",
            seconds=4,
            settings={**ANSWERS, "context": 16, "steps": 300},
        ),
        Demo(
            "reverse",
            learned="write a string backwards",
            known="No string held out is among those to train on: who learns by heart "
            "gets none right.",
            counted="strings reversed without a mistake",
            look="in the cross-attention, each place of the answer looks as far from "
            "the end: a diagonal that falls the other way",
            next="minillm attention {run} python",
            seconds=6,
            settings={**ANSWERS, "context": 16, "steps": 500},
        ),
        Demo(
            "numbers",
            learned="translate number words to digits",
            known="The numbers held out are new: each of their words is known, and "
            "their combination is not.",
            counted="numbers translated without a mistake",
            look="the answer to a number of your own, below a thousand",
            next='minillm generate {run} "three hundred and forty-two"',
            seconds=8,
            settings={**ANSWERS, "context": 40, "steps": 800},
        ),
        Demo(
            "words",
            learned="translate digits to number words",
            known="The numbers held out are new. Where a digit stands decides its "
            "word, and what must stand between: a hundred, an 'and', a hyphen.",
            counted="numbers translated without a mistake",
            look="a number of your own, below ten thousand, in words",
            next="minillm generate {run} 4711",
            seconds=22,
            settings={**ANSWERS, "lr": 0.01, "context": 48, "steps": 1500},
            # Below 1000 there are too few short ones to learn from: 10 became fifteen.
            task="numbers:below=10000,to_words=1",
        ),
        Demo(
            "brackets",
            learned="restore hidden brackets",
            known="Lines are balanced: a hidden bracket is told by its partner; where "
            "that is hidden too, its kind is a guess.",
            counted="hidden characters restored",
            look="one head of the first layer looks at the previous bracket, one at "
            "the next",
            next='minillm attention {run} "[([])()]"',
            seconds=30,
            settings={**READS, "n_heads": 4, "lr": 0.007, "steps": 2500},
        ),
        Demo(
            "languages",
            learned="tell two languages apart by their words",
            known="Both languages have the same syllables, and a sentence borrows some "
            "words of the other: the majority is all there is to be told.",
            counted="sentences told right",
            look="with each word that is exchanged for one of the other language, the "
            "probability moves",
            next='minillm classify {run} "difa nego gogo mama fane" '
            '"difa nego gogo dibu dine" "difa nego goma dibu dine"',
            seconds=3,
            settings={**WORDS, "context": 8, "steps": 600},
        ),
        Demo(
            "topics",
            learned="tell whether a text follows another",
            known="A text from elsewhere is told by its topic, unless it has the same "
            "one by chance.",
            counted="pairs of texts told right",
            look="[CLS], which tells the answer, looks at the first text with one head "
            "and at the second with the other",
            next='minillm attention {run} "abba. baab." --text-b " fefe. eeff."',
            seconds=4,
            settings={**ANSWERS, "context": 32, "batch": 32, "lr": 0.01, "steps": 600},
        ),
        Demo(
            "induction",
            learned="find what followed a letter last time",
            known="The words are new in every line: there is nothing to be learned by "
            "heart, and what comes again is determined.",
            counted="next characters told right",
            look="a head of the first layer looks at the previous token, and one of "
            "the second at what followed the last time",
            next='minillm attention {run} "abcd efgh abcd efgh abcd"',
            seconds=12,
            settings={**READS, "n_heads": 2, "lr": 0.01, "steps": 1000},
        ),
    )
}


def named(name: str) -> Demo:
    """The demonstration of this name. Raises UsageError, with the nearest there is."""
    if name in DEMOS:
        return DEMOS[name]
    raise UsageError(f"no demo {quoted(name)}{guess(name, DEMOS)}")
