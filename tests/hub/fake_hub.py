"""A hub on loopback, with the faults of the real world.

Speaks what Gale and huggingface_hub ask for: api/models/<id>/revision/<rev>, <id>/resolve/<rev>/<file> with ranges, api/whoami-v2.
Large files are redirected to a second server (another origin), as the real hub does. `faults` of a file are taken one a request:
("cut", n) closes after n bytes; ("status", code, headers) answers so; ("slow", bytes, seconds) waits between bytes; ("stall",) sends
half and then nothing; ("corrupt",) flips a byte; and so on, see File.
"""

import hashlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = 1 << 16


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class File:
    def __init__(self, data, large=None):
        self.data = data
        self.large = len(data) >= LARGE if large is None else large
        self.etag = hashlib.sha256(data).hexdigest() if self.large else git_sha1(data)
        self.faults = []      # one a GET, in order
        self.always = None    # a fault of every GET
        self.ranges = True
        self.listed_size = len(data)
        self.listed = True    # with size and hash
        self.named = None     # the header ETag, as it stands there, where it is no hash
        self.blob = git_sha1(data)

    def sibling(self, name):
        out = {"rfilename": name}
        if self.listed:
            out.update(size=self.listed_size, blobId=self.blob)
            if self.large:
                out["lfs"] = {"sha256": self.etag, "size": self.listed_size, "pointerSize": 130}
        return out


class Repo:
    def __init__(self, files, revision="main"):
        self.files = {name: f if isinstance(f, File) else File(f) for name, f in files.items()}
        self.commit = hashlib.sha1(repr(sorted((n, f.etag) for n, f in self.files.items())).encode()).hexdigest()
        self.revisions = {revision}
        self.token = None     # needed to see it
        self.faults = []      # of the list
        self.always = None


class FakeHub:
    """Two servers: the hub itself and the host of large files. `log`: (server, method, path, headers)."""

    def __init__(self):
        self.repos = {}
        self.log = []
        self.lock = threading.Lock()
        self.redirect = None  # of large files; default: the second server
        self.servers = {}
        for name in ("hub", "cdn"):
            handler = type("Handler", (Handler,), {"world": self, "role": name})
            server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.servers[name] = server
        self.endpoint = self.url("hub")

    def url(self, name):
        return f"http://127.0.0.1:{self.servers[name].server_port}"

    def close(self):
        for server in self.servers.values():
            server.shutdown()
            server.server_close()

    def requests(self, server=None, contains="", method="GET"):
        with self.lock:
            return [e for e in self.log if (server is None or e[0] == server) and contains in e[2] and e[1] == method]

    def forget(self):
        with self.lock:
            self.log.clear()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, body):
        with self.world.lock:
            self.world.log.append((self.role, self.command, self.path, dict(self.headers.items())))
        path = unquote(urlsplit(self.path).path)
        try:
            if path == "/api/whoami-v2":
                return self.whoami()
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path):
                return self.list(*found.groups())
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/(.+)", path):
                return self.tree(*found.groups())
            if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+(?:/pr/\d+)?)/(.+)", path):
                return self.file(*found.groups(), body)
            self.reply(404, {"X-Error-Message": "no such page"})
        except (BrokenPipeError, ConnectionResetError):
            pass

    def reply(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def whoami(self):
        if self.headers.get("Authorization") != "Bearer hf_good":
            return self.reply(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
        self.reply(200, {"Content-Type": "application/json"}, b'{"type": "user", "name": "tester"}')

    def repo(self, name, revision):
        repo = self.world.repos.get(name)
        if repo is None or (repo.token and self.headers.get("Authorization") != f"Bearer {repo.token}" and self.role == "hub"):
            self.reply(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
            return None
        if revision != repo.commit and revision not in repo.revisions:
            self.reply(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": f"Invalid rev id: {revision}"})
            return None
        return repo

    def list(self, name, revision):
        if (repo := self.repo(name, revision)) is None:
            return
        fault = repo.faults.pop(0) if repo.faults else repo.always
        if fault and fault[0] == "silent":
            return time.sleep(fault[1])
        if fault and fault[0] == "dribble":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            return self.send_data(b" " * 1000, ("slow", 1, fault[1]))
        if fault:
            return self.reply(fault[1], fault[2] if len(fault) > 2 else {}, fault[3] if len(fault) > 3 else b"no")
        siblings = [file.sibling(n) for n, file in repo.files.items()]
        body = {"id": name, "modelId": name, "sha": repo.commit, "siblings": siblings, "private": False, "tags": [], "downloads": 0}
        self.reply(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def tree(self, name, revision):  # which huggingface_hub reads
        if (repo := self.repo(name, revision)) is None:
            return
        entries = []
        for path, file in repo.files.items():
            entry = {"type": "file", "path": path, "size": len(file.data), "oid": file.blob}
            if file.large:
                entry["lfs"] = {"oid": file.etag, "size": len(file.data), "pointerSize": 130}
            entries.append(entry)
        self.reply(200, {"Content-Type": "application/json"}, json.dumps(entries).encode())

    def file(self, name, revision, path, body):
        if (repo := self.repo(name, revision)) is None:
            return
        file = repo.files.get(path)
        if file is None:
            return self.reply(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repo.commit})
        if self.role == "hub" and file.large:
            to = self.world.redirect or self.world.url("cdn")
            return self.reply(302, {"Location": f"{to}{self.path}", "X-Repo-Commit": repo.commit, "X-Linked-Etag": f'"{file.etag}"',
                                    "X-Linked-Size": str(file.listed_size)})
        with self.world.lock:
            fault = (file.faults.pop(0) if file.faults else file.always) if body else None
        self.send_file(repo, file, fault or ("none",))

    def send_file(self, repo, file, fault):
        if fault[0] == "status":
            return self.reply(fault[1], fault[2] if len(fault) > 2 else {}, b"an error's text")
        begin, end, status = 0, len(file.data), 200
        if file.ranges and (found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))):
            begin, end, status = int(found[1]), min(int(found[2] or end - 1) + 1, end), 206
        data = memoryview(file.data)[begin:end]
        if fault[0] == "corrupt" and data:
            data = bytearray(data)
            data[len(data) // 2] ^= 1
        if fault[0] == "longer":
            data = bytes(data) + b"x" * 10
        self.send_response(status)
        self.send_header("X-Repo-Commit", repo.commit)
        # The host of large files has an ETag of its own, as S3 does.
        name = fault[1] if fault[0] == "etag" else "s3-etag-1" if self.role == "cdn" else file.etag
        self.send_header("ETag", file.named or f'"{name}"')
        self.send_header("Accept-Ranges", "bytes")
        if fault[0] != "longer":
            self.send_header("Content-Length", str(fault[1] if fault[0] == "length" else len(data)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        if status == 206:
            first = begin + 1 if fault[0] == "shifted" else begin
            total = fault[1] if fault[0] == "total" else len(file.data)
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{total}")
        self.end_headers()
        if self.command == "GET":
            self.send_data(data, fault)

    def send_data(self, data, fault):
        if fault[0] == "cut":
            self.wfile.write(data[:fault[1]])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
        elif fault[0] == "stall":
            self.wfile.write(data[:len(data) // 2])
            self.wfile.flush()
            time.sleep(fault[1])
            self.close_connection = True
        elif fault[0] == "slow":
            for at in range(0, len(data), fault[1]):
                self.wfile.write(data[at:at + fault[1]])
                self.wfile.flush()
                time.sleep(fault[2])
        else:
            self.wfile.write(data)


if __name__ == "__main__":  # a hub of folders: fake_hub.py org/name=FOLDER ...; prints its address and stays
    import sys
    from pathlib import Path

    hub = FakeHub()
    for word in sys.argv[1:]:
        name, folder = word.split("=", 1)
        hub.repos[name] = Repo({str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()})
    print(hub.endpoint, flush=True)
    threading.Event().wait()
