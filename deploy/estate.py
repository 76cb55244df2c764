#!/usr/bin/env python3
"""Drafts deploy/estate.csv: 268 cameras at four sites, before anyone has walked the estate.

    deploy/estate.py > deploy/estate.csv

Run once. From then on people keep the CSV: the survey replaces each camera's address, purpose and
zones. The zones drafted here are placeholders across the top of the picture, where houses opposite
would show; every one differs, so that a mask put on the wrong camera can be seen.
"""
import csv
import json
import sys

# site, external cameras, internal cameras; the second part of the camera's address.
SITES = [("east", 44, 23, 1), ("west", 34, 31, 2), ("south", 49, 16, 3), ("hq", 47, 24, 4)]

COLUMNS = ["site", "camera", "place", "url", "expected_kbps", "retention", "mask", "policy_id",
           "policy_revision", "approved_by", "zones", "purpose"]

# What is seen, and what must not be: the neighbours give the policy its name.
OUTSIDE = [("main gate", "homes"), ("public entrance", "shops"), ("staff car park", "homes"),
           ("vehicle yard", "homes"), ("perimeter fence north", "homes"),
           ("perimeter fence south", "school"), ("custody van dock", "offices"),
           ("bicycle shed", "homes"), ("plant compound", "offices"), ("rear gate", "homes")]
INSIDE = ["front counter", "waiting area", "corridor to custody", "stairwell", "loading bay",
          "property store door", "server room door", "interview suite corridor"]

# What 1080p25 cameras are set to; the survey says better.
KBPS = 4000

# The Information Asset Owner, who approves the first revision of every mask, and that a camera
# inside needs none.
APPROVER = "d.mensah"


def zones(site, number):
    """A band over the upper part of the picture, sloping; every fourth camera a house front too."""
    left = (20 + (7 * number + 3 * site) % 17) / 100
    right = (18 + (5 * number + 11 * site) % 19) / 100
    drawn = [[[0.0, 0.0], [1.0, 0.0], [1.0, right], [0.0, left]]]
    if number % 4 == 0:
        wide, low = (8 + number % 9) / 100, (45 + (3 * number + site) % 13) / 100
        drawn.append([[0.0, left], [wide, left], [wide, low], [0.0, low]])
    return drawn


def retention(view):
    return "custody" if "custody" in view else ""


def external(site, net, number):
    view, neighbours = OUTSIDE[(number - 1) % len(OUTSIDE)]
    camera = f"ext-{number:02}"
    return [site, camera, "external", f"rtsp://10.{net}.0.{10 + number}:554/stream1", KBPS,
            retention(view), "required",
            f"{camera}-{neighbours}", 1, APPROVER, json.dumps(zones(net, number)),
            f"security of staff, visitors and premises: {view}"]


def internal(site, net, number):
    view = INSIDE[(number - 1) % len(INSIDE)]
    return [site, f"int-{number:02}", "internal", f"rtsp://10.{net}.1.{10 + number}:554/stream1",
            KBPS, retention(view), "none", "", "", APPROVER, "", f"security of staff, visitors and premises: {view}"]


def main():
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(COLUMNS)
    for site, outside, inside, net in SITES:
        out.writerows(external(site, net, number) for number in range(1, outside + 1))
        out.writerows(internal(site, net, number) for number in range(1, inside + 1))


if __name__ == "__main__":
    main()
