"""The HTML page: complete, self-contained, escaped, and usable in a browser at narrow and wide widths."""

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from nasbench_harness import compare
from nasbench_harness.evaluation.protocol import Protocol
from nasbench_harness.report.page import figures_of, report_page
from nasbench_harness.report.provenance import StrategySource
from nasbench_harness.report.sections.checklist import checklist
from nasbench_harness.report.sections.protocol import protocol_sentences
from nasbench_harness.report.sections.summary import summary_table
from nasbench_harness.store.record import Quoted

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MAX_BYTES = 3_000_000


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    tasks = ["nb201-cifar10", "nb201-cifar100", "graph-cora"]
    names = ["random-search", "local-search", "regularized-evolution"]
    return compare(names, tasks, seeds=12, evaluations=30, out=tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def page(study):
    return study.folder.report_folder / "report.html"


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def elements(text, tag):
    return [attributes for name, attributes in Elements(text).found if name == tag]


def test_the_page_has_every_number_without_its_script(study, page):
    text = html.unescape(re.sub(r"<script>.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.S))
    for entry in study.analysis.tasks:
        for row in study.table(entry.task.name).rows:
            for cell in row.cells:
                assert f">{cell.text}" in text, cell.text
    for sentence in study.sentences():
        assert sentence in text or sentence.startswith("Random evaluations")
    for fact in (study.command, "NATS-Bench", "sha256", "random-search", "A run may start 30 evaluations."):
        assert fact in text


def test_nothing_comes_from_elsewhere(page):
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) < MAX_BYTES
    for tag, attributes in Elements(text).found:
        for name in ("src", "href", "action", "srcset"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:image/svg+xml;base64,")), (tag, value)
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    for image in elements(text, "img"):
        svg = base64.b64decode(image["src"].partition(",")[2]).decode()
        assert "<script" not in svg
        assert not re.search(r'(?:href|src)="(?!#)', svg)
    anchors = {attributes["id"] for _, attributes in Elements(text).found if "id" in attributes}
    links = [attributes["href"][1:] for attributes in elements(text, "a")]
    assert len(links) >= 7
    assert set(links) <= anchors


def test_the_policy_allows_this_style_and_script_only(page):
    text = page.read_text(encoding="utf-8")
    (policy,) = [meta["content"] for meta in elements(text, "meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.S)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_pictures_have_texts(page):
    images = elements(page.read_text(encoding="utf-8"), "img")
    assert len(images) >= 2
    for image in images:
        assert "regularized-evolution" in image["alt"]


def test_everything_from_data_is_escaped(made_task, analysis_of):
    hostile = "<img src=x onerror=alert(1)>"
    runs = {hostile: [3] * 12, "b": [4] * 6 + [5] * 6}
    quoted = (Quoted("</table><script>", "tiny-one", "val_accuracy", 50.0, "<script>alert(2)</script>"),)
    tasks = [(made_task(range(50, 60), name=name), runs) for name in ("one", "two")]
    analysis = analysis_of(*tasks, quoted=quoted)
    sources = (StrategySource(hostile, hostile, {"x": hostile}, hostile),)
    headed = [(hostile, summary_table(analysis))]
    text = report_page(analysis, headed, list(figures_of(analysis).values()), sources, "compare --><script>")
    assert "onerror" not in {name for _, attributes in Elements(text).found for name in attributes}
    assert text.count("<script>") == text.count("</script>") == 1
    assert html.escape(hostile) in text


def test_two_pages_have_the_same_bytes(study, page):
    before = page.read_bytes()
    study.write_report(["html"])
    assert page.read_bytes() == before


def test_the_checklist_is_answered_from_the_record(made_task, analysis_of):
    (task, runs) = made_task(range(50, 60)), {"a": [3] * 5, "b": [4] * 5}
    few = {item: is_met for item, is_met, _ in checklist(analysis_of((task, runs)))}
    assert few["Several runs (at least 30)"] is False
    assert few["Tests are corrected for their number"] is False
    assert few["Test values stay sealed"] is False
    assert few["Code of the search methods is public"] is None
    whole = made_task(range(50, 60), range(40, 50), cost_s=[1.0] * 10)
    many = analysis_of((whole, {"a": [3] * 30, "b": [4] * 30}))
    assert not [item for item, is_met, _ in checklist(many) if is_met is False]


DRIVER = """<!DOCTYPE html><body>
<iframe id="page" src="report.html" width="{width}" height="2000" style="border:0"></iframe>
<pre id="result"></pre><script>
const frame = document.getElementById("page");
frame.onload = () => {{
  const page = frame.contentDocument, root = page.documentElement, found = {{}};
  found.overflow = root.scrollWidth - root.clientWidth;
  const boxes = [...page.querySelectorAll(".scroll")];
  found.first = Math.min(...boxes.map(box => box.querySelector("tbody td").offsetWidth / box.clientWidth));
  found.widest = Math.max(...boxes.map(box => box.querySelector("tbody td").offsetWidth / box.clientWidth));
  found.wide = boxes.filter(box => box.scrollWidth > box.clientWidth).map(box => box.getAttribute("aria-label"));
  found.cut = boxes.filter(box => page.defaultView.getComputedStyle(box).overflowX !== "auto").length;
  found.images = [...page.images].every(image => image.complete && image.naturalWidth > 0);
  const table = [...page.querySelectorAll("table.sortable")].find(one => one.querySelector("tr.strategies"));
  const column = table.tHead.rows[table.tHead.rows.length - 1].cells.length - 1;
  const read = () => [...table.querySelectorAll("tr.strategies")].map(row => Number(row.cells[column].dataset.value));
  const head = table.tHead.rows[table.tHead.rows.length - 1].cells[column];
  head.querySelector("button").click();
  found.up = read(); found.state = head.getAttribute("aria-sort");
  head.querySelector("button").click();
  found.down = read();
  found.copy = page.querySelectorAll("button.copy").length;
  page.querySelector("button.copy").click();
  setTimeout(() => {{
    found.copied = page.querySelector("button.copy").textContent;
    document.getElementById("result").textContent = JSON.stringify(found);
  }}, 300);
}};
</script>"""


@pytest.mark.thorough
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing: apt install chromium")
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is missing: apt install poppler-utils")
def test_a_printed_page_has_the_names_of_columns(page, tmp_path):
    """The script puts them into buttons."""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [CHROMIUM, *flags, f"--print-to-pdf={tmp_path / 'page.pdf'}", f"file://{page}"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    done = subprocess.run(
        ["pdftotext", "-layout", tmp_path / "page.pdf", "-"], check=True, capture_output=True, text=True
    )
    assert len(re.findall(r"^ *Strategy .*wins +ties +losses", done.stdout, re.MULTILINE)) == 1
    assert "Copy LaTeX" not in done.stdout
    assert "expected running time to" in done.stdout  # the last columns of the widest table


@pytest.mark.thorough
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing: apt install chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_works_in_a_browser(page, tmp_path, width):
    shutil.copy(page, tmp_path / "report.html")
    (tmp_path / "driver.html").write_text(DRIVER.format(width=width), encoding="utf-8")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=8000", "--enable-logging=stderr"]
    flags += [f"--window-size={width + 100},2200", "--dump-dom"]
    command = [CHROMIUM, *flags, f"file://{tmp_path / 'driver.html'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in done.stderr, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    (result,) = re.findall(r'<pre id="result">(.*?)</pre>', done.stdout)
    found = json.loads(html.unescape(result))
    assert found["overflow"] <= 0
    assert found["cut"] == 0
    if width == 390:  # the first column stays in sight, readable, and leaves room for the others
        assert 0.15 < found["first"] <= found["widest"] < 0.5
    else:
        assert found["wide"] in ([], ["Table: Measures over time"])
    assert found["images"]
    assert found["up"] == sorted(found["up"])
    assert found["down"] == sorted(found["up"], reverse=True)
    assert found["state"] == "ascending"
    assert found["copy"] >= 5
    assert found["copied"] == "Copied"


def test_the_protocol_names_every_rule_that_is_not_the_default(made_task, analysis_of):
    analysis = analysis_of((made_task(range(50, 60)), {"a": [3] * 12}))
    rules = {"noise": "replicate=1", "duplicates": "free", "duplicates_by": "class", "selection": "incumbent"}
    rules |= {"simulated_seconds": 60.0, "overrun": "count", "objectives": ("val_accuracy", "params_m")}
    text = " ".join(protocol_sentences(replace(analysis, protocol=Protocol(7, **rules))))
    for fact in (
        "12 times on each task (study seed 0)",
        "may start 7 evaluations",
        "may spend 60 simulated seconds. The evaluation that is running then still counts.",
        "always reads training 1",
        "A repeated isomorphism class returns its first value and costs nothing.",
        "returns the best architecture by the observed values",
        "Objectives: val_accuracy, params_m.",
    ):
        assert fact in text, fact
