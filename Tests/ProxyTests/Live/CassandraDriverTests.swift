import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// DataStax's driver for Python in each version of the protocol, refused.
    @Suite(.timeLimit(.minutes(3))) struct `A real Cassandra driver` {
        /// Connects once in each version, the one that the driver prefers first; prints what it was told.
        private static let script = """
            import ssl, sys
            from cassandra.cluster import Cluster
            port, trust, chain, key = int(sys.argv[1]), *sys.argv[2:5]
            for version in [None, 3, 4, 5]:
                context = ssl.create_default_context(cafile=trust)
                if chain:
                    context.load_cert_chain(chain, key)
                options = {} if version is None else {"protocol_version": version}
                cluster = Cluster(
                    ["127.0.0.1"], port=port, ssl_context=context, ssl_options={"server_hostname": "localhost"},
                    connect_timeout=20, **options)
                try:
                    cluster.connect()
                    print("connected")
                except Exception as error:
                    print(error)
                finally:
                    cluster.shutdown()
            """

        @Test func `tells its user why it is refused`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Stage([
                try Stage.listener(.cassandra, backend: [backend.address]) { $0.explainsCertificateRefusals = true }
            ])
            let trust = try Stage.authority.get().trustPath
            for (identity, words) in [
                (try Stage.intern.get(), "this client certificate is not allowed: no rule of this port names it"),
                (try Stage.stranger.get(), "this client certificate is not accepted: unable to get local issuer"),
                (nil, "a client certificate is required"),
            ] {
                let driver = try PythonPeers.run(
                    Self.script, ["\(stage.port)", trust, identity?.chainPath ?? "", identity?.keyPath ?? ""])
                let told = driver.output.split(separator: "\n")
                #expect(told.count == 4 && told.allSatisfy { $0.contains(words) }, "\(driver)")
            }
            #expect(backend.count == 0)
            await stage.proxy.stop()
        }
    }
}
