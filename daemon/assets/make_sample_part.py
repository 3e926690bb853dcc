#!/usr/bin/env python3
"""Writes sample-part.nc, the part that `headstock demo` runs.

A coaster, 80 x 80 mm, for a 3 mm end mill: a round pocket cleared by a spiral, a rosette engraved
in its floor, and the outline with rounded corners and four tabs. Everything is worked out here, so
the file can be made again, byte for byte:

    python3 daemon/assets/make_sample_part.py > daemon/assets/sample-part.nc
"""

from math import cos, pi, sin

CENTRE = 40.0
SAFE_Z = 5.0
TOOL_RADIUS = 1.5
CUT, PLUNGE, ENGRAVE = 1800, 300, 1500

lines = []


def say(text):
    lines.append(text)


def number(value):
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def move(code, **words):
    say(code + "".join(f" {axis.upper()}{number(value)}" for axis, value in words.items()))


def lift():
    move("G0", z=SAFE_Z)


def head():
    say("%")
    say("(Headstock sample part: coaster 80 x 80 mm, stock 10 mm)")
    say("(Zero: lower left corner, top of the stock. Tool 1: end mill, 3 mm)")
    say("G21 G90 G17 G94 G54")
    say("T1")
    lift()
    say("M3 S12000")
    say("G4 P1")


def pocket(radius=30.0, depth=2.0, step_down=1.0, step_over=1.2):
    say("(Pocket: spiral from the centre, then one clean round)")
    reach = radius - TOOL_RADIUS
    level = -step_down
    while level >= -depth - 1e-9:
        move("G0", x=CENTRE, y=CENTRE)
        move("G0", z=0.5)
        move("G1", z=level, f=PLUNGE)
        say(f"G1 F{CUT}")
        angle = 0.0
        while step_over * angle / (2 * pi) < reach:
            distance = step_over * angle / (2 * pi)
            # Pieces of 1 mm, shorter near the centre, where they would be seen as corners.
            angle += min(pi / 15, 1.0 / max(distance, 0.1))
            distance = min(step_over * angle / (2 * pi), reach)
            move("G1", x=CENTRE + distance * cos(angle), y=CENTRE + distance * sin(angle))
        move("G1", x=CENTRE + reach, y=CENTRE)
        move("G3", x=CENTRE - reach, y=CENTRE, i=-reach, j=0)
        move("G3", x=CENTRE + reach, y=CENTRE, i=reach, j=0)
        lift()
        level -= step_down


def rosette(petals=7, points=1400, floor=-2.0, depth=0.3):
    say("(Engraving: a rosette in the floor of the pocket)")

    def at(step):
        turn = 2 * pi * step / points
        distance = 14.0 + 9.0 * sin(petals * turn) + 2.5 * sin(3 * petals * turn)
        return CENTRE + distance * cos(turn), CENTRE + distance * sin(turn)

    x, y = at(0)
    move("G0", x=x, y=y)
    move("G0", z=floor + 1.0)
    move("G1", z=floor - depth, f=PLUNGE)
    say(f"G1 F{ENGRAVE}")
    for step in range(1, points + 1):
        x, y = at(step)
        move("G1", x=x, y=y)
    lift()


def outline(size=80.0, corner=8.0, depth=10.0, step_down=1.25, tab=4.0, tab_height=2.0):
    say("(Outline: rounded corners, climb, tabs in the last passes)")
    low, high = -TOOL_RADIUS, size + TOOL_RADIUS
    radius = corner + TOOL_RADIUS
    level = 0.0
    move("G0", x=CENTRE, y=low)
    move("G0", z=0.5)
    while level > -depth:
        level = max(level - step_down, -depth)
        bridge = max(level, -depth + tab_height)
        move("G1", z=level, f=PLUNGE)
        say(f"G1 F{CUT}")
        # The four sides, clockwise: direction, end before the corner, corner end and its centre.
        sides = [
            ("x", -1, low, (low + radius, low), (low, low + radius), (0, radius)),
            ("y", +1, low, (low, high - radius), (low + radius, high), (radius, 0)),
            ("x", +1, high, (high - radius, high), (high, high - radius), (0, -radius)),
            ("y", -1, high, (high, low + radius), (high - radius, low), (-radius, 0)),
        ]
        for axis, sense, across, end, turned, centre in sides:
            for shift, height in ((8.0, bridge), (8.0 + tab, level)):
                if bridge > level:
                    place = CENTRE + sense * shift
                    x, y = (place, across) if axis == "x" else (across, place)
                    move("G1", x=x, y=y)
                    move("G1", z=height)
            move("G1", x=end[0], y=end[1])
            move("G2", x=turned[0], y=turned[1], i=centre[0], j=centre[1])
        move("G1", x=CENTRE, y=low)
    lift()


def tail():
    say("M5")
    move("G0", z=15.0)
    move("G0", x=0, y=0)
    say("M30")
    say("%")


head()
pocket()
rosette()
outline()
tail()
print("\n".join(lines))
