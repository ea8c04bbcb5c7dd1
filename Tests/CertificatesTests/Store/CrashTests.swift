import Foundation
import IO
import OpenSSL
import TestSupport
import Testing

@testable import Certificates

/// Real processes, really killed: what they had handed to the kernel stays, what they had not is gone. What a loss of
/// power takes besides, fsync is there for.
@Suite(.serialized) struct `SIGKILL at a system call` {
    private static let authority = Result { try TestAuthority() }
    private static let identities = Result {
        try (0..<3).map { try authority.get().client(name: "node-\($0)").tlsIdentity() }
    }

    private func store(_ place: TemporaryDirectory) -> CertificateStore {
        CertificateStore(role: "database", stateDirectory: place.file("state"))
    }

    /// A state folder with so many generations, and the pair that is to be the next.
    private func place(published count: Int) throws -> TemporaryDirectory {
        let place = try TemporaryDirectory()
        let identities = try Self.identities.get()
        for identity in identities[..<count] { _ = try store(place).publish(identity, joinedWith: nil) }
        try place.write(identities[2].chain.map(\.pem).joined(), to: "chain.pem")
        try identities[2].key.writePEM(to: place.file("key.pem"))
        return place
    }

    private func writer(_ place: TemporaryDirectory) -> TracedCommand {
        TracedCommand(
            program: TracedCommand.built("nodeguard-store-writer"),
            arguments: [place.file("state"), "database", place.file("chain.pem"), place.file("key.pem")])
    }

    @Test(arguments: [0, 1, 2])
    func `leaves the old certificate or the new one in the store, and the next attempt comes to its end`(
        published count: Int
    ) throws {
        let tracing = try place(published: count)
        let calls = try writer(tracing).calls(below: tracing.path)
        #expect(calls.contains { $0.name == "fsync" || $0.name == "openat" } && calls.count >= 5, "\(calls)")
        let identities = try Self.identities.get()
        let (old, new) = (count == 0 ? nil : identities[count - 1].leaf, identities[2].leaf)
        var found: [Certificate?] = []
        for call in calls {
            let place = try place(published: count)
            let current = place.file("state/certificates/database/current")
            try writer(place).run(killedAt: call)
            // As a program sees it that knows of no generations.
            if Files.exists(current) {
                let pair = try TLSIdentity(
                    chainFile: try Files.read(current + "/chain.pem", limit: 1 << 20), keyFile: current + "/key.pem")
                #expect(pair.leaf == old || pair.leaf == new, "\(call)")
            } else {
                #expect(old == nil, "\(call)")
            }
            let loaded = try store(place).load()
            #expect(loaded.damage == [], "\(call)")
            #expect([old, new].contains(loaded.certificate?.identity.leaf), "\(call)")
            found.append(loaded.certificate?.identity.leaf)

            try writer(place).run()
            let last = try store(place).load()
            #expect(last.certificate?.identity.leaf == new && last.damage == [], "\(call)")
            let names = try Files.list(place.file("state/certificates/database"))
            let generations = names.filter { $0.hasPrefix("g") }
            #expect(names == ["current"] + generations && (1...2).contains(generations.count), "\(call): \(names)")
        }
        #expect(found.contains(old) && found.contains(new), "it was killed before and after the decisive step")
    }

    @Test func `leaves a pair for the reader or beside it, and the next publication mends all`() throws {
        let fixture = try PublicationFixture()
        var issued: [TLSIdentity] = []
        for _ in 0..<2 {
            issued.append(try fixture.renew())
            _ = try fixture.publication().run()
        }
        issued.append(try fixture.renew())
        let tracing = try copy(fixture)
        let calls = try publisher(tracing).calls(below: tracing.path + "/state")
        #expect(calls.count >= 10, "\(calls)")
        var found: [String?] = []
        for call in calls {
            let place = try copy(fixture)
            try publisher(place).run(killedAt: call)
            let pair = pair(place)
            found.append(pair?.leaf.serial)
            if let pair {
                #expect([issued[1].leaf, issued[2].leaf].contains(pair.leaf), "\(call)")
            } else {
                #expect(self.pair(place, ".previous")?.leaf == issued[1].leaf, "\(call)")
            }
            for name in ["server.crt", "root.crt"] {
                #expect(throws: Never.self, "\(call)") {
                    try Certificate.parsePEM(try Files.read(place.file("tls/" + name), limit: 1 << 20))
                }
            }
            if let told = try? String(decoding: place.read("told"), as: UTF8.self), !told.isEmpty {
                #expect(told == issued[2].leaf.pem, "nobody is told before all is there: \(call)")
            }

            try publisher(place).run()
            #expect(self.pair(place)?.leaf == issued[2].leaf, "\(call)")
            #expect(self.pair(place, ".previous")?.leaf == issued[1].leaf, "\(call)")
            #expect(try String(decoding: place.read("told"), as: UTF8.self) == issued[2].leaf.pem, "\(call)")
            let names = ["root.crt", "server.crt", "server.key"].flatMap { [$0, $0 + ".previous"] }
            #expect(try Files.list(place.file("tls")) == names, "\(call)")
            #expect(try Files.list(place.file("state/publish")) == ["database.json"], "\(call)")
        }
        #expect(found.contains(issued[1].leaf.serial) && found.contains(issued[2].leaf.serial))
    }

    @Test func `leaves the pair of before beside it while that is put back, and it can be put back again`() throws {
        let fixture = try PublicationFixture()
        var issued: [TLSIdentity] = []
        for _ in 0..<2 {
            issued.append(try fixture.renew())
            _ = try fixture.publication().run()
        }
        let tracing = try copy(fixture)
        let calls = try publisher(tracing, "--undo").calls(below: tracing.path + "/state")
        #expect(calls.count >= 5, "\(calls)")
        var found: [String?] = []
        for call in calls {
            let place = try copy(fixture)
            try publisher(place, "--undo").run(killedAt: call)
            found.append(pair(place)?.leaf.serial)
            #expect(pair(place, ".previous")?.leaf == issued[0].leaf, "\(call)")
            try publisher(place, "--undo").run()
            #expect(pair(place)?.leaf == issued[0].leaf, "\(call)")
            #expect(try String(decoding: place.read("told"), as: UTF8.self) == issued[0].leaf.pem, "\(call)")
            let names = ["root.crt", "server.crt", "server.key"].flatMap { [$0, $0 + ".previous"] }
            #expect(try Files.list(place.file("tls")) == names, "\(call)")
            #expect(try String(decoding: place.read("state/publish/database.json"), as: UTF8.self).contains("withheld"))
            try publisher(place).run()
            #expect(pair(place)?.leaf == issued[1].leaf && pair(place, ".previous")?.leaf == issued[0].leaf, "\(call)")
        }
        #expect(found.contains(issued[0].leaf.serial) && found.contains(issued[1].leaf.serial))
    }

    private func pair(_ place: TemporaryDirectory, _ suffix: String = "") -> TLSIdentity? {
        guard let chain = try? place.read("tls/server.crt" + suffix) else { return nil }
        return try? TLSIdentity(chainFile: chain, keyFile: place.file("tls/server.key" + suffix))
    }

    /// All of it in another place, with a configuration for that.
    private func copy(_ fixture: PublicationFixture) throws -> TemporaryDirectory {
        let place = try TemporaryDirectory()
        for name in ["state", "tls"] {
            try FileManager.default.copyItem(atPath: fixture.place.file(name), toPath: place.file(name))
        }
        // The reader takes the first certificate of the chain: the leaf.
        let reload = "openssl x509 -in \(place.path)/tls/server.crt -out \(place.path)/told"
        try place.write(
            """
            node: { name: db-1, cluster: alpha, state: \(place.path)/state }
            management: { url: "https://127.0.0.1:1" }
            certificates:
              roles:
                - name: database
                  names: [localhost]
                  publish:
                    directory: \(try Files.realPath(place.path))/tls
                    layout: postgresql
                    reload: [/bin/sh, -c, "\(reload)"]

            """, to: "nodeguard.yaml")
        return place
    }

    private func publisher(_ place: TemporaryDirectory, _ more: String...) -> TracedCommand {
        TracedCommand(
            program: TracedCommand.built("nodeguard"),
            arguments: ["publish", "--role", "database", "--config", place.file("nodeguard.yaml")] + more)
    }
}
