"""A figure of matplotlib as markup that takes its colours, font and size from the page."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, GRID, FIRST, SECOND, THIRD = (f"#0a0b{n:02x}" for n in range(1, 7))
"""Stand for colours that the page defines; nothing else that is drawn has them."""
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: "var(--third)",
}
STYLE = {
    "font.size": 11,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": "medium",
    # What journals say is text, never TeX.
    "text.parse_math": False,
    "text.usetex": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "outpace",
}
"""Settings under which figures are drawn."""
_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_POINTED = re.compile(r"url\(#([^)]*)\)")


def markup(figure: Figure, name: str, label: str) -> str:
    """The figure as an `<svg>` element to be put into a page; equal figures give equal text.

    Args:
        figure: Drawn under `STYLE`.
        name: Opens every id in it, so that no two figures of a page share one.
        label: Says to those who cannot see it what it shows.
    """
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    # Everything in it was drawn by us, and text in it was escaped by matplotlib.
    root = ET.fromstring(written.getvalue())  # noqa: S314
    for parent in list(root.iter()):
        for child in list(parent):
            # A style sheet in a figure would apply to the whole page.
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    _name_apart(root, name)
    for element in root.iter():
        style = element.get("style")
        if style is not None:
            element.set("style", _restyled(style))
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.set("role", "img")
    root.set("aria-label", label)
    # In HTML elements need no prefix.
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    return ET.tostring(root, encoding="unicode")


def plain(text: str, longest: int = 24) -> str:
    """Text that may stand in a figure: printable, on one line, and short."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def _name_apart(root: ET.Element, name: str) -> None:
    """Drop the ids that nothing points to, and let the others begin with a name."""
    pointed = {target for element in root.iter() for target in _targets(element.attrib)}
    for element in root.iter():
        own = element.attrib.pop("id", None)
        for attribute, value in list(element.attrib.items()):
            if attribute == _HREF and value.startswith("#"):
                element.set(attribute, f"#{name}-{value[1:]}")
            else:
                element.set(attribute, _POINTED.sub(rf"url(#{name}-\1)", value))
        if own in pointed:
            element.set("id", f"{name}-{own}")


def _targets(attributes: dict[str, Any]) -> list[str]:
    href = attributes.get(_HREF, "")
    pointed = [found for value in attributes.values() for found in _POINTED.findall(value)]
    return [*pointed, *([href[1:]] if href.startswith("#") else [])]


def _restyled(style: str) -> str:
    """Colours of the page instead of their stand-ins, and its font."""
    for stand_in, variable in _VARIABLES.items():
        style = style.replace(stand_in, variable)
    return re.sub(r"font(-family)?: [^;]*", lambda m: _own_font(m.group()), style)


def _own_font(declaration: str) -> str:
    size = re.search(r"[0-9.]+px", declaration)
    return f"font: {size.group()} var(--font)" if size else "font-family: var(--font)"
