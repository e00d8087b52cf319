"""Our HTML as Markdown."""

import pytest

from gateway.dashboard.markdown import markdown_of

ADDRESS = "https://gateway.example/docs/api"


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<h1>Title</h1>\n<p class=x>One\ntwo.</p>", "# Title\n\nOne two.\n"),
        ("<h2 id=a>A</h2><h3>B</h3>", "## A\n\n### B\n"),
        (
            '<p>See <a href="webhooks#verify">here</a>, <a href="../dashboard">there</a>.</p>',
            "See [here](https://gateway.example/docs/webhooks#verify), [there](https://gateway.example/dashboard).\n",
        ),
        ("<p><code>a &lt; b</code> and <strong>c</strong></p>", "`a < b` and **c**\n"),
        ("<p><code><b>GET</b> /x</code></p>", "`GET /x`\n"),
        ("<pre><code>one\n  <b>two</b>\n</code></pre>", "```\none\n  two\n```\n"),
        ("<ul><li>a</li>\n<li>b</li></ul><p>c</p>", "- a\n- b\n\nc\n"),
        (
            (
                "<table><caption>T</caption><thead><tr><th>A</th><th>B</th></tr></thead>"
                "<tbody><tr><th>a|b</th><td><p>x</p><p>y</p></td></tr></tbody></table>"
            ),
            "**T**\n\n| A | B |\n| --- | --- |\n| a\\|b | x y |\n",
        ),
        ("<details><summary>More</summary><p>It is.</p></details>", "**More**\n\nIt is.\n"),
        (
            (
                "<nav><a href=x>N</a></nav><form><p>F</p><table><tr><td>z</td></tr></table></form>"
                "<p>Text<button>B</button></p>"
            ),
            "Text\n",
        ),
    ],
)
def test_each_element_has_its_form(html: str, markdown: str) -> None:
    assert markdown_of(f"<p>before</p><main>{html}</main><p>after</p>", address=ADDRESS) == markdown
