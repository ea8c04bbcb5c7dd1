import Foundation
import OpenSSL
import TestSupport
import Testing

/// Our reader beside OpenSSL's own (`openssl verify -crl_check`): the same certificates are revoked, and nothing is let
/// in that OpenSSL would refuse.
@Suite struct `Looking up who is revoked` {
    private struct Scene: Sendable {
        let authority: TestAuthority
        let clients: [TestIdentity]
        let trust: TemporaryDirectory

        init() throws {
            authority = try TestAuthority()
            clients = try authority.clients(8)
            trust = try temporaryDirectory()
            try trust.write(authority.root.certificatePEM + authority.intermediate.certificatePEM, to: "trust.pem")
        }
    }

    private static let scene = Result { try Scene() }

    private let scene: Scene
    private let leaves: [Certificate]
    private let root: Certificate
    private let intermediate: Certificate
    private let folder: TemporaryDirectory

    init() throws {
        scene = try Self.scene.get()
        leaves = try scene.clients.map { try $0.certificate() }
        root = try scene.authority.root.certificate()
        intermediate = try scene.authority.intermediate.certificate()
        folder = try temporaryDirectory()
    }

    /// Of each client, whether it is let in; nil: the list cannot be read.
    private func ours(_ list: [UInt8]) throws -> [Bool]? {
        guard let lists = try? RevocationList.parse(list, issuers: [intermediate]) else { return nil }
        let trust = try TrustAnchors([root], revocation: Revocation(lists, RevocationRules(depth: .leaf)))
        let now = Int64(Date().timeIntervalSince1970)
        return leaves.map { leaf in
            guard case .success = trust.judge(leaf: leaf, intermediates: [intermediate], purpose: .client, at: now)
            else { return false }
            return true
        }
    }

    private func theirs(_ list: [UInt8]) throws -> [Bool] {
        let base64 = Data(list).base64EncodedString(options: .lineLength64Characters)
        try folder.write("-----BEGIN X509 CRL-----\n\(base64)\n-----END X509 CRL-----\n", to: "crl.pem")
        let words =
            ["verify", "-crl_check", "-CAfile", scene.trust.file("trust.pem"), "-CRLfile", folder.file("crl.pem")]
            + scene.clients.map(\.certificatePath)
        let told = try Subprocess.run("openssl", words)
        let good = Set(told.output.split(separator: "\n").filter { $0.hasSuffix(": OK") }.map { $0.dropLast(4) })
        return scene.clients.map { good.contains(Substring($0.certificatePath)) }
    }

    private func serial(_ certificate: Certificate) -> [UInt8] {
        certificate.serial.split(separator: ":").compactMap { UInt8($0, radix: 16) }
    }

    private static func octet(_ generator: inout some RandomNumberGenerator) -> UInt8 {
        .random(in: .min ... .max, using: &generator)
    }

    private func random(_ generator: inout some RandomNumberGenerator) throws -> TestListBytes {
        var list = try TestListBytes(of: scene.authority.intermediate)
        var entries = leaves.filter { _ in Bool.random(using: &generator) }.map(serial)
        for _ in 0..<Int.random(in: 0...40, using: &generator) {
            // Near ones too: a number cut off, made longer, or off by one.
            var other = Bool.random(using: &generator) ? serial(leaves[0]) : []
            switch Int.random(in: 0...3, using: &generator) {
            case 0: other = (0..<Int.random(in: 1...20, using: &generator)).map { _ in Self.octet(&generator) }
            case 1: other = Array(other.dropLast())
            case 2: other += other.count < 20 ? [0] : []
            default: if let last = other.popLast() { other.append(last &+ 1) }
            }
            if !other.isEmpty { entries.append(other) }
        }
        entries.shuffle(using: &generator)
        let reasons: [UInt8] = [0, 1, 2, 3, 4, 5, 6, 9, 10]
        let bytes = entries.flatMap { serial in
            let reason = reasons.randomElement(using: &generator) ?? 0
            return DERBytes.entry(serial, Bool.random(using: &generator) ? DERBytes.reason(reason) : [])
        }
        list.entries = bytes.isEmpty ? nil : bytes
        if Bool.random(using: &generator) {
            list.extensions.append(DERBytes.extension(28, critical: true, DERBytes.sequence([0x81, 1, 0xFF])))
        }
        return list
    }

    @Test func `has OpenSSL's outcome on lists of all kinds`() throws {
        var generator = SystemRandomNumberGenerator()
        var revoked = 0
        for _ in 0..<40 {
            let list = try random(&generator).signed(by: scene.authority.intermediate)
            let own = try ours(list)
            #expect(try own == theirs(list), "\(Data(list).base64EncodedString())")
            revoked += own?.filter { !$0 }.count ?? 0
        }
        #expect((1..<40 * leaves.count).contains(revoked), "neither all nor none of them")
    }

    /// What the authority has signed may be anything: changed first, signed then.
    @Test func `lets nobody in whom OpenSSL refuses, whatever an authority has signed`() throws {
        var generator = SystemRandomNumberGenerator()
        var readable = 0
        for _ in 0..<400 {
            let list = try random(&generator)
            var part = list.signedPart
            for _ in 0..<Int.random(in: 1...2, using: &generator) {
                let place = Int.random(in: 0..<part.count, using: &generator)
                part[place] = Bool.random(using: &generator) ? Self.octet(&generator) : part[place] &+ 1
            }
            let signed = try TestListBytes.sign(part, by: scene.authority.intermediate, algorithm: list.algorithm)
            guard let own = try ours(signed), own.contains(true) else { continue }
            readable += 1
            let other = try theirs(signed)
            let wrong = zip(own, other).contains { $0 && !$1 }
            #expect(!wrong, "\(own) \(other) \(Data(signed).base64EncodedString())")
        }
        #expect(readable > 0)
    }

    @Test func `takes no list whose signature OpenSSL refuses`() throws {
        let good = try TestListBytes(of: scene.authority.intermediate).signed(by: scene.authority.intermediate)
        #expect(try ours(good) != nil)
        for place in good.indices {
            var list = good
            list[place] ^= 1
            #expect(try ours(list)?.contains(true) != true, "octet \(place)")
        }
    }
}
