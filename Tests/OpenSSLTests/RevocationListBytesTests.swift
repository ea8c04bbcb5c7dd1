import OpenSSL
import TestSupport
import Testing

/// What stands in a list, down to the octet; `TestListBytes` writes what `openssl ca` would not.
@Suite struct `The bytes of a revocation list` {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let words: String
        let change: @Sendable (inout TestListBytes) -> Void

        init(_ description: String, _ words: String, _ change: @escaping @Sendable (inout TestListBytes) -> Void) {
            testDescription = description
            self.words = words
            self.change = change
        }
    }

    private static let extended = DERBytes.extension(24, DERBytes.element(0x18, Array("20260101000000Z".utf8)))

    static let refused: [Case] = [
        Case("a length in two octets that fits into one", "longer than it has to be") {
            $0.entries = [0x30, 0x81, 0x12] + DERBytes.entry([1]).dropFirst(2)
        },
        Case("an indefinite length", "not definite") { $0.entries = [0x30, 0x80] + DERBytes.entry([1]) + [0, 0] },
        Case("a length beyond the end", "ends too early") { $0.entries = [0x30, 0x20, 0x02, 0x01, 0x01] },
        Case("a length of five octets", "too long") { $0.entries = [0x30, 0x85, 0, 0, 0, 0, 1] },
        Case("an entry that is no sequence", "another type") { $0.entries = DERBytes.element(0x31, [2, 1, 1]) },
        Case("an entry without a date", "ends too early") { $0.entries = DERBytes.sequence([2, 1, 1]) },
        Case("a serial number with a needless octet", "serial number") {
            $0.entries = DERBytes.sequence(DERBytes.integer([0, 1]) + DERBytes.entry([1]).dropFirst(5))
        },
        Case("an empty serial number", "serial number") {
            $0.entries = DERBytes.sequence(DERBytes.integer([]) + DERBytes.entry([1]).dropFirst(5))
        },
        Case("a serial number of 21 octets", "more than 20 octets") {
            $0.entries = DERBytes.entry([UInt8](repeating: 0xA1, count: 21))
        },
        Case("a date with a fraction", "date") {
            $0.entries = DERBytes.sequence([2, 1, 1] + DERBytes.element(0x18, Array("20260101000000.5Z".utf8)))
        },
        Case("a day that there is not", "date") { $0.nextUpdate = DERBytes.element(0x17, Array("270230000000Z".utf8)) },
        Case("a date in another zone", "date") {
            $0.thisUpdate = DERBytes.element(0x17, Array("260101000000+0100".utf8))
        },
        Case("no end", "nextUpdate") { $0.nextUpdate = [] },
        Case("an end before the beginning", "ends before it begins") { $0.nextUpdate = $0.thisUpdate },
        Case("an entry of another authority", "of another authority") {
            let name = DERBytes.element(0xA4, DERBytes.sequence([]))
            $0.entries = DERBytes.entry([1], DERBytes.extension(29, critical: true, DERBytes.sequence(name)))
        },
        Case("an entry of another authority, not marked critical", "of another authority") {
            $0.entries = DERBytes.entry([1], DERBytes.extension(29, DERBytes.sequence([])))
        },
        Case("an entry that takes a revocation back", "removeFromCRL") {
            $0.entries = DERBytes.entry([1], DERBytes.reason(8))
        },
        Case("an entry with two reasons", "two reasons") {
            $0.entries = DERBytes.entry([1], DERBytes.reason(1) + DERBytes.reason(2))
        },
        Case("an entry whose reason is a text", "another type") {
            $0.entries = DERBytes.entry([1], DERBytes.extension(21, DERBytes.element(0x0C, [0x41])))
        },
        Case("an entry with a critical extension", "an entry has a critical extension") {
            $0.entries = DERBytes.entry([1], DERBytes.extension(24, critical: true, []))
        },
        Case("an extension that is critical in a way of its own", "neither critical nor not") {
            $0.extensions = [DERBytes.sequence(DERBytes.identifier([0x55, 0x1D, 20]) + [1, 1, 1] + [4, 3, 2, 1, 1])]
        },
        Case("an extension whose identifier does not end", "is none") {
            $0.extensions = [DERBytes.extension(0x94, DERBytes.integer([1]))]
        },
        Case("an extension twice", "twice") { $0.extensions += [DERBytes.listNumber([2])] },
        Case("a negative number", "its number is negative") { $0.extensions = [DERBytes.listNumber([0x80])] },
        Case("a number of 21 octets", "its number is negative or too long") {
            $0.extensions = [DERBytes.listNumber([UInt8](repeating: 0x41, count: 21))]
        },
        Case("a delta CRL, not marked critical", "delta") { $0.extensions += [DERBytes.extension(27, [2, 1, 1])] },
        Case("more extensions than anybody needs", "more than 64") {
            $0.extensions = (36...100).map { DERBytes.extension($0, [5, 0]) }
        },
        Case("extensions in version 1", "behind its end") { $0.version = [] },
        Case("an entry with an extension in version 1", "version 1") {
            ($0.version, $0.extensions) = ([], [])
            $0.entries = DERBytes.entry([1], DERBytes.reason(1))
        },
        Case("version 3", "unknown version") { $0.version = DERBytes.integer([2]) },
        Case("another algorithm outside than inside", "two algorithms") {
            $0.outerAlgorithm = DERBytes.sequence(
                DERBytes.identifier([0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03]))
        },
        Case("an algorithm that nobody knows", "its signature is unknown") {
            $0.algorithm = DERBytes.sequence(DERBytes.identifier([0x2A, 0x03, 0x04]))
        },
        Case("a weak algorithm", "too weak") {
            $0.algorithm = DERBytes.sequence(DERBytes.identifier([0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x01]))
        },
        Case("RSA-PSS, which is with SHA-1 unless it says more", "too weak") {
            $0.algorithm = DERBytes.sequence(
                DERBytes.identifier([0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0A]) + DERBytes.sequence([]))
        },
    ]

    @Test(arguments: refused) func `are refused`(_ one: Case) throws {
        let authority = try Scenery.authority
        var list = try TestListBytes(of: authority.intermediate)
        one.change(&list)
        let bytes = try list.signed(by: authority.intermediate)
        let error = #expect(throws: OpenSSLError.self) { try RevocationList.parse(bytes) }
        #expect(error?.description.contains(one.words) == true, "\(error?.description ?? "")")
    }

    static let taken: [Case] = [
        Case("no entries", "0") { _ in },
        Case("an empty sequence of entries", "0") { $0.entries = [] },
        Case("an entry with all that may stand there", "2") {
            $0.entries =
                DERBytes.entry([0xFF], DERBytes.reason(1) + extended) + DERBytes.entry([0], DERBytes.reason(6))
        },
        Case("serial numbers of each length", "20") {
            $0.entries = (1...20).flatMap { DERBytes.entry([UInt8](repeating: 0x80, count: $0)) }
        },
        Case("a negative serial number, which nobody has", "1") {
            $0.entries = DERBytes.sequence(DERBytes.integer([0xFF]) + DERBytes.entry([1]).dropFirst(5))
        },
        Case("version 1", "1") {
            ($0.version, $0.extensions, $0.entries) = ([], [], DERBytes.entry([1]))
        },
        Case("a date of the next half century", "0") {
            $0.nextUpdate = DERBytes.element(0x18, Array("20610101000000Z".utf8))
        },
    ]

    @Test(arguments: taken) func `are taken`(_ one: Case) throws {
        let authority = try Scenery.authority
        var list = try TestListBytes(of: authority.intermediate)
        one.change(&list)
        let read = try RevocationList.parse(
            list.signed(by: authority.intermediate), issuers: [authority.intermediate.certificate()])
        #expect(read.map { "\($0.count)" } == [one.words])
    }

    /// A file as the plane serves it.
    @Test func `may follow those of another list`() throws {
        let authority = try Scenery.authority
        let one = try TestListBytes(of: authority.intermediate).signed(by: authority.intermediate)
        let other = try TestListBytes(of: authority.root).signed(by: authority.root)
        let issuers = [try authority.intermediate.certificate(), try authority.root.certificate()]
        #expect(try RevocationList.parse(one + other, issuers: issuers).map(\.issuer) == issuers.map(\.subject))
        #expect(throws: OpenSSLError.self) { try RevocationList.parse(one + other.dropLast()) }
        #expect(throws: OpenSSLError.self) {
            try RevocationList.parse(Array(repeatElement(one, count: 65).joined()))
        }
    }

    /// Of which the whole is kept to check it, and those of which a digest is.
    @Test(arguments: [TestCertificate.Key.ed25519, .ecP384, .rsa2048])
    func `are signed by keys of every kind`(_ key: TestCertificate.Key) throws {
        let authority = try Scenery.authority
        let signer = try authority.issue(
            name: "Lists", usage: [], isAuthority: true, pathLength: 0, key: key, by: .root)
        let pem = try authority.revocationList(by: signer) { $0.serials = ["0A1B"] }
        let list = try #require(try RevocationList.parse(pem, issuers: [signer.certificate()]).first)
        #expect(list.isIssued(by: try signer.certificate()))
        #expect(!list.isIssued(by: try authority.root.certificate()))
    }
}
