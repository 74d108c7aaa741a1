"""`allreco recommend --serve` as clients that mean well, and others, meet it: the answers and their status codes, bodies of
100 MB, endless heads, 200 idle connections, clients that hang up or dawdle, more requests than may wait, SIGTERM under load.
Nothing that was asked before the signal is lost, memory stays bounded, hostile titles stay text.

Usage: http_service.py [--allreco PROGRAM]
"""
import argparse
import contextlib
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "examples/stories260k"
BODY_LIMIT = 64 << 10
# What a client can make the service hold is some 512 connections of 200 KB; the rest is the allocator's.
MEMORY_LIMIT_MB = 200
LONGEST_ANSWER_S = 60  # far above what any takes: whatever reaches it hangs
HOSTILE_TITLES = ["<script>alert(1)</script>", "red \x1b[31m card \u202e"]


def expect(condition, message):
    if not condition:
        raise SystemExit(f"FAILED: {message}")


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    expect(done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr}")


def prepare(allreco, directory):
    """The example data, with hostile titles for its first two items: prepare itself would clean them."""
    cards = ROOT / "examples/gift-cards"
    dataset = directory / "dataset"
    run(allreco, "prepare", "--reviews", cards / "reviews.json.gz", "--metadata", cards / "metadata.json.gz", "--tokenizer",
        MODEL, "--template", "amazon-next-item-open", "--num_candidates", "0", "--output_dir", dataset)
    description = json.loads((dataset / "dataset.json").read_text())
    items = [json.loads(line) for line in (dataset / "items.jsonl").read_text().splitlines()]
    for item, title in zip(items, HOSTILE_TITLES):
        item["title"] = title
    text = "".join(json.dumps(item) + "\n" for item in items)
    (dataset / "items.jsonl").write_text(text)
    description["catalogue"]["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (dataset / "dataset.json").write_text(json.dumps(description))
    return dataset, items


class Service:
    """A running `allreco recommend --serve`, on a port of its own choice."""

    def __init__(self, allreco, dataset, log, *options):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.log = log
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [allreco, "recommend", "--model_name_or_path", MODEL, "--dataset", dataset, "--serve", "127.0.0.1:0", *options],
                stdout=subprocess.PIPE, stderr=stderr, stdin=subprocess.DEVNULL, text=True, env=environment)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n", line)
        expect(found, f"the service says {line!r}; its log: {log.read_text()}")
        self.port = int(found[1])

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST_ANSWER_S)

    def raw(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=LONGEST_ANSWER_S)

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, JSON or text)"""
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            text = response.read().decode()
        is_json = response.headers.get("Content-Type") == "application/json"
        return response.status, response.headers, json.loads(text) if is_json and text else text

    def recommend(self, **request):
        return self.ask("POST", "/recommend", json.dumps(request))

    def memory_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(LONGEST_ANSWER_S)
        expect(code == 0, f"after signal {number} the service ended with {code}: {self.log.read_text()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def check_answers(service, items):
    status, _, answer = service.recommend(history=[items[2]["asin"], items[3]["id"], items[4]["title"].upper()], k=7, id={"a": 1})
    expect(status == 200, f"a recommendation has status {status}: {answer}")
    best = answer["recommendations"]
    expect(len(best) == 7 and answer["id"] == {"a": 1} and answer["history_shown"][:2] == [2, 3], f"{answer}")
    expect(all(a["probability"] >= b["probability"] > 0 for a, b in zip(best, best[1:])), "the best come first")
    expect(not {item["id"] for item in best} & {2, 3, 4}, "items of the history are left out")
    expect(all(items[item["id"]]["title"] == item["title"] for item in best), "ids and titles belong together")
    _, _, everything = service.recommend(history=[5], k=1000, exclude_history=False)
    expect(abs(sum(item["probability"] for item in everything["recommendations"]) - 1) < 1e-9, "probabilities add up to 1")
    expect(len(everything["recommendations"]) == len(items), "all items are ranked")


def check_status_codes(service, items):
    cases = [  # method, path, body, status, what the error says
        ("GET", "/health", None, 200, None),
        ("HEAD", "/health", None, 200, None),
        ("GET", "/nowhere", None, 404, "POST /recommend"),
        ("POST", "/nowhere", "x" * 1000, 404, "POST /recommend"),
        ("GET", "/recommend", None, 405, "POST"),
        ("DELETE", "/recommend", "{}", 405, "POST"),
        ("POST", "/health", "{}", 405, "GET"),
        ("POST", "/recommend", "", 400, "parse error"),
        ("POST", "/recommend", "{", 400, "parse error"),
        ("POST", "/recommend", "[" * 10_000, 400, "deep"),
        ("POST", "/recommend", '{"history": []}', 400, "empty"),
        ("POST", "/recommend", '{"history": [1.5]}', 400, "number"),
        ("POST", "/recommend", '{"history": ["x"], "top": 3}', 400, '"top"'),
        ("POST", "/recommend", b'{"history": ["\xff"]}', 400, "parse error"),
        ("POST", "/recommend", '{"history": [99999]}', 422, "99999"),
        ("POST", "/recommend", "x" * (BODY_LIMIT + 1), 413, str(BODY_LIMIT)),
    ]
    for method, path, body, expected, says in cases:
        status, headers, answer = service.ask(method, path, body)
        expect(status == expected, f"{method} {path} {str(body)[:40]}: status {status}, expected {expected}: {answer}")
        expect(says is None or says in answer["error"], f"{method} {path} {str(body)[:40]}: {answer} does not say {says}")
        expect(status != 405 or says in headers["Allow"], f"405 without Allow: {headers}")
    title = next(item["title"] for item in items if item["id"] == 10)
    status, _, answer = service.recommend(history=[title[:-1] + "#"], id=3)
    expect(status == 422 and answer["suggestion"]["title"] == title and answer["id"] == 3, f"{status} {answer}")
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    expect(service.ask("POST", "/recommend", "--x--", multipart)[0] == 415, "multipart is no JSON")


def answer_to(service, sent):
    """All that comes back for these bytes, until the service closes the connection."""
    with service.raw() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
        received = b""
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65536):
                received += chunk
        return received


def check_malformed_http(service):
    body = b'{"history": [5], "k": 1}'
    head = b"POST /recommend HTTP/1.1\r\nHost: x\r\n"
    second = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    for sent, expected in [
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nConnection: close\r\nRange: bytes=" + b"0-0," * 1900 + b"0-0\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\nRange: bytes=" + b"0" * 8000 + b"\r\n\r\n", b"416"),
        (head + b"Content-Length: 5\r\nContent-Length: 24\r\n\r\n" + body, b"400"),
        (head + b"Content-Length: -1\r\n\r\n" + body, b"4"),
        (head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + body, b"400"),
        (head + b"Content-Encoding: gzip\r\nContent-Length: 24\r\n\r\n" + body, b"400"),
        (head + b"Transfer-Encoding: chunked\r\n\r\n18\r\n" + body + b"\r\n0\r\n\r\n", b"200"),
        # A body that is refused unread must not be taken for the next request.
        (head + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n" % len(second) + second, b"415"),
        (head + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(second) + second, b"400"),
        (head + b"Content-Length: %d\r\n\r\n" % (BODY_LIMIT + len(second)) + second, b"413"),
    ]:
        received = answer_to(service, sent)
        expect(received.startswith(b"HTTP/1.1 " + expected), f"{sent[:80]} is answered with {received[:200]}")
        expect(received.count(b"HTTP/1.1 ") == 1, f"{sent[:80]} is answered as several requests: {received}")


def check_pages(service, items):
    status, headers, page = service.ask("GET", "/")
    expect(status == 200 and headers["Content-Type"].startswith("text/html"), f"GET / has {status}")
    expect("default-src 'none'" in headers["Content-Security-Policy"], "the page may load nothing from elsewhere")
    expect(not re.search(r"https?://|innerHTML|document\.write|insertAdjacent", page), "the page is whole, and puts texts in as text")
    with contextlib.closing(service.connect()) as connection:
        connection.request("POST", "/recommend", json.dumps({"history": [5], "k": 1000}))
        answer = connection.getresponse().read()
    expect(all(0x20 <= byte < 0x7F or byte == 0x0A for byte in answer), "the answer is printable ASCII")
    titles = {item["title"] for item in json.loads(answer)["recommendations"]}
    expect(set(HOSTILE_TITLES) <= titles, "hostile titles come back as they are, as JSON")


def chunked(total, size):
    piece = b"%x\r\n" % size + b"x" * size + b"\r\n"
    return b"POST /recommend HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + piece * (total // size)


def check_large_bodies(service):
    hundred_mb = 100 << 20
    before = service.memory_mb()
    status, _, answer = service.ask("POST", "/recommend", b"x" * hundred_mb)
    expect(status == 413 and "error" in answer, f"a body of 100 MB has status {status}")
    received = answer_to(service, chunked(hundred_mb, 1 << 20))
    expect(received.startswith(b"HTTP/1.1 413"), f"a chunked body of 100 MB: {received[:100]}")
    bomb = gzip.compress(b"x" * hundred_mb, 1)
    for packed in (bomb, gzip.compress(b"x" * (30 << 20), 9)):
        status = service.ask("POST", "/recommend", packed, {"Content-Encoding": "gzip"})[0]
        expect(status == 413, f"a bomb of {len(packed)} bytes has status {status}")
    for head in (b"GET /health HTTP/1.1\r\nx: " + b"y" * hundred_mb, b"GET /health HTTP/1.1\r\n" + b"x: y\r\n" * (hundred_mb // 6)):
        received = answer_to(service, head)
        expect(received[:12] in (b"HTTP/1.1 400", b""), f"a head of 100 MB: {received[:100]}")
    begin = time.monotonic()
    with service.raw() as connection:  # one that never stops sending
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"POST /recommend HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")
            while time.monotonic() - begin < LONGEST_ANSWER_S:
                connection.sendall(b"x" * (1 << 20))
    expect(time.monotonic() - begin < 20, "a client that never stops sending is borne for long")
    with service.raw() as connection:  # one that asks first is told before it sends anything
        connection.sendall(b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\nExpect: 100-continue\r\n\r\n")
        expect(connection.recv(100).startswith(b"HTTP/1.1 413"), "Expect: 100-continue is answered at once")
    grown = service.memory_mb() - before
    expect(grown < 50, f"large requests cost {grown:.0f} MB of memory")


def check_idle_connections(service):
    before = service.memory_mb()
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(service.raw()) for _ in range(200)]
        begin = time.monotonic()
        expect(service.ask("GET", "/health")[0] == 200, "/health beside 200 idle connections")
        expect(service.recommend(history=[5], k=1)[0] == 200, "/recommend beside 200 idle connections")
        taken = time.monotonic() - begin
        expect(taken < 5, f"200 idle connections hold up others for {taken:.1f} s")
        more = [stack.enter_context(service.raw()) for _ in range(330)]
        refused = [connection.recv(100) for connection in more[-10:]]
        expect(all(text.startswith(b"HTTP/1.1 503") for text in refused), f"the 521st connection and on: {refused}")
        expect(service.memory_mb() - before < MEMORY_LIMIT_MB, "idle connections cost memory")
        expect(idle[0].fileno() >= 0, "they were open meanwhile")
    deadline = time.monotonic() + 10  # the service sees the hang-ups one by one
    while service.ask("GET", "/health")[0] != 200:
        expect(time.monotonic() < deadline, "the service does not come back after many connections")


def check_hang_ups(service):
    whole = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 24\r\n\r\n" + b'{"history": [5], "k": 1}'
    for length in (1, 20, 40, len(whole) - 10, len(whole)):
        for hard in (False, True):
            connection = service.raw()
            connection.sendall(whole[:length])
            if hard:  # with a reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
    expect(service.recommend(history=[5], k=1)[0] == 200, "the service answers after clients that hung up")


def check_keep_alive(service):
    with contextlib.closing(service.connect()) as connection:
        connection.connect()
        own = connection.sock
        for _ in range(20):
            connection.request("POST", "/recommend", json.dumps({"history": [5], "k": 1}))
            expect(connection.getresponse().read(), "an answer")
            expect(connection.sock is own, "a connection is kept between requests")
    body = b'{"history": [5], "k": 1}'
    request = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 24\r\n\r\n" + body
    received = answer_to(service, request * 3 + b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
    expect(received.count(b"HTTP/1.1 200 ") == 4, f"requests one behind another: {received}")


class Dawdler(threading.Thread):
    """Sends a request byte by byte, and notes when the service has enough of it."""

    def __init__(self, service):
        super().__init__()
        self.connection = service.raw()
        self.seconds = None

    def run(self):
        begin = time.monotonic()
        with contextlib.suppress(ConnectionError), self.connection:
            for byte in b"POST /recommend HTTP/1.1\r\nHost: x\r\nx: " + b"y" * 1000:
                self.connection.sendall(bytes([byte]))
                time.sleep(0.25)
                if time.monotonic() - begin > LONGEST_ANSWER_S:
                    return
        self.seconds = time.monotonic() - begin


def check_back_pressure(allreco, dataset, directory):
    with Service(allreco, dataset, directory / "pressure.log", "--max_waiting", "1", "--batch_size", "1") as service:
        outcomes = []

        def ask():
            for _ in range(5):
                status, headers, _ = service.recommend(history=[5, 6, 7], k=1)
                outcomes.append((status, headers.get("Retry-After")))

        clients = [threading.Thread(target=ask) for _ in range(16)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        counts = {outcome: outcomes.count(outcome) for outcome in set(outcomes)}
        expect(set(counts) == {(200, None), (503, "1")}, f"with one that may wait: {counts}")
        expect(service.recommend(history=[5], k=1)[0] == 200, "the service answers after the rush")
        service.stop(signal.SIGINT)


class Client(threading.Thread):
    """Asks on one connection after another until the service takes no more."""

    def __init__(self, service, number):
        super().__init__()
        self.service, self.number = service, number
        self.answered = 0
        self.wrong = []  # answers that are none of its own
        self.lost = []  # times at which requests were sent that got no answer

    def run(self):
        connection = self.service.connect()
        while True:
            sent = None
            try:
                connection.request("POST", "/recommend", json.dumps({"history": [self.number, 9], "k": 3, "id": self.answered}))
                sent = time.monotonic()
                response = connection.getresponse()
                answer = json.loads(response.read())
            except ConnectionRefusedError:
                return
            except (ConnectionError, http.client.HTTPException):
                connection.close()
                if sent is not None:
                    self.lost.append(sent)
                    return
                continue
            if response.status != 200 or answer["id"] != self.answered:
                self.wrong.append((response.status, answer))
            self.answered += 1


def check_signal_under_load(service):
    before = int(service.ask("GET", "/health")[2]["answered"])
    clients = [Client(service, number) for number in range(8)]
    for client in clients:
        client.start()
    while int(service.ask("GET", "/health")[2]["answered"]) < before + 24:
        time.sleep(0.01)
    signalled = time.monotonic()
    service.stop()
    for client in clients:
        client.join(LONGEST_ANSWER_S)
        expect(not client.is_alive(), "a client still waits after the service has ended")
        expect(not client.wrong, f"wrong answers: {client.wrong}")
    lost = [sent - signalled for client in clients for sent in client.lost if sent < signalled]
    expect(not lost, f"requests that were sent before the signal got no answer: {lost} s")
    answered = sum(client.answered for client in clients)
    log = service.log.read_text()
    counted = int(re.search(r"(\d+) requests answered", log)[1]) - before
    expect(counted == answered, f"the service counts {counted} answers, its clients {answered}: {log}")
    return answered


def check(allreco, directory):
    dataset, items = prepare(allreco, directory)
    with Service(allreco, dataset, directory / "service.log") as service:
        dawdler = Dawdler(service)
        dawdler.start()
        check_answers(service, items)
        check_status_codes(service, items)
        check_malformed_http(service)
        check_pages(service, items)
        check_keep_alive(service)
        check_hang_ups(service)
        check_large_bodies(service)
        check_idle_connections(service)
        dawdler.join()
        expect(dawdler.seconds is not None and dawdler.seconds < 30, f"a client that dawdles is borne for {dawdler.seconds} s")
        answered = check_signal_under_load(service)
    check_back_pressure(allreco, dataset, directory)
    print(f"ok: 8 clients had {answered} answers when the signal came, none was lost")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--allreco", type=pathlib.Path, default=ROOT / "build/release/allreco")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="allreco-http-") as directory:
        check(options.allreco.resolve(), pathlib.Path(directory))


if __name__ == "__main__":
    main()
