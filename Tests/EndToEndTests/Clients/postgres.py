"""Uses a database as applications do, with psycopg and the newest libpq: postgres.py CONNECTION.

Prints a line for each thing that went as it must; ends with an error at the first that did not.
"""
import hashlib
import sys
import threading

import psycopg
from psycopg import pq

PATIENCE = 30


def copies_both_ways(connect):
    rows = [f"{number}\t{'x' * (number % 300)}\n" for number in range(200_000)]
    sent = hashlib.sha256("".join(rows).encode()).hexdigest()
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table copied (number int, word text)")
        with cursor.copy("copy copied from stdin") as copy:
            for start in range(0, len(rows), 1000):
                copy.write("".join(rows[start:start + 1000]))
        came = hashlib.sha256()
        with cursor.copy("copy (select * from copied order by number) to stdout") as copy:
            for piece in copy:
                came.update(piece)
        assert came.hexdigest() == sent, "what came out is not what went in"


def listens(connect):
    with connect(autocommit=True) as ear, connect(autocommit=True) as mouth:
        ear.execute("listen news")
        mouth.execute("select pg_notify('news', repeat('y', 7000))")
        news = list(ear.notifies(timeout=PATIENCE, stop_after=1))
        assert [len(each.payload) for each in news] == [7000]


def is_cancelled(connect, cancel):
    """`cancel` once the database is known to be busy with the statement."""
    with connect(autocommit=True) as connection, connect(autocommit=True) as observer:
        process = connection.info.backend_pid

        def watch():
            for _ in range(2000):
                busy = observer.execute(
                    "select count(*) from pg_stat_activity where pid = %s and query like '%%pg_sleep(60)%%' "
                    "and state = 'active'", [process]).fetchone()
                if busy[0] == 1:
                    return cancel(connection)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            connection.execute("select pg_sleep(60)")
            raise AssertionError("it slept to its end")
        except psycopg.errors.QueryCanceled:
            pass
        finally:
            watcher.join()
        assert connection.execute("select 1").fetchone() == (1,)


def pipelines(connect):
    with connect() as connection, connection.pipeline():
        cursors = [connection.execute("select %s::int * 2", [number]) for number in range(2000)]
        assert [cursor.fetchone()[0] for cursor in cursors] == [2 * number for number in range(2000)]


def carries_large_values(connect):
    value = bytes(range(256)) * (16 << 12)
    with connect() as connection:
        came, = connection.execute("select %b::bytea", [value], binary=True).fetchone()
        assert came == value


def reads_with_a_cursor(connect):
    with connect() as connection, connection.cursor("rows") as cursor:
        cursor.itersize = 1000
        cursor.execute("select generate_series(1, 50000)")
        assert sum(row[0] for row in cursor) == 50000 * 50001 // 2


def prepares(connect):
    with connect() as connection:
        for number in range(50):
            row = connection.execute("select %s::int + 1", [number], prepare=True).fetchone()
            assert row == (number + 1,)


def main(connection_string):
    def connect(extra="", **options):
        return psycopg.connect(f"{connection_string} {extra}", connect_timeout=PATIENCE, **options)

    steps = {
        "COPY both ways": lambda: copies_both_ways(connect),
        "LISTEN": lambda: listens(connect),
        "cancel in clear": lambda: is_cancelled(connect, lambda each: each.cancel()),
        "cancel over TLS": lambda: is_cancelled(connect, lambda each: each.cancel_safe(timeout=PATIENCE)),
        "pipeline": lambda: pipelines(connect),
        "64 MiB each way": lambda: carries_large_values(connect),
        "cursor": lambda: reads_with_a_cursor(connect),
        "prepared": lambda: prepares(connect),
    }
    if pq.version() >= 170000:
        def direct(**options):
            return connect("sslnegotiation=direct", **options)

        steps["direct TLS"] = lambda: prepares(direct)
        steps["cancel over direct TLS"] = lambda: is_cancelled(direct, lambda each: each.cancel_safe(timeout=PATIENCE))
    if pq.version() >= 180000:
        steps["protocol 3.2"] = lambda: prepares(lambda: connect("max_protocol_version=latest"))
    for name, step in steps.items():
        step()
        print(name, flush=True)
    print("all", flush=True)


main(sys.argv[1])
