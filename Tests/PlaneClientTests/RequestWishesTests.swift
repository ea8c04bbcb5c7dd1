import Foundation
import OpenSSL
import Testing

@testable import PlaneClient

/// DER by hand, so that no encoder of ours is tested with its own decoder.
enum Wish {
    static func value(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        let length: [UInt8] =
            content.count < 128
            ? [UInt8(content.count)] : [0x82, UInt8(content.count >> 8), UInt8(content.count & 0xFF)]
        return [tag] + length + content
    }
    static func sequence(_ parts: [UInt8]...) -> [UInt8] { value(0x30, parts.flatMap { $0 }) }
    static func set(_ parts: [UInt8]...) -> [UInt8] { value(0x31, parts.flatMap { $0 }) }
    static func name(_ bytes: [UInt8]) -> [UInt8] { value(0x06, bytes) }
    static func octets(_ bytes: [UInt8]) -> [UInt8] { value(0x04, bytes) }

    static let ellipticCurve = name([0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01])
    static let p256 = name([0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07])
    static let p384 = name([0x2B, 0x81, 0x04, 0x00, 0x22])
    static let p521 = name([0x2B, 0x81, 0x04, 0x00, 0x23])
    static let rsa = name([0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01])
    static let ecdsaSHA384 = name([0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03])
    static let rsaSHA256 = name([0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0B])
    static let rsaSHA1 = name([0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x05])
    static let sha512 = name([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03])
    static let challenge = name([0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x07])
    static let extensionRequest = name([0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x0E])
    static let policies = name([0x55, 0x1D, 0x20])
    static let alternativeNames = name([0x55, 0x1D, 0x11])
    static let bits2048: [UInt8] = [0x02, 0x02, 0x08, 0x00]
    static let bits3072: [UInt8] = [0x02, 0x02, 0x0C, 0x00]
}

@Suite struct `The attributes that an EST server wishes for` {
    private func wishes(_ parts: [UInt8]..., configured: KeyKind = .ecP256) throws -> RequestWishes {
        try RequestWishes(in: Wish.value(0x30, parts.flatMap { $0 }), configured: configured)
    }

    /// RFC 7030 §4.5.2, as RFC 8951 §3.2 has it too.
    @Test func `are read from the vector of the RFC`() throws {
        let vector =
            "MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw=="
        let found = try RequestWishes(inBase64: Array(vector.utf8), configured: .ecP256)
        #expect(found.demandsChannelBinding)
        #expect(found.keyKind == .ecP384 && found.details == RequestDetails(digest: .sha384))
        #expect(found.unmet == ["the extension 1.3.6.1.1.1.1.22"])
        let der = Array(Data(base64Encoded: vector) ?? Data())
        for depth in 0...3 {
            #expect(try RequestWishes(in: IndefiniteLengths.encode(der, depth: depth), configured: .ecP256) == found)
        }
        for count in 0..<der.count {
            #expect(throws: PlaneError.self) { try RequestWishes(in: Array(der[..<count]), configured: .ecP256) }
        }
        #expect(throws: PlaneError.self) { try RequestWishes(in: der + [0], configured: .ecP256) }
        for index in der.indices {
            for value in [der[index] ^ 0x01, der[index] ^ 0x80, 0x00, 0xFF] {
                var changed = der
                changed[index] = value
                _ = try? RequestWishes(in: changed, configured: .ecP256)
            }
        }
    }

    @Test(arguments: ["", " \r\n", "MAA=", "M\tAA\r\n="])
    func `may be none`(body: String) throws {
        for kind in KeyKind.allCases {
            let found = try RequestWishes(inBase64: Array(body.utf8), configured: kind)
            #expect(found == RequestWishes(keyKind: kind))
        }
    }

    @Test func `choose the key, as far as we make such`() throws {
        let both = Wish.sequence(Wish.ellipticCurve, Wish.set(Wish.p521, Wish.p384))
        #expect(try wishes(both).keyKind == .ecP384)
        #expect(try wishes(both).unmet == [], "one of several is enough")
        #expect(
            try wishes(Wish.sequence(Wish.ellipticCurve, Wish.set(Wish.p256)), configured: .rsa3072).keyKind == .ecP256)
        #expect(try wishes(Wish.ellipticCurve, configured: .ecP384).keyKind == .ecP384)
        #expect(try wishes(Wish.ellipticCurve, configured: .rsa3072).keyKind == .ecP256)
        #expect(try wishes(Wish.sequence(Wish.ellipticCurve, Wish.set()), configured: .ecP384).keyKind == .ecP384)
        let only521 = try wishes(Wish.sequence(Wish.ellipticCurve, Wish.set(Wish.p521)))
        #expect(only521.keyKind == .ecP256 && only521.unmet == ["a key on the curve 1.3.132.0.35"])
        #expect(try wishes(Wish.rsa).keyKind == .rsa3072)
        #expect(try wishes(Wish.sequence(Wish.rsa, Wish.set(Wish.bits3072))).keyKind == .rsa3072)
        let weak = try wishes(Wish.sequence(Wish.rsa, Wish.set(Wish.bits2048)))
        #expect(weak.keyKind == .ecP256 && weak.unmet == ["an RSA key of 2048 bits"], "nothing below our own floor")
    }

    @Test func `choose the digest, and with it the key, where only that is wished for`() throws {
        #expect(try wishes(Wish.ecdsaSHA384).details.digest == .sha384)
        #expect(try wishes(Wish.ecdsaSHA384).keyKind == .ecP256)
        #expect(try wishes(Wish.ecdsaSHA384, configured: .rsa3072).keyKind == .ecP384)
        #expect(try wishes(Wish.sha512).details.digest == .sha512)
        let rsa = try wishes(Wish.rsaSHA256)
        #expect(rsa.keyKind == .rsa3072 && rsa.details.digest == .sha256 && rsa.unmet == [])
        let torn = try wishes(Wish.rsaSHA256, Wish.ellipticCurve)
        #expect(torn.keyKind == .ecP256 && torn.details.digest == nil)
        #expect(torn.unmet == ["a signature by RSA with sha256"])
        #expect(try wishes(Wish.rsaSHA256, Wish.ecdsaSHA384).details.digest == .sha384)
        #expect(try wishes(Wish.rsaSHA1).unmet == ["the attribute 1.2.840.113549.1.1.5"], "no SHA-1")
    }

    @Test func `may bring policies, and no names`() throws {
        let policy = Wish.sequence(Wish.policies, [0x01, 0x01, 0xFF], Wish.octets([0x30, 0x00]))
        let names = Wish.sequence(Wish.alternativeNames, Wish.octets([0x30, 0x00]))
        let found = try wishes(Wish.sequence(Wish.extensionRequest, Wish.set(Wish.sequence(policy, names, policy))))
        let expected = RequestDetails.Extension(identifier: "2.5.29.32", isCritical: true, value: [0x30, 0x00])
        #expect(found.details.extensions == [expected], "once: a request may not have an extension twice")
        #expect(
            found.unmet == [
                "its own content of the extension 2.5.29.17", "its own content of the extension 2.5.29.32",
            ])
        let named = try wishes(Wish.sequence(Wish.extensionRequest, Wish.set(Wish.alternativeNames, Wish.policies)))
        #expect(named.unmet == ["the extension 2.5.29.32"] && named.details == .standard)
        let long = Wish.sequence(Wish.policies, Wish.octets(Array(repeating: 0, count: 1025)))
        #expect(try wishes(Wish.sequence(Wish.extensionRequest, Wish.set(Wish.sequence(long)))).details == .standard)
        #expect(try wishes(Wish.extensionRequest) == RequestWishes(keyKind: .ecP256))
        #expect(try wishes(Wish.sequence(Wish.challenge, Wish.set())).demandsChannelBinding)
    }

    @Test func `that are no attributes, or too many, are refused`() throws {
        let many = Array(repeating: Wish.challenge, count: 64).flatMap { $0 }
        #expect(try RequestWishes(in: Wish.value(0x30, many), configured: .ecP256).demandsChannelBinding)
        for der in [
            Wish.value(0x30, many + Wish.challenge), Wish.value(0x31, []), Wish.sequence([0x02, 0x01, 0x00]),
            Wish.sequence(Wish.sequence(Wish.challenge)), Wish.sequence(Wish.sequence(Wish.challenge, Wish.sequence())),
            Wish.sequence(Wish.sequence(Wish.challenge, Wish.set(), Wish.set())),
            Wish.sequence(Wish.sequence(Wish.rsa, Wish.set(Wish.p256))),
            Wish.sequence(Wish.sequence(Wish.rsa, Wish.set([0x02, 0x09] + Array(repeating: 0x7F, count: 9)))),
            Wish.sequence(Wish.sequence(Wish.extensionRequest, Wish.set(Wish.sequence(Wish.sequence(Wish.policies))))),
            Array(repeating: 0x30, count: 20_000), (0..<10_000).map { $0.isMultiple(of: 2) ? 0x30 : 0x80 },
        ] {
            #expect(throws: PlaneError.self) { try RequestWishes(in: der, configured: .ecP256) }
        }
        for body in ["@@@", "MAA", "-----BEGIN", "MQA=", String(repeating: "A", count: 40_000)] {
            #expect(throws: PlaneError.self) { try RequestWishes(inBase64: Array(body.utf8), configured: .ecP256) }
        }
    }
}
