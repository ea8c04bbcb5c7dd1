import Foundation
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Certificates

@Suite(.serialized) struct `What an EST server wishes to find in a request` {
    /// challengePassword, ecPublicKey secp384r1, extensionRequest macAddress, ecdsa-with-SHA384 (RFC 7030 §4.5.2).
    private let ofRFC =
        "MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw=="

    @Test func `is a password bound to TLS 1.2: then nothing is sent, and that is said`() async throws {
        let (server, node) = try await `Whatever an EST server does`.ready()
        let served = node.served().last?.leaf
        try server.set(["attributes": ["alpha.database": ofRFC]])
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.codes.contains("CERTIFICATE_DEMAND_UNMET") }
        #expect(node.detail("CERTIFICATE_DEMAND_UNMET")?.contains("challengePassword") == true)
        #expect(node.shown("last_error_class") == "demand")
        #expect(node.served().last?.leaf == served && node.isReady)
        #expect(server.requests("alpha.database/simpleenroll").count == 1, "the one of the join")
        try server.set(["attributes": [:]])
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.served().count == 2 && !$0.codes.contains("CERTIFICATE_DEMAND_UNMET") }
        await node.stop()
    }

    @Test func `is a key, a digest or a policy: it gets them, and what it does not get is named`() async throws {
        // ecPublicKey secp384r1, ecdsa-with-SHA512, extensionRequest macAddress, certificatePolicies with content.
        let curve = "3012 0607 2A8648CE3D0201 3107 0605 2B81040022"
        let digest = "0608 2A8648CE3D040304"
        let address = "3016 0609 2A864886F70D01090E 3109 0607 2B060101010116"
        let policies = "3023 0609 2A864886F70D01090E 3116 3014 3012 0603 551D20 040B 3009 3007 0605 2A03040506"
        let (server, node) = try await `Whatever an EST server does`.ready([
            "attributes": ["alpha.database": sequence(curve, digest, address, policies)]
        ])
        let request = try #require(server.requests("alpha.database/simpleenroll").last)
        #expect(request.kind == "secp384r1" && request.digest == "sha512" && request.valid == true)
        #expect(Set(request.extensions ?? []) == ["2.5.29.15", "2.5.29.17", "2.5.29.37", "2.5.29.32"])
        #expect(node.served().last?.leaf.keyKind == .ellipticCurve)
        let detail = node.detail("CERTIFICATE_WISHES_UNMET") ?? ""
        #expect(detail.contains("the extension 1.3.6.1.1.1.1.22") && !detail.contains("2.5.29.32"), "\(detail)")
        #expect(node.health.snapshot.state == .ready, "that is a remark, no trouble")
        let identity = try #require(server.requests("alpha/simpleenroll").last)
        #expect(identity.kind == "secp256r1" && identity.digest == "sha256", "another label wishes nothing")

        try server.set(["attributes": ["alpha.database": sequence("0609 2A864886F70D01010C")]])
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.served().count == 2 }
        let other = try #require(server.requests("alpha.database/simpleenroll").last)
        #expect(other.kind == "rsa" && other.digest == "sha384", "a signature tells the key, too")
        #expect(node.detail("CERTIFICATE_WISHES_UNMET") == nil)
        await node.stop()
    }

    @Test func `keeps every byte of the names when the node identity renews itself`() async throws {
        let (server, node) = try await `Whatever an EST server does`.ready()
        try server.set(["attributes": ["alpha": sequence("3012 0607 2A8648CE3D0201 3107 0605 2B81040022")]])
        #expect(await node.renewer.renew(role: "node") == .begun)
        try await node.waits { $0.said.nodeIdentities.count == 2 }
        #expect(server.requests("alpha/simplereenroll").last?.kind == "secp384r1")
        let leaves = node.said.nodeIdentities.map(\.leaf)
        #expect(Set(leaves.map(\.subjectDER)).count == 1 && Set(leaves.map(\.subjectAlternativeNameDER)).count == 1)
        await node.stop()
    }

    @Test func `may be nothing, unknown or kept to itself; garbage is said`() async throws {
        let (server, node) = try await `Whatever an EST server does`.ready()
        let harmless: [Any] = [204, 404, 405, 501, 401, "", "MAA=", " M A A =\r\n"]
        for (number, answer) in harmless.enumerated() {
            try server.set(["attributes": ["alpha.database": answer]])
            #expect(await node.renewer.renew(role: "database") == .begun)
            try await node.waits { $0.served().count == number + 2 }
        }
        #expect(node.events(.certificateFailed).isEmpty)
        let count = server.requests("alpha.database/simpleenroll").count
        for (answer, problem) in [("@@@", "proto"), ("MQA=", "proto"), (500, "server"), (503, "throttle")]
            as [(Any, String)]
        {
            try server.set(["attributes": ["alpha.database": answer]])
            #expect(await node.renewer.renew(role: "database") == .begun)
            try await node.waits { $0.shown("last_error_class") == problem }
        }
        #expect(server.requests("alpha.database/simpleenroll").count == count)
        await node.stop()
    }

    /// Base64 of a SEQUENCE of what is written in hexadecimal digits.
    private func sequence(_ parts: String...) -> String {
        let digits = parts.joined().filter { $0 != " " }
        var bytes: [UInt8] = []
        var rest = Substring(digits)
        while !rest.isEmpty {
            bytes.append(UInt8(rest.prefix(2), radix: 16) ?? 0)
            rest = rest.dropFirst(2)
        }
        let head: [UInt8] = bytes.count < 128 ? [0x30, UInt8(bytes.count)] : [0x30, 0x81, UInt8(bytes.count)]
        return Data(head + bytes).base64EncodedString()
    }
}
