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

    @Test func `make a node ready without any plane, and are taken up when they change`() async throws {
        let authority = try TestAuthority()
        let folder = try TemporaryDirectory()
        let (first, second) = (try authority.server(), try authority.server(name: "other"))
        try put(first, into: folder)
        let node = node(folder)
        await node.start()
        #expect(node.isReady)
        #expect(node.said.identities["own"]?.map(\.leaf) == [try first.certificate()])
        #expect(node.metrics.openMetricsText.contains("nodeguard_certificate_expiry_timestamp_seconds{role=\"own\"}"))
        try put(second, into: folder)
        try await node.waits { $0.said.identities["own"]?.count == 2 }
        #expect(node.said.identities["own"]?.last?.leaf == (try second.certificate()))
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
            try await node.waits { $0.codes.contains("CERTIFICATE_FILES_UNUSABLE") }
            #expect(node.said.identities["own"]?.count == 1)
            #expect(node.isReady)
            try put(good, into: folder)
            try await node.waits { !$0.codes.contains("CERTIFICATE_FILES_UNUSABLE") }
        }
        await node.stop()
    }
}
