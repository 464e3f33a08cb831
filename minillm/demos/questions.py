"""Questions about what was held out, and what a model says to them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from minillm.generation import fill, generate
from minillm.tasks import classify
from minillm.text import MASK
from minillm.text.toys.brackets import Brackets
from minillm.text.toys.induction import LETTERS, Induction
from minillm.text.toys.toy import Rows, Toy
from minillm.training.run_folder.run import Run


@dataclass(frozen=True)
class Answer:
    """What was asked, the right answer, and the model's."""

    asked: str
    right: str
    said: str

    @property
    def is_right(self) -> bool:
        return self.said == self.right


def ask(run: Run, toy: Toy, n: int) -> list[Answer]:
    """Put the first n questions of a task to the model of a run."""
    questions, answer = WAYS[toy.kind if toy.kind != "text" else toy.name]
    rows = list(islice(questions(toy), n))
    said = answer(run, [asked for asked, _ in rows])
    return [Answer(*row, text) for row, text in zip(rows, said, strict=True)]


# Questions: what is asked, and what is right.


def held_out(toy: Toy) -> Rows:
    return toy.parts()[1]


def hidden_brackets(toy: Brackets) -> Rows:
    """Lines with one bracket hidden, which the rest of the line determines."""
    rows = []
    for number, line in enumerate(toy.texts()[1].splitlines()):
        place = 3 * number % toy.width  # another one in every line
        rows.append((line[:place] + MASK + line[place + 1 :], line[place]))
    return rows


def repeated_words(toy: Induction) -> Rows:
    """Lines up to the first letter of a word that has been there, with others since:
    the rest of the word is determined."""
    rows = []
    for line in toy.texts()[1].splitlines():
        words = line.split()
        for place in range(2, len(words)):
            if words[place] != words[place - 1] and words[place] in words[:place]:
                before = " ".join([*words[:place], words[place][0]])
                rows.append((before, words[place][1:]))
                break
    return rows


# Answers


def written(run: Run, asked: list[str]) -> list[str]:
    return generate(run, asked)


def labels(run: Run, asked: list[str]) -> list[str]:
    return [each.label for each in classify(run, asked)]


def likeliest(run: Run, asked: list[str]) -> list[str]:
    """A line is asked between two others, as the model has always seen them."""
    beside = Brackets(lines=100).texts()[0].splitlines()
    texts = (f"{beside[0]}\n{line}\n{beside[1]}" for line in asked)
    return [fill(run, text, top=1)[0][0].text for text in texts]


def rest_of_word(run: Run, asked: list[str]) -> list[str]:
    return generate(run, asked, max_tokens=LETTERS - 1, temperature=0.0)


# By the kind of a table, and by the name of a text.
WAYS: dict[str, tuple[Callable, Callable]] = {
    "pairs": (held_out, written),
    "labels": (held_out, labels),
    "brackets": (hidden_brackets, likeliest),
    "induction": (repeated_words, rest_of_word),
}
