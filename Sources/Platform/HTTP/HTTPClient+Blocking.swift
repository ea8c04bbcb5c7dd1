import Dispatch
import IO
import Synchronization

/// Calls that threads are blocked in, so that all of them can be ended at once.
package final class BlockingCalls: Sendable {
    private struct Contents {
        var isCancelled = false
        var nextNumber: UInt64 = 0
        var running: [UInt64: @Sendable () -> Void] = [:]
    }

    private let contents = Mutex(Contents())

    package init() {}

    /// Ends those that are under way, and each that begins from now on.
    package func cancel() {
        let running = contents.withLock { contents in
            contents.isCancelled = true
            return contents.running.values.map { $0 }
        }
        for end in running { end() }
    }

    fileprivate func began(_ end: @escaping @Sendable () -> Void) -> UInt64 {
        let (number, isCancelled) = contents.withLock { contents in
            contents.nextNumber += 1
            contents.running[contents.nextNumber] = end
            return (contents.nextNumber, contents.isCancelled)
        }
        if isCancelled { end() }
        return number
    }

    fileprivate func ended(_ number: UInt64) {
        contents.withLock { _ = $0.running.removeValue(forKey: number) }
    }
}

/// What a thread waits for.
private final class BlockingCall: Sendable {
    private struct Contents {
        var number: UInt64?
        var isCancelled = false
        var result: Result<HTTPResponse, HTTPError>?
    }

    private let contents = Mutex(Contents())
    private let isAnswered = DispatchSemaphore(value: 0)

    var number: UInt64? { contents.withLock { $0.number } }
    var isCancelled: Bool { contents.withLock { $0.isCancelled } }

    func has(_ number: UInt64) { contents.withLock { $0.number = number } }
    func cancel() { contents.withLock { $0.isCancelled = true } }

    func answer(_ result: Result<HTTPResponse, HTTPError>) {
        contents.withLock { $0.result = result }
        isAnswered.signal()
    }

    func wait() -> Result<HTTPResponse, HTTPError> {
        isAnswered.wait()
        return contents.withLock { $0.result } ?? .failure(.wasCancelled)
    }
}

extension HTTPClient {
    /// `send` for a thread that may block, such as one of a stream; never for this client's own lane. No task takes
    /// part in it, so that it ends while all cooperative threads are busy. `onResponse` is not told.
    package nonisolated func sendBlocking(
        _ request: HTTPRequest, among calls: BlockingCalls? = nil
    ) throws(HTTPError) -> HTTPResponse {
        let call = BlockingCall()
        let number = calls?.began {
            call.cancel()
            self.submit { client in if let number = call.number { client.abort(number) } }
        }
        submit { $0.take(request, call) }
        defer { if let number { calls?.ended(number) } }
        return try call.wait().get()
    }

    private func take(_ request: HTTPRequest, _ call: BlockingCall) {
        guard !call.isCancelled else { return call.answer(.failure(.wasCancelled)) }
        do throws(HTTPError) {
            let number = try takeNumber(for: request)
            call.has(number)
            begin(request, number) { result in
                call.answer(result)
                self.submit { $0.ended() }
            }
        } catch { call.answer(.failure(error)) }
    }
}
