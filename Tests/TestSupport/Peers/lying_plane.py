"""Answers every question over TLS with the bytes that FOLDER/answer says. Usage: CHAIN KEY FOLDER."""
import base64
import json
import os
import socket
import ssl
import sys
import threading
import time

chain, key, folder = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(chain, key)


def question(stream):
    """The method, path, named tag and length of one request; None at the end."""
    head = b""
    while b"\r\n\r\n" not in head:
        part = stream.recv(65536)
        if not part:
            return None
        head += part
    head, body = head.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    length = int(headers.get("content-length", 0))
    while len(body) < length:
        part = stream.recv(65536)
        if not part:
            return None
        body += part
    method, path, _ = first.split(" ")
    return f"{method} {path} {headers.get('if-none-match', '-')} {len(body)}\n"


def answer(stream):
    """False if the connection ends with it."""
    with open(os.path.join(folder, "answer"), "rb") as file:
        told = json.load(file)
    if "raw" in told:
        stream.sendall(base64.b64decode(told["raw"]))
        return False
    body = base64.b64decode(told["body"])
    lines = [f"HTTP/1.1 {told['status']}"] + told["headers"]
    if not told["isEndless"] and not told["status"].startswith(("204", "304")):
        lines.append(f"Content-Length: {told.get('length', len(body))}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    if told["status"].startswith(("204", "304")):
        body = b""
    if "cut" in told:
        stream.sendall((head + body)[: told["cut"]])
        return False
    stream.sendall(head)
    if told["drip"]:
        for byte in body:
            stream.sendall(bytes([byte]))
            time.sleep(told["drip"] / 1000)
    else:
        stream.sendall(body)
    while told["isEndless"]:
        stream.sendall(b" " * 65536)
    return told.get("length", len(body)) == len(body)


def serve(client):
    try:
        with context.wrap_socket(client, server_side=True) as stream:
            while line := question(stream):
                with open(os.path.join(folder, "requests"), "a") as file:
                    file.write(line)
                if not answer(stream):
                    return
    except (OSError, ValueError):
        client.close()


listener = socket.create_server(("127.0.0.1", 0))
print("listening", listener.getsockname()[1])
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
