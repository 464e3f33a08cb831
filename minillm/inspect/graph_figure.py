"""Picture of a computation graph: boxes in layers, the leaves above, the loss below."""

from collections.abc import Sequence

from minillm.markup import BLUE, escape

WIDE, HIGH = 168, 50  # a box with the gap beside it, in pixels
GAP, LINE = 18, 13
MOST = 300  # nodes of a picture


def draw_svg(boxes: Sequence[Sequence[str]], edges: Sequence[tuple[int, int]]) -> str:
    """SVG of a graph. boxes: the lines of text of each node, in the order of
    computation; the second half of an edge is computed from the first."""
    place = places(len(boxes), edges)
    columns, rows = (1 + max(place[i][side] for i in place) for side in (0, 1))
    tall = HIGH + LINE * (max(map(len, boxes)) - 2)
    box = WIDE - GAP, tall - GAP

    def corner(i: int) -> tuple[float, float]:
        return place[i][0] * WIDE + GAP / 2, place[i][1] * tall + GAP / 2

    drawn = []
    for a, b in edges:
        (x1, y1), (x2, y2) = corner(a), corner(b)
        x1, x2, y1 = x1 + box[0] / 2, x2 + box[0] / 2, y1 + box[1]
        half = max(12, (y2 - y1) / 2)
        path = f"M{x1:.0f},{y1:.0f} C{x1:.0f},{y1 + half:.0f} {x2:.0f},{y2 - half:.0f}"
        if place[a][0] == place[b][0] and place[b][1] > place[a][1] + 1:
            side = x1 + box[0] / 2  # round the boxes between them
            y1, y2, x2 = y1 - box[1] / 2, y2 + box[1] / 2, side
            out = side + GAP
            path = f"M{side:.0f},{y1:.0f} C{out:.0f},{y1:.0f} {out:.0f},{y2:.0f}"
        drawn.append(
            f'<path d="{path} {x2:.0f},{y2:.0f}" fill="none" stroke="#777" '
            f'marker-end="url(#tip)"/>'
        )
    inner = {b for _, b in edges}
    for i, lines in enumerate(boxes):
        x, y = corner(i)
        round_, fill = (3, "#fff") if i in inner else (12, "#eaf3fa")
        drawn.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{box[0]}" height="{box[1]}" '
            f'rx="{round_}" fill="{fill}" stroke="{BLUE}"/>'
        )
        for n, text in enumerate(lines):
            down = y + box[1] / 2 + (n - (len(lines) - 1) / 2) * LINE + 4
            weight = ' font-weight="bold"' if n == 0 else ""
            drawn.append(
                f'<text x="{x + box[0] / 2:.0f}" y="{down:.0f}" font-size="11"{weight} '
                f'text-anchor="middle">{escape(_cut(text))}</text>'
            )
    width, height = columns * WIDE + 2 * GAP, rows * tall
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#777"/>'
        "</marker></defs>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif">'
        f'<rect width="100%" height="100%" fill="#fff"/>{tip}{"".join(drawn)}</svg>'
    )


def places(n: int, edges: Sequence[tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """(column, row) of each node: a row below all that it is computed from. A leaf
    stands a row above its first user."""
    row = [0] * n
    users = [[] for _ in range(n)]
    for a, b in sorted(edges, key=lambda edge: edge[1]):
        row[b] = max(row[b], row[a] + 1)
        users[a].append(b)
    computed = {b for _, b in edges}
    for i in range(n):
        if i not in computed and users[i]:
            row[i] = min(row[b] for b in users[i]) - 1
    found, taken = {}, {}
    for i in reversed(range(n)):  # the loss first, what it is computed from above it
        wanted = min((found[b][0] for b in users[i]), default=0)
        column = wanted
        while (column, row[i]) in taken:
            column += 1
        taken[column, row[i]] = i
        found[i] = column, row[i]
    return found


def _cut(text: str) -> str:
    return text if len(text) <= 20 else f"{text[:9]}…{text[-10:]}"
