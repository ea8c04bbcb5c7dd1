import Dispatch

/// Off the cooperative threads, which the job under test needs.
package func blocking<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue(label: "test.blocking").async {
            continuation.resume(with: Swift.Result { try body() })
        }
    }
}
