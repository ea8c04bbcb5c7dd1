import OpenSSL
import Reports
import Testing

@testable import Backups

/// Amazon's worked examples: "Signature Calculations for the Authorization Header: Transferring Payload in a Single
/// Chunk", Amazon S3 API Reference.
@Suite struct `A request to an object store` {
    private static func credentials(token: String = "") throws -> S3Credentials {
        var secret = Array("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".utf8)
        var token = Array(token.utf8)
        return try #require(S3Credentials(accessKey: "AKIAIOSFODNN7EXAMPLE", secret: &secret, token: &token))
    }

    /// 2013-05-24T00:00:00Z
    private static let time = Timestamp(seconds: 1_369_353_600)
    private static let host = (name: "host", value: "examplebucket.s3.amazonaws.com")

    private static func authorization(_ request: SignableRequest, token: String = "") throws -> String {
        let headers = SignatureV4.headers(
            signing: request, with: try credentials(token: token), region: "us-east-1", at: time)
        return try #require(headers.last { $0.name == "Authorization" }?.value)
    }

    @Test func `is signed as in Amazon's example of a range`() throws {
        let request = SignableRequest(
            method: "GET", path: "/test.txt", headers: [Self.host, ("Range", "bytes=0-9")],
            payloadHash: SignatureV4.emptyPayloadHash)
        #expect(
            try Self.authorization(request)
                == "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
                + "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
                + "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    }

    @Test func `is signed as in Amazon's example of a stored object`() throws {
        let request = SignableRequest(
            method: "PUT", path: "/test$file.text",
            headers: [
                Self.host, ("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ], payloadHash: hexadecimal(Digest.sha256(Array("Welcome to Amazon S3.".utf8))))
        #expect(
            try Self.authorization(request).hasSuffix(
                "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"))
    }

    @Test(arguments: [
        ([("lifecycle", "")], "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ([("prefix", "J"), ("max-keys", "2")], "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ])
    func `is signed as in Amazon's examples of a query`(_ query: [(String, String)], _ signature: String) throws {
        let request = SignableRequest(
            method: "GET", path: "/", query: query.map { (name: $0.0, value: $0.1) }, headers: [Self.host],
            payloadHash: SignatureV4.emptyPayloadHash)
        #expect(try Self.authorization(request).hasSuffix("Signature=" + signature))
    }

    /// "Examples of how to derive a signing key", AWS General Reference.
    @Test func `has a key that is derived as in Amazon's example`() {
        var secret = Array("AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".utf8)
        let key = SignatureV4.signingKey(
            SecretReference(taking: &secret), day: "20120215", region: "us-east-1", service: "iam")
        #expect(
            key.withSecret { hexadecimal($0.copy()) }
                == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d")
    }

    @Test func `has its session token under the signature`() throws {
        let request = SignableRequest(
            method: "GET", path: "/", headers: [Self.host], payloadHash: SignatureV4.unsignedPayload)
        let with = try Self.authorization(request, token: "one")
        #expect(with.contains("x-amz-date;x-amz-security-token,"))
        #expect(try with != Self.authorization(request, token: "two"))
        let headers = SignatureV4.headers(
            signing: request, with: try Self.credentials(token: "one"), region: "us-east-1", at: Self.time)
        #expect(headers.first { $0.name == "x-amz-security-token" }?.value == "one")
        #expect(headers.first { $0.name == "x-amz-content-sha256" }?.value == "UNSIGNED-PAYLOAD")
    }

    @Test(arguments: [
        ("/a/b c+d~e_f-g.h", "/a/b%20c%2Bd~e_f-g.h"), ("/100%/ü", "/100%25/%C3%BC"), ("/a%2Fb", "/a%252Fb"),
        ("/=&?*'", "/%3D%26%3F%2A%27"),
    ])
    func `has each byte of its path encoded once`(_ path: String, _ encoded: String) {
        #expect(SignatureV4.encoded(path, keepsSlash: true) == encoded)
        #expect(!SignatureV4.encoded(path, keepsSlash: false).contains("/"))
    }

    @Test func `has its query sorted as it is encoded, and an equals sign behind each name`() {
        #expect(
            SignatureV4.canonicalQuery([("uploads", ""), ("prefix", "a/b"), ("a", "2"), ("a", "1"), ("A", "ü")])
                == "A=%C3%BC&a=1&a=2&prefix=a%2Fb&uploads=")
    }

    @Test func `names headers with a common start in the order of their names`() {
        let request = SignableRequest(method: "GET", path: "/", headers: [], payloadHash: "x")
        let (_, signed) = SignatureV4.canonicalRequest(
            request, headers: [("x-amz-meta-a-b", "1"), ("X-Amz-Meta-A", "  2   3 "), ("host", "h")])
        #expect(signed == "host;x-amz-meta-a;x-amz-meta-a-b")
    }
}

@Suite struct `Credentials of an object store` {
    private static func parse(_ text: String) throws(BackupError) -> S3Credentials {
        var bytes = Array(text.utf8)
        return try S3Credentials.parse(SecretReference(taking: &bytes), "/credentials")
    }

    @Test(arguments: [
        "aws_access_key_id = AKID\naws_secret_access_key=secret/+1\n",
        "# ours\n[other]\naws_access_key_id = no\naws_secret_access_key = no\n[default]\r\n"
            + "aws_access_key_id=AKID\r\n aws_secret_access_key =\tsecret/+1 \r\nregion = x\n",
    ])
    func `are read in the form that Amazon's tools have`(_ text: String) throws {
        let credentials = try Self.parse(text)
        #expect(credentials.accessKey == "AKID")
        #expect(credentials.secret.withSecret { $0.copy() } == Array("AWS4secret/+1".utf8))
        #expect(credentials.token == nil)
        #expect(!"\(credentials)".contains("secret/"))
    }

    @Test func `may be temporary`() throws {
        let text = "aws_access_key_id = A\naws_secret_access_key = b\naws_session_token = c==\n"
        #expect(try Self.parse(text).token?.text == "c==")
    }

    @Test(arguments: [
        "", "aws_access_key_id = A\n", "aws_secret_access_key = b\n",
        "aws_access_key_id = A/b\naws_secret_access_key = b",
        "aws_access_key_id = A\naws_secret_access_key = b c\n",
        "aws_access_key_id = A\naws_secret_access_key = b\naws_session_token = \u{1}\n",
    ])
    func `that are none are refused with the file's name, and show nothing of it`(_ text: String) {
        do throws(BackupError) {
            _ = try Self.parse(text)
            Issue.record("\(text) was taken")
        } catch {
            #expect(error.description.contains("/credentials has no credentials"))
            #expect(!error.description.contains("b c"))
        }
    }
}
