import Foundation
import OpenSSL

/// A CRL that is put together byte by byte, also as no authority would write it, and signed with an authority's key.
package struct TestListBytes: Sendable {
    package var version: [UInt8] = DERBytes.integer([1])
    /// Of P-256 keys: ecdsa-with-SHA256.
    package var algorithm = DERBytes.sequence(DERBytes.identifier([0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02]))
    /// Behind the signed part; nil: the same.
    package var outerAlgorithm: [UInt8]?
    package var issuer: [UInt8]
    package var thisUpdate = DERBytes.time(secondsFromNow: -3600)
    package var nextUpdate = DERBytes.time(secondsFromNow: 86_400)
    /// The contents of `revokedCertificates`, which is left out if they are nil.
    package var entries: [UInt8]?
    /// Each with its header; the field is left out if there are none.
    package var extensions: [[UInt8]] = [DERBytes.listNumber([1])]

    package init(of authority: TestIdentity) throws { issuer = try authority.certificate().subjectDER }

    /// What the signature is about.
    package var signedPart: [UInt8] {
        var parts = version + algorithm + issuer + thisUpdate + nextUpdate
        if let entries { parts += DERBytes.sequence(entries) }
        if !extensions.isEmpty { parts += DERBytes.element(0xA0, DERBytes.sequence(Array(extensions.joined()))) }
        return DERBytes.sequence(parts)
    }

    package func signed(by authority: TestIdentity) throws -> [UInt8] {
        try Self.sign(signedPart, by: authority, algorithm: outerAlgorithm ?? algorithm)
    }

    /// `part` as the signed part of a list, whatever it is.
    package static func sign(
        _ part: [UInt8], by authority: TestIdentity, algorithm: [UInt8]
    ) throws -> [UInt8] {
        let signature = try PrivateKey(pemFile: authority.keyPath).sign(part)
        return DERBytes.sequence(part + algorithm + DERBytes.element(0x03, [0] + signature))
    }
}

/// DER, and what only looks like it.
package enum DERBytes {
    package static func element(_ tag: UInt8, _ contents: [UInt8]) -> [UInt8] {
        let count = contents.count
        if count < 0x80 { return [tag, UInt8(count)] + contents }
        let octets = (0..<8).reversed().map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) }.drop { $0 == 0 }
        return [tag, 0x80 | UInt8(octets.count)] + octets + contents
    }

    package static func sequence(_ contents: [UInt8]) -> [UInt8] { element(0x30, contents) }
    /// Two's complement, as it is.
    package static func integer(_ contents: [UInt8]) -> [UInt8] { element(0x02, contents) }
    package static func identifier(_ contents: [UInt8]) -> [UInt8] { element(0x06, contents) }

    /// 2.5.29.N.
    package static func `extension`(_ number: UInt8, critical: Bool = false, _ value: [UInt8]) -> [UInt8] {
        let flag: [UInt8] = critical ? [0x01, 0x01, 0xFF] : []
        return sequence(identifier([0x55, 0x1D, number]) + flag + element(0x04, value))
    }

    package static func listNumber(_ number: [UInt8]) -> [UInt8] { self.extension(20, integer(number)) }

    package static func reason(_ reason: UInt8) -> [UInt8] { self.extension(21, element(0x0A, [reason])) }

    /// `serial`: its magnitude. `extensions`: each with its header.
    package static func entry(_ serial: [UInt8], _ extensions: [UInt8] = []) -> [UInt8] {
        let digits = Array(serial.drop { $0 == 0 })
        let number = (digits.first.map { $0 >= 0x80 } ?? true) ? [0] + digits : digits
        return sequence(integer(number) + revocationTime + (extensions.isEmpty ? [] : sequence(extensions)))
    }

    private static let revocationTime = element(0x17, Array("260101000000Z".utf8))

    /// UTCTime.
    package static func time(secondsFromNow seconds: Double) -> [UInt8] {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(secondsFromGMT: 0)
        format.dateFormat = "yyMMddHHmmss'Z'"
        return element(0x17, Array(format.string(from: Date(timeIntervalSinceNow: seconds)).utf8))
    }
}
