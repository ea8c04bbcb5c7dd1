import Foundation
import OpenSSL
import TestSupport
import Testing

@testable import PlaneClient

@Suite struct `An EST server's bag of certificates` {
    private static let authority = Result { try TestAuthority() }

    /// certs-only PKCS#7 by the openssl program, which shares no code with our reader.
    private func bag(_ files: [String]) throws -> [UInt8] {
        let folder = try TemporaryDirectory()
        let arguments = ["crl2pkcs7", "-nocrl", "-outform", "DER", "-out", folder.file("bag")]
        try Subprocess.check("openssl", arguments + files.flatMap { ["-certfile", $0] })
        return try folder.read("bag")
    }

    private func usual() throws -> [UInt8] {
        let authority = try Self.authority.get()
        return try bag([authority.root.certificatePath, authority.intermediate.certificatePath])
    }

    private func detail(_ body: () throws -> [Certificate]) -> String? {
        do {
            return "accepted: \(try body())"
        } catch let error as PlaneError {
            return error.kind == .protocolError ? error.detail : "another kind"
        } catch {
            return "another error"
        }
    }

    @Test func `is read as OpenSSL wrote it`() throws {
        let authority = try Self.authority.get()
        let found = try CertificateBag.certificates(in: try usual())
        #expect(Set(found) == [try authority.root.certificate(), try authority.intermediate.certificate()])
    }

    @Test func `is read with indefinite lengths, as some servers send it`() throws {
        let der = try usual()
        for depth in 0...3 {
            let ber = IndefiniteLengths.encode(der, depth: depth)
            #expect(ber.contains(0x80) && ber != der)
            #expect(try CertificateBag.certificates(in: ber).count == 2, "to depth \(depth)")
        }
    }

    @Test func `is read as OpenSSL reads it, in DER and in BER`() throws {
        let folder = try TemporaryDirectory()
        for depth in -1...3 {
            let bytes = depth < 0 ? try usual() : IndefiniteLengths.encode(try usual(), depth: depth)
            let input = try folder.write(bytes, to: "bag")
            let arguments = ["pkcs7", "-inform", "DER", "-in", input, "-print_certs"]
            let printed = try Subprocess.check("openssl", arguments)
            let theirs = try Certificate.parsePEM(Array(printed.utf8))
            #expect(try CertificateBag.certificates(in: bytes) == theirs, "to depth \(depth)")
        }
    }

    @Test func `holds no certificate of more than 16 KiB`() throws {
        let leaf = try TestAuthority().issue(
            name: "long", dnsNames: (0..<1000).map { "a-rather-long-name-\($0).example" }, usage: [.client])
        #expect(try leaf.certificate().der.count > CertificateBag.certificateSizeLimit)
        let said = detail { try CertificateBag.certificates(in: try bag([leaf.certificatePath])) }
        #expect(said?.contains("longer than 16384 bytes") == true, "\(said ?? "")")
    }

    @Test func `is refused when it ends anywhere before its end, or goes on after it`() throws {
        let der = try usual()
        for count in 0..<der.count {
            #expect(throws: PlaneError.self) { try CertificateBag.certificates(in: Array(der[..<count])) }
        }
        #expect(throws: PlaneError.self) { try CertificateBag.certificates(in: der + [0]) }
        let ber = IndefiniteLengths.encode(der, depth: 3)
        for count in 0..<ber.count {
            #expect(throws: PlaneError.self) { try CertificateBag.certificates(in: Array(ber[..<count])) }
        }
    }

    @Test func `never crashes the reader, whatever byte is changed`() throws {
        let der = try usual()
        for index in der.indices {
            for value in [der[index] ^ 0x01, der[index] ^ 0x80, 0x00, 0xFF] {
                var changed = der
                changed[index] = value
                _ = try? CertificateBag.certificates(in: changed)
            }
        }
        for count in [1, 2, 10, 1000] {
            let noise = (0..<count).map { _ in UInt8.random(in: 0...255) }
            #expect(throws: PlaneError.self) { try CertificateBag.certificates(in: noise) }
        }
        let nested = (0..<100_000).map { $0.isMultiple(of: 2) ? UInt8(0x30) : 0x80 }
        #expect(throws: PlaneError.self) { try CertificateBag.certificates(in: nested) }
    }

    @Test func `holds one to 32 certificates`() throws {
        let root = try Self.authority.get().root.certificatePath
        #expect(try CertificateBag.certificates(in: try bag(Array(repeating: root, count: 32))).count == 32)
        #expect(
            detail { try CertificateBag.certificates(in: try bag(Array(repeating: root, count: 33))) }?
                .contains("more than 32") == true)
        let empty: [UInt8] = [
            0x30, 0x23, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02, 0xA0, 0x16, 0x30, 0x14, 0x02,
            0x01, 0x01, 0x31, 0x00, 0x30, 0x0B, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01, 0x31,
            0x00,
        ]
        #expect(detail { try CertificateBag.certificates(in: empty) }?.contains("no certificate") == true)
    }

    @Test func `that is signed, or carries content, is none`() throws {
        let authority = try Self.authority.get()
        let signer = try authority.client()
        let folder = try TemporaryDirectory()
        try folder.write("content", to: "content")
        for extra in [["-nodetach"], []] {
            try Subprocess.check(
                "openssl",
                [
                    "cms", "-sign", "-in", folder.file("content"), "-signer", signer.certificatePath, "-inkey",
                    signer.keyPath, "-outform", "DER", "-out", folder.file("signed"),
                ] + extra)
            #expect(throws: PlaneError.self) { try CertificateBag.certificates(in: try folder.read("signed")) }
        }
    }

    @Test func `comes in base64, wrapped in any way or not at all, and in nothing else`() throws {
        let der = try usual()
        let flat = Data(der).base64EncodedString()
        let lines = Data(der).base64EncodedString(options: [.lineLength64Characters, .endLineWithCarriageReturn])
        let wrapped = String(decoding: ESTClient.wrapped(der), as: UTF8.self)
        let spaced = flat.map { "\($0) \t" }.joined()
        for text in [flat, lines, wrapped, spaced, "\r\n\(flat)\r\n", flat + "\n"] {
            #expect(try CertificateBag.certificates(inBase64: Array(text.utf8)).count == 2)
        }
        let armoured = "-----BEGIN PKCS7-----\n\(flat)\n-----END PKCS7-----\n"
        let urlSafe = flat.replacing("+", with: "-").replacing("/", with: "_")
        for text in [armoured, flat + "\u{0}", flat.dropLast(1) + "!", "\u{B}" + flat, "", " \r\n", urlSafe + "-"] {
            #expect(throws: PlaneError.self) { try CertificateBag.certificates(inBase64: Array(text.utf8)) }
        }
        let raw = detail { try CertificateBag.certificates(inBase64: der) }
        #expect(raw?.contains("raw DER") == true, "it says what the server forgot")
        let large = [UInt8](repeating: UInt8(ascii: "A"), count: CertificateBag.sizeLimit + 1)
        #expect(detail { try CertificateBag.certificates(inBase64: large) }?.contains("longer than") == true)
    }

    @Test func `is asked for in lines of 76 columns with CRLF, which every server reads`() {
        let lines = String(decoding: ESTClient.wrapped(Array(repeating: 7, count: 500)), as: UTF8.self)
            .components(separatedBy: "\r\n")
        #expect(lines.last == "")
        #expect(lines.dropLast().dropLast().allSatisfy { $0.utf8.count == 76 })
        #expect(!lines.joined().contains("\n"))
    }
}

/// Rewrites DER with BER's indefinite lengths in the outermost constructed values.
enum IndefiniteLengths {
    static func encode(_ der: [UInt8], depth: Int) -> [UInt8] {
        var out: [UInt8] = []
        var index = 0
        while index < der.count {
            let start = index
            let tag = der[index]
            index += 1
            var length = Int(der[index])
            index += 1
            if length & 0x80 != 0 {
                let count = length & 0x7F
                length = der[index..<(index + count)].reduce(0) { $0 << 8 | Int($1) }
                index += count
            }
            let content = Array(der[index..<(index + length)])
            index += length
            if tag & 0x20 != 0, depth >= 0 {
                out += [tag, 0x80] + encode(content, depth: depth - 1) + [0, 0]
            } else {
                out += der[start..<index]
            }
        }
        return out
    }
}
