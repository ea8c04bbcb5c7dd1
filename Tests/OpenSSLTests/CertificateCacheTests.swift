import TestSupport
import Testing

@testable import OpenSSL

@Suite struct `The cache of certificates` {
    private let cache = CertificateCache()

    /// As a handshake asks: with an `X509` of its own, which is gone afterwards.
    private func cached(_ der: [UInt8]) throws -> Certificate {
        let shown = try Certificate(der: der)
        return try withExtendedLifetime(shown) { try cache.certificate(shown.pointer) }
    }

    @Test func `gives equal bytes one certificate, and other bytes another`() throws {
        let authority = try TestAuthority()
        let der = try authority.client().certificate().der
        let first = try cached(der)
        #expect(try cached(der) === first)
        #expect(first.der == der)
        #expect(try cached(authority.server().certificate().der) != first)
        #expect(cache.count == 2)
    }

    @Test func `never grows beyond its limit`() throws {
        var der = try TestAuthority().client().certificate().der
        for number in 0..<CertificateCache.limit + 1 {
            // The signature's last bytes: read, but verified by nobody here.
            der[der.count - 1] = UInt8(truncatingIfNeeded: number)
            der[der.count - 2] = UInt8(truncatingIfNeeded: number >> 8)
            _ = try cached(der)
        }
        #expect(cache.count == 1)
    }
}
