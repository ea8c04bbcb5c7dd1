import HTTP
import IO
import OpenSSL
import PlaneClient
import Reports
import Synchronization

/// Signs requests, sends them and asks again where that may help. Blocks the thread that calls; any number may.
final class S3Client: Sendable {
    /// A request and all its repetitions.
    static let deadline: Int64 = 900_000
    /// Of what is only tidied up: the next sweep comes.
    static let shortDeadline: Int64 = 10_000
    private static let requestTimeout = Duration.seconds(600)
    private static let stallTimeout = Duration.seconds(30)

    private struct State {
        var credentials: S3Credentials?
        /// What the server's clock is ahead of ours.
        var clockOffset: Int64 = 0
        var bandwidth: BandwidthStateMachine
        var sendRate: Int?
    }

    let settings: S3Settings
    private let http: HTTPClient
    private let state: Mutex<State>
    private let start = ContinuousClock.now
    /// Ends waits for another attempt when the program ends.
    private let ending = Halt()

    init(_ settings: S3Settings, name: String) throws(BackupError) {
        self.settings = settings
        let trust: ClientTrust = settings.isPlaintext ? .plaintext : .anchors(try settings.readTrust())
        if settings.isPlaintext, !settings.acknowledgesPlaintext {
            throw BackupError(.refused, "plain http is spoken only where that is acknowledged")
        }
        http = HTTPClient(lane: Lane(label: "backups-\(name)"), trust: trust, identity: nil)
        let rate = settings.bandwidth
        state = Mutex(State(bandwidth: BandwidthStateMachine(rate: rate.map(Int64.init)), sendRate: rate))
    }

    func close() async {
        ending.halt()
        await http.close()
    }

    /// From now on; nil: no limit.
    func limitBandwidth(to rate: Int?) {
        state.withLock { state in
            state.bandwidth.limitChanged(to: rate.map(Int64.init))
            state.sendRate = rate
        }
    }

    /// The answer, if it is good. `slowedDown` is told once when the server wishes for fewer requests; `halt` ends the
    /// waits between attempts.
    @discardableResult func perform(
        _ request: S3Request, within deadline: Int64 = S3Client.deadline, until halt: Halt? = nil,
        slowedDown: () -> Void = {}
    ) throws(S3Failure) -> HTTPResponse {
        var machine = RequestRetryStateMachine(deadline: now + deadline)
        while true {
            let (outcome, response, words) = try attempt(request, until: halt ?? ending)
            if case .good = outcome, let response { return response }
            let hadSlowedDown = machine.hasSlowedDown
            let action = machine.answered(
                outcome, at: now, retryAfter: response.flatMap(retryAfter), random: Self.random())
            if machine.hasSlowedDown, !hadSlowedDown { slowedDown() }
            let tries = machine.attempts == 1 ? "" : " (tried \(machine.attempts) times)"
            let failure = S3Failure(
                outcome: outcome, description: "\(request.what): \(words)\(tries)", attempts: machine.attempts)
            let delay: Int64
            switch action {
            case .finish, .fail, .restart: throw failure
            case .askAgain(let after): delay = after
            case .refresh(let after):
                state.withLock { $0.credentials = nil }
                delay = after
            case .adoptTime(let after):
                if let response { adoptClock(of: response) }
                delay = after
            }
            guard (halt ?? ending).wait(milliseconds: delay), !ending.isHalted else { throw failure }
        }
    }

    // MARK: one attempt

    private func attempt(
        _ request: S3Request, until halt: Halt
    ) throws(S3Failure) -> (RequestRetryStateMachine.Outcome, HTTPResponse?, words: String) {
        let signed: HTTPRequest
        do throws(BackupError) { signed = try sign(request) } catch {
            throw S3Failure(outcome: .refused(status: 0, code: ""), description: error.description)
        }
        let delay = state.withLock { $0.bandwidth.wanted(Int64(signed.body.count), at: now) }
        guard halt.wait(milliseconds: delay), !ending.isHalted else {
            throw S3Failure(outcome: .unanswered, description: "\(request.what): it was given up")
        }
        let response: HTTPResponse
        do throws(HTTPError) { response = try http.sendBlocking(signed, among: halt.calls) } catch {
            let isLasting = error.kind == .notAllowed || error.kind == .cancelled || error.kind == .tooLarge
            return (isLasting ? .refused(status: 0, code: "") : .unanswered, nil, error.detail)
        }
        guard (200...299).contains(response.status) else {
            let document = try? S3Request.document("Error", in: response)
            let code = document?.value("Code") ?? codeWithoutDocument(response)
            let words = [code, Self.printable(document?.value("Message") ?? "")].filter { !$0.isEmpty }
            return (
                .refused(status: response.status, code: code), response,
                (["status \(response.status)"] + words).joined(separator: ", ")
            )
        }
        if let flaw = request.flaw(response) { return (.falseSuccess, response, Self.printable(flaw)) }
        return (.good, response, "")
    }

    private func sign(_ request: S3Request) throws(BackupError) -> HTTPRequest {
        let credentials = try credentials()
        let (offset, rate) = state.withLock { ($0.clockOffset, $0.sendRate) }
        let body = request.body.bytes
        let isUnsigned = settings.checksums == .aws && !settings.isPlaintext && request.checksum != nil
        let hash =
            body.isEmpty
            ? SignatureV4.emptyPayloadHash
            : isUnsigned ? SignatureV4.unsignedPayload : hexadecimal(Digest.sha256(body))
        var headers = request.headers
        if let checksum = request.checksum { headers.append(("x-amz-checksum-crc32c", checksum)) }
        let path = settings.path(of: request.key)
        let signable = SignableRequest(
            method: request.method, path: path, query: request.query, headers: headers + [("host", settings.host)],
            payloadHash: hash)
        let signature = SignatureV4.headers(
            signing: signable, with: credentials, region: settings.region,
            at: Timestamp(seconds: Timestamp.now.seconds + offset))
        let query = SignatureV4.canonicalQuery(request.query)
        var signed = HTTPRequest(
            request.method,
            settings.origin + SignatureV4.encoded(path, keepsSlash: true) + (query.isEmpty ? "" : "?\(query)"),
            headers: headers + signature, body: body, timeout: Self.requestTimeout,
            responseLimit: request.answerLimit)
        if !body.isEmpty { signed.headers.append(("Content-Type", "application/octet-stream")) }
        signed.stallTimeout = Self.stallTimeout
        signed.sendRate = rate
        return signed
    }

    private func credentials() throws(BackupError) -> S3Credentials {
        if let known = state.withLock({ $0.credentials }) { return known }
        let found =
            switch settings.credentials {
            case .file(let path): try S3Credentials.read(path)
            case .environment: try S3Credentials.fromEnvironment()
            }
        state.withLock { $0.credentials = found }
        return found
    }

    // MARK: what answers tell

    /// An answer to HEAD has no body, and so no code (RFC 9110 §9.3.2): a refusal is put down to our clock where it is
    /// far from the server's, and else to temporary credentials where there are such.
    private func codeWithoutDocument(_ response: HTTPResponse) -> String {
        guard response.status == 403 || response.status == 400, response.body.isEmpty else { return "" }
        let (offset, isTemporary) = state.withLock { ($0.clockOffset, $0.credentials?.token != nil) }
        let theirs = response.header("Date").flatMap(HTTPDate.parse)
        if let theirs, abs(theirs - Timestamp.now.seconds - offset) > 300 { return "RequestTimeTooSkewed" }
        return isTemporary ? "ExpiredToken" : ""
    }

    /// What is written there has the store's dates, and this node's clock may be years off.
    func byItsClock(_ time: Timestamp) -> Timestamp {
        Timestamp(seconds: time.seconds + state.withLock { $0.clockOffset })
    }

    private func adoptClock(of response: HTTPResponse) {
        guard let theirs = response.header("Date").flatMap(HTTPDate.parse) else { return }
        state.withLock { $0.clockOffset = theirs - Timestamp.now.seconds }
    }

    /// Seconds or a date (RFC 9110 §10.2.3), in milliseconds.
    private func retryAfter(_ response: HTTPResponse) -> Int64? {
        guard let text = response.header("Retry-After") else { return nil }
        if let seconds = Int64(text), seconds >= 0, seconds < 86_400 { return seconds * 1000 }
        return HTTPDate.parse(text).map { max(0, min($0 - Timestamp.now.seconds, 86_400)) * 1000 }
    }

    private var now: Int64 { Int64(start.duration(to: .now) / .milliseconds(1)) }

    private static func random() -> UInt64 { secureRandom(8).reduce(0) { $0 << 8 | UInt64($1) } }

    /// A server's words go into logs and onto terminals.
    private static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.prefix(300).map { $0.value < 32 ? " " : $0 }))
    }
}
