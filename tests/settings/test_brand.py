"""What [dashboard] takes, and which files are a logo."""

from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.settings import load_settings
from gateway.settings.brand import MOST_LOGO_BYTES, PNG_START, Brand, Logo, read_brand
from gateway.settings.check_dashboard import contrast_to_white

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><rect width="4" height="4"/></svg>'


def read(folder: Path, dashboard: str) -> Brand:
    path = folder / "settings.toml"
    path.write_text(f"[dashboard]\n{dashboard}\n", encoding="utf-8")
    return read_brand(load_settings(path, {}))


def test_without_a_word_the_gateway_is_called_so(tmp_path: Path) -> None:
    brand = read(tmp_path, "")

    assert brand == Brand()
    assert (brand.name, brand.in_words, brand.support_link) == ("Gateway", "this gateway", "")


def test_all_of_a_brand(tmp_path: Path) -> None:
    (tmp_path / "logo").write_bytes(SVG)

    brand = read(
        tmp_path,
        'name = "Müller Daten"\nlogo_file = "logo"\ncolor = "#0A58B5"\nsupport = "https://mueller.example/help/"',
    )

    assert brand == Brand(
        "Müller Daten", Logo(SVG, "image/svg+xml"), color="#0A58B5", support="https://mueller.example/help/"
    )
    assert (brand.in_words, brand.support_words) == ("Müller Daten", "mueller.example/help")
    assert brand.support_link == "https://mueller.example/help/"
    assert read(tmp_path, 'support = "help@mueller.example"').support_link == "mailto:help@mueller.example"


@pytest.mark.parametrize(
    ("dashboard", "problem"),
    [
        ('name = ""', "dashboard.name: expected 1 to 60 printable characters"),
        ('name = " Acme"', "dashboard.name: expected 1 to 60 printable characters"),
        (f'name = "{"x" * 61}"', "dashboard.name: expected 1 to 60 printable characters"),
        ('name = "Acme\\r\\nBcc: all@example.com"', "dashboard.name: expected 1 to 60 printable characters"),
        ('color = "blue"', "dashboard.color: expected a colour such as #0a58b5"),
        ('color = "#fff"', "dashboard.color: expected a colour such as #0a58b5"),
        ('color = "#0a58b5; }"', "dashboard.color: expected a colour such as #0a58b5"),
        (
            'color = "#ffd400"',
            "dashboard.color: #ffd400 is too light for white text on it: its contrast is 1.4, and 4.5 is needed",
        ),
        (
            'color = "#777777"',
            "dashboard.color: #777777 is too light for white text on it: its contrast is 4.4, and 4.5 is needed",
        ),
        ('support = "ask ann"', "dashboard.support: expected an address such as help@example.com or https://"),
        ('support = "http://example.com"', "dashboard.support: expected an address"),
        ('support = "javascript:alert(1)"', "dashboard.support: expected an address"),
        ('support = "help@example.com?bcc=x@example.com"', "dashboard.support: expected an address"),
        ('support = "https://user@example.com/"', "dashboard.support: expected an address"),
        ('logo_file = "none.svg"', "dashboard.logo_file: "),
    ],
)
def test_a_mistake_is_told_in_one_line(tmp_path: Path, dashboard: str, problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(tmp_path, dashboard)

    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("color", "contrast"), [("#ffffff", 1.0), ("#000000", 21.0), ("#777777", 4.48)])
def test_contrast_is_that_of_wcag(color: str, contrast: float) -> None:
    assert contrast_to_white(color) == pytest.approx(contrast, abs=0.01)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (SVG, "image/svg+xml"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- drawn by hand -->\n' + SVG, "image/svg+xml"),
        (b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd">' + SVG, "image/svg+xml"),
        (b"<!-- one --><!DOCTYPE svg>\n<!-- two -- \n and <html> -->\n" + SVG, "image/svg+xml"),
        (PNG_START + b"\x00" * (MOST_LOGO_BYTES - len(PNG_START)), "image/png"),
    ],
    ids=["svg", "with-head", "with-doctype", "between-comments", "png"],
)
def test_a_logo_is_known_by_its_content(tmp_path: Path, content: bytes, media_type: str) -> None:
    (tmp_path / "logo.txt").write_bytes(content)

    assert read(tmp_path, 'logo_file = "logo.txt"').logo == Logo(content, media_type)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"<html><svg></svg></html>", "is neither an SVG nor a PNG"),
        (b'<!DOCTYPE svg [<!ENTITY x "y">]><svg>&x;</svg>', "is neither an SVG nor a PNG"),
        (b"<!-- a -->\n" * 1000 + b"<html><svg></svg></html>", "is neither an SVG nor a PNG"),
        (b"<!-- a --><html><!-- b --><svg></svg></html>", "is neither an SVG nor a PNG"),
        (b"GIF89a", "is neither an SVG nor a PNG"),
        (b"", "is neither an SVG nor a PNG"),
        (PNG_START + b"\x00" * MOST_LOGO_BYTES, "has more than 100 KB"),
    ],
    ids=["html", "entities", "many-comments", "root-between-comments", "gif", "empty", "large"],
)
def test_what_is_no_logo_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "logo.svg").write_bytes(content)

    with pytest.raises(SettingsError) as raised:
        read(tmp_path, 'logo_file = "logo.svg"')

    assert str(raised.value) == f"dashboard.logo_file: {tmp_path / 'logo.svg'} {problem}"
