"""Turn our own HTML into Markdown: what stands in `<main>`, without navigation, forms and buttons. Pure."""

import re
from html.parser import HTMLParser
from urllib.parse import urljoin

LEFT_OUT = frozenset({"nav", "form", "button", "script", "svg"})
HEADINGS = {"h1": "# ", "h2": "## ", "h3": "### "}
BLOCKS = frozenset({*HEADINGS, "p", "li", "caption", "summary"})
EMPHASIZED = frozenset({"caption", "summary"})
"""Titles of what follows."""
CELLS = frozenset({"th", "td"})
CODE = "code"
MARKS = {CODE: "`", "strong": "**", "b": "**"}
SPACE = re.compile(r"\s+")


def markdown_of(html: str, *, address: str) -> str:
    """Return the page as Markdown. Its links are resolved against `address`, its own."""
    writer = _Writer(address)
    writer.feed(html)
    writer.close()
    return "\n\n".join(writer.blocks) + "\n"


class _Writer(HTMLParser):
    """Collects blocks of Markdown. Text within a table's row is kept by cell until the row ends."""

    def __init__(self, address: str) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = []
        self._address = address
        self._is_in_main = False
        self._left_out = 0
        self._is_preformatted = False
        self._is_in_code = False
        self._text = ""
        self._cells: list[str] | None = None
        self._rows: list[str] = []
        self._link = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Write what an element begins with. Called by html.parser."""
        if tag == "main":
            self._is_in_main = True
        elif tag in LEFT_OUT:
            self._left_out += 1
        elif tag == "pre":
            self._is_preformatted, self._text = True, ""
        elif tag == "tr":
            self._cells = []
        elif tag == "a":
            self._link = urljoin(self._address, dict(attrs).get("href") or "")
            self._write("[")
        elif tag in CELLS or (tag in BLOCKS and self._cells is None):
            self._text = ""
        elif tag in MARKS:
            self._mark(tag)

    def handle_endtag(self, tag: str) -> None:
        """Write what an element ends with. Called by html.parser."""
        if tag == "main":
            self._is_in_main = False
        elif tag in LEFT_OUT:
            self._left_out -= 1
        elif tag == "pre":
            self._add(f"```\n{self._text.strip(chr(10))}\n```")
            self._is_preformatted = False
        elif tag == "a":
            self._write(f"]({self._link})")
        elif tag in CELLS and self._cells is not None:
            self._cells.append(_in_one_line(self._text).replace("|", r"\|"))
        elif tag == "tr":
            self._end_row()
        elif tag == "table":
            self._add("\n".join(self._rows))
            self._rows = []
        elif tag in BLOCKS:
            self._end_block(tag)
        elif tag in MARKS:
            self._mark(tag)

    def handle_data(self, data: str) -> None:
        """Write text. Called by html.parser."""
        self._write(data)

    def _write(self, text: str) -> None:
        if self._is_in_main and not self._left_out:
            self._text += text

    def _mark(self, tag: str) -> None:
        """Begin or end code or strong text. Within code every character stands for itself."""
        if tag == CODE and not self._is_preformatted:
            self._is_in_code = not self._is_in_code
        if not self._is_preformatted and (tag == CODE or not self._is_in_code):
            self._write(MARKS[tag])

    def _add(self, block: str) -> None:
        if self._is_in_main and not self._left_out:
            self.blocks.append(block)
        self._text = ""

    def _end_row(self) -> None:
        cells, self._cells = self._cells or [], None
        self._rows.append(f"| {' | '.join(cells)} |")
        if len(self._rows) == 1:
            self._rows.append("|" + " --- |" * len(cells))

    def _end_block(self, tag: str) -> None:
        text = _in_one_line(self._text)
        if self._cells is not None:
            self._write(" ")
        elif text and tag == "li":
            self._add_item(f"- {text}")
        elif text:
            self._add(f"**{text}**" if tag in EMPHASIZED else HEADINGS.get(tag, "") + text)

    def _add_item(self, item: str) -> None:
        """Add an item to the list before it, if there is one."""
        if self.blocks and self.blocks[-1].startswith("- "):
            item = f"{self.blocks.pop()}\n{item}"
        self._add(item)


def _in_one_line(text: str) -> str:
    return SPACE.sub(" ", text).strip()
