"""The report is one self-contained page, escaped, and true to its figures."""

import base64
import re
from html.parser import HTMLParser

import pytest
import torch

from nayer.evaluation import figures, report
from nayer.evaluation.metrics import compare_unlabelled
from nayer.synthesis.methods.dafl import Dafl
from nayer.synthesis.methods.nayer import Nayer

HOSTILE = "<script>alert(1)</script> & $x$"


class Page(HTMLParser):
    """Collects a page's tags, what they point to, and all text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.sources, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]

    def handle_data(self, data):
        if self.lasttag != "style":
            self.text += data


@pytest.fixture
def render(drawn, comparison, cost):
    def build(classes=10, baselines=None, pictures=False, **changes):
        result = comparison(classes)
        values = {
            "method": Nayer,
            "metrics": result.metrics,
            "cost": cost,
            "per_class": result.per_class,
            "baselines": baselines,
            "figures": drawn(classes) if pictures else {},
            "parameters": {"scenario": f"digits {HOSTILE}", "seed": 0, "distill": {"memory": None, "note": HOSTILE}},
            "provenance": {"class names": HOSTILE, "prompt": "a photo of a {}", "teacher": "ab" * 32},
        }
        return report.render(**{**values, **changes})

    return build


@pytest.mark.parametrize(("leaves", "said"), [(0, False), (1200, True)])
def test_pictures_that_lay_beside_the_images_are_told(leaves, said, render, cost):
    effort = {**cost["distillation"], "leaves": leaves}
    page = Page(render(3, cost={**cost, "distillation": effort}))
    assert "25,600 images were made, " in page.text
    assert ("1,200 procedural pictures were added, and no training data was read" in page.text) is said


def test_the_page_needs_nothing_else(render):
    page = Page(render(2, baselines={"real": 0.9}, pictures=True))
    assert page.sources[-1] == "int8.html", "the page beside it, where a reader finds the student in INT8"
    assert len(page.sources[:-1]) == 4
    assert all(source.startswith("data:image/") for source in page.sources[:-1])
    assert not {"script", "link", "iframe", "object"} & set(page.tags)


def test_text_from_outside_is_escaped_wherever_it_stands(render):
    html = render(baselines={HOSTILE: 0.5}, pictures=True)
    assert "<script" not in html
    # In title, eyebrow, class table, baselines, provenance and parameters; `hardest` may name it, too.
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp; $x$") >= 6
    assert HOSTILE in Page(html).text


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_no_figure_is_missing_or_not_a_number(render, classes):
    html = render(classes, pictures=True)
    assert not re.search(r"\b(nan|inf|None|undefined)\b", Page(html).text)
    assert len(html) < 2_000_000


def test_without_test_data_the_page_claims_no_accuracy(render):
    generator = torch.Generator().manual_seed(3)
    logits = [torch.randn(30, 10, generator=generator) for _ in range(2)]
    labels = torch.arange(30) % 10
    found = compare_unlabelled(*logits, labels, [f"class {index}" for index in range(10)])
    text = Page(render(metrics=found.metrics, per_class=found.per_class)).text
    assert "Without test data" in text
    assert "30 synthetic images" in text.replace("\xa0", " ")
    assert "top-1" not in text.lower()
    assert not re.search(r"\b(nan|None|undefined)\b", text)


def test_a_class_without_images_has_dashes(render):
    row = re.search(r'<th scope="row">class 9</th>(.*?)</tr>', render(10), re.S)[1]
    assert "%" not in row
    assert row.count("\N{EN DASH}") == 7


def test_headline_and_tiles(render, comparison):
    metrics = {**comparison(10).metrics, "retention": 0.9942}
    text = Page(render(metrics=metrics)).text.replace("\xa0", " ")
    assert "WRN-10-1 student, 5.0\N{MULTIPLICATION SIGN} smaller, keeps 99.4 % of its teacher's accuracy" in text
    assert "Distilled from a ResNet-34" in text
    assert "25,600 images were made" in text
    assert f"{100 * metrics['student']['top1']:.2f} %" in text
    assert "1 k instead of 5 k" in text


@pytest.mark.parametrize(
    ("ratio", "said"), [(1.0, "as large as its teacher"), (0.5, "2.0\N{MULTIPLICATION SIGN} larger")]
)
def test_a_student_that_is_not_smaller_is_not_called_so(cost, comparison, ratio, said):
    cost["ratio"]["parameters"] = ratio
    assert said in report.headline(comparison(3).metrics, cost)


def test_baselines_stand_in_order_with_the_student_among_them(render, comparison):
    metrics = comparison(10).metrics
    rows = report.ladder(metrics, {"kd_noise": 0.0, "real": 1.0})
    assert rows[0]["name"] == report.BASELINES["real"][0]
    assert rows[-1]["name"] == report.BASELINES["kd_noise"][0]
    assert "Between floor and ceiling" in render(baselines={"kd_noise": 0.0})
    for nothing in ({}, None):
        assert "Between floor and ceiling" not in render(baselines=nothing)


def test_what_a_reader_must_know_is_said(render):
    text = " ".join(Page(render()).text.split())
    for sentence in ("Data-free is not private.", "The test data selected nothing.", "that of the last epoch"):
        assert sentence in text


def test_equal_runs_give_equal_pages(render):
    assert render(2, pictures=True) == render(2, pictures=True)


def test_large_pictures_do_not_make_a_large_page(render, drawn):
    noise = torch.randint(0, 256, (160, 3, 64, 64), dtype=torch.uint8)
    pictures = drawn(20)
    pictures["synthetic_images"] = figures.synthetic_images(noise, torch.arange(20).repeat_interleave(8), ["x"] * 20)
    html = render(20, figures=pictures)
    assert len(html) < 2_000_000
    assert "data:image/jpeg" in html


def test_lines_are_drawn_as_lines(drawn):
    source = report.as_data_uri(drawn(2)["training_curves"])
    kind, content = source.split(";base64,")
    assert kind == "data:image/svg+xml"
    assert b"<svg" in base64.b64decode(content)


def test_the_page_names_the_method_and_what_it_was_given(render):
    assert "by NAYER (arXiv 2310.00258), from class names and the teacher alone" in Page(render()).text
    assert "by DAFL (arXiv 1904.01186), from the teacher alone" in Page(render(method=Dafl)).text


def test_the_interval_of_a_perfect_score_is_not_empty():
    least, most = report.interval(1.0, 100)
    assert least == pytest.approx(0.963, abs=1e-3)
    assert most == pytest.approx(1)


def test_a_name_that_a_table_file_lost_is_replaced(comparison):
    table = comparison(3).per_class
    table.loc[1, "class"] = None
    assert report.class_rows(table)[1]["class"] == "class 1"
