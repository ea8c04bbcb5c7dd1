"""Floods a port of nodeguard while honest clients visit it:
floods.py VISITS PORT TRUST CHAIN KEY FOREIGN-CHAIN FOREIGN-KEY [FLOOD...].

Attackers come from addresses of their own (127.0.0.0/8). Prints a line for each flood: what the attackers made, and
how many of the visits and of the words of established connections failed.
"""
import multiprocessing
import os
import select
import socket
import ssl
import struct
import sys
import threading
import time

VISITS = int(sys.argv[1])
PATIENCE = 10
ESTABLISHED = 8
SILENT = 10_000
DRIPPING = 1000
DEAF = 200
# Connects a second of one attacking process: enough to fill every budget again and again.
PACE = 2000
IP_BIND_ADDRESS_NO_PORT = 24

place = ("127.0.0.1", int(sys.argv[2]))
trust, chain, key, foreign_chain, foreign_key = sys.argv[3:8]


def context(certificate=None, private=None):
    made = ssl.create_default_context(cafile=trust)
    if certificate:
        made.load_cert_chain(certificate, private)
    return made


def attacker(number):
    return f"127.{1 + number % 100}.{number // 100 % 250}.1"


def hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class Pace:
    """Not more than `PACE` a second."""

    def __init__(self):
        self.start, self.count = time.monotonic(), 0

    def wait(self):
        self.count += 1
        early = self.start + self.count / PACE - time.monotonic()
        if early > 0:
            threading.Event().wait(early)


class Crowd:
    """So many connections at a time; who is cut off comes again from another address."""

    def __init__(self, size, made):
        self.size, self.made, self.pace = size, made, Pace()
        self.poll, self.members = select.epoll(), {}

    def fill(self):
        while len(self.members) < self.size:
            self.pace.wait()
            one = socket.socket()
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            one.bind((attacker(self.made.value), 0))
            one.connect_ex(place)
            self.poll.register(one, select.EPOLLIN | select.EPOLLRDHUP)
            self.members[one.fileno()] = one
            self.made.value += 1
            self.sweep(0)

    def sweep(self, seconds):
        for number, _ in self.poll.poll(seconds):
            self.members.pop(number).close()


def silent(made):
    crowd = Crowd(SILENT, made)
    while True:
        crowd.fill()
        crowd.sweep(0.05)


def drips(made):
    """ClientHellos, a byte a second."""
    crowd, words, sent = Crowd(DRIPPING, made), hello(), {}
    while True:
        crowd.fill()
        for one in crowd.members.values():
            count = sent.get(one, 0)
            try:
                one.send(words[count:count + 1])
                sent[one] = count + 1
            except OSError:
                pass
        sent = {one: count for one, count in sent.items() if one.fileno() >= 0}
        crowd.sweep(1)


def resets(made):
    words, pace = hello(), Pace()
    while True:
        pace.wait()
        with socket.socket() as one:
            one.settimeout(PATIENCE)
            one.bind((attacker(made.value), 0))
            made.value += 1
            try:
                one.connect(place)
                one.send(words[:made.value * 7 % len(words)])
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass


def shake_hands(made, certificate, private):
    """Four at a time, refused each time."""
    foreign = context(certificate, private)

    def work():
        while True:
            try:
                with socket.create_connection(place, PATIENCE, (attacker(made.value), 0)) as raw:
                    made.value += 1
                    with foreign.wrap_socket(raw, server_hostname="localhost") as one:
                        one.recv(1)
            except OSError:
                pass

    for _ in range(4):
        threading.Thread(target=work, daemon=True).start()
    threading.Event().wait()


def handshakes(made):
    shake_hands(made, foreign_chain, foreign_key)


def chains(made):
    """A chain of 300 certificates."""
    with open(foreign_chain) as file:
        text = file.read()
    long = foreign_chain + ".long"
    with open(long, "w") as file:
        file.write(text * 300)
    shake_hands(made, long, foreign_key)


def deaf(made):
    """Allowed peers that send what they can and never read what comes back."""
    allowed, held = context(chain, key), []
    while True:
        while len(held) < DEAF:
            one = connected(allowed)
            one.setblocking(False)
            held.append(one)
            made.value += 1
        for one in held:
            try:
                while one.send(b"z" * 16384):
                    pass
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                pass
        threading.Event().wait(0.2)


# Before the visits begin.
ENOUGH = {silent: SILENT, drips: DRIPPING, resets: 1000, handshakes: 100, chains: 100, deaf: DEAF}


def connected(allowed):
    raw = socket.create_connection(place, PATIENCE)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return allowed.wrap_socket(raw, server_hostname="localhost")
    except OSError:
        raw.close()
        raise


def is_echoed(one, words):
    one.sendall(words)
    came = b""
    while len(came) < len(words):
        piece = one.recv(len(words) - len(came))
        if not piece:
            return False
        came += piece
    return came == words


def visits(results, flooded):
    """Both kinds of honest clients; puts how many of each failed, and why the first one did."""
    allowed = context(chain, key)
    established = [connected(allowed) for _ in range(ESTABLISHED)]
    results.put("ready")
    flooded.wait()
    failed, broken, why, times = 0, 0, "", []
    for number in range(VISITS):
        begin = time.monotonic()
        try:
            with connected(allowed) as one:
                if not is_echoed(one, b"visit" * 20):
                    raise ConnectionError("its echo did not come")
        except OSError as error:
            failed, why = failed + 1, why or f"{type(error).__name__}: {error}"
        times.append(time.monotonic() - begin)
        try:
            if not is_echoed(established[number % ESTABLISHED], b"word" * 20):
                raise ConnectionError("an established connection ended")
        except OSError as error:
            broken, why = broken + 1, why or f"established: {type(error).__name__}: {error}"
    times.sort()
    results.put((failed, broken, why, times[len(times) // 2], times[-1]))


def main():
    floods = {flood.__name__: flood for flood in (silent, drips, resets, handshakes, chains, deaf)}
    for flood in [floods[name] for name in sys.argv[8:] or floods]:
        made, results = multiprocessing.Value("i", 0, lock=False), multiprocessing.Queue()
        flooded = multiprocessing.Event()
        attack = multiprocessing.Process(target=flood, args=[made], daemon=True)
        honest = multiprocessing.Process(target=visits, args=[results, flooded], daemon=True)
        honest.start()
        results.get(timeout=60)
        attack.start()
        while made.value < ENOUGH[flood]:
            threading.Event().wait(0.01)
        flooded.set()
        failed, broken, why, middle, worst = results.get(timeout=240)
        attack.kill()
        honest.join()
        attack.join()
        print(f"{flood.__name__}: {made.value} made, {failed} of {VISITS} visits and {broken} words failed; "
              f"visits took {middle * 1000:.0f} ms, at most {worst * 1000:.0f} ms. {why}", flush=True)


if __name__ == "__main__":
    os.environ.pop("SSLKEYLOGFILE", None)
    main()
