"""Questions about what was held out, and what a model says to them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, pairwise

from minillm.generation import fill, generate
from minillm.runs.run import Run
from minillm.tasks import classify
from minillm.tasks.reading import reading
from minillm.text import MASK
from minillm.text.corpus import blocks
from minillm.text.data_spec import Rows
from minillm.text.documents import ELSEWHERE, FOLLOWS, sentences
from minillm.text.synthetic.brackets import Brackets
from minillm.text.synthetic.induction import LETTERS, Induction
from minillm.text.synthetic.recipe import Toy
from minillm.text.synthetic.topics import Topics

BETWEEN = " |"  # two texts; the second begins with the space before it
SECOND = {FOLLOWS: "follows", ELSEWHERE: "from elsewhere"}


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


def pairs_of_texts(toy: Topics) -> Rows:
    """Two sentences of each document, and two more: those that follow, and those at
    the same place of the next document, in turn."""
    documents = map(sentences, blocks(toy.texts()[1]))
    rows = []
    for number, (own, other) in enumerate(pairwise(documents)):
        label = (FOLLOWS, ELSEWHERE)[number % 2]
        second = own if label == FOLLOWS else other
        asked = "".join(own[:2]) + BETWEEN + "".join(second[2:4])
        rows.append((asked, SECOND[label]))
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


def follows(run: Run, asked: list[str]) -> list[str]:
    """What BERT's second objective has taught: the likelier label of each pair."""
    tokenizer, context = run.tokenizer, run.config.context
    pairs = [map(tokenizer.encode, each.split(BETWEEN)) for each in asked]
    batch = tokenizer.batch(pairs, room=context)
    with reading(run.model):
        logits = run.model.label_logits(run.model.read(batch), batch).numpy()
    return [SECOND[label] for label in logits.argmax(1)]


# By the kind of a task, and by the name of a text.
WAYS: dict[str, tuple[Callable, Callable]] = {
    "pairs": (held_out, written),
    "labels": (held_out, labels),
    "documents": (pairs_of_texts, follows),
    "brackets": (hidden_brackets, likeliest),
    "induction": (repeated_words, rest_of_word),
}
