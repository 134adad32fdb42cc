"""A parser of report.html: what stands in its tables, captions and tags."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any


class Page(HTMLParser):
    """Tables by id, as rows of cells; a cell is its text and its <data> as (value, text)."""

    def __init__(self, text: str):
        super().__init__()
        self.tables: dict[str, list[list[tuple[str, list[tuple[str, str]]]]]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.captions: dict[str, str] = {}
        self.style = self.text = ""
        self.inside: dict[str, Any] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.tags.append((tag, names))
        if tag == "table":
            self.inside["table"] = self.tables.setdefault(names["id"] or "", [])
        elif tag == "tr":
            self.inside["table"].append([])
        elif tag == "td":
            self.inside["td"] = ["", []]
        elif tag == "data":
            self.inside["data"] = [names["value"], ""]
        elif tag == "figure":
            self.inside["figure"] = (names["id"] or "").removesuffix("_figure")
        elif tag in ("figcaption", "style"):
            self.inside[tag] = True

    def handle_endtag(self, tag: str) -> None:
        item = self.inside.pop(tag, None)
        if tag == "data":
            self.inside["td"][1].append(tuple(item))
        elif tag == "td":
            self.inside["table"][-1].append((item[0], item[1]))

    def handle_data(self, data: str) -> None:
        if "style" in self.inside:
            self.style += data
            return
        self.text += data
        if "figcaption" in self.inside:
            self.captions[self.inside["figure"]] = self.captions.get(self.inside["figure"], "") + data
        if "data" in self.inside:
            self.inside["data"][1] += data
        if "td" in self.inside:
            self.inside["td"][0] += data

    def body(self, table: str) -> list[list[tuple[str, list[tuple[str, str]]]]]:
        return [row for row in self.tables[table] if row]
