import Dispatch
import Synchronization

/// Calls that threads are blocked in, so that all of them can be ended at once.
package final class BlockingCalls: Sendable {
    private struct Contents {
        var isCancelled = false
        var nextNumber: UInt64 = 0
        var running: [UInt64: Task<Void, Never>] = [:]
    }

    private let contents = Mutex(Contents())

    package init() {}

    /// Ends those that are under way, and each that begins from now on.
    package func cancel() {
        let running = contents.withLock { contents in
            contents.isCancelled = true
            return contents.running.values.map { $0 }
        }
        for task in running { task.cancel() }
    }

    fileprivate func began(_ task: Task<Void, Never>) -> UInt64 {
        let (number, isCancelled) = contents.withLock { contents in
            contents.nextNumber += 1
            contents.running[contents.nextNumber] = task
            return (contents.nextNumber, contents.isCancelled)
        }
        if isCancelled { task.cancel() }
        return number
    }

    fileprivate func ended(_ number: UInt64) {
        contents.withLock { _ = $0.running.removeValue(forKey: number) }
    }
}

extension HTTPClient {
    private final class Answer: Sendable {
        let result = Mutex<Result<HTTPResponse, HTTPError>?>(nil)
        let isThere = DispatchSemaphore(value: 0)
    }

    /// `send` for a thread that may block, such as one of a stream: never for one of the cooperative pool, nor for this
    /// client's own lane.
    package nonisolated func sendBlocking(
        _ request: HTTPRequest, among calls: BlockingCalls? = nil
    ) throws(HTTPError) -> HTTPResponse {
        let answer = Answer()
        let task = Task.detached {
            let result: Result<HTTPResponse, HTTPError>
            do throws(HTTPError) { result = .success(try await self.send(request)) } catch { result = .failure(error) }
            answer.result.withLock { $0 = result }
            answer.isThere.signal()
        }
        let number = calls?.began(task)
        answer.isThere.wait()
        if let number { calls?.ended(number) }
        guard let result = answer.result.withLock({ $0 }) else { throw HTTPError.wasCancelled }
        return try result.get()
    }
}
