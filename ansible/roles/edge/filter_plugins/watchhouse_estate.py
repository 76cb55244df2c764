"""Reads deploy/estate.csv: the cameras of one site, each row checked.

The same mistakes are refused by `edge-agent check-config`; here they are found for a row of the CSV,
by its line, before any recorder is touched.
"""
import csv
import io
import json
import re

from ansible.errors import AnsibleFilterError

COLUMNS = ["site", "camera", "place", "url", "expected_kbps", "retention", "mask", "policy_id",
           "policy_revision", "approved_by", "zones", "purpose"]
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
PERSON = re.compile(r"[a-z0-9.](?:[a-z0-9.-]{0,38}[a-z0-9.])?")
# No user and no password in an address: those are in a file that only the agent reads.
URL = re.compile(r"rtsps?://[^@\s\"\\]+")


def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _zones(text):
    """The polygons, as floats; raises ValueError with what is wrong."""
    zones = json.loads(text)
    if not isinstance(zones, list) or not zones:
        raise ValueError("zones must be a list of at least one polygon")
    for zone in zones:
        if not isinstance(zone, list) or len(zone) < 3:
            raise ValueError("every zone needs at least 3 points")
        for point in zone:
            if not isinstance(point, list) or len(point) != 2 or not all(map(_number, point)):
                raise ValueError(f"{point} is not a point [x, y]")
            if not all(0 <= part <= 1 for part in point):
                raise ValueError(f"{point} lies outside the picture; x and y are from 0 to 1")
    return [[[float(x), float(y)] for x, y in zone] for zone in zones]


def _policy(row):
    if not NAME.fullmatch(row["policy_id"]):
        raise ValueError(f"policy_id `{row['policy_id']}` is not a name")
    revision = int(row["policy_revision"])
    if revision < 1:
        raise ValueError("policy_revision counts from 1")
    return {"policy_id": row["policy_id"], "revision": revision,
            "zones": _zones(row["zones"])}


def _camera(row):
    if not NAME.fullmatch(row["camera"]):
        raise ValueError(f"camera `{row['camera']}`: use 1 to 40 of a-z, 0-9 and inner hyphens")
    if row["place"] not in ("external", "internal"):
        raise ValueError(f"place `{row['place']}` is neither external nor internal")
    if not URL.fullmatch(row["url"]):
        raise ValueError("url must be rtsp:// or rtsps:// without user and password")
    camera = {"name": row["camera"], "place": row["place"], "url": row["url"],
              "mask": row["mask"], "approved_by": row["approved_by"], "purpose": row["purpose"]}
    if row["expected_kbps"]:
        camera["expected_kbps"] = int(row["expected_kbps"])
        if camera["expected_kbps"] < 1:
            raise ValueError("expected_kbps is what the camera sends, at least 1, or empty")
    if row["retention"]:
        if not NAME.fullmatch(row["retention"]):
            raise ValueError(f"retention `{row['retention']}` is not the name of a class")
        camera["retention"] = row["retention"]
    if not row["purpose"]:
        raise ValueError("purpose is empty; say what the camera is for")
    if not PERSON.fullmatch(row["approved_by"]):
        raise ValueError("approved_by must name who approved the mask, or that none is needed")
    if row["mask"] == "required":
        camera["policy"] = _policy(row)
    elif row["mask"] != "none":
        raise ValueError(f"mask `{row['mask']}` is neither required nor none")
    elif row["place"] == "external":
        raise ValueError("an external camera sees neighbours: its mask must be `required`")
    elif any(row[column] for column in ("policy_id", "policy_revision", "zones")):
        raise ValueError("has a mask policy but mask `none`")
    return camera


def watchhouse_cameras(text, site):
    """The cameras of `site` in the CSV's order; the whole file is checked, not only this site."""
    reader = csv.DictReader(io.StringIO(str(text)), strict=True)
    if reader.fieldnames != COLUMNS:
        raise AnsibleFilterError(f"estate CSV: the first line must be {','.join(COLUMNS)}")
    seen, found = set(), []
    for row in reader:
        try:
            if None in row or None in row.values():
                raise ValueError(f"has not {len(COLUMNS)} fields")
            if not NAME.fullmatch(row["site"]):
                raise ValueError(f"site `{row['site']}` is not a name")
            camera = _camera(row)
            for taken in ((row["site"], camera["name"]), camera["url"]):
                if taken in seen:
                    raise ValueError(f"{taken} is there twice")
                seen.add(taken)
        except ValueError as mistake:
            raise AnsibleFilterError(f"estate CSV, line {reader.line_num}: {mistake}") from mistake
        if row["site"] == str(site):
            found.append(camera)
    if not found:
        raise AnsibleFilterError(f"estate CSV: site `{site}` has no camera")
    return found


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self):
        return {"watchhouse_cameras": watchhouse_cameras}
