import FoundationEssentials
import HTTP
import IO
import OpenSSL
import PlaneAPI

/// A backup key as the plane gave it: in clear for now, and wrapped for later.
package struct DataKey: Sendable {
    package let id: String
    package let secret: SecretReference
    package let wrapped: [UInt8]
    /// Which wrapping key, and its version.
    package let kek: String
}

/// The agent's one client of the management plane. Dials out only; each generation of trust and identity has
/// connections of its own, and the one before ends when its requests have.
package actor PlaneClient: QueueConfined {
    package nonisolated let queue = SerialQueue(label: "plane")
    /// Without a slash at the end.
    package nonisolated let url: String
    package nonisolated let estURL: String
    /// Of each call to EST, from its beginning to the last byte of the answer.
    package nonisolated let estTimeout: Duration
    package nonisolated let trustNews = TrustNewsWatch()
    private let estUser: String
    private var client: HTTPClient?
    private var hasIdentity = false
    private var generation = 0

    /// `estURL`: where EST is spoken if not at `url`. `estUser`: the user's name beside the token.
    package init(
        url: String, estURL: String? = nil, estUser: String = "", estTimeout: Duration = .seconds(60)
    ) {
        self.estUser = estUser
        self.estTimeout = estTimeout
        self.url = Self.trimmed(url)
        self.estURL = Self.trimmed(estURL ?? url)
    }

    private static func trimmed(_ url: String) -> String {
        String(url.reversed().drop { $0 == "/" }.reversed())
    }

    /// From now on the server must be certified by `trust`, and we are `identity`.
    package func replaceCredentials(trust: TrustAnchors, identity: TLSIdentity?) {
        let old = client
        hasIdentity = identity != nil
        generation += 1
        client = HTTPClient(
            lane: Lane(label: "plane-\(generation)"), trust: .anchors(trust), identity: identity,
            onResponse: { [trustNews] in trustNews.heard($0) })
        // Its last answers may still be on their way, and nobody should wait for them here.
        if let old { Task { await old.retire() } }
    }

    package func close() async {
        await client?.close()
        client = nil
    }

    func current() throws(PlaneError) -> HTTPClient {
        guard let client else { throw PlaneError(.unreachable, "this node has not joined yet") }
        return client
    }

    /// For what the plane answers to a joined node alone; asking without an identity would only be refused.
    func joined() throws(PlaneError) -> HTTPClient {
        guard hasIdentity else { throw PlaneError(.unreachable, "this node has not joined yet") }
        return try current()
    }

    // MARK: EST

    package func authorities(label: String) async throws(PlaneError) -> Authorities {
        try await ESTClient.authorities(try current(), url: estURL, label: label, timeout: estTimeout)
    }

    /// `keyKind`: what a request's key is where the server wishes none.
    package func wishes(label: String, keyKind: KeyKind) async throws(PlaneError) -> RequestWishes {
        try await ESTClient.wishes(try current(), url: estURL, label: label, keyKind: keyKind, timeout: estTimeout)
    }

    /// First enrolment with a token, or a role's certificate under the node identity. `user`: nil for that of the
    /// configuration.
    package func enroll(
        label: String, request: [UInt8], token: SecretReference?, as user: String? = nil
    ) async throws(PlaneError) -> [Certificate] {
        try await ESTClient.enroll(
            try current(), url: estURL, label: label, operation: .enroll, request: request, token: token,
            user: user ?? estUser, timeout: estTimeout)
    }

    /// The node identity again, under itself.
    package func reenroll(label: String, request: [UInt8]) async throws(PlaneError) -> [Certificate] {
        try await ESTClient.enroll(
            try current(), url: estURL, label: label, operation: .reenroll, request: request, token: nil,
            timeout: estTimeout)
    }

    // MARK: keys

    package func createKey(backup: String) async throws(PlaneError) -> DataKey {
        let what = "create a backup key"
        return try KeyAnswer.created(
            try await key(Keys.path, KeyCreation(backup: backup), doing: what), doing: what)
    }

    /// `reason`: what the key is wanted for; the plane audits it.
    package func unwrapKey(
        id: String, wrapped: [UInt8], kek: String, reason: String
    ) async throws(PlaneError) -> SecretReference {
        let what = "unwrap a backup key"
        let request = KeyUnwrapping(wrapped: Data(wrapped), kek: kek, reason: reason)
        return try KeyAnswer.unwrapped(
            try await key(Keys.unwrapPath(id: id), request, doing: what), doing: what)
    }

    /// Asks for the key's deletion, which the plane carries out after its delay.
    package func requestKeyDeletion(id: String) async throws(PlaneError) {
        let request = HTTPRequest("POST", url + Keys.deletionPath(id: id), headers: [("Accept", "application/json")])
        let response = try await sendRequest(request, try joined())
        _ = try Answer.body(of: response, doing: "request a key's deletion")
    }

    // MARK: audit

    /// `publicKey`: the raw 32 bytes of an Ed25519 key. Idempotent.
    package func registerAuditKey(epoch: UInt64, publicKey: [UInt8]) async throws(PlaneError) {
        _ = try await call(
            "PUT", AuditBatches.keyPath(epoch: epoch), AuditKey(publicKey: Data(publicKey)),
            doing: "register the audit key")
    }

    /// A batch as `AuditBatches` describes it.
    package func sendAudit(
        epoch: UInt64, first: UInt64, last: UInt64, body: [UInt8]
    ) async throws(PlaneError) -> AuditAcknowledgement {
        let request = HTTPRequest(
            "PUT", url + AuditBatches.path(epoch: epoch, first: first, last: last),
            headers: [("Accept", "application/json"), ("Content-Type", AuditBatches.contentType)], body: body)
        let response = try await sendRequest(request, try joined())
        return try Self.decode(try Answer.body(of: response, doing: "ship audit events"), doing: "ship audit events")
    }

    /// The C2SP verifier key with which the plane cosigns checkpoints.
    package func auditWitness() async throws(PlaneError) -> String {
        let what = "ask for the witness key"
        let request = HTTPRequest("GET", url + AuditBatches.witnessPath, headers: [("Accept", "text/plain")])
        let body = try Answer.body(of: try await sendRequest(request, try joined()), doing: what)
        let line = body.prefix { $0 != 0x0A }
        guard !line.isEmpty, body.count <= AuditBatches.witnessLimit, body.count - line.count <= 1,
            let text = String(validating: line, as: UTF8.self)
        else { throw PlaneError(.protocolError, "\(what): the plane's answer is not one line of text") }
        return text
    }

    // MARK: JSON

    /// An answer with a key in it, in memory that wipes itself.
    private func key(
        _ path: String, _ value: some Encodable, doing what: String
    ) async throws(PlaneError) -> SecretReference {
        var request = try Self.request("POST", url + path, value, doing: what)
        request.answersSecret = true
        request.responseLimit = KeyAnswer.sizeLimit
        let response = try await sendRequest(request, try joined())
        _ = try Answer.body(of: response, doing: what)
        guard let secret = response.secret else { throw Answer.error(of: response, doing: what) }
        return secret
    }

    private func call(
        _ method: String, _ path: String, _ value: some Encodable, doing what: String
    ) async throws(PlaneError) -> [UInt8] {
        let request = try Self.request(method, url + path, value, doing: what)
        return try Answer.body(of: try await sendRequest(request, try joined()), doing: what)
    }

    static func request(
        _ method: String, _ url: String, _ value: some Encodable, doing what: String
    ) throws(PlaneError) -> HTTPRequest {
        let body: Data
        do {
            body = try JSONEncoder.plane.encode(value)
        } catch {
            throw PlaneError(.request, "\(what): \(error)")
        }
        return HTTPRequest(
            method, url, headers: [("Accept", "application/json"), ("Content-Type", "application/json")],
            body: Array(body))
    }

    private static func decode<Value: Decodable>(_ body: [UInt8], doing what: String) throws(PlaneError) -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(body))
        } catch {
            throw PlaneError(.protocolError, "\(what): the plane's answer is not the JSON that was expected")
        }
    }
}
