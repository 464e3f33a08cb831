"""Generated tasks: their answers are right, and what is called known is the truth."""

import itertools
import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.errors import DataError, UsageError
from minillm.text import load_corpus, load_table, masked, train_tokenizer
from minillm.text.corpus import blocks
from minillm.text.documents import FOLLOWS, Documents, passages, sentences
from minillm.text.objectives import MASK
from minillm.text.synthetic.brackets import CLOSE, OPEN, Brackets, from_the_rest
from minillm.text.synthetic.by_name import TOYS
from minillm.text.synthetic.induction import VALIDATION, Induction
from minillm.text.synthetic.languages import Languages
from minillm.text.synthetic.numbers import Numbers, words
from minillm.text.synthetic.strings import Copy, Reverse
from minillm.text.synthetic.topics import LETTERS, SENTENCES, WORD, Topics

TABLES = [toy for toy in TOYS.values() if toy.kind in ("pairs", "labels")]
TEXTS = [toy for toy in TOYS.values() if toy.kind in ("text", "documents")]


# Names, parameters, bytes


@pytest.mark.parametrize("toy", TABLES)
def test_a_table_is_had_by_its_name_and_parameters(toy):
    table = load_table(toy.name, toy.kind)
    assert (table.name, table.note) == (toy.name, toy().title)
    assert (table.train, table.val) == toy().parts()
    assert 0.09 < len(table.val) / len(table.train + table.val) <= 0.1
    assert load_table(toy.example, toy.kind).name == toy.example
    assert load_table(f"{toy.name}:seed=1", toy.kind).train != table.train


@pytest.mark.parametrize("toy", TEXTS)
def test_a_text_is_had_by_its_name_and_parameters(toy):
    corpus = load_corpus(toy.name)
    assert (corpus.name, corpus.note) == (toy.name, toy().title)
    assert (corpus.train, corpus.val) == toy().texts()
    assert corpus.entropy == toy().entropy
    assert len(corpus.val) == len(corpus.train) // 10
    assert corpus.train[:100] != corpus.val[:100]
    assert load_corpus(toy.example).name == toy.example
    assert load_corpus(f"{toy.name}:seed=1").train != corpus.train


DIGESTS = {
    "copy:rows=100": "a194366fc3133578",
    "reverse:rows=100": "80eb81d0a8d94b92",
    "numbers": "8434dc28caae88d0",
    "languages:rows=100": "a54eae484e707c11",
    "brackets:lines=100": "f9ce5d1495a99202",
    "topics:documents=100": "1a4cdedca03ee21c",
    "induction:size=1000": "2ad2e0cc2fe047f5",
}


@pytest.mark.parametrize("spec", DIGESTS)
def test_the_bytes_are_the_same_on_every_machine(spec):
    """What is measured on these tasks hangs on them: the digests must not change."""
    toy = TOYS[spec.partition(":")[0]]
    loaded = load_corpus(spec) if toy in TEXTS else load_table(spec, toy.kind)
    assert loaded.sha256.startswith(DIGESTS[spec])


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        ("reverse", "text", "reverse is pairs of texts, for objective='seq2seq'"),
        ("languages:seed=1", "text", "is texts with labels, for objective='classify'"),
        ("brackets", "pairs", "is a text, for objective='mlm'.*read as pairs of texts"),
        ("induction", "labels", "a text, for objective='clm'; .* as texts with labels"),
        ("topics", "pairs", "topics is a text of documents, for objective='mlm.nsp'"),
        ("numbers", "labels", "is pairs of texts.*cannot be read as texts with labels"),
    ],
)
def test_a_task_of_another_kind_is_refused(data, kind, words):
    with pytest.raises(UsageError, match=words) as caught:
        load_corpus(data) if kind == "text" else load_table(data, kind)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("copy:longest=2", "no string has 3 letters at least and 2 at most"),
        ("copy:letters=2", "20000 rows and 2000 held out are more than there are"),
        ("reverse:rows=9", "reverse: rows is 9; it is a whole number from 10"),
        ("numbers:below=100000", "below is 100000"),
        ("numbers:to_words=2", "to_words is 2"),
        ("languages:borrowed=0.6", "borrowed is 0.6; it is a number from 0.0 to 0.5"),
        ("brackets:kinds=5", "kinds is 5"),
        ("topics:topics=14", "topics is 14; it is a whole number from 2 to 13"),
        ("topics:topics=1", "topics is 1"),
        ("topics:documents=99", "documents is 99"),
        ("topics:documents=1e3", "documents is 1000.0; it is a whole number"),
        ("topics:seed=-1", "seed is -1"),
        ("induction:words=4", "4 words of 4 letters each need 16 letters, not 12"),
        ("induction:words", "'words' is not understood; give words, letters"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(data, words):
    toy = TOYS[data.partition(":")[0]]
    with pytest.raises(UsageError, match=words) as caught:
        load_corpus(data) if toy in TEXTS else load_table(data, toy.kind)
    assert str(caught.value).startswith(toy.name)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_told_the_names_of_the_tasks():
    with pytest.raises(DataError, match="facts, lexicon, brackets, topics, induction"):
        load_corpus("inductoin")


@pytest.mark.parametrize("toy", TOYS.values())
def test_chance_is_how_often_the_most_frequent_answer_is_right(toy):
    if toy.kind == "text":
        answers = toy().texts()[0]
    elif toy.kind == "documents":
        answers = [label for *_, label in drawn_pairs(toy(documents=1_000))]
    else:
        answers = [answer for _, answer in toy().parts()[0]]
    found = Counter(answers).most_common(1)[0][1] / len(answers)
    assert toy().chance == pytest.approx(found, rel=0.2, abs=0.001)


# Strings and numbers


@given(
    letters=st.integers(5, 26),
    shortest=st.integers(3, 6),
    more=st.integers(0, 9),
    rows=st.integers(10, 50),
    seed=st.integers(0, 9),
)
def test_strings_are_copied_and_reversed(letters, shortest, more, rows, seed):
    settings = letters, shortest, shortest + more, rows, seed
    train, held_out = Copy(*settings).parts()
    sources = [source for source, _ in train + held_out]
    assert len(train) == rows
    assert len(set(sources)) == len(sources)
    for source, target in train + held_out:
        assert target == source
        assert shortest <= len(source) <= shortest + more
        assert all("a" <= letter < chr(97 + letters) for letter in source)
    for source, target in itertools.chain(*Reverse(*settings).parts()):
        assert [*target] == [*reversed(source)]


def value(text: str) -> int:
    """A number in words, understood from left to right."""
    small = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight"]
    small += ["nine", "ten", "eleven", "twelve"]
    teens = {"thirteen": 13, "fifteen": 15, "eighteen": 18}
    tens = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "eighty": 80}
    total = 0
    for word in re.split("[ -]", text.replace(" and ", " ")):
        if word in ("hundred", "thousand"):
            last = total % 100 if word == "hundred" else total
            total += last * (99 if word == "hundred" else 999)
        elif word in small:
            total += small.index(word)
        elif word in teens or word in tens:
            total += {**teens, **tens}[word]
        elif word.endswith("teen"):
            total += 10 + small.index(word.removesuffix("teen"))
        else:
            total += 10 * small.index(word.removesuffix("ty"))
    return total


def test_numbers_in_words_are_the_numbers():
    said = [words(n) for n in range(10_000)]
    assert [value(text) for text in said] == list(range(10_000))
    assert words(407) == "four hundred and seven"
    assert words(1_012) == "one thousand and twelve"
    assert words(9_999) == "nine thousand nine hundred and ninety-nine"
    assert words(20) == "twenty"


@pytest.mark.parametrize("to_words", [0, 1])
def test_every_number_is_in_one_part_of_numbers(to_words):
    train, held_out = Numbers(below=1_234, to_words=to_words).parts()
    rows = train + held_out
    assert len(held_out) == 123
    pairs = [row[::-1] for row in rows] if to_words else rows
    assert sorted(int(digits) for _, digits in pairs) == list(range(1_234))
    assert all(value(text) == int(digits) for text, digits in pairs)


# Languages


def test_no_letter_and_no_syllable_tells_the_languages_apart():
    for syllables in (2, 7, 8, 30):
        north, south = Languages(syllables=syllables).words
        assert len(north) == len(south) == syllables * (syllables // 2)
        assert len({*north, *south}) == 2 * len(north)
        for part in (slice(2), slice(2, 4)):
            counts = [Counter(word[part] for word in side) for side in (north, south)]
            assert counts[0] == counts[1]
            assert len(set(counts[0].values())) == 1
        assert Counter("".join(north)) == Counter("".join(south))


@pytest.mark.parametrize(("length", "borrowed"), [(5, 0.2), (4, 0.3), (1, 0.1), (9, 0)])
def test_the_majority_of_words_is_right_as_often_as_is_said(length, borrowed):
    toy = Languages(length=length, borrowed=float(borrowed))
    north, south = toy.words
    right = 0.0
    train, _ = toy.parts()
    for text, label in train:
        counts = [sum(word in side for word in text.split()) for side in (north, south)]
        assert sum(counts) == length
        guess = 0.5 if counts[0] == counts[1] else float(counts[0] > counts[1])
        right += guess if label == "north" else 1 - guess
    assert right / len(train) == pytest.approx(toy.best, abs=0.01)


# Brackets


def balanced(n: int, kinds: int) -> list[str]:
    """All balanced strings of n pairs."""
    if n == 0:
        return [""]
    return [
        OPEN[kind] + inner + CLOSE[kind] + outer
        for i in range(n)
        for inner in balanced(i, kinds)
        for outer in balanced(n - 1 - i, kinds)
        for kind in range(kinds)
    ]


def is_balanced(line: str) -> bool:
    while line != (line := re.sub(r"\(\)|\[\]|\{\}|<>", "", line)):
        pass
    return not line


@pytest.mark.parametrize(("kinds", "pairs"), [(1, 4), (2, 3), (3, 2), (4, 1)])
def test_all_balanced_strings_are_equally_likely(kinds, pairs):
    toy = Brackets(kinds=kinds, pairs=pairs, lines=20_000)
    counts = Counter(toy.texts()[0].split("\n")[:-1])
    every = balanced(pairs, kinds)
    assert set(counts) == set(every)
    expected = 20_000 / len(every)
    chi_square = sum((n - expected) ** 2 / expected for n in counts.values())
    degrees = len(every) - 1
    assert chi_square < degrees + 4 * math.sqrt(2 * degrees)
    assert toy.entropy == pytest.approx(math.log(len(every)) / (2 * pairs + 1))


def test_long_lines_are_balanced_and_of_one_length():
    for toy in (Brackets(lines=100), Brackets(kinds=4, pairs=50, lines=100)):
        lines = toy.texts()[0].split("\n")[:-1]
        assert {len(line) for line in lines} == {2 * toy.pairs}
        assert all(map(is_balanced, lines))


def certain(lines: list[str], symbols: str) -> np.ndarray:
    return np.array(
        [[[s == c for s in symbols] for c in line] for line in lines], float
    )


def test_a_single_hidden_bracket_is_determined_by_the_rest():
    toy = Brackets(kinds=4, pairs=20, lines=100)
    lines = toy.texts()[0].split("\n")[:20]
    seen = certain(lines, toy.symbols)
    rest = from_the_rest(seen)
    np.testing.assert_array_equal(rest > 0, seen > 0)


def test_a_pair_that_is_hidden_is_a_guess_among_the_kinds():
    seen = certain(["[]{}"], "([{)]}")
    seen[0, :2] = 1.0
    (rest,) = from_the_rest(seen)
    assert rest[0].tolist() == [1, 1, 1, 0, 0, 0]
    assert rest[1].tolist() == [0, 0, 0, 1, 1, 1]


def test_a_hidden_pair_may_also_belong_to_what_is_around_it():
    """([]{}) and ()({}) differ in two brackets that stand side by side."""
    seen = certain(["([]{})"], "([{)]}")
    seen[0, 1:3] = 1.0
    (rest,) = from_the_rest(seen)
    assert rest[1].tolist() == [1, 1, 1, 1, 0, 0]
    assert rest[2].tolist() == [1, 0, 0, 1, 1, 1]


@given(st.integers(0, 2**32 - 1), st.integers(1, 2), st.integers(1, 3))
def test_what_the_rest_tells_is_the_sum_over_all_strings(seed, kinds, pairs):
    rng = np.random.default_rng(seed)
    symbols = OPEN[:kinds] + CLOSE[:kinds]
    seen = rng.random((3, 2 * pairs, 2 * kinds)) * (rng.random((3, 2 * pairs, 1)) + 0.1)
    expected = np.zeros_like(seen)
    for string in balanced(pairs, kinds):
        places = [symbols.index(bracket) for bracket in string]
        factors = seen[:, np.arange(2 * pairs), places]  # (3, n)
        for i, s in enumerate(places):
            expected[:, i, s] += np.delete(factors, i, axis=1).prod(1)
    np.testing.assert_allclose(from_the_rest(seen), expected, rtol=1e-10)


def test_the_best_accuracy_is_what_a_reader_of_all_strings_reaches():
    """On whole lines, hidden by the objective itself."""
    toy = Brackets(kinds=2, pairs=3, lines=20_000)
    tokenizer = train_tokenizer("chars", toy.texts()[0], specials=(MASK,))
    ids = tokenizer.encode(toy.texts()[0]).reshape(-1, 7)
    windows = np.concatenate([ids, ids[:, :1]], axis=1)
    rng = np.random.default_rng(0)
    batch = masked(windows, rng=rng, tokenizer=tokenizer, context=7)
    strings = tokenizer.encode("".join(balanced(3, 2))).reshape(-1, 6)
    shown, targets = batch.ids[:, None, :6], batch.targets[:, :6]
    # P(shown | string), place by place, if the place was chosen or if that is unknown.
    n_ordinary = len(tokenizer.ordinary_ids)
    same, hidden = shown == strings, shown == tokenizer.specials[MASK]
    chosen = np.where(hidden, 0.8, 0.1 * same + 0.1 / n_ordinary)
    unknown = 0.15 * chosen + 0.85 * same
    right, nats = [], []
    for place in range(6):
        odds = np.delete(unknown, place, axis=2).prod(2) * chosen[:, :, place]
        per_id = np.stack([odds[:, strings[:, place] == i].sum(1) for i in range(7)], 1)
        asked = targets[:, place] >= 0
        per_id, truth = per_id[asked], targets[asked, place]
        right.append(per_id.argmax(1) == truth)
        nats.append(-np.log(per_id[np.arange(len(truth)), truth] / per_id.sum(1)))
    right, nats = np.concatenate(right), np.concatenate(nats)
    assert (6 * right.mean() + 1) / 7 == pytest.approx(toy.best(700), abs=0.015)
    assert 6 / 7 * nats.mean() == pytest.approx(toy.floor(700), abs=0.02)


def test_what_a_window_cuts_off_costs_accuracy():
    toy = Brackets()
    best = [toy.best(context) for context in (9, 16, 64, 1_024)]
    assert best[1] < best[2] < best[3] < best[0] < 1


# Topics


def topic(text: str) -> int:
    """By its first letter; there are none of two topics in it."""
    topics = {(ord(each) - ord("a")) // LETTERS for each in text if each.isalpha()}
    (found,) = topics
    return found


def drawn_pairs(toy: Topics, epoch: int = 0) -> list[tuple[str, str, int]]:
    """Of the part to validate, as the objective draws them, each time others."""
    tokenizer = train_tokenizer("chars", toy.texts()[0])
    documents = Documents.encode(blocks(toy.texts()[1]), tokenizer)
    rng = np.random.default_rng(epoch)
    pairs = [each.pair(29, rng) for each in passages(documents, documents.openings())]
    return [(tokenizer.decode(a), tokenizer.decode(b), label) for a, b, label in pairs]


@given(st.integers(2, 13), st.integers(100, 200), st.integers(0, 9))
def test_a_document_has_a_topic_and_its_letters_only(topics, documents, seed):
    toy = Topics(topics=topics, documents=documents, seed=seed)
    for text, n in zip(toy.texts(), (documents, documents // 10), strict=True):
        found = blocks(text)
        assert len(found) == n
        assert all(topic(each) < topics for each in found)
        assert {len(sentences(each)) for each in found} == {SENTENCES}
        assert {len(each.strip(". ")) for each in sentences(found[0])} == {WORD}


def test_topics_and_letters_are_equally_frequent():
    toy = Topics(topics=3)
    counts = Counter(map(topic, blocks(toy.texts()[0])))
    assert set(counts) == {0, 1, 2}
    assert min(counts.values()) > 0.9 * max(counts.values())
    letters = Counter(filter(str.isalpha, toy.texts()[0]))
    assert set(letters) == {*"abcdef"}
    assert min(letters.values()) > 0.9 * max(letters.values())
    nats = math.log(3) + SENTENCES * WORD * math.log(2)
    size = len(toy.texts()[0]) / toy.documents
    assert toy.entropy == pytest.approx(nats / size)


@pytest.mark.parametrize(("topics", "documents"), [(8, 5_000), (2, 300), (13, 1_000)])
def test_whoever_goes_by_the_topic_is_right_as_often_as_is_said(topics, documents):
    toy = Topics(topics=topics, documents=documents)
    right = []
    for epoch in range(10_000 // documents):
        right += [
            (topic(a) == topic(b)) == (label == FOLLOWS)
            for a, b, label in drawn_pairs(toy, epoch)
        ]
    assert np.mean(right) == pytest.approx(toy.best, abs=0.01)


def test_neither_text_alone_tells_whether_the_second_follows():
    toy = Topics(topics=4, documents=5_000)
    pairs = drawn_pairs(toy)
    for side in (0, 1):
        for each in range(toy.topics):
            labels = [pair[2] for pair in pairs if topic(pair[side]) == each]
            assert np.mean(labels) == pytest.approx(0.5, abs=0.05)


# Induction


def test_a_line_repeats_words_of_its_own():
    toy = Induction(words=3, letters=16, size=3_000)
    lines = toy.texts()[0].split("\n")[:-1]
    vocabularies = [sorted(set(line.split(" "))) for line in lines]
    for vocabulary in vocabularies:
        letters = "".join(vocabulary)
        assert len(vocabulary) <= 3
        assert len(set(letters)) == len(letters) == 4 * len(vocabulary)
    assert len(set(map(tuple, vocabularies))) == len(lines)
    assert 13 < np.mean([line.count(" ") + 1 for line in lines]) < 19


INDUCTIONS = [
    Induction(),
    Induction(words=3, letters=16, length=20),
    Induction(words=1, letters=4, length=3),
    Induction(words=2, letters=8, length=1),
]


@pytest.mark.parametrize("toy", INDUCTIONS, ids=lambda toy: toy.spec)
@pytest.mark.parametrize("context", [7, 64])
def test_the_ideal_reader_is_right_as_often_as_it_expects(toy, context):
    n = 8_000 // context
    text = toy.drawn(VALIDATION, 2_500)
    right = nats = 0.0
    for start in range(0, n * context, context):
        window = text[start : start + context + 1]
        for odds, truth in zip(toy.read(window), window[1:], strict=False):
            assert sum(odds.values()) == pytest.approx(1)
            right += max(odds, key=odds.get) == truth
            nats -= math.log(odds[truth])
    assert right / (n * context) == pytest.approx(toy.best(context), abs=0.02)
    assert nats / (n * context) == pytest.approx(toy.floor(context), abs=0.06)


@pytest.mark.parametrize("toy", INDUCTIONS, ids=lambda toy: toy.spec)
def test_the_floor_of_long_windows_comes_down_to_the_entropy(toy):
    text = toy.drawn(VALIDATION, 20_000)
    nats = [
        -math.log(odds[truth])
        for odds, truth in zip(toy.read(text), text[1:], strict=False)
    ]
    assert np.mean(nats) == pytest.approx(toy.entropy, rel=0.03)
    assert toy.floor(32) > toy.floor(128) > toy.entropy


def test_what_came_after_a_letter_comes_again():
    toy = Induction()
    window = "abcd efgh abcd e"
    odds = list(toy.read("\n" + window))
    assert [max(o, key=o.get) for o in odds[11:14]] == [*"bcd"]
    assert all(max(o.values()) == 1.0 for o in odds[11:14])
    assert odds[10] == pytest.approx({"a": 0.5, "e": 0.5})
    assert odds[-1] == {"f": 1.0}


def test_the_end_of_a_cut_word_is_known_when_it_comes_again():
    toy = Induction()
    odds = list(toy.read("cd efgh abc"))
    assert odds[9]["c"] == 1.0
    assert odds[10] == {"d": 1.0}
