"""Draw the diagrams of docs/concepts: python scripts/draw_diagrams.py writes docs/images/*.svg.

Boxes, arrows and text are written as SVG on a card, readable on light and dark screens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

Point = tuple[float, float]

FILLS = {
    "student": ("#d9f2ee", "#0f766e"),
    "teacher": ("#fde8d0", "#b45309"),
    "loss": ("#ece4fb", "#6d28d9"),
    "adapter": ("#e2ecfa", "#1d4ed8"),
    "plain": ("#f1f1f1", "#6b6b6b"),
}
"""Kind of a box -> its fill and its outline."""
INK, QUIET, CARD, EDGE = "#1a1a1a", "#555555", "#ffffff", "#d0d0d0"
LETTERS, SMALL = 15, 13
LINE = 18

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"
     font-family="system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif">
<title>{title}</title>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0 10 5 0 10z" fill="{ink}"/></marker></defs>
<rect x="0.5" y="0.5" width="{inner_width}" height="{inner_height}" rx="10" fill="{card}" stroke="{edge}"/>
"""


@dataclass(frozen=True)
class Box:
    """A box that was drawn; its sides' middles are where arrows begin and end."""

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]

    @property
    def left(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        return self.x + self.width, self.y + self.height / 2

    @property
    def top(self) -> Point:
        return self.x + self.width / 2, self.y

    @property
    def bottom(self) -> Point:
        return self.x + self.width / 2, self.y + self.height


@dataclass
class Diagram:
    """A diagram that grows by its methods.

    Attributes:
        title: what it shows, for screen readers.
        width: in pixels.
        height: in pixels.
        boxes: all of them, in the order in which they were drawn.
        words: text outside boxes, with its place, size and anchor.
    """

    title: str
    width: int
    height: int
    boxes: list[Box] = field(default_factory=list)
    words: list[tuple[str, float, float, int, str]] = field(default_factory=list)
    _parts: list[str] = field(default_factory=list)

    def box(self, kind: str, x: float, y: float, width: float, height: float, *lines: str) -> Box:
        """Draw a box; its first line is bold, the others are small."""
        fill, outline = FILLS[kind]
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="{fill}" stroke="{outline}"/>'
        )
        first = y + height / 2 - LINE * (len(lines) - 1) / 2 + LETTERS * 0.35
        for number, line in enumerate(lines):
            style = f'font-size="{SMALL}"' if number else f'font-size="{LETTERS}" font-weight="600"'
            self._write(line, x + width / 2, first + LINE * number, style, INK, "middle")
        self.boxes.append(Box(x, y, width, height, lines))
        return self.boxes[-1]

    def circle(self, x: float, y: float, sign: str) -> Box:
        """Draw an operation, such as + or ⊙."""
        self._parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="13" fill="{CARD}" stroke="{INK}"/>')
        self._write(sign, x, y + 6, 'font-size="17"', INK, "middle")
        return Box(x - 13, y - 13, 26, 26, ())

    def arrow(self, *points: Point, dashed: bool = False) -> None:
        """Draw an arrow through points."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        look = f'fill="none" stroke="{INK}" stroke-width="1.4"{dashes} marker-end="url(#tip)"'
        self._parts.append(f'<polyline points="{path}" {look}/>')

    def text(
        self, x: float, y: float, line: str, *, size: int = SMALL, anchor: str = "middle", bold: bool = False
    ) -> None:
        """Write beside boxes and arrows."""
        self.words.append((line, x, y, size, anchor))
        weight = ' font-weight="600"' if bold else ""
        self._write(line, x, y, f'font-size="{size}"{weight}', INK if bold else QUIET, anchor)

    def svg(self) -> str:
        """Return the file's text."""
        head = HEAD.format(
            width=self.width,
            height=self.height,
            inner_width=self.width - 1,
            inner_height=self.height - 1,
            title=escape(self.title),
            ink=INK,
            card=CARD,
            edge=EDGE,
        )
        return "\n".join([head.rstrip("\n"), *self._parts, "</svg>\n"])

    def _write(self, line: str, x: float, y: float, style: str, colour: str, anchor: str) -> None:
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" {style} fill="{colour}" text-anchor="{anchor}">{escape(line)}</text>'
        )


IMAGES = Path(__file__).resolve().parents[1] / "docs/images"
STUDENT = (32, 64, 160, 256)
TEACHER = (64, 128, 320, 512)
"""Channels of the stages of MiT-B0 and MiT-B2."""
UNDER = "₁₂₃₄"


def overview() -> Diagram:
    """Draw both networks, what is tapped of them, and what compares it."""
    title = "TransKD: the student's patch embeddings and feature maps are compared with the teacher's, stage by stage"
    d = Diagram(title, 640, 726)
    image = d.box("plain", 220, 16, 200, 42, "image", "3 × H × W")
    d.text(120, 80, "student (trains)", size=15, bold=True)
    d.text(520, 80, "teacher (frozen)", size=15, bold=True)
    d.arrow(image.left, (120, 37), (120, 64))
    d.arrow(image.right, (520, 37), (520, 64))
    above: list[Box] = []
    fusions: list[Box] = []
    for stage in range(4):
        y, stride = 92 + 124 * stage, 4 * 2**stage
        size = f"H/{stride} × W/{stride}"
        columns: list[tuple[Box, Box]] = []
        for side, (kind, x, channels) in enumerate((("student", 20, STUDENT), ("teacher", 420, TEACHER))):
            e = d.box(kind, x, y, 200, 44, f"E{UNDER[stage]}  patch embedding", f"{channels[stage]} × {size}")
            f = d.box(kind, x, y + 60, 200, 44, f"F{UNDER[stage]}  feature map", f"{channels[stage]} × {size}")
            if above:
                d.arrow(above[side].bottom, e.top)
            d.arrow(e.bottom, f.top)
            columns.append((e, f))
        above = [f for _, f in columns]
        align = d.box("loss", 258, y + 4, 90, 36, "PEA")
        fuse = d.box("loss", 258, y + 64, 132, 36, "CSF")
        for (own, other), loss in zip(zip(*columns, strict=True), (align, fuse), strict=True):
            d.arrow(own.right, loss.left)
            d.arrow(other.left, loss.right)
        fusions.append(fuse)
    for shallow, deep in pairwise(fusions):
        d.arrow((370, deep.y), (370, shallow.y + shallow.height), dashed=True)
    y = 92 + 124 * 4
    head = d.box("student", 20, y, 200, 44, "head → class logits", "K × H/4 × W/4")
    d.arrow(above[0].bottom, head.top)
    entropy = d.box("loss", 252, y, 136, 44, "cross-entropy")
    label = d.box("plain", 420, y, 200, 44, "label", "H × W")
    d.arrow(head.right, entropy.left)
    d.arrow(label.left, entropy.right)
    d.text(320, y + 72, "dashed: CSF's fused map passes from the deepest stage to the shallowest")
    d.text(320, y + 92, "channels of MiT-B0 under MiT-B2; GL-Mixer and EA take PEA's place")
    d.text(320, y + 112, "the head reads all four feature maps; the teacher's head does not run")
    return d


def csf() -> Diagram:
    """Draw one stage of cross selective fusion."""
    d = Diagram("Cross selective fusion: one stage", 640, 584)
    own = d.box("student", 40, 20, 230, 44, "Fᵢ  student's feature map", "Cᵢ × h × w")
    deeper = d.box("adapter", 370, 20, 230, 44, "xᵢ₊₁  of the deeper stage", "64 × h/2 × w/2")
    reduce = d.box("adapter", 70, 96, 170, 44, "conv 1×1, BN", "x: 64 × h × w")
    upsample = d.box("adapter", 400, 96, 170, 44, "upsample, nearest", "y: 64 × h × w")
    d.arrow(own.bottom, reduce.top)
    d.arrow(deeper.bottom, upsample.top)
    plus = d.circle(320, 178, "+")
    pool = d.box("adapter", 225, 216, 190, 44, "global average pool", "s: 64")
    squeeze = d.box("adapter", 225, 284, 190, 44, "conv 1×1, BN, ReLU", "z: 32")
    share = d.box("adapter", 205, 352, 230, 44, "two conv 1×1, softmax", "a, b: 64 each, a + b = 1")
    d.arrow((200, 140), (200, 178), plus.left)
    d.arrow((440, 140), (440, 178), plus.right)
    for above, below in ((plus, pool), (pool, squeeze), (squeeze, share)):
        d.arrow(above.bottom, below.top)
    mix = d.box("adapter", 205, 420, 230, 44, "xᵢ = a ⊙ x + b ⊙ y", "64 × h × w")
    d.arrow(share.bottom, mix.top)
    d.arrow((100, 140), (100, 442), mix.left)
    d.arrow((540, 140), (540, 442), mix.right)
    d.text(110, 300, "x", anchor="start", size=15)
    d.text(530, 300, "y", anchor="end", size=15)
    expand = d.box("adapter", 225, 496, 160, 44, "conv 3×3, BN", "Gᵢ: Dᵢ × h × w")
    d.arrow((305, 464), expand.top)
    d.arrow((235, 464), (235, 480), (120, 480), (120, 508), dashed=True)
    d.text(24, 526, "to stage i − 1", anchor="start")
    loss = d.box("loss", 415, 500, 64, 36, "HCL")
    d.arrow(expand.right, loss.left)
    taught = d.box("teacher", 510, 496, 112, 44, "Fᵢ  teacher's", "Dᵢ × h × w")
    d.arrow(taught.left, loss.right)
    d.text(320, 566, "The deepest stage has nothing below it: there xᵢ = x.")
    return d


def pea() -> Diagram:
    """Draw patch embedding alignment of one stage."""
    d = Diagram("Patch embedding alignment: one stage", 640, 116)
    own = d.box("student", 16, 20, 150, 48, "Eᵢ  student's", "Cᵢ × h × w")
    linear = d.box("adapter", 206, 20, 136, 48, "linear layer", "Cᵢ → Dᵢ")
    loss = d.box("loss", 382, 20, 70, 48, "MSE", "× ωᵢ")
    taught = d.box("teacher", 492, 20, 132, 48, "Eᵢ  teacher's", "Dᵢ × h × w")
    d.arrow(own.right, linear.left)
    d.arrow(linear.right, loss.left)
    d.arrow(taught.left, loss.right)
    d.text(320, 96, "ω = 0.1, 0.1, 0.5, 1 from the shallowest stage to the deepest")
    return d


def gl_mixer() -> Diagram:
    """Draw the GL-Mixer."""
    d = Diagram("GL-Mixer: the deepest patch embedding, mixed globally and locally", 640, 404)
    own = d.box("student", 215, 18, 210, 44, "E₄  student's", "N tokens × C₄ (N = h · w)")
    attention = d.box("adapter", 30, 110, 210, 64, "global", "self-attention, 8 heads:", "each token looks at all")
    conv = d.box("adapter", 300, 110, 150, 64, "local", "conv 1-D, kernel 3:", "a token's neighbours")
    gate = d.box("adapter", 470, 110, 150, 64, "gate", "conv 1-D, kernel 3,", "sigmoid")
    for branch in (attention, conv, gate):
        d.arrow(own.bottom, (320, 86), (branch.top[0], 86), branch.top)
    times = d.circle(460, 206, "⊙")
    d.arrow(conv.bottom, (375, 206), times.left)
    d.arrow(gate.bottom, (545, 206), times.right)
    plus = d.circle(320, 252, "+")
    d.arrow(attention.bottom, (135, 252), plus.left)
    d.arrow(times.bottom, (460, 252), plus.right)
    d.text(222, 246, "× α", size=15)
    d.text(396, 246, "× β", size=15)
    linear = d.box("adapter", 240, 296, 160, 44, "linear layer", "C₄ → D₄")
    d.arrow(plus.bottom, linear.top)
    loss = d.box("loss", 428, 300, 62, 36, "MSE")
    taught = d.box("teacher", 518, 296, 112, 44, "E₄  teacher's", "D₄ × h × w")
    d.arrow(linear.right, loss.left)
    d.arrow(taught.left, loss.right)
    d.text(320, 378, "Stages 1 to 3 are aligned as in PEA.")
    return d


def ea() -> Diagram:
    """Draw the embedding assistant of one stage."""
    d = Diagram("Embedding assistant: one stage", 640, 340)
    own = d.box("student", 40, 18, 230, 44, "Eᵢ  student's", "Cᵢ × h × w")
    before = d.box("student", 350, 18, 250, 44, "image, or Fᵢ₋₁ student's", "for stage 1, or for stages 2 to 4")
    linear = d.box("adapter", 65, 100, 180, 44, "linear layer", "Cᵢ → Dᵢ")
    layers = ("conv 7×7 stride 4, or 3×3 stride 2;", "layer norm → Aᵢ: Dᵢ × h × w")
    second = d.box("adapter", 350, 92, 250, 62, "second patch embedding", *layers)
    d.arrow(own.bottom, linear.top)
    d.arrow(before.bottom, second.top)
    plus = d.circle(320, 200, "+")
    d.arrow(linear.bottom, (155, 200), plus.left)
    d.arrow(second.bottom, (475, 200), plus.right)
    d.text(225, 193, "× pᵢ", size=15)
    d.text(400, 193, "× qᵢ", size=15)
    loss = d.box("loss", 285, 240, 70, 48, "MSE", "× ωᵢ")
    taught = d.box("teacher", 430, 240, 150, 48, "Eᵢ  teacher's", "Dᵢ × h × w")
    d.arrow(plus.bottom, loss.top)
    d.arrow(taught.left, loss.right)
    d.text(320, 318, "pᵢ and qᵢ are learned; they start at 0.1 i and 0.1 (i + 4)")
    return d


def protocol() -> Diagram:
    """Draw where predictions and labels may meet."""
    title = "Two protocols: predictions meet labels at the label file's size, or at a quarter of the input"
    d = Diagram(title, 640, 372)
    image = d.box("plain", 20, 18, 160, 44, "image file", "1024 × 2048")
    label = d.box("plain", 460, 18, 160, 44, "label file", "1024 × 2048")
    seen = d.box("plain", 20, 96, 160, 44, "input", "512 × 1024")
    student = d.box("student", 20, 174, 160, 40, "student")
    logits = d.box("student", 20, 248, 160, 44, "logits", "19 × 128 × 256")
    d.arrow(image.bottom, seen.top)
    d.text(108, 84, "resized", anchor="start")
    d.arrow(seen.bottom, student.top)
    d.arrow(student.bottom, logits.top)
    full = d.box("loss", 240, 18, 170, 62, "protocol=full", "logits resized to", "1024 × 2048")
    paper = d.box("loss", 240, 239, 170, 62, "protocol=paper", "labels resized to", "128 × 256")
    d.arrow(label.left, (410, 40))
    d.arrow((540, 62), (540, 270), paper.right)
    d.arrow((180, 260), (210, 260), (210, 49), full.left)
    d.arrow((180, 270), paper.left)
    d.text(320, 330, "The sizes are those of Cityscapes at the paper's input. The second compares")
    d.text(320, 350, "64 times fewer pixels: 32 768 an image, not 2 097 152.")
    return d


DIAGRAMS = {"transkd": overview, "csf": csf, "pea": pea, "gl_mixer": gl_mixer, "ea": ea, "protocol": protocol}


def main() -> None:
    """Write all of them."""
    for name, draw in DIAGRAMS.items():
        (IMAGES / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
