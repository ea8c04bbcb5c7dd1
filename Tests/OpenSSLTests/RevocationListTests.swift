import OpenSSL
import TestSupport
import Testing

@Suite struct `A revocation list` {
    @Test func `is read in PEM and in DER`() throws {
        let authority = try Scenery.authority
        let pem = try authority.revocationList {
            $0.serials = ["0A1B", "FF"]
            $0.number = 4711
        }
        let list = try #require(try RevocationList.parse(pem, issuers: [authority.intermediate.certificate()]).first)
        #expect(list.count == 2 && list.number == "4711")
        #expect(list.issuer == (try authority.intermediate.certificate()).subject)
        #expect(list.nextUpdate - list.thisUpdate == 90_000)
        let der = try TestRevocationList.der(ofPEM: pem)
        #expect(try RevocationList.parse(der).first?.fingerprint == list.fingerprint)
        let two = try RevocationList.parse(pem + authority.revocationList(by: authority.root))
        #expect(two.count == 2)
    }

    @Test(arguments: [
        ("delta", "deltaCRL", "critical,DER:020101", "delta"),
        ("indirect", "issuingDistributionPoint", "critical,@indirect", "indirect"),
        ("for one distribution point", "issuingDistributionPoint", "critical,@distribution", "the complete one"),
        ("with a critical extension that nobody knows", "1.2.3.4", "critical,DER:0500", "unknown"),
    ])
    func `is refused where it is not complete in itself`(
        what: String, name: String, value: String, reason: String
    ) throws {
        let pem = try Scenery.authority.revocationList { $0.extensions = [name: value] }
        let error = #expect(throws: OpenSSLError.self) { try RevocationList.parse(pem) }
        #expect(error?.description.contains(reason) == true, "\(what): \(error?.description ?? "")")
    }

    @Test func `is refused when it is weak, too long in time, foreign under a known name, or no list`() throws {
        let authority = try Scenery.authority
        let weak = try authority.revocationList { $0.digest = "sha1" }
        #expect(throws: OpenSSLError.self) { try RevocationList.parse(weak) }
        let backwards = try authority.revocationList { $0.validity = 3600...3600 }
        #expect(throws: OpenSSLError.self) { try RevocationList.parse(backwards) }
        let long = try authority.revocationList { $0.serials = [String(repeating: "A1", count: 21)] }
        #expect(throws: OpenSSLError.self) { try RevocationList.parse(long) }
        let namesake = try TestAuthority().revocationList()
        let error = #expect(throws: OpenSSLError.self) {
            try RevocationList.parse(namesake, issuers: [authority.intermediate.certificate()])
        }
        #expect(error?.description.contains("its signature is not that of") == true)
        let good = try authority.revocationList()
        for hostile in [
            [], Array(good.dropLast(40)), good + Array("x".utf8), try authority.root.certificatePEM, [0x30],
        ] {
            #expect(throws: OpenSSLError.self) { try RevocationList.parse(hostile) }
        }
        let der = try TestRevocationList.der(ofPEM: good)
        #expect(throws: OpenSSLError.self) { try RevocationList.parse(der + [0]) }
        for length in stride(from: 1, to: der.count, by: 7) {
            #expect(throws: OpenSSLError.self) { try RevocationList.parse(Array(der[..<length])) }
        }
    }

    @Test func `is older by its number, else by its date`() throws {
        let authority = try Scenery.authority
        func list(_ number: Int?, _ begin: Double) throws -> RevocationList {
            try RevocationList.parse(
                authority.revocationList {
                    $0.number = number
                    $0.validity = begin...90_000
                })[0]
        }
        let first = try list(9, -7200)
        #expect(first.isOlder(than: try list(10, -7200)))
        #expect(first.isOlder(than: try list(256, -9000)), "numbers count, not their text, nor dates beside them")
        #expect(!(try list(10, -3600).isOlder(than: first)))
        #expect(!first.isOlder(than: first))
        #expect(first.isOlder(than: try list(nil, -3600)))
        #expect(!first.isOlder(than: try list(nil, -9000)))
    }
}
