import Glibc
import IO
import OpenSSL
import Reports
import Synchronization
import TestSupport
import Testing

@testable import Proxy

/// Plays systemd's descriptor store.
private final class Store: Sendable {
    private let kept = Mutex<[String: Int32]>([:])

    deinit { for raw in kept.withLock({ $0.values }) { close(raw) } }

    var count: Int { kept.withLock { $0.count } }

    var keeper: PortKeeper {
        PortKeeper(
            take: { [self] name, address in
                let raw = kept.withLock { $0[name] }.map { dup($0) }
                return raw.map { ListeningSocket(adopting: $0, address) }
            },
            keep: { [self] name, raw in kept.withLock { if $0[name] == nil { $0[name] = dup(raw) } } },
            forget: { [self] name in if let raw = kept.withLock({ $0.removeValue(forKey: name) }) { close(raw) } },
            forgetRest: {})
    }
}

@Suite struct `A restart` {
    private func proxy(_ backend: TestBackend, _ store: Store) throws -> DatabaseProxy {
        let proxy = DatabaseProxy(
            ProxyConfiguration(listeners: [try Stage.listener(.tcp, backend: [backend.address])]), metrics: Metrics(),
            health: HealthBoard(conditions: []), audit: .none, keeper: store.keeper)
        proxy.publish(trust: try TrustAnchors(pem: try Stage.authority.get().root.certificatePEM))
        let identity = try Stage.server.get()
        proxy.publish(
            identity: try TLSIdentity(chainFile: try identity.chainPEM, keyFile: identity.keyPath), forRole: "database")
        try proxy.start()
        return proxy
    }

    @Test func `refuses nobody: who comes meanwhile is served afterwards, on the same port`() async throws {
        let backend = try TestBackend.echo()
        let store = Store()
        let first = try proxy(backend, store)
        let port = try #require(first.addresses(ofListener: "db").first?.port)
        await first.drain(deadline: .zero)
        await first.stop()
        async let answer = blocking { () -> [UInt8] in
            let client = try TestClient(port, as: Stage.client.get(), .direct)
            try client.send("still here?")
            return try client.receive(count: 11)
        }
        let second = try proxy(backend, store)
        #expect(second.addresses(ofListener: "db").first?.port == port)
        #expect(try await answer == Array("still here?".utf8))
        await second.stop()
    }

    @Test func `is no drain: what an operator drains is closed, and opens when it is undrained`() async throws {
        let backend = try TestBackend.echo()
        let store = Store()
        let proxy = try proxy(backend, store)
        let port = try #require(proxy.addresses(ofListener: "db").first?.port)
        await proxy.beginDrain()
        #expect(store.count == 0)
        await #expect(throws: TestSupportError.self) { try await blocking { _ = try TestSocket(port: port) } }
        try proxy.undrain()
        #expect(store.count == 1)
        await proxy.stop()
    }
}
