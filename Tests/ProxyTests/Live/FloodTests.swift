import Foundation
import IO
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// Thousands of strangers of one network, and good clients of another meanwhile.
    @Suite(.timeLimit(.minutes(5))) struct `A flood from one network` {
        /// Silent ones, ones that are reset, ones that begin a handshake and drip, and garbage; the newest stay open.
        private static func crowd(_ port: UInt16, count: Int) throws -> Subprocess {
            let script = """
                import collections, socket, struct, sys
                hello = bytes.fromhex('160301002f0100002b0303') + bytes(20)
                ssl = struct.pack('>II', 8, 80877103)
                words = [b'', b'', b'', ssl, hello[:1], ssl[:3], hello, b'']
                held = collections.deque(maxlen=600)
                for number in range(\(count)):
                    try:
                        s = socket.create_connection(
                            ('127.0.0.1', \(port)), source_address=(f'127.0.7.{1 + number % 250}', 0), timeout=20)
                        s.sendall(words[number % len(words)])
                        if number % 8 == 7:
                            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                            s.close()
                        else: held.append(s)
                    except ConnectionError: pass
                print('done', flush=True)
                sys.stdin.readline()
                """
            return try Subprocess("python3", ["-c", script], keepsInputOpen: true)
        }

        @Test func `costs no good client of another its session, nor one that is established`() async throws {
            let backend = try TestBackend.echo()
            var limits = ProxyLimits()
            limits.perAddress.rate = nil
            let stage = try Stage([try Stage.listener(.postgres, backend: [backend.address])], limits: limits)
            let shop = try Stage.client.get()
            func session() throws -> TestClient {
                let client = try TestClient(stage.port, as: shop, .sslRequest, from: [127, 0, 8, 1])
                try client.send(startup())
                #expect(try client.receive(count: startup().count) == startup())
                return client
            }
            let established = try session()
            let crowd = try Self.crowd(stage.port, count: 10_000)
            var succeeded = 0
            while !crowd.output.contains("done"), crowd.isRunning {
                _ = try session()
                succeeded += 1
                try established.send([UInt8](repeating: 7, count: 100))
                #expect(try established.receive(count: 100) == [UInt8](repeating: 7, count: 100))
            }
            #expect(crowd.output.contains("done"), "\(crowd.errors)")
            #expect(succeeded > 5)
            #expect(stage.unauthenticated <= 256)
            let ofPrefix = "per-prefix unauthenticated of 127.0.7.0/24: 256"
            // Many have left by themselves before their turn came; of the 600 that stay more than 500 keep silent.
            #expect(await eventually(within: 20) { stage.refused(.evicted) > 200 })
            let evicted = stage.events.named(.connectionRefused).filter { $0.fields["reason"] == "evicted" }
            // The first of a second is told of alone, those after it together.
            #expect(evicted.first?.fields["detail"] == .string(ofPrefix))
            for event in evicted where event.fields["detail"] != .string(ofPrefix) {
                #expect(event.fields["network"] == "127.0.7.0/24")
            }
            crowd.signal(SIGKILL)
            #expect(await eventually(within: 20) { stage.unauthenticated == 0 })
            #expect(await eventually(within: 20) { proxySockets(stage, backend) == 2 })
            withExtendedLifetime(established) {}
            await stage.proxy.stop()
        }
    }
}
