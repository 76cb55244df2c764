#!/usr/bin/python3
"""Named RTSP cameras from clips, looped, by GStreamer's RTSP server.

  cameras.py --list --port 0 --camera ext-01=walkway-h264.mp4 --camera int-02=walkway-h265.mp4

Each camera is rtsp://127.0.0.1:PORT/NAME. The clip's first video stream must be H.264 or H.265 in
MP4; it is sent as it is, never re-encoded. Port 0 takes a free one. With --list one line of JSON
goes to standard output when the cameras can be reached:

  {"port": 40123, "cameras": [{"name": "ext-01", "codec": "h264", "url": "rtsp://127.0.0.1:40123/ext-01"}]}

The server ends on SIGTERM, or when its standard input closes with --end-with-stdin: then no camera
outlives the test that started it. A server started again on the same port serves the same cameras.
Needs Debian's python3-gi, gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good and -bad.
"""
import argparse
import json
import signal
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

# The role of whoever knows the password, in GStreamer's permission structures.
ROLE = "viewer"
METHODS = {"basic": GstRtsp.RTSPAuthMethod.BASIC, "digest": GstRtsp.RTSPAuthMethod.DIGEST}


class Clip:
    """A clip's access units, read once and shared by every camera that shows it."""

    def __init__(self, path):
        reader = Gst.parse_launch("filesrc name=file ! qtdemux ! parsebin ! appsink name=out sync=false")
        reader.get_by_name("file").set_property("location", path)
        sink = reader.get_by_name("out")
        reader.set_state(Gst.State.PLAYING)
        self.units, self.caps, end = [], None, 0
        while (sample := sink.emit("pull-sample")) is not None:
            if self.caps is None:
                self.caps = sample.get_caps()
            buf = sample.get_buffer()
            pts = buf.pts if buf.pts != Gst.CLOCK_TIME_NONE else end
            key = not buf.has_flags(Gst.BufferFlags.DELTA_UNIT)
            self.units.append((buf.extract_dup(0, buf.get_size()), pts, buf.duration, key))
            end = pts + buf.duration
        reader.set_state(Gst.State.NULL)
        if not self.units:
            sys.exit(f"cameras.py: {path}: no H.264 or H.265 video found")
        first = self.units[0][1]
        self.units = [(data, pts - first, duration, key) for data, pts, duration, key in self.units]
        self.length = end - first
        self.codec = "h265" if "h265" in self.caps.get_structure(0).get_name() else "h264"


class Camera(GstRtspServer.RTSPMediaFactory):
    """One camera: all its viewers share one stream, which begins with the clip's first frame."""

    def __init__(self, clip):
        super().__init__()
        self.clip = clip
        self.set_shared(True)

    def do_create_element(self, _url):
        codec = self.clip.codec
        return Gst.parse_launch(
            "( appsrc name=src is-live=true format=time do-timestamp=false block=true max-bytes=4000000"
            f" ! {codec}parse ! rtp{codec}pay name=pay0 pt=96 config-interval=1 )"
        )

    def do_configure(self, media):
        src = media.get_element().get_child_by_name("src")
        src.set_property("caps", self.clip.caps)
        src.connect("need-data", self.feed, {"unit": 0, "loop": 0})

    def feed(self, src, _length, at):
        data, pts, duration, key = self.clip.units[at["unit"]]
        buf = Gst.Buffer.new_wrapped(data)
        buf.pts = buf.dts = pts + at["loop"] * self.clip.length
        buf.duration = duration
        if not key:
            buf.set_flags(Gst.BufferFlags.DELTA_UNIT)
        at["unit"] += 1
        if at["unit"] == len(self.clip.units):
            at["unit"], at["loop"] = 0, at["loop"] + 1
        src.emit("push-buffer", buf)


def named_clip(text):
    name, _, clip = text.partition("=")
    if not name or not clip:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=CLIP")
    return name, clip


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--camera", type=named_clip, action="append", required=True, metavar="NAME=CLIP")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--auth", choices=sorted(METHODS), help="ask viewers for --user and --password")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--list", action="store_true", help="say what is served as one line of JSON")
    parser.add_argument("--end-with-stdin", action="store_true")
    args = parser.parse_args()
    if args.auth and not (args.user and args.password):
        parser.error("--auth needs --user and --password")
    return args


def authentication(args):
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(METHODS[args.auth])
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    if args.auth == "digest":
        auth.add_digest(args.user, args.password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(args.user, args.password), token)
    return auth


def serve(args):
    """Starts the cameras; gives the server, which must be kept, and what `--list` says."""
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=str(args.port))
    if args.auth:
        server.set_auth(authentication(args))
    clips, cameras = {}, []
    for name, path in args.camera:
        clip = clips.get(path) or clips.setdefault(path, Clip(path))
        camera = Camera(clip)
        if args.auth:
            may_watch = f"{ROLE}, media.factory.access=true, media.factory.construct=true"
            camera.add_role_from_structure(Gst.Structure.from_string(may_watch)[0])
        server.get_mount_points().add_factory(f"/{name}", camera)
        cameras.append({"name": name, "codec": clip.codec})
    if not server.attach(None):
        sys.exit(f"cameras.py: port {args.port} on 127.0.0.1 cannot be had; is another server on it?")
    port = server.get_bound_port()
    for camera in cameras:
        camera["url"] = f"rtsp://127.0.0.1:{port}/{camera['name']}"
    return server, {"port": port, "cameras": cameras}


def main():
    args = arguments()
    Gst.init(None)
    _server, served = serve(args)
    if args.list:
        print(json.dumps(served), flush=True)
    else:
        for camera in served["cameras"]:
            print(f"{camera['codec']} {camera['url']}", flush=True)
    loop = GLib.MainLoop()
    GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGTERM, loop.quit)
    if args.end_with_stdin:
        closed = GLib.IOCondition.HUP | GLib.IOCondition.IN | GLib.IOCondition.ERR
        GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_HIGH, closed, lambda *_: loop.quit())
    loop.run()


if __name__ == "__main__":
    main()
