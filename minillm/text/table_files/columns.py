"""Which columns of a table, or keys of an object, hold what: by known names, or as the
user says (`labels.csv:text=review,label=stars`)."""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter

from minillm.text.data_spec import Columns

# What each kind of file is read for, and the names of the columns that it may stand in,
# the first found. Texts that belong together ("+") are joined by a line break; one with
# a question mark may be missing.
NAMES = {
    "pairs": {
        "source": (
            "source src instruction+input?+context? prompt+input? input"
            " question+passage question+context? document article dialogue query text"
            " messages.before conversations.before"
        ),
        "target": (
            "target tgt output answer answers.text answers summary highlights response"
            " completion chosen messages.last conversations.last"
        ),
    },
    "labels": {
        "text": (
            "text sentence1+sentence2 premise+hypothesis question1+question2"
            " question+sentence question+passage text1+text2 text_a+text_b sentence"
            " title?+description title?+review review_text title?+content title?+body"
            " review utterance comment comment_text tweet headline question query"
        ),
        "label": (
            "label class gold_label sentiment intent category topic emotion stars"
            " rating score is_duplicate"
        ),
    },
    "text": {
        "text": (
            "title?+text instruction+input?+context?+output"
            " instruction+input?+context?+response"
            " prompt+completion prompt+response prompt+chosen"
            " question+context?+answer question+context?+answers.text"
            " title?+content title?+body title?+article title?+document article"
            " document content body story sentence review"
            " messages.before+messages.last conversations.before+conversations.last"
            " sentence1+sentence2 premise+hypothesis question1+question2"
            " title?+description utterance comment tweet"
        ),
    },
}
JOINT = "\n"
SHOWN, LONGEST_NAME = 8, 80  # names in a message, and their characters

# The parts of a form, and whether each may be missing.
Form = list[tuple[str, bool]]
FORMS = {
    kind: {
        role: [
            [(part.rstrip("?"), part.endswith("?")) for part in form.split("+")]
            for form in forms.split()
        ]
        for role, forms in roles.items()
    }
    for kind, roles in NAMES.items()
}
Places = tuple[int, ...]  # the columns whose texts are joined


class BadRow(Exception):
    """What is wrong in a line of a file."""

    def __init__(self, line: int, what: str):
        super().__init__(f"line {line:,}: {what}")


def choose(
    names: Sequence[str], kind: str, asked: Columns | None = None
) -> list[Places | None]:
    """For each role of a kind the places of its columns among `names`, None where there
    are none: by the names that are `asked` for, else by the known ones."""
    compared = [plain(name) for name in names]
    return [
        _asked(asked[role], compared) if asked else _known(forms, compared)
        for role, forms in FORMS[kind].items()
    ]


def has_columns(names: Sequence[str], kind: str, asked: Columns | None = None) -> bool:
    """Whether all columns of a kind are among these names."""
    return None not in choose(names, kind, asked)


def told(kind: str, chosen: Mapping[tuple[str, ...], Sequence[Places]]) -> list[str]:
    """In words, which columns hold what and which are not read; nothing where there are
    only those of the kind.

    `chosen` are the places by the names of the columns, which JSON may change from one
    object to the next.
    """
    sources = {role: {} for role in NAMES[kind]}
    unread = {}
    plainly = True
    for names, places in chosen.items():
        if None in places:
            continue
        read = {n for columns in places for n in columns}
        unread |= dict.fromkeys(name for n, name in enumerate(names) if n not in read)
        for role, columns in zip(sources, places, strict=True):
            name = " + ".join(_short(names[n]) for n in columns)
            sources[role][name] = None
            plainly = plainly and len(columns) == 1 and "." not in name
    if plainly and not unread:
        return []
    roles = ", ".join(
        f"{role} from {' or '.join(found)}" for role, found in sources.items()
    )
    if " + " in roles:
        roles += " (joined by a line break)"
    return [roles, f"not read: {listed(list(unread))}"] if unread else [roles]


def taker(columns: Places) -> Callable[[Sequence[str]], str]:
    """A function that takes a role's text out of the cells of a row."""
    if len(columns) == 1:
        return itemgetter(*columns)
    return lambda cells: joined([cells[n] for n in columns])


def joined(texts: Sequence[str]) -> str:
    """The texts of several columns as one, without those that are blank."""
    return JOINT.join(text for text in texts if text.strip())


def listed(names: Sequence[str]) -> str:
    """Names in a row, and how many more there are than can be shown."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(map(_short, names[:SHOWN])) + more


def _short(name: str) -> str:
    """On one line, and the beginning of a long one."""
    name = " ".join(name.split()).encode("utf-8", "backslashreplace").decode()
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."


def _known(forms: Sequence[Form], names: Sequence[str]) -> Places | None:
    for form in forms:
        found = {name: names.index(name) for name, _ in form if name in names}
        if all(name in found or optional for name, optional in form):
            return tuple(found.values())
    return None


def _asked(wanted: Sequence[str], names: Sequence[str]) -> Places | None:
    places = []
    for name in wanted:
        if is_number(name, len(names)):
            places.append(int(name) - 1)
        elif plain(name) in names:
            places.append(names.index(plain(name)))
        else:
            return None
    return tuple(places)


def is_number(name: str, n_columns: int) -> bool:
    """Whether a column is asked for by its number, not by its name."""
    return name.isdecimal() and 1 <= int(name) <= n_columns


def plain(name: str) -> str:
    """A name as it is compared: without regard to case, spaces and hyphens."""
    return re.sub(r"[\s-]+", "_", name.strip().casefold())
