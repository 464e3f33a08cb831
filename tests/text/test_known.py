"""Generated corpora: their bytes, their laws, and that the entropies are the truth."""

import lzma
import zlib
from collections import Counter

import numpy as np
import pytest

from minillm.errors import UsageError
from minillm.text import load_corpus
from minillm.text.synthetic import rng
from minillm.text.synthetic.by_name import GENERATED, generated
from minillm.text.synthetic.excess_entropy import excess_entropy, stationary
from minillm.text.synthetic.facts import Facts
from minillm.text.synthetic.lexicon import Lexicon

SMALL = {
    "facts": Facts(a=0.7, keys=300, values=50, records=60_000, seed=1),
    "lexicon": Lexicon(classes=3, words=200, length=60_000, seed=1),
}


@pytest.fixture(params=SMALL, scope="module")
def known(request):
    return SMALL[request.param]


@pytest.fixture(scope="module")
def text(known) -> str:
    return known.texts()[0]


def words(known, text: str) -> list[str]:
    end = known_words(known)[0][-1]
    return [word + end for word in text.split(end)[:-1]]


def known_words(known) -> list[str]:
    return known.lines if known.name == "facts" else known.spelled


# The bytes


def test_the_bytes_are_the_same_on_every_machine():
    """What these digests say must never change: published entropies hang on them."""
    found = {name: load_corpus(known.spec).sha256 for name, known in SMALL.items()}
    assert found == {
        "facts": "4486cc1b9901edc1a1330f7f897006c4161950b6d0c35e72594b0118988bb18a",
        "lexicon": "0d2bd98cc8ce085d7c0da5e6552c56cda483c411ca3ecd813c21e9610b0ec8a3",
    }


def test_a_seed_gives_another_text(known):
    kind = type(known)
    size = {"records": 200} if known.name == "facts" else {"length": 200}
    first, again, other = (kind(seed=seed, **size).texts() for seed in (1, 1, 2))
    assert first == again
    assert set(first).isdisjoint(other)


def test_a_longer_text_begins_with_the_shorter(known, text):
    size = {"records": 500} if known.name == "facts" else {"length": 500}
    same = {name: getattr(known, name) for name in known.limits()}
    assert text.startswith(type(known)(**{**same, **size}).texts()[0])


def test_validation_is_fresh_and_both_texts_are_whole(known, text):
    val = known.texts()[1]
    assert len(words(known, val)) == 6_000
    assert set(words(known, val)) <= set(known_words(known))
    assert set(words(known, text)) <= set(known_words(known))
    assert val[:200] not in text


def test_text_and_words_tell_each_other():
    for kind in GENERATED.values():
        every = known_words(kind())
        assert len(set(every)) == len(every)
        ends = {word[-1] for word in every}
        assert len(ends) == 1
        assert not any(ends & set(word[:-1]) for word in every)


@pytest.mark.slow
def test_the_default_is_long_enough_for_an_hour():
    for kind in GENERATED.values():
        corpus = load_corpus(kind.name)
        assert len(corpus.train) > 8_000_000
        assert len(corpus.val) > 262_144
        assert corpus.name == kind.name
        assert corpus.entropy == kind().entropy
        assert corpus.n_bytes == pytest.approx(kind().characters, rel=0.01)


# The laws


def test_a_zipf_law_is_what_it_says():
    law = rng.zipf(1_000, 1.5)
    p = np.arange(1, 1_001) ** -1.5
    assert law.sum() == rng.WHOLE
    assert law / rng.WHOLE == pytest.approx(p / p.sum(), rel=1e-8)


def test_a_law_of_a_million_ranks_has_room():
    """Of equal ranks, where the sum is the largest there is."""
    law = rng.zipf(1_000_000, 0.0)
    assert law.sum() == rng.WHOLE
    assert law[1:].min() == law[1:].max() == rng.WHOLE // 1_000_000


def test_every_number_chooses_its_own_part():
    law = np.array([1, 0, 3]) << (rng.BITS - 2)
    ends = np.array([0, 1, 2, 4]) * (rng.WHOLE // 4)
    numbers = np.append(ends[:-1], ends - 1)[[0, 1, 2, 4, 5, 6]]
    assert rng.chosen(law, numbers).tolist() == [0, 2, 2, 0, 2, 2]


def test_keys_are_met_as_often_as_their_law_says():
    facts = SMALL["facts"]
    counts = np.bincount(facts.drawn(1, facts.records), minlength=facts.keys)
    expected = facts.law / rng.WHOLE * facts.records
    chi_square = ((counts - expected) ** 2 / expected).sum() / (facts.keys - 1)
    assert 0.8 < chi_square < 1.25


def test_a_key_has_one_value():
    facts = SMALL["facts"]
    pairs = {tuple(line.split("=")) for line in facts.texts()[0].split("\n")[:-1]}
    assert len({key for key, _ in pairs}) == len(pairs) > 250
    assert {len(value) for _, value in pairs} == {facts.value_length} == {2}


def test_classes_follow_each_other_as_the_chain_says():
    lexicon = SMALL["lexicon"]
    ends = np.cumsum(lexicon.sizes)
    classes = np.searchsorted(ends, lexicon.drawn(1, 60_000), side="right")
    counts = np.zeros((3, 3))
    np.add.at(counts, (classes[:-1], classes[1:]), 1)
    found = counts / counts.sum(1, keepdims=True)
    assert found == pytest.approx(lexicon.moves / rng.WHOLE, abs=0.015)
    often = np.bincount(classes) / 60_000
    assert often == pytest.approx(stationary(lexicon.moves / rng.WHOLE), abs=0.015)


# The entropy


def plug_in(outcomes) -> float:
    """−Σ p̂ ln p̂, with Miller and Madow's correction for the few seen."""
    counts = np.array(list(Counter(outcomes).values()))
    p = counts / counts.sum()
    return float(-(p * np.log(p)).sum() + (len(p) - 1) / (2 * counts.sum()))


def test_the_entropy_of_facts_is_that_of_its_records():
    facts = SMALL["facts"]
    lines = words(facts, facts.texts()[0])
    assert plug_in(lines) == pytest.approx(facts.entropy_per_record, rel=0.01)
    mean = len(facts.texts()[0]) / len(lines)
    assert mean == pytest.approx(facts.characters_per_record, rel=0.01)
    assert facts.entropy * mean == pytest.approx(facts.entropy_per_record, rel=0.01)


def test_the_entropy_of_lexicon_is_that_of_a_word_after_a_class():
    lexicon = SMALL["lexicon"]
    drawn = lexicon.drawn(1, 60_000)
    classes = np.searchsorted(np.cumsum(lexicon.sizes), drawn, side="right")
    pairs = zip(classes[:-1].tolist(), drawn[1:].tolist(), strict=True)
    found = plug_in(pairs) - plug_in(classes.tolist())
    assert found == pytest.approx(lexicon.entropy_per_word, rel=0.01)
    mean = len(lexicon.texts()[0]) / 60_000
    assert mean == pytest.approx(lexicon.characters_per_word, rel=0.01)
    assert lexicon.entropy * mean == pytest.approx(lexicon.entropy_per_word, rel=0.01)


def test_no_compressor_is_below_the_entropy(known, text):
    raw = text.encode()
    packed = {"zlib": zlib.compress(raw, 9), "lzma": lzma.compress(raw)}
    for name, result in packed.items():
        nats_per_character = 8 * np.log(2) * len(result) / len(text)
        assert known.entropy < nats_per_character < 2.2 * known.entropy, name


def test_the_ideal_memoriser_loses_what_the_sum_says():
    facts = SMALL["facts"]
    p = facts.law / rng.WHOLE
    exact = np.log(50) * sum(pk * (1 - pk) ** 70 for pk in p)
    assert facts.excess(70) == pytest.approx(exact)
    assert facts.excess(1e9, known=40) == pytest.approx(np.log(50) * p[40:].sum())
    assert facts.excess(0) == pytest.approx(np.log(50))


# Windows


def start_cost_of_text(text: str, entropy: float, T: int) -> float:
    """H(X₁ … X_T | X₀) − T·h, counted."""
    windows = (text[i : i + T + 1] for i in range(len(text) - T))
    return plug_in(windows) - plug_in(text) - T * entropy


def test_what_a_window_start_costs_is_counted_in_facts():
    facts = Facts(a=1.0, keys=12, values=30, records=100_000)
    counted = start_cost_of_text(facts.texts()[0], facts.entropy, 9)
    assert facts.start_cost == pytest.approx(counted, abs=0.02)
    assert facts.floor(64) == facts.entropy + facts.start_cost / 64


def test_what_a_window_start_costs_is_counted_in_a_chain():
    language = ["a ", "ba ", "bab ", "abb ", "b "]
    within = np.array([[0.5, 0.3, 0.2, 0, 0], [0, 0, 0, 0.6, 0.4]])
    moves = np.array([[0.1, 0.9], [0.7, 0.3]])
    rng = np.random.default_rng(0)
    now, drawn = 0, []
    for row in rng.random((100_000, 2)):
        now = int(row[0] > moves[now, 0])
        drawn.append(language[np.searchsorted(within[now].cumsum(), row[1])])
    pi = stationary(moves)
    nats = [-(p[p > 0] * np.log(p[p > 0])).sum() for p in (*moves, *within)]
    per_word = pi @ (np.array(nats[:2]) + nats[2:])
    entropy = per_word / (pi @ within @ [len(word) for word in language])
    # Long enough for a whole word after the first: the letters tell its class.
    counted = start_cost_of_text("".join(drawn), entropy, 9)
    assert excess_entropy(language, within, moves) == pytest.approx(counted, abs=0.02)


# Names and parameters


def test_parameters_reach_the_text():
    corpus = load_corpus("facts:a=0.7,keys=9,values=7,records=1000,seed=3")
    assert corpus.name == "facts:a=0.7,keys=9,values=7,records=1000,seed=3"
    assert corpus.train.count("\n") == 1_000
    assert corpus.val.count("\n") == 100
    assert corpus.entropy == Facts(0.7, 9, 7, 1000, 3).entropy
    assert load_corpus("bilingual").entropy is None


def test_the_default_is_called_by_its_name_alone():
    assert generated("facts").spec == generated("facts:keys=1000").spec == "facts"
    assert generated("fact") is generated("./facts") is generated("") is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("facts:", "'' is not understood"),
        ("facts:key=3", "give a, keys, values, records, seed"),
        ("facts:a=1,a=2", "'a=2' is not understood"),
        ("facts:keys=ten", "keys is 'ten'; it is a whole number from 2"),
        ("facts:keys=1e3", "keys is 1000.0"),
        ("facts:a=nan", "a is 'nan'; it is a number from -1"),
        ("facts:values=0", "values is 0"),
        ("lexicon:classes=99", "classes is 99; it is a whole number from 2 to 12"),
        ("lexicon:seed=-1", "seed is -1"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(data, words):
    with pytest.raises(UsageError, match=words) as caught:
        load_corpus(data)
    assert str(caught.value).startswith(data.partition(":")[0])
    assert "\n" not in str(caught.value)
