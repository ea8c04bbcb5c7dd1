"""Streams of random bytes through a proxy, in both directions at once, in random pieces, with stalls.

    duplex.py PROXY-PORT BACKEND-PORT TRUST CHAIN KEY SIZE...

The client is OpenSSL's s_client, the database a plain socket. Each end sums up what it sends and what it receives: a line
for each SIZE says how many bytes went each way, and the status is 1 when any differed.
"""

import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
import time

BLOCK = memoryview(os.urandom(8 << 20))


def send_all(write, size, seed, digests, name):
    """Random pieces of a random block, from one byte to 256 KiB; a stall now and then."""
    dice, digest, left = random.Random(seed), hashlib.sha256(), size
    while left:
        length = min(left, dice.choice((1, 5, 4096, 16384, 16385, 65536, 262144)))
        start = dice.randrange(len(BLOCK) - length)
        piece = BLOCK[start : start + length]
        digest.update(piece)
        write(piece)
        left -= length
        if dice.random() < 0.001:
            time.sleep(0.02)
    digests[name] = digest.hexdigest()


def receive_all(read, size, seed, digests, name):
    """Pieces of random length; slow now and then, so that the other side has to wait."""
    dice, digest, left = random.Random(seed), hashlib.sha256(), size
    while left:
        piece = read(min(left, dice.choice((1, 1000, 65536, 1 << 20))))
        if not piece:
            break
        digest.update(piece)
        left -= len(piece)
        if dice.random() < 0.001:
            time.sleep(0.02)
    digests[name] = digest.hexdigest() if not left else f"{left} bytes are missing"


def carry(listener, arguments, size):
    client = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
    database, _ = listener.accept()
    digests = {}

    def write(piece):
        while piece:
            piece = piece[client.stdin.write(piece) :]

    ways = [
        (send_all, write, 1, "up sent"),
        (receive_all, database.recv, 2, "up received"),
        (send_all, database.sendall, 3, "down sent"),
        (receive_all, client.stdout.read, 4, "down received"),
    ]
    threads = [
        threading.Thread(target=way, args=(act, size, size * 7 + seed, digests, name), daemon=True)
        for way, act, seed, name in ways
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Nothing may follow the last byte, in either direction.
    database.shutdown(socket.SHUT_WR)
    trailing = client.stdout.read(1)
    client.stdin.close()
    client.kill()
    client.wait()
    trailing += database.recv(1)
    database.close()
    same = digests["up sent"] == digests["up received"] and digests["down sent"] == digests["down received"]
    print(f"{size} bytes each way: {'as they were' if same and not trailing else (digests, trailing)}", flush=True)
    return same and not trailing


def main():
    proxy, backend, trust, chain, key, *sizes = sys.argv[1:]
    listener = socket.create_server(("127.0.0.1", int(backend)))
    arguments = ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{proxy}", "-CAfile", trust, "-verify_return_error"]
    arguments += ["-cert", chain, "-cert_chain", chain, "-key", key]
    if not all([carry(listener, arguments, int(size)) for size in sizes]):
        sys.exit(1)


main()
