import IO
import OpenSSL

/// HTTPS by libcurl's multi interface, on a lane of its own.
///
/// One client for each generation of identity and trust: what a context callback set is no part of libcurl's decision to
/// reuse a connection (curl/curl#2916), so another generation must have another multi handle.
package actor HTTPClient: LaneResident {
    /// Requests at once; one more fails at once.
    private static let limit = 64

    package nonisolated let lane: Lane
    package let poller: Poller
    private let trust: ClientTrust
    private let identity: TLSIdentity?
    private let transfers: Transfers
    private var nextNumber: UInt64 = 0
    private var handles: [UInt64: UnsafeMutableRawPointer] = [:]
    private var isClosed = false
    private var drained: [CheckedContinuation<Void, Never>] = []

    /// Becomes the resident of `lane`. `identity`: our certificate, never with provisional trust.
    package init(lane: Lane, trust: ClientTrust, identity: TLSIdentity?) {
        if case .provisional = trust { precondition(identity == nil, "a provisional client has no identity") }
        self.lane = lane
        self.trust = trust
        self.identity = identity
        poller = Poller(lane: lane)
        transfers = Transfers(poller: poller)
        lane.start(self)
    }

    /// The answer, whatever its status. Redirects are not followed. Cancelling the task ends the transfer.
    package func send(_ request: HTTPRequest) async throws(HTTPError) -> HTTPResponse {
        if case .provisional = trust, request.basicPassword != nil {
            throw HTTPError(.notAllowed, "a password is sent only to a server that was verified")
        }
        guard request.url.hasPrefix("https://") else {
            throw HTTPError(.notAllowed, "only https is spoken: \(request.url)")
        }
        guard !isClosed else { throw HTTPError(.cancelled, "the client is closed") }
        guard transfers.count < Self.limit else {
            throw HTTPError(.notAllowed, "\(Self.limit) requests are under way already")
        }
        let number = nextNumber
        nextNumber += 1
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard !Task.isCancelled,
                    let transfer = Transfer(request, trust: trust, identity: identity, waiter: continuation)
                else {
                    return continuation.resume(returning: .failure(HTTPError(.cancelled, "the request was cancelled")))
                }
                handles[number] = transfer.handle
                transfers.start(transfer)
            }
        } onCancel: {
            submit { $0.cancel(number) }
        }
        handles[number] = nil
        if handles.isEmpty {
            for waiting in drained { waiting.resume() }
            drained = []
        }
        return try result.get()
    }

    /// Ends what is under way with `cancelled`, then lets the lane go.
    package func close() async {
        isClosed = true
        transfers.abortAll()
        await lane.stop()
    }

    /// Takes no more requests, lets those under way end (each has its deadline), then closes.
    package func retire() async {
        isClosed = true
        if !handles.isEmpty { await withCheckedContinuation { drained.append($0) } }
        await close()
    }

    private func cancel(_ number: UInt64) {
        if let handle = handles.removeValue(forKey: number) { transfers.abort(handle) }
    }
}
