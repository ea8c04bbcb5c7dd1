import Foundation
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Certificates

@Suite(.serialized) struct `Certificates in files of somebody else` {
    private func put(_ identity: TestIdentity, into folder: TemporaryDirectory, key: TestIdentity? = nil) throws {
        try folder.write(
            try Data(contentsOf: URL(fileURLWithPath: (key ?? identity).keyPath)).map { $0 }, to: "key.pem")
        try folder.write(try identity.chainPEM, to: "chain.pem")
    }

    private func node(_ folder: TemporaryDirectory) -> Node {
        let source = RoleConfiguration.Source.files(chain: folder.file("chain.pem"), key: folder.file("key.pem"))
        return Node(folder, url: nil, roles: [RoleConfiguration(name: "own", source: source)])
    }

    @Test func `make a node ready without any plane, and are another once they are adopted`() async throws {
        let authority = try TestAuthority()
        let folder = try TemporaryDirectory()
        let (first, second) = (try authority.server(), try authority.server(name: "other"))
        try put(first, into: folder)
        let node = node(folder)
        await node.start()
        #expect(node.isReady)
        #expect(node.said.identities["own"]?.map(\.leaf) == [try first.certificate()])
        #expect(node.metrics.openMetricsText.contains("nodeguard_certificate_expiry_timestamp_seconds{role=\"own\"}"))
        #expect(await node.renewer.readFiles().new.isEmpty)
        try put(second, into: folder)
        let found = await node.renewer.readFiles()
        #expect(found.new["own"]?.leaf == (try second.certificate()) && found.mistakes == [:])
        #expect(node.events(.certificatePublished).count == 1, "nothing is in service that was only read")
        await node.renewer.adopt(found)
        #expect(node.events(.certificatePublished).last?.fields["generation"] == 2)
        #expect(await node.renewer.readFiles().new.isEmpty)
        #expect(await node.renewer.renew(role: "own") != .begun)
        await node.stop()
    }

    @Test func `that do not fit, have expired or are half written leave the ones in service`() async throws {
        let authority = try TestAuthority()
        let folder = try TemporaryDirectory()
        let good = try authority.server()
        try put(good, into: folder)
        let node = node(folder)
        await node.start()
        let bad: [() throws -> Void] = [
            { try put(try authority.server(), into: folder, key: good) },
            { try put(try authority.issue(name: "x", usage: [.server], validity: -100 ... -10), into: folder) },
            { try put(try authority.issue(name: "x", usage: [.server], isAuthority: true), into: folder) },
            { try put(try authority.issue(name: "x", usage: [.server], key: .rsa1024), into: folder) },
            { try folder.write(Array(try good.chainPEM.dropLast(100)), to: "chain.pem") },
            { try FileManager.default.removeItem(atPath: folder.file("key.pem")) },
        ]
        for make in bad {
            try make()
            let found = await node.renewer.readFiles()
            #expect(found.new.isEmpty && found.mistakes.count == 1)
            #expect(found.mistakes["own"]?.contains(folder.path) == true, "\(found.mistakes)")
            #expect(node.codes.contains("CERTIFICATE_FILES_UNUSABLE"))
            #expect(node.said.identities["own"]?.count == 1)
            #expect(node.isReady)
            try put(good, into: folder)
            #expect(await node.renewer.readFiles().mistakes == [:])
            #expect(!node.codes.contains("CERTIFICATE_FILES_UNUSABLE"))
        }
        await node.stop()
    }

    @Test func `that came before their time are asked for again when it has come`() async throws {
        let authority = try TestAuthority()
        let folder = try TemporaryDirectory()
        let early = try authority.issue(name: "x", usage: [.server], validity: 3...3600)
        try put(early, into: folder)
        let node = node(folder)
        await node.start()
        #expect(!node.isReady)
        try await node.waits { $0.said.filesDue > 0 }
        let found = await node.renewer.readFiles()
        #expect(found.new["own"]?.leaf == (try early.certificate()))
        await node.renewer.adopt(found)
        #expect(node.isReady)
        await node.stop()
    }
}
