"""A real Chromium, driven through a pipe by its own protocol: no port, driver or package."""

import base64
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading

FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe"),
]
PATIENCE = 60  # seconds until an answer counts as none: a machine may be busy


def executable():
    """Return Chromium's path; None where there is none, or where no pipes are handed on."""
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return next(filter(None, found), None) if os.name == "posix" else None


class Browser:
    """A process of Chromium; a context, which ends it."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(
            prefix="chromium-", ignore_cleanup_errors=True
        )
        import fcntl

        to, of = os.pipe(), os.pipe()
        # The protocol is spoken on the descriptors 3 and 4, which may be in use here.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to[0], of[1])]
        start = f"import os, sys; os.dup2({ends[0]}, 3); os.dup2({ends[1]}, 4)"
        start += "; os.execv(sys.argv[1], sys.argv[1:])"
        flags = [*FLAGS, f"--user-data-dir={self.profile.name}", "about:blank"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", start, executable(), *flags],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for end in (to[0], of[1], *ends):
            os.close(end)
        self.pipe, self.answers = os.fdopen(to[1], "wb", 0), os.fdopen(of[0], "rb")
        self.count, self.results, self.events = 0, queue.Queue(), []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.call("Browser.close")
        self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        self.pipe.close()
        self.answers.close()
        self.profile.cleanup()

    def _read(self):
        rest = b""
        while got := os.read(self.answers.fileno(), 1 << 16):
            *messages, rest = (rest + got).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self.results.put(message)
                else:
                    self.events.append(message)

    def call(self, method, session=None, **params):
        """Return the result of a method of the protocol."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        self.pipe.write(json.dumps(message).encode() + b"\0")
        answer = self.results.get(timeout=PATIENCE)
        assert answer["id"] == self.count and "error" not in answer, answer
        return answer["result"]


class Page:
    """A page in a window of its own, from its first request on."""

    def __init__(
        self, browser, path, width=1280, height=800, phone=False, language="en-US", **media
    ):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        self.target, self.session = target, attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.call(f"{domain}.enable")
        self.resize(width, height, phone)
        agent = browser.call("Browser.getVersion")["userAgent"]
        self.call("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)
        features = [{"name": name.replace("_", "-"), "value": v} for name, v in media.items()]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Page.navigate", url=path.as_uri())
        self.run(
            "new Promise(done => document.readyState === 'complete' && location.protocol ==="
            " 'file:' ? done() : addEventListener('load', done))"
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.browser.call("Target.closeTarget", targetId=self.target)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def events(self, *methods):
        """Return the parameters of what was reported so far under these names."""
        own = [e for e in self.browser.events if e.get("sessionId") == self.session]
        return [event["params"] for event in own if event["method"] in methods]

    def resize(self, width, height, phone=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def run(self, script):
        """Return the value of a script, awaited; what it throws is raised."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def settled(self):
        """Wait until what was asked for is drawn."""
        frame = "requestAnimationFrame(done)"
        self.run(f"new Promise(done => {frame.replace('done', '() => ' + frame)})")

    def box(self, selector):
        """Return [left, top, width, height] of an element in the window."""
        return self.run(
            f"(({{x, y, width, height}}) => [x, y, width, height])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )

    def places(self, selector, points):
        """Return where points, shares of an element's sides, are in the window."""
        left, top, width, height = self.box(selector)
        return [(left + x * width, top + y * height) for x, y in points]

    def drag(self, selector, points):
        """Draw with the mouse from one point to the next."""
        places = self.places(selector, points)
        kinds = ["mousePressed", *["mouseMoved"] * (len(places) - 1)]
        for kind, (x, y) in zip(kinds, places):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="left",
                buttons=1,
                clickCount=1,
            )
        x, y = places[-1]
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left")
        self.settled()

    def click(self, selector):
        self.drag(selector, [(0.5, 0.5)])

    def touch(self, selector, points):
        """Draw with a finger."""
        places = self.places(selector, points)
        kinds = ["touchStart", *["touchMove"] * (len(places) - 1)]
        for kind, (x, y) in zip(kinds, places):
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.settled()

    def press(self, *keys):
        """Press and release keys, by their names in the standard."""
        for key in keys:
            text = {"text": key} if len(key) == 1 else {}
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)
        self.settled()

    def screenshot(self, whole=False):
        """Return a PNG of the window, or of all of the page."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(found["data"])
