import FoundationEssentials
import OpenSSL
import Reports

/// Who signs: the secret is kept as it goes into the first HMAC, with `AWS4` before it.
package struct S3Credentials: Sendable {
    package let accessKey: String
    package let secret: SecretReference
    /// Of temporary credentials.
    package let token: SessionToken?

    /// A header's value: text only while a request is made of it.
    package struct SessionToken: Sendable {
        private let bytes: SecretReference

        init(taking bytes: inout [UInt8]) { self.bytes = SecretReference(taking: &bytes) }

        var text: String {
            bytes.withBytes { span in
                var text: [UInt8] = []
                for index in 0..<span.count { text.append(span[index]) }
                defer { wipe(&text) }
                return String(decoding: text, as: UTF8.self)
            }
        }
    }

    /// `secret` and `token` are wiped. nil where one has a character that none can have.
    init?(accessKey: String, secret: inout [UInt8], token: inout [UInt8]) {
        defer {
            wipe(&secret)
            wipe(&token)
        }
        let isWord = { (bytes: [UInt8]) in bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F } }
        guard !accessKey.isEmpty, !secret.isEmpty, isWord(Array(accessKey.utf8)), isWord(secret), isWord(token),
            !accessKey.contains(where: { "/,=".contains($0) })
        else { return nil }
        self.accessKey = accessKey
        var prefixed = Array("AWS4".utf8)
        prefixed.reserveCapacity(4 + secret.count)
        prefixed += secret
        self.secret = SecretReference(taking: &prefixed)
        self.token = token.isEmpty ? nil : SessionToken(taking: &token)
    }

    /// The form that AWS's tools have: lines `aws_access_key_id = …`, `aws_secret_access_key = …` and, of temporary
    /// ones, `aws_session_token = …`, alone or under `[default]`.
    static func read(_ path: String) throws(BackupError) -> S3Credentials {
        let contents: SecretReference
        do throws(OpenSSLError) { contents = try SecretReference.contents(of: path) } catch {
            throw BackupError(.target, "the credentials cannot be read: \(error)")
        }
        return try parse(contents, path)
    }

    static func parse(_ contents: SecretReference, _ path: String) throws(BackupError) -> S3Credentials {
        var text = contents.withSecret { $0.copy() }
        defer { wipe(&text) }
        var values: [String: [UInt8]] = [:]
        defer { for key in values.keys { wipe(&values[key, default: []]) } }
        var isDefault = true
        for line in text.split(separator: UInt8(ascii: "\n")).map(trimmed) {
            if line.first == UInt8(ascii: "[") { isDefault = line.elementsEqual("[default]".utf8) }
            guard isDefault, line.first != UInt8(ascii: "#"), let equals = line.firstIndex(of: UInt8(ascii: "="))
            else { continue }
            let name = String(decoding: trimmed(line[..<equals]), as: UTF8.self)
            values[name] = Array(trimmed(line[(equals + 1)...]))
        }
        var secret = values["aws_secret_access_key"] ?? []
        var token = values["aws_session_token"] ?? []
        let accessKey = String(decoding: values["aws_access_key_id"] ?? [], as: UTF8.self)
        guard let credentials = S3Credentials(accessKey: accessKey, secret: &secret, token: &token) else {
            throw BackupError(
                .target,
                "\(path) has no credentials: it needs lines 'aws_access_key_id = …' and "
                    + "'aws_secret_access_key = …'")
        }
        return credentials
    }

    /// Of the process; what an environment holds cannot be wiped, so that a file is the better place.
    static func fromEnvironment() throws(BackupError) -> S3Credentials {
        let variables = ProcessInfo.processInfo.environment
        var secret = Array((variables["AWS_SECRET_ACCESS_KEY"] ?? "").utf8)
        var token = Array((variables["AWS_SESSION_TOKEN"] ?? "").utf8)
        let accessKey = variables["AWS_ACCESS_KEY_ID"] ?? ""
        guard let credentials = S3Credentials(accessKey: accessKey, secret: &secret, token: &token) else {
            throw BackupError(
                .target, "the environment has no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        }
        return credentials
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D }
        var bytes = bytes.drop(while: isSpace)
        while let last = bytes.last, isSpace(last) { bytes.removeLast() }
        return bytes
    }
}

/// Where credentials come from. They are asked for again when a server says that they have expired.
package enum S3CredentialSource: Sendable, Equatable {
    case file(String)
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    case environment
}
