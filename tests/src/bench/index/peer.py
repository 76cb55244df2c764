# Fills an SQLite file with one-minute segments and times ten-minute questions; see peer.rs.
import os, sqlite3, sys, time

work, cameras, minutes, asked, begin = sys.argv[1], *map(int, sys.argv[2:6])
with open(os.path.join(work, "body"), "rb") as f:
    body = f.read()
path = os.path.join(work, "peer.sqlite")
db = sqlite3.connect(path, isolation_level=None)
db.executescript("""
    pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -32768;
    create table segment (id integer primary key, camera integer not null, start integer not null,
                          end integer not null, bytes integer not null, root blob not null);
    create table record (id integer primary key, body blob not null);
""")
MINUTE = 60_000_000
for day in range(0, minutes, 1440):
    db.execute("begin")
    rows = [(m * cameras + c, c, begin + m * MINUTE, begin + (m + 1) * MINUTE, 30_000_000, os.urandom(32))
            for m in range(day, min(day + 1440, minutes)) for c in range(cameras)]
    db.executemany("insert into segment values (?, ?, ?, ?, ?, ?)", rows)
    db.executemany("insert into record values (?, ?)", ((row[0], body) for row in rows))
    db.execute("commit")
db.execute("create unique index by_start on segment (camera, start)")
db.execute("analyze")
with open(path, "rb") as f:
    while f.read(1 << 24):
        pass
QUERY = """select segment.id, start, end, bytes, root, body from segment join record using (id)
           where camera = ? and start > ? - 3600000000 and start < ? and end > ? order by start"""
took = []
with open(os.path.join(work, "questions")) as f:
    for line in f:
        camera, start = map(int, line.split())
        begun = time.perf_counter_ns()
        found = db.execute(QUERY, (camera, start, start + asked * MINUTE, start)).fetchall()
        took.append((time.perf_counter_ns() - begun) / 1e6)
        assert len(found) in (10, 11), len(found)
took.sort()
at = lambda share: took[(len(took) - 1) * share // 100]
print(at(50), at(99), at(100), os.path.getsize(path) / (cameras * minutes))
