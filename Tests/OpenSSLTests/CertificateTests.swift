import Glibc
import OpenSSL
import TestSupport
import Testing

@Suite struct `A certificate` {
    @Test func `is read as openssl reads it`() throws {
        let identity = try Scenery.authority.issue(
            name: "alice", organization: "Acme, \"Inc\"", organizationalUnit: "Zürich", dnsNames: ["a.example", "b"],
            addresses: ["10.0.0.1", "2001:db8::1"], uris: ["spiffe://acme/ns/a"], emails: ["a@example.org"],
            usage: [.client, .server])
        let certificate = try identity.certificate()
        func openssl(_ option: String...) throws -> String {
            try Subprocess.check("openssl", ["x509", "-noout", "-in", identity.certificatePath] + option)
        }
        #expect(try openssl("-serial") == "serial=\(certificate.serial.filter { $0 != ":" })\n")
        #expect(
            try openssl("-fingerprint", "-sha256").uppercased().hasSuffix(
                "=\(certificate.fingerprint.map { hexText($0) }.joined(separator: ":"))\n"))
        #expect(
            try openssl("-subject", "-nameopt", "RFC2253,-esc_msb,utf8") == "subject=\(certificate.subject)\n")
        #expect(try openssl("-issuer", "-nameopt", "RFC2253") == "issuer=\(certificate.issuer)\n")
        #expect(certificate.commonNames == ["alice"])
        #expect(certificate.organizations == ["Acme, \"Inc\""])
        #expect(certificate.organizationalUnits == ["Zürich"])
        #expect(certificate.dnsNames == ["a.example", "b"])
        #expect(certificate.uris == ["spiffe://acme/ns/a"])
        #expect(certificate.emails == ["a@example.org"])
        #expect(certificate.addresses == [[10, 0, 0, 1], hex("20010db8000000000000000000000001")])
        #expect(certificate.allowsClientAuthentication && certificate.allowsServerAuthentication)
        #expect(certificate.extendedKeyUsages == ["1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1"])
        #expect(certificate.keyUsage == .digitalSignature)
        #expect(certificate.keyKind == .ellipticCurve && certificate.keyBits == 256)
        #expect(!certificate.isAuthority && !certificate.isSelfSigned)
        #expect(abs(certificate.notAfter - Int64(time(nil)) - 86400) < 120)
        #expect(certificate.notAfter - certificate.notBefore == 86400 + 3600)
        #expect(try Certificate(der: certificate.der) == certificate)
        #expect(try Certificate.parsePEM(Array(certificate.pem.utf8)) == [certificate])
        let key = try PrivateKey(pemFile: identity.keyPath)
        #expect(certificate.publicKeySHA256 == Digest.sha256(key.publicKeyDER))
    }

    @Test func `of an authority says so`() throws {
        let authority = try Scenery.authority
        let root = try authority.root.certificate()
        #expect(root.isAuthority && root.isSelfSigned)
        #expect(root.keyUsage == [.certificateSigning, .listSigning])
        #expect(root.subjectDER == root.issuerDER)
        let intermediate = try authority.intermediate.certificate()
        #expect(intermediate.isAuthority && !intermediate.isSelfSigned)
        #expect(intermediate.subjectAlternativeNameDER == nil)
        #expect(intermediate != root)
    }

    @Test func `cut anywhere, or with bytes after it, is refused`() throws {
        let der = try Scenery.client.certificate().der
        for cut in 0..<der.count {
            #expect(throws: OpenSSLError.self) { try Certificate(der: Array(der.prefix(cut))) }
        }
        #expect(throws: OpenSSLError.self) { try Certificate(der: der + [0]) }
        #expect(throws: OpenSSLError.self) { try Certificate(der: [UInt8](repeating: 0x30, count: 100_000)) }
    }

    /// One certificate must not have two fingerprints.
    @Test func `in BER around what is signed is refused`() throws {
        let der = try Scenery.client.certificate().der
        try #require(der.starts(with: [0x30, 0x82]))
        #expect(throws: OpenSSLError.self) { try Certificate(der: [0x30, 0x83, 0] + der[2...]) }
    }

    @Test func `with any one byte changed is read or refused, without a crash`() throws {
        let original = try Scenery.server.certificate()
        let der = original.der
        var readable = 0
        for index in der.indices {
            for change in [0x01, 0x80, 0xFF] as [UInt8] {
                var changed = der
                changed[index] ^= change
                if let certificate = try? Certificate(der: changed) {
                    readable += 1
                    #expect(certificate != original)
                }
            }
        }
        #expect(readable > 0)
    }

    private func hexText(_ byte: UInt8) -> String {
        let text = String(byte, radix: 16, uppercase: true)
        return byte < 16 ? "0\(text)" : text
    }
}

@Suite struct `A name that could be read in two ways is refused` {
    /// DER of a certificate for "alice-the-client" whose alternative names and subject the tests spoil.
    private static func template() throws -> [UInt8] {
        try Scenery.authority.issue(
            name: "alice-the-client", dnsNames: ["db.example.org"], uris: ["spiffe://acme/db"],
            emails: ["alice@example.org"],
            extensions: ["1.3.6.1.4.1.99999.1": "ASN1:NULL", "1.3.6.1.4.1.99999.2": "ASN1:NULL"]
        ).certificate().der
    }

    private func replace(_ old: [UInt8], with new: [UInt8], in bytes: [UInt8]) throws -> [UInt8] {
        precondition(old.count == new.count)
        for start in 0...(bytes.count - old.count) where bytes[start..<start + old.count].elementsEqual(old) {
            return Array(bytes[..<start] + new + bytes[(start + old.count)...])
        }
        throw TestSupportError("the certificate has no such bytes")
    }

    private func expectRefusal(_ old: [UInt8], _ new: [UInt8], _ word: String) throws {
        let der = try Self.template()
        #expect((try? Certificate(der: der)) != nil)
        let spoiled = try replace(old, with: new, in: der)
        let error = #expect(throws: OpenSSLError.self) { try Certificate(der: spoiled) }
        #expect(error?.description.contains(word) == true, "\(String(describing: error))")
    }

    private func text(_ tag: UInt8, _ value: String) -> [UInt8] { [tag, UInt8(value.utf8.count)] + value.utf8 }

    @Test(arguments: ["db\0example.org", "db.example.or\u{7f}", "db example.org", "\ndb.example.or"])
    func `in the DNS names`(name: String) throws {
        try expectRefusal(text(0x82, "db.example.org"), text(0x82, name), "alternative names")
    }

    @Test func `beyond ASCII in the DNS names`() throws {
        try expectRefusal(
            text(0x82, "db.example.org"), [0x82, 14, 0xC3, 0xA4] + Array(".example.orgx".utf8).prefix(12),
            "alternative names")
    }

    @Test func `NUL in a URI and in an e-mail address`() throws {
        try expectRefusal(text(0x86, "spiffe://acme/db"), text(0x86, "spiffe://acme\0db"), "alternative names")
        try expectRefusal(text(0x81, "alice@example.org"), text(0x81, "alice\0example.org"), "alternative names")
    }

    @Test func `an address of a wrong length`() throws {
        try expectRefusal(text(0x82, "db.example.org"), text(0x87, "db.example.org"), "address")
    }

    @Test(arguments: [0x1E, 0x1C, 0x14] as [UInt8])
    func `a common name of another string type`(tag: UInt8) throws {
        try expectRefusal(text(0x0C, "alice-the-client"), text(tag, "alice-the-client"), "subject")
    }

    @Test(arguments: ["alice\0the-client", "alice\nthe-client", "alice\u{7f}the-client"])
    func `a control character in the common name`(name: String) throws {
        try expectRefusal(text(0x0C, "alice-the-client"), text(0x0C, name), "control")
    }

    @Test func `a common name that is not UTF-8`() throws {
        try expectRefusal(
            text(0x0C, "alice-the-client"), [0x0C, 16, 0xC3, 0x28] + Array("ice-the-client".utf8), "utf8")
    }

    @Test func `an extension that is there twice`() throws {
        let der = try Self.template()
        // 1.3.6.1.4.1.99999.n: the last byte tells the two apart.
        let prefix = hex("2b06010401868d1f")
        try expectRefusal(prefix + [2], prefix + [1], "twice")
        #expect(try Certificate(der: der).dnsNames == ["db.example.org"])
    }
}

@Suite struct `A PEM file` {
    @Test func `gives its certificates in order, with text before each`() throws {
        let chain = try Scenery.client.chainPEM
        let found = try Certificate.parsePEM(Array("a comment\n".utf8) + chain)
        #expect(found.map(\.commonNames) == [["alice"], ["Test Intermediate"]])
        let windows = Array(String(decoding: chain, as: UTF8.self).replacing("\n", with: "\r\n").utf8)
        #expect(try Certificate.parsePEM(windows) == found)
    }

    @Test func `is refused when any of it is broken`() throws {
        let chain = String(decoding: try Scenery.client.chainPEM, as: UTF8.self)
        let key = String(decoding: try Scenery.authority.folder.key(of: try Scenery.client), as: UTF8.self)
        let broken = [
            "", "nothing", chain + "garbage", chain + "-----BEGIN CERTIFICATE-----\n",
            chain + key, String(chain.dropLast(40)), String(chain.dropFirst(1)), "-" + chain,
            chain.replacing("-----END CERTIFICATE-----", with: "-----END CERTIFICATE----"),
            chain.replacing("MII", with: "M!I"), chain.replacing("CERTIFICATE", with: "TRUSTED CERTIFICATE"),
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ]
        for text in broken {
            #expect(throws: OpenSSLError.self, "\(text.prefix(60))…") { try Certificate.parsePEM(Array(text.utf8)) }
        }
    }

    @Test func `that is broken says in which block and line`() throws {
        let chain = String(decoding: try Scenery.client.chainPEM, as: UTF8.self)
        let lineCount = chain.split(separator: "\n").count
        let second = try #require(
            chain.split(separator: "\n").lastIndex { $0.hasPrefix("-----BEGIN") }.map { $0 + 1 })
        let end = "-----END CERTIFICATE-----\n"
        let broken: [(String, String)] = [
            (chain + chain.replacing("MII", with: "M!I"), "block 3 (line \(lineCount + 1))"),
            (String(chain.dropLast(end.count)), "block 2 (line \(second))"),
            (chain + "\nrest\n", "line \(lineCount + 2): there is text"),
            (chain + end, "line \(lineCount + 1): the end"),
            (
                chain + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "block 3 (line \(lineCount + 1))"
            ),
            (chain + "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "block 3 (line \(lineCount + 1))"),
            (chain.dropLast() + "x", "block 2 (line \(second))"),
        ]
        for (text, place) in broken {
            let error = #expect(throws: OpenSSLError.self) { try Certificate.parsePEM(Array(text.utf8)) }
            #expect(error?.description.contains(place) == true, "\(place): \(error?.description ?? "")")
        }
        #expect(
            try Certificate.blocks(ofPEM: Array(chain.utf8)).map(\.place) == [
                "block 1 (line 1)", "block 2 (line \(second))",
            ])
    }

    @Test func `cut anywhere never gives more than whole certificates, and never silently fewer`() throws {
        let chain = try Scenery.client.chainPEM
        let end = Array("-----END CERTIFICATE-----".utf8)
        for cut in stride(from: 0, to: chain.count - 1, by: 7) {
            let part = Array(chain.prefix(cut))
            let isWhole = part.suffix(end.count).elementsEqual(end) || part.suffix(end.count + 1).starts(with: end)
            if let found = try? Certificate.parsePEM(part) {
                #expect(isWhole && found.count == 1, "cut at \(cut)")
            }
        }
    }
}

extension TemporaryDirectory {
    fileprivate func key(of identity: TestIdentity) throws -> [UInt8] {
        try read(String(identity.keyPath.dropFirst(path.count + 1)))
    }
}
