import Foundation
import OpenSSL

/// What a test wants to stand in a CRL, and the `openssl` configuration that says so.
package struct TestRevocationList: Sendable {
    package var revoked: [TestIdentity] = []
    /// Beside those, in hexadecimal.
    package var serials: [String] = []
    /// nil: without one.
    package var number: Int? = 1
    /// Seconds from now.
    package var validity: ClosedRange<Double> = -3600...86400
    package var digest = "sha256"
    /// Lines of its extension section by name, beside the authority's key identifier.
    package var extensions: [String: String] = [:]

    package init() {}

    /// Of the one list of a PEM file.
    package static func der(ofPEM pem: [UInt8]) throws -> [UInt8] {
        let lines = String(decoding: pem, as: UTF8.self).split(separator: "\n").filter { !$0.hasPrefix("-----") }
        guard let der = Data(base64Encoded: lines.joined()) else { throw CocoaError(.coderInvalidValue) }
        return Array(der)
    }

    func configuration(folder: String) -> String {
        let number = number == nil ? "" : "crlnumber = \(folder)/crlnumber"
        let extensions = extensions.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)" }
        return """
            [ca]
            default_ca = authority
            [authority]
            database = \(folder)/index.txt
            new_certs_dir = \(folder)
            default_md = \(digest)
            unique_subject = no
            crl_extensions = extensions
            \(number)
            [extensions]
            authorityKeyIdentifier = keyid:always
            \(extensions.joined(separator: "\n"))
            [point]
            onlyuser = TRUE
            [authorities]
            onlyCA = TRUE
            [indirect]
            indirectCRL = TRUE
            [distribution]
            fullname = URI:http://crl.example/part

            """
    }

    fileprivate func index() throws -> String {
        let all = try revoked.map { try $0.certificate().serial.filter { $0 != ":" } } + serials
        return all.map { "R\t491231235959Z\t260101000000Z\t\($0)\tunknown\t/CN=\($0)\n" }.joined()
    }

    fileprivate var dates: [String] {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(secondsFromGMT: 0)
        format.dateFormat = "yyyyMMddHHmmss'Z'"
        return [
            "-crl_lastupdate", format.string(from: Date(timeIntervalSinceNow: validity.lowerBound)),
            "-crl_nextupdate", format.string(from: Date(timeIntervalSinceNow: validity.upperBound)),
        ]
    }
}

extension TestAuthority {
    /// In PEM, signed by the intermediate unless told otherwise.
    package func revocationList(
        by issuer: TestIdentity? = nil, _ change: (inout TestRevocationList) -> Void = { _ in }
    ) throws -> [UInt8] {
        var list = TestRevocationList()
        change(&list)
        let issuer = issuer ?? intermediate
        let base = folder.file("crl-" + UUID().uuidString)
        try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: base) }
        var number = String(list.number ?? 1, radix: 16)
        if !number.count.isMultiple(of: 2) { number = "0" + number }
        let files = [
            "openssl.cnf": list.configuration(folder: base), "index.txt": try list.index(),
            "index.txt.attr": "unique_subject = no\n", "crlnumber": number + "\n",
        ]
        for (name, text) in files { try Data(text.utf8).write(to: URL(fileURLWithPath: "\(base)/\(name)")) }
        try Subprocess.check(
            "openssl",
            [
                "ca", "-gencrl", "-config", "\(base)/openssl.cnf", "-cert", issuer.certificatePath, "-keyfile",
                issuer.keyPath, "-out", "\(base)/crl.pem",
            ] + list.dates)
        return Array(try Data(contentsOf: URL(fileURLWithPath: "\(base)/crl.pem")))
    }
}
