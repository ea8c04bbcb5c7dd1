import IO
import OpenSSL

/// HTTPS by libcurl's multi interface, on a lane of its own.
///
/// One client for each generation of identity and trust: what a context callback set is no part of libcurl's decision
/// to reuse a connection (curl/curl#2916), so another generation must have another multi handle.
package actor HTTPClient: LaneResident {
    /// Requests at once; one more fails at once.
    private static let limit = 64

    package nonisolated let lane: Lane
    package let poller: Poller
    private let trust: ClientTrust
    private let identity: TLSIdentity?
    private let onResponse: (@Sendable (HTTPResponse) -> Void)?
    private let transfers: Transfers
    private var nextNumber: UInt64 = 0
    private var underWay = 0
    private var isClosed = false
    private var drained: [CheckedContinuation<Void, Never>] = []

    /// Becomes the resident of `lane`. `identity`: our certificate, never with provisional trust. `onResponse`: told of
    /// each answer before who asked for it; it must return at once.
    package init(
        lane: Lane, trust: ClientTrust, identity: TLSIdentity?,
        onResponse: (@Sendable (HTTPResponse) -> Void)? = nil
    ) {
        switch trust {
        case .anchors: break
        case .provisional, .plaintext: precondition(identity == nil, "who is not verified is shown no identity")
        }
        self.lane = lane
        self.trust = trust
        self.identity = identity
        self.onResponse = onResponse
        poller = Poller(lane: lane)
        transfers = Transfers(poller: poller)
        lane.start(self)
    }

    /// The answer, whatever its status. Redirects are not followed. Cancelling the task ends the transfer.
    package func send(_ request: HTTPRequest) async throws(HTTPError) -> HTTPResponse {
        let number = try takeNumber(for: request)
        let result: Result<HTTPResponse, HTTPError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // Cancelled before it began: the call of `onCancel` found nothing to abort.
                if Task.isCancelled { return continuation.resume(returning: .failure(.wasCancelled)) }
                begin(request, number) { continuation.resume(returning: $0) }
            }
        } onCancel: {
            submit { $0.abort(number) }
        }
        ended()
        let response = try result.get()
        onResponse?(response)
        return response
    }

    /// A place among those that are under way, until `ended`.
    func takeNumber(for request: HTTPRequest) throws(HTTPError) -> UInt64 {
        if let refusal = request.refusal(on: trust) { throw HTTPError(.notAllowed, refusal) }
        guard !isClosed else { throw HTTPError(.cancelled, "the client is closed") }
        guard underWay < Self.limit else {
            throw HTTPError(.notAllowed, "\(Self.limit) requests are under way already")
        }
        underWay += 1
        defer { nextNumber += 1 }
        return nextNumber
    }

    func begin(_ request: HTTPRequest, _ number: UInt64, _ waiter: @escaping Transfer.Waiter) {
        guard let transfer = Transfer(request, number, trust: trust, identity: identity, waiter: waiter) else {
            return waiter(.failure(HTTPError(.protocolError, "libcurl has no memory for a request")))
        }
        transfers.start(transfer)
    }

    func abort(_ number: UInt64) { transfers.abort(number) }

    func ended() {
        underWay -= 1
        guard underWay == 0 else { return }
        for waiting in drained { waiting.resume() }
        drained = []
    }

    /// Ends what is under way with `cancelled`, closes the connections, then lets the lane go.
    package func close() async {
        isClosed = true
        transfers.close()
        await lane.stop()
    }

    /// Takes no more requests, lets those under way end (each has its deadline), then closes.
    package func retire() async {
        isClosed = true
        if underWay > 0 { await withCheckedContinuation { drained.append($0) } }
        await close()
    }
}
