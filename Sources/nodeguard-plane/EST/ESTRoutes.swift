import FoundationEssentials
import HTTPTypes
import Hummingbird
import PlaneAPI

/// Enrollment over Secure Transport for every label the plane gives (RFC 7030 with RFC 8951).
struct ESTRoutes: Sendable {
    let calls: Calls
    /// nil: nothing is served.
    let credentials: ServerCredentials?
    /// Of each address: each is verified while nobody else can write.
    private let proofs = RateLimit(burst: 20, rate: 5)

    init(calls: Calls, credentials: ServerCredentials?) {
        self.calls = calls
        self.credentials = credentials
    }

    func add(to router: Router<PlaneRequestContext>) {
        router.get("/.well-known/est/:label/:operation") { try await get($0, $1) }
        router.post("/.well-known/est/:label/:operation") { try await post($0, $1) }
    }

    private func label(_ context: PlaneRequestContext) throws -> ESTLabel {
        let text = context.parameters.get("label") ?? ""
        guard let label = ESTLabel(text) else { throw Refusal.unknownLabel(text) }
        return label
    }

    /// `cacerts` and `csrattrs` need no client certificate (RFC 7030 §4.1.2).
    private func get(_ request: Request, _ context: PlaneRequestContext) async throws -> Response {
        try await calls.answer("est.read", context, .anybody) { _ in
            let label = try label(context)
            switch context.parameters.get("operation") {
            case EST.Operation.authorities.rawValue: return try await authorities(label, context)
            // No wishes beyond what the operator allowed: 204 (RFC 7030 §4.5.2).
            case EST.Operation.attributes.rawValue: return Response(status: .noContent)
            default: throw Self.unknownOperation
            }
        }
    }

    /// Roots and intermediates that are trusted, and the roots' words for each other (RFC 7030 §4.1.3). A node of the
    /// cluster hears as well what it is to renew.
    private func authorities(_ label: ESTLabel, _ context: PlaneRequestContext) async throws -> Response {
        let caller = try? await calls.identify(context)
        let (bundle, revision, renewals) = try await calls.state.database.read { database in
            let inForce = try AuthoritiesInForce(of: label.cluster, database)
            let renewals = caller.map { inForce.renewals(of: $0.place, in: $0.cluster) } ?? []
            return (
                inForce.bundle(of: label.cluster), try TrustRevision.current(of: label.cluster, database), renewals
            )
        }
        guard let bundle else { throw Refusal.unknownLabel(label.cluster) }
        var response = Self.response(try CertificateBag(bundle))
        guard let caller, caller.cluster == label.cluster else { return response }
        if !renewals.isEmpty, let name = TrustRevision.renewalHeader {
            response.headers[name] = RenewalWindow.text(of: renewals)
        }
        return response.telling(revision)
    }

    private func post(_ request: Request, _ context: PlaneRequestContext) async throws -> Response {
        let operation = context.parameters.get("operation").flatMap(EST.Operation.init) ?? .authorities
        let name = operation == .reenroll ? "certificate.renew" : "certificate.issue"
        return try await calls.answer(name, context) { identity in
            let label = try label(context)
            switch operation {
            case .enroll:
                let credential = try credential(request, identity)
                if case .recovery = credential, !proofs.admit(context.channel.remoteAddress?.ipAddress ?? "?") {
                    throw Refusal.tooMany("too many proofs come from there", after: 10)
                }
                let enrollment = try await enrollment(request, label)
                return try await issue { try enrollment.enroll(by: credential, now: $0) }
            case .reenroll:
                guard let identity else {
                    throw Refusal.unauthorized(
                        "identity-required", "a renewal needs the current node identity as client certificate")
                }
                let enrollment = try await enrollment(request, label)
                return try await issue { try enrollment.renew(by: identity, now: $0) }
            case .authorities, .attributes: throw Self.unknownOperation
            }
        }
    }

    private func issue(_ body: @escaping @Sendable (Int64) throws -> [UInt8]) async throws -> Response {
        let der = try await offLoop { [credentials] in
            let now = UnixTime.now
            let der = try body(now)
            try credentials?.refreshIfGrown(now: now)
            return der
        }
        return Self.response(try CertificateBag([der]))
    }

    private func enrollment(_ request: Request, _ label: ESTLabel) async throws -> Enrollment {
        let type = request.headers[.contentType]?.prefix { $0 != ";" }.lowercased()
        guard type?.trimmingPrefix(" ").prefix(while: { $0 != " " }) == "application/pkcs10" else {
            throw Refusal(
                status: .unsupportedMediaType, reason: "media-type", detail: "send the request as application/pkcs10")
        }
        let body = try await calls.collect(request, upTo: 2 * EnrollmentRequest.sizeLimit)
        return Enrollment(state: calls.state, label: label, request: try EnrollmentRequest(base64: body))
    }

    /// The client certificate if there is one, else the password of HTTP Basic: a join token, whatever the
    /// user's name is, or the proof of the node that the user's name says.
    private func credential(_ request: Request, _ identity: NodeIdentity?) throws -> Enrollment.Credential {
        if let identity { return .identity(identity) }
        guard let header = request.headers[.authorization] else {
            throw Refusal.unauthorized(
                "credentials-required", "show the node identity as client certificate, or a join token as password")
        }
        let parts = header.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "basic", let bytes = Data(base64Encoded: String(parts[1])),
            let colon = bytes.firstIndex(of: UInt8(ascii: ":"))
        else {
            throw Refusal.unauthorized("token-unknown", "the credentials are not HTTP Basic")
        }
        let password = String(decoding: bytes[bytes.index(after: colon)...], as: UTF8.self)
        guard let (challenge, signature) = Recovery.parts(ofPassword: password) else { return .token(password) }
        let node = String(decoding: bytes[..<colon], as: UTF8.self)
        return .recovery(NodeRecovery.Proof(node: node, challenge: challenge, signature: signature))
    }

    private static let unknownOperation = Refusal(
        status: .notFound, reason: "operation-unknown", detail: "this plane has no such EST operation")

    private static func response(_ bag: CertificateBag) -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/pkcs7-mime; smime-type=certs-only"],
            body: .init(byteBuffer: ByteBuffer(string: bag.base64)))
    }
}
