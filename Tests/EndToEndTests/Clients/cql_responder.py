"""A database of one node that speaks enough of CQL's protocol, version 4, for a driver: prints its port."""
import socket
import struct
import threading
import uuid

TEXT, INT, UUID, INET = (struct.pack(">H", code) for code in (0x0D, 0x09, 0x0C, 0x10))
TEXTS = struct.pack(">H", 0x22) + TEXT
ERROR, STARTUP, READY, OPTIONS, SUPPORTED, QUERY, RESULT, REGISTER = 0, 1, 2, 5, 6, 7, 8, 11
INVALID, PROTOCOL_ERROR = 0x2200, 0x000A
HOME = socket.inet_aton("127.0.0.1")
NODE = uuid.uuid4().bytes


def text(word):
    data = word.encode()
    return struct.pack(">H", len(data)) + data


def value(data):
    return struct.pack(">i", len(data)) + data


def texts(*words):
    return struct.pack(">i", len(words)) + b"".join(value(word.encode()) for word in words)


def rows(table, columns, *all_values):
    """A RESULT of kind Rows whose columns share one table (native_protocol_v4.spec, 4.2.5.2)."""
    head = struct.pack(">iii", 2, 1, len(columns)) + text("system") + text(table)
    head += b"".join(text(name) + kind for name, kind in columns)
    return RESULT, head + struct.pack(">i", len(all_values)) + b"".join(
        value(each) for values in all_values for each in values)


LOCAL = [
    ("key", TEXT, b"local"), ("cluster_name", TEXT, b"cluster-a"), ("data_center", TEXT, b"here"),
    ("rack", TEXT, b"one"), ("release_version", TEXT, b"4.0.0"), ("tokens", TEXTS, texts("0")),
    ("partitioner", TEXT, b"org.apache.cassandra.dht.Murmur3Partitioner"), ("host_id", UUID, NODE),
    ("schema_version", UUID, NODE), ("rpc_address", INET, HOME), ("broadcast_address", INET, HOME),
    ("listen_address", INET, HOME),
]
PEERS = [("peer", INET), ("data_center", TEXT), ("rack", TEXT), ("host_id", UUID), ("rpc_address", INET),
         ("schema_version", UUID), ("tokens", TEXTS), ("release_version", TEXT)]


def error(code, words):
    return ERROR, struct.pack(">i", code) + text(words)


def answer(statement):
    if "system.local" in statement:
        return rows("local", [each[:2] for each in LOCAL], [each[2] for each in LOCAL])
    if "system.peers_v2" in statement:
        return error(INVALID, "unconfigured table peers_v2")
    if "system.peers" in statement:
        return rows("peers", PEERS)
    return rows("echo", [("length", INT), ("statement", TEXT)],
                [struct.pack(">i", len(statement)), statement.encode()])


def respond(opcode, body):
    if opcode == OPTIONS:
        return SUPPORTED, struct.pack(">H", 2) + text("CQL_VERSION") + struct.pack(">H", 1) + text("3.4.5") + (
            text("COMPRESSION") + struct.pack(">H", 0))
    if opcode in (STARTUP, REGISTER):
        return READY, b""
    if opcode == QUERY:
        length, = struct.unpack(">i", body[:4])
        return answer(body[4:4 + length].decode())
    return error(PROTOCOL_ERROR, "unknown opcode")


def serve(connection):
    stream = connection.makefile("rwb")
    while len(head := stream.read(9)) == 9:
        version, _, number, opcode, length = struct.unpack(">BBhBi", head)
        body = stream.read(length)
        kind, reply = respond(opcode, body) if version == 4 else error(
            PROTOCOL_ERROR, f"Invalid or unsupported protocol version ({version}); supported versions are (4/v4)")
        stream.write(struct.pack(">BBhBi", 0x84, 0, number, kind, len(reply)) + reply)
        stream.flush()


with socket.create_server(("127.0.0.1", 0), backlog=64) as port:
    print(port.getsockname()[1], flush=True)
    while True:
        client, _ = port.accept()
        threading.Thread(target=serve, args=[client], daemon=True).start()
