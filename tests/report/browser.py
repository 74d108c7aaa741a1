"""A headless Chromium, driven over the DevTools protocol through two pipes: no package beside Python is needed."""
import base64
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LONGEST_WAIT_S = 60  # far above what any step takes, on a busy machine, too


def find():
    """The path of a Chromium, or None. ALLRECO_CHROMIUM names one."""
    named = os.environ.get("ALLRECO_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page of a new profile. Events that came are in `events`, oldest first."""

    def __init__(self, program):
        self.profile = tempfile.TemporaryDirectory(prefix="allreco-browser-", ignore_cleanup_errors=True)
        to_browser, self.write_end = os.pipe()
        self.read_end, from_browser = os.pipe()

        def as_3_and_4():  # where --remote-debugging-pipe reads and writes
            spare = [os.dup(to_browser), os.dup(from_browser)]
            os.dup2(spare[0], 3)
            os.dup2(spare[1], 4)

        self.log = open(pathlib.Path(self.profile.name) / "log", "w+b")
        self.process = subprocess.Popen(
            [program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-extensions", "--no-default-browser-check", "--hide-scrollbars",
             f"--user-data-dir={self.profile.name}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, close_fds=False, preexec_fn=as_3_and_4,
            start_new_session=True)
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.events, self.answers, self.number = b"", [], {}, 0
        self.session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with_group = getattr(os, "killpg")
        try:
            with_group(self.process.pid, signal.SIGKILL)  # its own session: the browser and its children
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.write_end)
        os.close(self.read_end)
        self.log.close()
        self.profile.cleanup()

    def _read(self, deadline):
        ready, _, _ = select.select([self.read_end], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(self.read_end, 1 << 20) if ready else b""
        if not chunk:
            self.log.seek(0)
            raise SystemExit(f"FAILED: the browser does not answer; it says {self.log.read()[-2000:].decode(errors='replace')}")
        *messages, self.buffer = (self.buffer + chunk).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self.events.append(message)

    def send(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + LONGEST_WAIT_S
        while self.number not in self.answers:
            self._read(deadline)
        answer = self.answers.pop(self.number)
        if "error" in answer:
            raise SystemExit(f"FAILED: {method}: {answer['error']}")
        return answer["result"]

    def open(self, url):
        """Loads a page and waits until it is there."""
        self.events.clear()
        self.send("Page.navigate", url=url)
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._read(deadline)

    def evaluate(self, expression):
        """The value of a JavaScript expression, or of the promise that it is."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise SystemExit(f"FAILED: {expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def resize(self, width, height=900):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def use_scheme(self, scheme):
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path, height=None):
        """The whole page, or its first `height` pixels."""
        clip = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": clip["width"], "height": min(clip["height"], height or 16000), "scale": 1}
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def requests(self):
        """The addresses that the page asked for since open()."""
        return [event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"]

    def complaints(self):
        """Errors and exceptions of the page since open()."""
        found = []
        for event in self.events:
            parameters = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(parameters["exceptionDetails"].get("text", "exception"))
            elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                found.append(parameters["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
                found.append(json.dumps(parameters["args"]))
        return found
