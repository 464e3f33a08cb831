"""--config with what is no configuration, and numbers that other commands refuse."""

import json
import os

import pytest

UNREADABLE = "cannot be read as a configuration"
# (what is wrong, the file's name, its bytes, exit code, what the user sees)
FILES = [
    ("a key misspelt", "my.toml", b"layer = 3", 2, "'layer': did you mean 'layers'"),
    ("an unknown key", "my.toml", b"zzzz = 3", 2, "unknown key 'zzzz' .known: size, l"),
    (
        "a word for a number",
        "my.toml",
        b"layers = 'x'",
        2,
        "my.toml: layers: 'x' is not",
    ),
    (
        "a list",
        "my.toml",
        b"layers = [1]",
        2,
        r"layers = \[1\] is not what layers takes",
    ),
    ("a switch", "my.toml", b"layers = true", 2, "layers = True is not what layers"),
    ("a table", "my.toml", b"[layers]\na = 1", 2, "is not what layers takes"),
    ("a day", "my.toml", b"layers = 2020-01-01", 2, "'2020-01-01' is not"),
    ("a word for a switch", "my.toml", b"tied = 'yes'", 2, "is not what tied takes"),
    ("a key twice", "my.toml", b"layers = 1\nlayers = 2", 3, UNREADABLE),
    ("nothing behind =", "my.toml", b"layers = ", 3, UNREADABLE),
    ("UTF-16", "my.toml", "layers = 1".encode("utf-16"), 3, UNREADABLE),
    ("deep nesting", "my.toml", b"a = " + b"[" * 9_999, 3, UNREADABLE),
    ("deep nesting", "my.json", b"[" * 99_999, 3, UNREADABLE),
    ("nothing", "my.json", b"", 3, UNREADABLE),
    ("a list", "my.json", b"[1]", 3, "holds no table of options"),
    ("NaN", "my.json", b'{"lr": NaN}', 2, "lr must be at least 0 and finite, got nan"),
    ("too large", "my.json", b'{"lr": 1e999}', 2, "lr must be .* finite, got inf"),
    ("5,000 digits", "my.json", b'{"steps": %s}' % (b"9" * 5_000), 3, UNREADABLE),
    ("a zero byte", "my.toml", b'out = "\\u0000"', 2, "cannot hold a zero byte"),
]


@pytest.mark.parametrize(
    ("name", "content", "code", "says"),
    [row[1:] for row in FILES],
    ids=[f"{row[0]}, {row[1]}" for row in FILES],
)
def test_a_configuration_is_refused_with(sees, here, name, content, code, says):
    (here / name).write_bytes(content)
    sees("train", f"--config={name}", "--data=bilingual", code=code, says=says)


@pytest.mark.parametrize("name", ["none.toml", "-", "."])
def test_a_configuration_that_is_no_file_is_named(sees, name):
    says = f"{name}: (no such configuration file|{UNREADABLE}: is a folder, not a file)"
    sees("train", f"--config={name}", code=3, says=says)


def test_a_value_that_makes_no_sense_is_sought_where_it_stands(sees, here, monkeypatch):
    (here / "my.toml").write_text("min-lr = -1")
    says = r"min_lr must be .*, got -1.0"
    sees("train", "--config=my.toml", code=2, says=rf"{says} \(file: my.toml\)$")
    sees("train", "--min-lr=-1", code=2, says=f"{says}$")
    monkeypatch.setenv("MINILLM_TRAIN_MIN_LR", "-1")
    sees("train", code=2, says=rf"{says} \(environment: MINILLM_TRAIN_MIN_LR\)$")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_a_configuration_without_an_end_is_not_read(sees):
    says = f"/dev/zero: {UNREADABLE}: is a device, not a file"
    sees("train", "--config=/dev/zero", code=3, says=says)


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs /dev/fd")
def test_a_configuration_may_come_through_a_pipe(sees):
    read, write = os.pipe()
    os.write(write, b"layers = 0")
    os.close(write)
    sees(
        "train", f"--config=/dev/fd/{read}", code=2, says=r"layers \(n_layers\) must be"
    )
    os.close(read)


# (what happened to run.json, how, exit code, what the user sees)
RECORDS = [
    ("cut short", lambda text: text[:300], 3, UNREADABLE),
    (
        "of a later version",
        lambda text: text.replace('"options": {', '"options": {"depth_of_mind": 1,', 1),
        2,
        "run.json: unknown key 'depth_of_mind'",
    ),
    (
        "with another type",
        lambda text: text.replace('"n_layers": 1', '"n_layers": "x"'),
        2,
        "run.json: n_layers: 'x' is not",
    ),
    ("without options", lambda text: json.dumps({"status": "finished"}), 2, "'status'"),
]


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [row[1:] for row in RECORDS],
    ids=[r[0] for r in RECORDS],
)
def test_a_record_to_repeat_is_refused(sees, run, change, code, says):
    text = (run / "run.json").read_text(encoding="utf-8")
    assert change(text) != text
    (run / "run.json").write_text(change(text), encoding="utf-8")
    sees("train", f"--config={run}/run.json", code=code, says=says)


WRITING = {  # options of `generate`, and what they may not be
    "max-tokens": ["-1"],
    "n": ["0", "-1", "1000000000"],
    "beams": ["0", "-1", "1000000000"],
    "top-k": ["0", "-1"],
    "seed": ["-1"],
    "temperature": ["-1", "nan", "inf", "-inf", "1e400"],
    "top-p": ["0", "-1", "nan", "inf", "1.5"],
    "min-p": ["-1", "nan", "inf", "1.5"],
    "repetition-penalty": ["0", "-1", "nan", "inf", "1e400"],
}
OTHERS = {  # the same of other commands
    ("plan", "--law=no/such"): {"flops": ["0", "-1", "nan", "inf", "1e400", "x"]},
    ("scale", "--data=missing.txt"): {"budget": ["0", "-1", "nan", "1e400", "5y"]},
    ("sizes",): {"vocab": ["0", "-1", "1" * 30], "workers": ["0", "-1", "x"]},
    ("eval", "run"): {"limit": ["0", "-1", "nan"]},
}


@pytest.mark.parametrize(
    ("command", "option", "values"),
    [(("generate", "run", "She"), *item) for item in WRITING.items()]
    + [(command, *item) for command, of in OTHERS.items() for item in of.items()],
)
def test_a_number_is_refused_by_name(sees, run, command, option, values):
    for value in values:
        says = f"{option.replace('-', '.')}'?:? .*(must be|is not|is no )"
        sees(*command, f"--{option}={value}", code=2, says=says)
