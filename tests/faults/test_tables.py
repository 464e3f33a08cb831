"""Files of rows as they come: what is no row is told with its line."""

import pytest

ROWS = "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(40))
HEADS = {"classify": "text,label\n", "seq2seq": "source,target\n"}
JSON = '{"text": "%s", "label": "%s"}\n'

# (what is wrong, the ending of the file's name, its content below the header that the
# objective needs (a .jsonl has none), exit code, what the user sees)
TABLES = [
    ("without rows", "csv", "", 3, "too few rows"),
    ("of one column", "csv", "text\n" * 9, 3, r"line 2: too few cells, 1"),
    ("with an empty second cell", "csv", ROWS + "x,\n", 3, "line 42: the .* is empty"),
    ("with an empty first cell", "csv", ROWS + ",b\n", 3, "line 42: the .* is empty"),
    ("with an open quote", "csv", '"text,a\n' + ROWS, 3, "line 2: broken quotes"),
    ("with a quote inside", "csv", '"te"xt,a\n' + ROWS, 3, "line 2: broken quotes"),
    ("with NUL", "csv", "a\0b,a\n" + ROWS, 3, "line 2: the .* holds a NUL byte"),
    (
        "with a huge cell",
        "csv",
        "a" * 2_000_000 + ",a\n" + ROWS,
        3,
        "line 2: a cell of",
    ),
    ("in a huge quote", "csv", '"' + ROWS * 1_000, 3, "line 2: .*is a quote open"),
    ("in UTF-16", "csv", ROWS.encode("utf-16"), 3, r"rows\.csv: not UTF-8: byte 0xff"),
    ("in Latin-1", "csv", "é,a\n".encode("latin-1"), 3, "not UTF-8: byte 0xe9"),
    ("of another name", "txt", ROWS, 3, "a table is a file whose name ends in"),
    ("packed", "zip", ROWS, 3, "a table is a file whose name ends in"),
    ("of lines that are no JSON", "jsonl", "{]\n", 3, "line 1: not JSON"),
    ("of a list a line", "jsonl", "[1, 2]\n", 3, "line 1: no JSON object; write"),
    ("nested deeply", "jsonl", "[" * 99_999, 3, "line 1: not JSON"),
    ("of other keys", "jsonl", '{"a": 1}\n', 3, "line 1: the keys are 'a'; write"),
    ("with line ends of Windows", "csv", ROWS.replace("\n", "\r\n"), 0, ""),
    ("with blank lines", "csv", "\n\n" + ROWS + "\n \n", 0, ""),
]


@pytest.mark.parametrize("objective", HEADS)
@pytest.mark.parametrize(
    ("ending", "content", "code", "says"),
    [row[1:] for row in TABLES],
    ids=[row[0] for row in TABLES],
)
def test_a_table_is(sees, here, quick, objective, ending, content, code, says):
    head = "" if ending == "jsonl" else HEADS[objective]
    content = content if isinstance(content, bytes) else content.encode()
    (here / f"rows.{ending}").write_bytes(head.encode() + content)
    options = [f"--objective={objective}", f"--data=rows.{ending}", "--out=run"]
    sees(*quick, *options, "--steps=1", code=code, says=says)
    assert (here / "run").exists() == (code == 0)


# (what is wrong, the ending, the whole file, what the user sees)
LABELS = [
    ("two columns of a name", "csv", "text,label,Text\n" + ROWS, "are called 'text'"),
    (
        "one name of two",
        "csv",
        "text,b\n" + ROWS,
        "a header that names one column only",
    ),
    (
        "the names of pairs",
        "csv",
        HEADS["seq2seq"] + ROWS,
        "are those of pairs, not of",
    ),
    ("a byte order mark alone", "csv", "\ufeff", "too few rows"),
    ("one label", "csv", "x,a\ny,a\n" * 9, "every label is 'a'; give texts of two"),
    ("a label for each", "jsonl", "".join(JSON % (i, i) for i in range(9)), "held out"),
    (
        "a huge text",
        "jsonl",
        JSON % ("a" * 2_000_000, "b"),
        "line 1: the text is too lo",
    ),
    (
        "half a character",
        "jsonl",
        JSON % (r"\ud800", "b"),
        "line 1: .*half a character",
    ),
    ("a zero byte", "jsonl", JSON % (r"\u0000", "b"), "line 1: the text holds a NUL"),
]


@pytest.mark.parametrize(
    ("ending", "content", "says"),
    [row[1:] for row in LABELS],
    ids=[row[0] for row in LABELS],
)
def test_a_table_of_labels_is_refused_for(sees, here, quick, ending, content, says):
    (here / f"rows.{ending}").write_text(content, encoding="utf-8")
    options = ["--objective=classify", f"--data=rows.{ending}", "--out=run"]
    sees(*quick, *options, code=3, says=says)


def test_a_label_that_the_model_does_not_know_is_named(sees, here, quick):
    (here / "known.csv").write_text(HEADS["classify"] + ROWS)
    (here / "new.csv").write_text(HEADS["classify"] + ROWS.replace(",b", ",c"))
    options = ["--objective=classify", "--data=known.csv", "--out=run", "--steps=1"]
    sees(*quick, *options, code=0)
    says = "new.csv: the label 'c' is not among those that the model knows: a, b"
    sees("eval", "run", "--data=new.csv", code=3, says=says)


TITLED = "Survey 2026\nid,text,label\n" + "".join(
    f"{i},{row}\n" for i, row in enumerate(ROWS.splitlines())
)
TOLD = "labels.csv: text from text, label from label; not read: id; line 1 above the h"


def test_every_command_says_how_it_reads_a_file(sees, here, quick):
    (here / "labels.csv").write_text(TITLED)
    (here / "texts.jsonl").write_text(JSON % ("a text", "a") + JSON % ("another", "b"))
    options = ["--objective=classify", "--data=labels.csv", "--out=run", "--steps=1"]
    sees(*quick, *options, code=0, says=TOLD)
    sees("data", "show", "labels.csv", code=0, says=TOLD)
    sees("eval", "run", "--data=labels.csv", code=0, says=TOLD)
    sees("finetune", "run", "--data=labels.csv", "--out=tuned", code=0, says=TOLD)
    for argv in (
        ["classify", "run", "--file"],
        ["embed", "run", "--file"],
        ["search", "run", "a text", "--corpus"],
    ):
        of_rows, _ = sees(*argv, "labels.csv", code=0, says="text from text; not read")
        assert "Survey" not in of_rows
        of_json, _ = sees(*argv, "texts.jsonl", code=0, says="texts.jsonl: JSON, each")
        assert "{" not in of_json
    options = ["--data=texts.jsonl:text=label", "--out=short", "--context=1"]
    sees(*quick, *options, code=(0, 3), says="texts.jsonl")


def test_every_command_refuses_a_link_out_of_a_folder(sees, here, quick):
    (here / "private.txt").write_text("A diary of mine. " * 99)
    (here / "texts").mkdir()
    (here / "texts" / "a.txt").write_text("One line. Another one.\n" * 99)
    (here / "texts" / "b.txt").symlink_to("../private.txt")
    says = "texts/b.txt: leads out of the folder, to .*; give --follow-links"
    run = [*quick, "--steps=1", "--out=run", "--data=texts"]
    for argv in (run, ["scale", "--preset=smoke", "--data=texts"]):
        sees(*argv, code=3, says=says)
    sees("data", "show", "texts", code=3, says=says)
    out, _ = sees("data", "show", "texts", "--follow-links", "--json", code=0)
    assert "a folder of 2 text files" in out
    sees(*run, "--follow-links", code=0)
    sees("eval", "run", code=0)  # what it was trained on
    sees("eval", "run", "--data=texts", code=3, says=says)
    sees("eval", "run", "--data=texts", "--follow-links", code=0)
