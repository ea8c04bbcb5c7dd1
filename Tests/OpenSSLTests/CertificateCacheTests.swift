import TestSupport
import Testing

@testable import OpenSSL

@Suite struct `The cache of certificates` {
    @Test func `gives equal bytes one certificate, and other bytes another`() throws {
        let authority = try TestAuthority()
        let cache = CertificateCache()
        let der = try authority.client().certificate().der
        let first = try cache.certificate(Certificate(der: der).pointer)
        let again = try cache.certificate(Certificate(der: der).pointer)
        #expect(first === again)
        #expect(first.der == der)
        let other = try cache.certificate(authority.server().certificate().pointer)
        #expect(other != first)
        #expect(cache.count == 2)
    }

    @Test func `never grows beyond its limit`() throws {
        let cache = CertificateCache()
        let certificate = try TestAuthority().client().certificate()
        var der = certificate.der
        for number in 0..<CertificateCache.limit + 1 {
            // The signature's last bytes: read, but verified by nobody here.
            der[der.count - 1] = UInt8(truncatingIfNeeded: number)
            der[der.count - 2] = UInt8(truncatingIfNeeded: number >> 8)
            _ = try cache.certificate(Certificate(der: der).pointer)
        }
        #expect(cache.count == 1)
    }
}
