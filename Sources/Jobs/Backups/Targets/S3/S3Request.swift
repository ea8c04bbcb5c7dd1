import HTTP
import OpenSSL

/// One call of the store's API, before it is signed.
struct S3Request: Sendable {
    enum Body: Sendable {
        case none
        /// Of a backup: nothing that is not sealed, or public.
        case sealed(SealedPayload)
        /// Of the API itself: a list of part numbers.
        case document(String)

        var bytes: [UInt8] {
            switch self {
            case .none: []
            case .sealed(let payload): payload.bytes
            case .document(let text): Array(text.utf8)
            }
        }
    }

    let method: String
    /// In the bucket; nil: the bucket itself.
    let key: String?
    var query: [(name: String, value: String)] = []
    var headers: [(name: String, value: String)] = []
    var body = Body.none
    /// CRC-32C of the body, base64, where the server is told.
    var checksum: String?
    var answerLimit = 256 << 10
    /// A list or an error document can be long.
    static let listLimit = 8 << 20

    /// What is wrong with an answer of 2xx; nil if nothing is.
    var flaw: @Sendable (HTTPResponse) -> String? = { _ in nil }

    var what: String { "\(method) \(key ?? "the bucket")" }

    init(_ method: String, _ key: String?, query: [(name: String, value: String)] = []) {
        (self.method, self.key, self.query) = (method, key, query)
    }

    /// The root of an answer, which must have that name.
    static func document(_ name: String, in response: HTTPResponse) throws(XMLElement.Malformed) -> XMLElement {
        let root = try XMLElement.parse(response.body)
        guard root.name == name else {
            let code = root.name == "Error" ? " (\(root.value("Code") ?? "without a code"))" : ""
            throw XMLElement.Malformed(reason: "an answer of \(root.name)\(code) where \(name) was expected")
        }
        return root
    }

    /// Answers must be a document of that name: an error may come with status 200.
    mutating func expectDocument(_ name: String, with children: [String] = []) {
        flaw = { response in
            do throws(XMLElement.Malformed) {
                let root = try Self.document(name, in: response)
                let missing = children.first { root.value($0)?.isEmpty ?? true }
                return missing.map { "\(name) has no \($0)" }
            } catch { return error.reason }
        }
    }
}

/// Why a request of a store has not had its effect, as far as anybody knows.
struct S3Failure: Error, Sendable {
    let outcome: RequestRetryStateMachine.Outcome
    let description: String
    var attempts = 1

    var isMissing: Bool { if case .refused(404, let code) = outcome { code != "NoSuchBucket" } else { false } }
    /// 412: something by that name is there.
    var isTaken: Bool { if case .refused(412, _) = outcome { true } else { false } }
    /// It may have had its effect all the same.
    var isAmbiguous: Bool {
        switch outcome {
        // What is refused now may have been done before.
        case _ where attempts > 1: true
        case .unanswered, .falseSuccess: true
        case .refused(let status, let code): status >= 500 || status == 412 || code == "NoSuchUpload"
        case .good: false
        }
    }

    func error(in target: String) -> BackupError { BackupError(.target, "target \(target): \(description)") }
}
