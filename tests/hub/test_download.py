"""`minillm import hf:OWNER/NAME`, from a server on this machine that answers as the Hub
does: what is asked of it, what the cache keeps, what is said of what is not there."""

import hashlib
import http.server
import json
import shutil
import sys
import threading

import numpy as np
import pytest

from minillm import export_folder, import_folder, load_run, train
from minillm.errors import DataError

pytestmark = pytest.mark.hub
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "hf:owner/tiny"
WEIGHTS = "model.safetensors"


class Handler(http.server.BaseHTTPRequestHandler):
    """Gives the files of one folder, as those of the repository owner/tiny."""

    def log_message(self, *about):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        hub, path = self.server, self.path.partition("?")[0].strip("/")
        hub.asked.append(path)
        files = f"owner/tiny/resolve/{COMMIT}/"
        path = path.replace("/resolve/main/", f"/resolve/{COMMIT}/")
        file = hub.folder / path.removeprefix(files)
        if hub.error and "tiny" in path:
            return self.reply(*hub.error)
        if path.startswith(f"api/models/owner/tiny/tree/{COMMIT}"):
            names = [each.name for each in hub.folder.iterdir()]
            rows = [{"type": "file", "path": n, "size": 1, "oid": "0"} for n in names]
            return self.reply(200, {}, json.dumps(rows).encode(), body)
        if path.startswith("api/models/owner/tiny"):
            names = [{"rfilename": each.name} for each in hub.folder.iterdir()]
            about = {"id": "owner/tiny", "sha": COMMIT, "siblings": names}
            return self.reply(200, {}, json.dumps(about).encode(), body)
        if not path.startswith(files):
            return self.reply(404, {"X-Error-Code": "RepoNotFound"})
        if not file.is_file():
            missing = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
            return self.reply(404, missing)
        content = file.read_bytes()
        etag = f'"{hashlib.sha1(content).hexdigest()}"'
        return self.reply(200, {"X-Repo-Commit": COMMIT, "ETag": etag}, content, body)

    def reply(self, status, headers, content=b"", body=False):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run, and its folder."""
    folder = tmp_path_factory.mktemp("run")
    options = {"size": "pico", "data": "bilingual", "tokenizer": "chars", "steps": 1}
    train(**options, device="cpu", workers="1", out=str(folder / "run"), draw=False)
    return load_run(folder / "run"), export_folder(folder / "run", folder / "out")


@pytest.fixture
def hub(exported, tmp_path, monkeypatch):
    """A server of a copy of that folder; the library asks it, with an empty cache."""
    constants = pytest.importorskip("huggingface_hub.constants")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.folder = tmp_path / "there"
    server.asked, server.error = [], None
    shutil.copytree(exported[1], server.folder)
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    server.address = address
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def files_asked(hub) -> set[str]:
    paths = [path for path in hub.asked if "/resolve/" in path]
    return {path.rpartition("/")[2] for path in paths}


def check_same(run, out):
    ours = dict(run.model.named_parameters())
    for name, p in load_run(out).model.named_parameters():
        assert np.array_equal(p.numpy(), ours[name].numpy())


def test_what_is_fetched_and_what_the_cache_keeps(exported, hub, tmp_path):
    for name in ("pytorch_model.bin", "flax.msgpack", "code.py"):
        (hub.folder / name).write_bytes(b"never")
    check_same(exported[0], import_folder(NAME, tmp_path / "run"))
    tokens = {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}
    assert files_asked(hub) == {"config.json", WEIGHTS, *tokens}
    hub.asked.clear()
    import_folder(NAME, tmp_path / "again")
    assert files_asked(hub) == {"config.json"}  # is there a newer commit?
    record = load_run(tmp_path / "again").record
    assert record["data"]["name"] == NAME
    hub.asked.clear()
    import_folder(f"{NAME}@{COMMIT}", tmp_path / "third")
    assert not files_asked(hub)


def test_shards(exported, hub, tmp_path):
    from safetensors.numpy import save_file

    from minillm.weights import read_arrays

    tensors = read_arrays(hub.folder / WEIGHTS)
    (hub.folder / WEIGHTS).unlink()
    where = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(tensors)}
    for file in set(where.values()):
        part = {name: tensors[name] for name in tensors if where[name] == file}
        save_file(part, hub.folder / file)
    (hub.folder / "not-named.safetensors").touch()
    index = hub.folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": where}), "utf-8")
    check_same(exported[0], import_folder(NAME, tmp_path / "run"))
    assert "not-named.safetensors" not in files_asked(hub)
    hub.asked.clear()
    import_folder(NAME, tmp_path / "again")
    assert files_asked(hub) == {"config.json"}  # nor for what it has not

    index.write_text(json.dumps({"weight_map": {"x": "../../secret"}}), "utf-8")
    shutil.rmtree(tmp_path / "cache")
    hub.asked.clear()
    with pytest.raises(DataError, match="no name of a file here"):
        import_folder(NAME, tmp_path / "second")
    assert not [path for path in hub.asked if "secret" in path]


def gone(hub, tmp_path):
    hub.error = 404, {"X-Error-Code": "RepoNotFound"}


def gated(hub, tmp_path):
    hub.error = 403, {"X-Error-Code": "GatedRepo"}


def revision(hub, tmp_path):
    hub.error = 404, {"X-Error-Code": "RevisionNotFound"}


def pickled(hub, tmp_path):
    (hub.folder / WEIGHTS).rename(hub.folder / "pytorch_model.bin")


def bare(hub, tmp_path):
    (hub.folder / WEIGHTS).unlink()


def no_model(hub, tmp_path):
    (hub.folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (gone, "there is no such repository, or it is private"),
        (gated, "is gated: accept its terms"),
        (revision, "there is no such revision"),
        (pickled, "its weights are pickled"),
        (bare, f"there is no {WEIGHTS} in it"),
        (no_model, "there is no config.json in it"),
    ],
)
def test_what_cannot_be_had(hub, minillm, tmp_path, change, said):
    change(hub, tmp_path)
    code, out, err = minillm("import", NAME, str(tmp_path / "run"))
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert said in err
    assert err.startswith(f"minillm: {NAME}: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["hf:", "hf:a/b/c", "hf:../x", "hf:a b/c"])
def test_a_name_that_is_none(hub, minillm, tmp_path, name):
    code, _, err = minillm("import", name, str(tmp_path / "run"))
    assert (code, err.count("\n")) == (2, 1)
    assert "is not of the form hf:OWNER/NAME" in err
    assert hub.asked == []


def test_without_the_extra(minillm, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    code, _, err = minillm("import", NAME, str(tmp_path / "run"))
    assert (code, err.count("\n")) == (2, 1)
    assert "pip install '.[hub]' in the clone" in err


def test_offline_as_a_user_asks_for_it(exported, hub, spawn, tmp_path):
    """The library reads its environment when it is imported: so a process each."""
    env = {"HF_ENDPOINT": hub.address, "HF_HUB_CACHE": str(tmp_path / "of its own")}
    offline = {**env, "HF_HUB_OFFLINE": "1"}
    done = spawn("import", NAME, str(tmp_path / "run"), env=offline)
    assert done.returncode == 3
    said = f"{NAME}: config.json is not in the cache, and cannot be downloaded"
    assert f"{said} (HF_HUB_OFFLINE is set)\n" in done.stderr.decode()
    assert hub.asked == []
    assert spawn("import", NAME, str(tmp_path / "run"), env=env).returncode == 0
    hub.asked.clear()
    done = spawn("import", NAME, str(tmp_path / "again"), env=offline)
    assert (done.returncode, hub.asked) == (0, [])
    check_same(exported[0], tmp_path / "again")
