"""The page of `allreco report` in a headless Chromium, at 400 and 1,400 pixels, in light and dark, and on paper: no error,
no request, every section there, nothing wider than the window, hostile titles stay text; then the page of `recommend --serve`:
no error, and one answer. Where there is no Chromium it says so and is skipped (exit code 77).

Usage: browser_test.py ALLRECO REPOSITORY SAMPLE [--screenshots DIRECTORY]
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import browser
import sample_runs
from sample_runs import expect, run

SKIPPED = 77
SECTIONS = ("summary", "comparison", "accuracy", "slices", "mistakes", "calibration", "positions", "data", "loss", "throughput",
            "memory", "provenance")


def check_width(page, width):
    page.resize(width)
    wide = page.evaluate("document.documentElement.scrollWidth")
    expect(wide <= width, f"the page is {wide} pixels wide in a window of {width}")
    for section in SECTIONS:
        box = page.evaluate(f"(() => {{ const b = document.getElementById('{section}')?.getBoundingClientRect();"
                            " return b ? [b.width, b.height] : null; })()")
        expect(box and box[0] > 0.5 * width and box[1] > 20, f"at {width} pixels the section {section} measures {box}")
    charts = page.evaluate("[...document.querySelectorAll('figure svg[role=img]')].map(s => s.getBoundingClientRect().width)")
    expect(len(charts) >= 5 and min(charts) > 200, f"at {width} pixels the charts are {charts} pixels wide")


def check_report(page, url, screenshots):
    page.open(url)
    for scheme in ("light", "dark"):
        page.use_scheme(scheme)
        for width in (400, 1400):
            check_width(page, width)
            if screenshots:
                page.screenshot(screenshots / f"{scheme}-{width}.png")
    colours = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.use_scheme("light")
    expect(page.evaluate("getComputedStyle(document.body).backgroundColor") != colours, "light and dark look the same")
    requests = [asked for asked in page.requests() if not asked.startswith("data:")]
    expect(requests == [url], f"the page asked for {requests}")
    expect(page.complaints() == [], f"the page complains: {page.complaints()}")
    expect(page.evaluate("document.title") == "allreco report", "a title in the data became script")
    expect(page.evaluate("document.querySelectorAll('script, img, iframe, object, [onerror]').length") == 0, "the page holds script")
    text = page.evaluate("document.body.textContent")
    for title in sample_runs.HOSTILE_AS_TEXT:
        expect(title in text, f"{title!r} is not shown as text")
    expect(not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text), "a control character is in the page")
    printed = page.send("Page.printToPDF", preferCSSPageSize=True)
    expect(len(printed["data"]) > 10000, "the page cannot be printed")
    blocked = page.evaluate("""new Promise((done) => {
        document.addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));
        fetch('https://example.org/').catch(() => setTimeout(done, 2000, 'no policy'));
      })""")
    expect(blocked == "connect-src", f"the page's policy lets requests out: {blocked}")


def check_recommend(page, allreco, root, dataset):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    service = subprocess.Popen([allreco, "recommend", "--model_name_or_path", root / "examples/stories260k", "--dataset", dataset,
                                "--serve", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    try:
        address = re.search(r"http://\S+", service.stdout.readline())
        expect(address, "recommend does not say where it listens")
        page.open(address[0] + "/")
        page.evaluate("document.getElementById('history').value = '3\\n4'; document.getElementById('k').value = 5;"
                      "document.getElementById('form').requestSubmit()")
        rows = page.evaluate("""new Promise((done) => {
            const look = (left) => {
              const rows = document.querySelectorAll('#rows tr').length;
              if (rows > 0 || left === 0) done(rows); else setTimeout(look, 100, left - 1);
            };
            look(300);
          })""")
        expect(rows == 5, f"recommend's page shows {rows} items, not 5")
        expect(page.complaints() == [], f"recommend's page complains: {page.complaints()}")
        expect(all(url.startswith(address[0]) for url in page.requests()), f"recommend's page asked for {page.requests()}")
    finally:
        service.terminate()
        service.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("allreco", type=pathlib.Path)
    parser.add_argument("repository", type=pathlib.Path)
    parser.add_argument("sample", type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path)
    arguments = parser.parse_args()
    program = browser.find()
    if program is None:
        print("SKIPPED: no Chromium here (apt-get install chromium): the page was not opened in a browser")
        sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory(prefix="allreco-report-") as name:
        directory = pathlib.Path(name)
        run(arguments.allreco, "report", *sample_runs.paths(arguments.sample), "--output", directory / "report.html")
        if arguments.screenshots:
            arguments.screenshots.mkdir(parents=True, exist_ok=True)
        with browser.Browser(program) as page:
            check_report(page, f"file://{directory}/report.html", arguments.screenshots)
            check_recommend(page, arguments.allreco, arguments.repository, arguments.sample / "DS")
    print("the page holds at 400 and 1,400 pixels, in light and dark, on paper, and asks for nothing; recommend's page answers")


if __name__ == "__main__":
    main()
