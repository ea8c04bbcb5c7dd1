"""Asks a database what it hears, in small and in large, and on several connections at once:
cassandra_client.py PORT TRUST CHAIN KEY. Finds the protocol's version itself."""
import ssl
import sys

from cassandra.cluster import Cluster
from cassandra.concurrent import execute_concurrent

port, trust, chain, key = int(sys.argv[1]), *sys.argv[2:5]
context = ssl.create_default_context(cafile=trust)
context.load_cert_chain(chain, key)
cluster = Cluster(
    ["127.0.0.1"], port=port, ssl_context=context, ssl_options={"server_hostname": "localhost"}, connect_timeout=20,
    schema_metadata_enabled=False, token_metadata_enabled=False)
session = cluster.connect()
for size in (1, 1000, 1_000_000, 20_000_000):
    statement = "x" * size
    row = session.execute(statement, timeout=60).one()
    assert (row.length, row.statement) == (size, statement)
wanted = [f"select {number} {'y' * (number * 37 % 5000)}" for number in range(2000)]
answers = execute_concurrent(session, [(each, None) for each in wanted], concurrency=200)
assert [answer.result_or_exc.one().statement for answer in answers] == wanted
print("all, in version", cluster.protocol_version)
cluster.shutdown()
