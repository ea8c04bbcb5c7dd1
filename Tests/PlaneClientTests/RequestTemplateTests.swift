import OpenSSL
import Testing

@testable import PlaneClient

/// RFC 9908 §3.4, IMPLICIT TAGS.
@Suite struct `A template of a request` {
    private static let arc: [UInt8] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x10, 0x02]
    private static let version: [UInt8] = [0x02, 0x01, 0x00]
    private static let commonName = Wish.name([0x55, 0x04, 0x03])
    private static let country = Wish.name([0x55, 0x04, 0x06])
    private static let nothing = Wish.value(0xA1, [])

    private static func attribute(_ last: UInt8, _ value: [UInt8]) -> [UInt8] {
        Wish.sequence(Wish.name(arc + [last]), Wish.set(value))
    }

    private static func template(_ parts: [UInt8]...) -> [UInt8] {
        attribute(61, Wish.value(0x30, parts.flatMap { $0 }))
    }

    private static func rsa(_ bits: Int) -> [UInt8] {
        let modulus = Wish.value(0x02, [0x00, 0x80] + [UInt8](repeating: 1, count: bits / 8 - 1))
        let key = Wish.sequence(modulus, [0x02, 0x03, 0x01, 0x00, 0x01])
        let algorithm = Wish.sequence(Wish.rsa, [0x05, 0x00])
        return Wish.value(0xA0, algorithm + Wish.value(0x03, [0x00] + key))
    }

    private func wishes(_ parts: [UInt8]..., configured: KeyKind = .ecP256) throws -> RequestWishes {
        try RequestWishes(in: Wish.value(0x30, parts.flatMap { $0 }), configured: configured)
    }

    @Test func `says which key is wanted`() throws {
        let curve = Wish.value(0xA0, Wish.sequence(Wish.ellipticCurve, Wish.p384))
        #expect(try wishes(Self.template(Self.version, curve, Self.nothing)).keyKind == .ecP384)
        let other = Wish.value(0xA0, Wish.sequence(Wish.ellipticCurve, Wish.p521))
        let unmet = try wishes(Self.template(Self.version, other, Self.nothing))
        #expect(unmet.keyKind == .ecP256 && unmet.unmet == ["a key on the curve 1.3.132.0.35"])
        #expect(try wishes(Self.template(Self.version, Self.rsa(3072), Self.nothing)).keyKind == .rsa3072)
        let weak = try wishes(Self.template(Self.version, Self.rsa(2048), Self.nothing))
        #expect(weak.keyKind == .ecP256 && weak.unmet == ["an RSA key of 2048 bits"])
        let any = Wish.value(0xA0, Wish.sequence(Wish.rsa, [0x05, 0x00]))
        #expect(try wishes(Self.template(Self.version, any, Self.nothing)).keyKind == .rsa3072)
        let strange = Wish.value(0xA0, Wish.sequence(Wish.name([0x2B, 0x65, 0x70])))
        #expect(
            try wishes(Self.template(Self.version, strange, Self.nothing)).unmet == ["a key of the kind 1.3.101.112"])
    }

    @Test func `leaves the names to us, and those that it dictates are told`() throws {
        let subject = Wish.sequence(
            Wish.set(Wish.sequence(Self.commonName)), Wish.set(Wish.sequence(Self.country, Wish.value(0x0C, [0x44]))),
            Wish.set(Wish.sequence(Self.country)))
        let found = try wishes(Self.template(Self.version, subject, Self.nothing))
        #expect(found.unmet == ["its own content of the subject's 2.5.4.6", "the subject's 2.5.4.6"])
        #expect(found.details == .standard)
    }

    @Test func `has extensions with content and without`() throws {
        let content = Wish.octets(Wish.sequence(Wish.sequence(Wish.name([0x2A, 0x03]))))
        let extensions = Wish.sequence(
            Wish.sequence(Wish.alternativeNames), Wish.sequence(Wish.policies, content),
            Wish.sequence(Wish.name([0x55, 0x1D, 0x13]), [0x01, 0x01, 0xFF]))
        let found = try wishes(
            Self.template(Self.version, Wish.value(0xA1, Self.attribute(62, extensions))))
        #expect(found.details.extensions.map(\.identifier) == ["2.5.29.32"])
        #expect(found.unmet == ["the extension 2.5.29.19"])
    }

    @Test func `may demand a password, too`() throws {
        let password = Wish.sequence(Wish.challenge, Wish.set())
        #expect(try wishes(Self.template(Self.version, Wish.value(0xA1, password))).demandsChannelBinding)
    }

    /// A server that serves old clients, too, sends both (RFC 9908 §4).
    @Test func `counts alone, whatever else is wished`() throws {
        let curve = Wish.value(0xA0, Wish.sequence(Wish.ellipticCurve, Wish.p384))
        let found = try wishes(
            Wish.challenge, Wish.sequence(Wish.rsa, Wish.set(Wish.bits3072)),
            Self.template(Self.version, curve, Self.nothing), Wish.rsaSHA1)
        #expect(found.keyKind == .ecP384 && !found.demandsChannelBinding && found.unmet == [])
    }

    @Test func `is refused when it cannot be read, and never read halfway`() throws {
        let curve = Wish.value(0xA0, Wish.sequence(Wish.ellipticCurve, Wish.p384))
        let good = Self.template(Self.version, curve, Self.nothing)
        let bad: [[UInt8]] = [
            Self.template([0x02, 0x01, 0x01], curve, Self.nothing), Self.template(), Self.template(curve),
            Self.template(Self.version, Wish.value(0xA2, [])), Self.template(Self.version, Wish.value(0xA0, [])),
            good + good, Wish.sequence(Wish.name(Self.arc + [61]), Wish.set()),
            Wish.sequence(Wish.name(Self.arc + [61]), Wish.set([0x05, 0x00], [0x05, 0x00])),
            Self.attribute(61, [0x05, 0x00]), Self.template(Self.version, Wish.value(0xA1, [0x05, 0x00])),
        ]
        for (index, one) in bad.enumerated() {
            #expect(throws: PlaneError.self, "case \(index)") { try wishes(one) }
        }
        let whole = Wish.value(0x30, good)
        for count in 0..<whole.count {
            #expect(throws: PlaneError.self) { try RequestWishes(in: Array(whole[..<count]), configured: .ecP256) }
        }
        for index in whole.indices {
            for value in [whole[index] ^ 0x01, whole[index] ^ 0x80, 0x00, 0xFF] {
                var changed = whole
                changed[index] = value
                // Whatever it says then, it is read or refused, and no key is weaker than the house has them.
                let found = try? RequestWishes(in: changed, configured: .ecP256)
                #expect(found.map { [.ecP256, .ecP384, .rsa3072].contains($0.keyKind) } ?? true)
            }
        }
    }
}
