#!/usr/bin/env python3
"""What deploy/check.sh asks of the trees that the roles wrote, one directory for each host.

    installed.py prepare WORK SECRET     the variables of the run, and two estates with a mistake
    installed.py check WORK SECRET       files, modes, settings, cameras
    installed.py examples WORK           the documented examples against what the roles wrote
    installed.py unmasked WORK PROGRAM   the program refuses settings without a required mask
"""
import csv
import json
import pathlib
import re
import stat
import subprocess
import sys
import tempfile
import tomllib

# DOMAIN: external and internal cameras of each division.
SITES = {"east": (44, 23), "west": (34, 31), "south": (49, 16), "hq": (47, 24)}
# The cameras of east that ask for a password here: a few, because Ansible takes its time over each.
WITH_CREDENTIALS = ["ext-01", "ext-44", "int-01", "int-23"]
DEPLOY = pathlib.Path(__file__).resolve().parent


def estate(path=DEPLOY / "estate.csv"):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_estate(path, place, change):
    rows = estate()
    change(next(row for row in rows if row["place"] == place))
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)


# East's first camera inside has TLS here, and so a certificate.
CERTIFICATE = "3f1c0e5ab9d87264c1f0a2b3948576e1d2c3b4a5968778695a4b3c2d1e0f9a8b"
# A site's discs, which this machine has not.
DISC_BYTES = 200_000_000_000_000


def prepare(work, secret):
    # They are of this run alone.
    east = {name: f"viewer:{secret}-{name}" for name in WITH_CREDENTIALS}
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "watchhouse_root": f"{work}/{{{{ inventory_hostname }}}}",
        "watchhouse_become": False,
        "watchhouse_manage_users": False,
        "watchhouse_manage_services": False,
        "watchhouse_sites_at_once": len(SITES),
        "credentials_of_east": east,
        "edge_camera_credentials": "{{ credentials_of_east if edge_site == 'east' else {} }}",
        "edge_credentials_required": False,
        "edge_estate_csv": f"{work}/estate.csv",
        "edge_camera_certificates": f"{{{{ {{'int-01': '{CERTIFICATE}'}} if edge_site == 'east' else {{}} }}}}",
        "edge_enrolment_token": f"{{{{ edge_site }}}}.{secret * 2}.{'0' * 64}",
        "edge_disc_bytes": DISC_BYTES,
        "edge_gpu": "{{ edge_site == 'hq' }}",
        "controller_administrator": "j.novak",
    }
    (work / "vars.json").write_text(json.dumps(variables))
    write_estate(work / "estate.csv", "internal", lambda row: row.update(
        url="rtsps://10.1.1.11:322/stream1"))
    write_estate(work / "unmasked.csv", "external", lambda row: row.update(
        mask="none", policy_id="", policy_revision="", zones=""))
    write_estate(work / "password.csv", "external", lambda row: row.update(
        url="rtsp://admin:secret@10.1.0.11:554/stream1"))


def expect(path, mode, holds=None):
    found = stat.S_IMODE(path.lstat().st_mode)
    assert found == mode, f"{path}: mode {found:04o}, not {mode:04o}"
    if holds is not None:
        assert path.read_text() == holds, f"{path}: other contents"


def expect_installed(root, unit, config):
    expect(root / "etc/watchhouse", 0o750)
    expect(root / "etc/watchhouse" / config, 0o640)
    for source, target in [("sysctl/60-watchhouse.conf", "etc/sysctl.d/60-watchhouse.conf"),
                           (f"systemd/{unit}", f"etc/systemd/system/{unit}")]:
        expect(root / target, 0o644, (DEPLOY / source).read_text())
    with open(root / "etc/watchhouse" / config, "rb") as file:
        return tomllib.load(file)


def check_cameras(site, work, cameras, secret):
    root = work / site
    rows = {row["camera"]: row for row in estate(work / "estate.csv") if row["site"] == site}
    assert [camera["name"] for camera in cameras] == list(rows), f"{site}: other cameras than the CSV"
    places = [camera["place"] for camera in cameras]
    assert (places.count("external"), places.count("internal")) == SITES[site], f"{site}: {len(places)}"
    for camera in cameras:
        row = rows[camera["name"]]
        assert camera["url"] == row["url"] and camera["place"] == row["place"], camera
        assert camera["mask"] == {"external": "required", "internal": "none"}[row["place"]], camera
        assert camera["expected_kbps"] == int(row["expected_kbps"]), camera
        assert camera.get("retention", "") == row["retention"], camera
        assert ("certificate_sha256" in camera) == row["url"].startswith("rtsps:"), camera
        policy = camera.get("policy")
        assert camera.get("unmasked_approved_by", policy and policy["approved_by"]) == row["approved_by"]
        assert (policy is not None) == (row["place"] == "external"), camera
        if policy:
            assert policy == {"policy_id": row["policy_id"], "revision": int(row["policy_revision"]),
                              "approved_by": row["approved_by"], "zones": json.loads(row["zones"])}
            assert all(isinstance(part, float) for zone in policy["zones"] for point in zone for part in point)
        path = root / "etc/watchhouse/cameras" / camera["name"]
        if site == "east" and camera["name"] in WITH_CREDENTIALS:
            assert camera["credentials_path"] == str(path), camera
            expect(path, 0o600, f"viewer:{secret}-{camera['name']}\n")
        else:
            assert "credentials_path" not in camera and not path.exists(), camera


def check_site(site, work, secret):
    root = work / site
    settings = expect_installed(root, "watchhouse-edge-agent.service", "edge-agent.toml")
    assert settings["site"] == site
    assert settings["state_dir"] == str(root / "var/lib/watchhouse")
    expect(root / "var/lib/watchhouse", 0o700)
    credentials = root / "etc/watchhouse/cameras"
    expect(credentials, 0o700)
    kept = sorted(path.name for path in credentials.iterdir())
    assert kept == (WITH_CREDENTIALS if site == "east" else []), f"{site}: credentials of {kept}"
    token = root / "etc/watchhouse/enrol.token"
    assert settings["controller"]["enrolment_token_path"] == str(token)
    if site == "west":
        assert not token.exists(), f"{token}: spent, and still there"
    else:
        expect(token, 0o600, f"{site}.{secret * 2}.{'0' * 64}\n")
    drop_in = root / "etc/systemd/system/watchhouse-edge-agent.service.d/gpu.conf"
    assert drop_in.exists() == (site == "hq"), drop_in
    check_cameras(site, work, settings["camera"], secret)
    return len(settings["camera"])


def check(work, secret):
    cameras = sum(check_site(site, work, secret) for site in SITES)
    assert cameras == 268 == len(estate()), cameras
    zones = [row["zones"] for row in estate() if row["place"] == "external"]
    assert len(set(zones)) == len(zones) == 174, "a mask on the wrong camera could not be seen"
    root = work / "controller.example"
    settings = expect_installed(root, "watchhouse-controller.service", "controller.toml")
    assert settings["state_dir"] == str(root / "var/lib/watchhouse-controller")
    assert "controller.example" in settings["listen"]["names"]
    expect(root / "var/lib/watchhouse-controller", 0o700)


def keys(settings, path=""):
    """Every setting's path; the cameras of a list count as one."""
    found = set()
    for name, value in settings.items():
        items = value if isinstance(value, list) else [value]
        found.add(f"{path}{name}")
        for item in items:
            if isinstance(item, dict):
                found |= keys(item, f"{path}{name}.")
    return found


def examples(work):
    for example, written, source in [
        ("edge-agent.example.toml", "east/etc/watchhouse/edge-agent.toml",
         "edge-agent/src/config/example.toml"),
        ("controller.example.toml", "controller.example/etc/watchhouse/controller.toml", None),
    ]:
        text = (DEPLOY / example).read_text()
        documented = keys(tomllib.loads(text))
        rendered = keys(tomllib.loads((work / written).read_text()))
        assert documented == rendered, f"{example}: {sorted(documented ^ rendered)}"
        # What the program itself prints with --print-config.
        if source:
            printed = keys(tomllib.loads((DEPLOY.parent / source).read_text()))
            assert documented == printed, f"{source}: {sorted(documented ^ printed)}"
        # A comment stands over each setting, the first time that it is there.
        seen, before, table = set(), "", ""
        for line in text.splitlines():
            if heading := re.fullmatch(r"\[+([a-z.]+)\]+", line):
                table = heading[1]
            elif setting := re.match(r"([a-z_]+) = ", line):
                path = f"{table}.{setting[1]}"
                assert path in seen or before.startswith("#"), f"{example}: say what {path} is"
                seen.add(path)
            before = line


def unmasked(work, program):
    text = (work / "east/etc/watchhouse/edge-agent.toml").read_text()
    whole, removed = re.subn(r"\[camera\.policy\]\n(?:[a-z_]+ = .*\n){4}", "", text, count=1)
    assert removed == 1
    for settings, accepted in [(text, True), (whole, False)]:
        with tempfile.NamedTemporaryFile("w", dir=work, suffix=".toml") as file:
            file.write(settings)
            file.flush()
            said = subprocess.run([program, "check-config", "--disc-bytes", str(DISC_BYTES),
                                   "--config", file.name],
                                  capture_output=True, text=True, timeout=60, check=False)
        assert (said.returncode == 0) == accepted, f"exit {said.returncode}: {said.stdout}{said.stderr}"


def main():
    command, work, *rest = sys.argv[1:]
    {"prepare": prepare, "check": check, "examples": examples, "unmasked": unmasked}[command](
        pathlib.Path(work), *rest)


if __name__ == "__main__":
    main()
