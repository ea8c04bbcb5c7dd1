import NIOPosix

/// Runs blocking work (a transaction and its fsync) on NIO's thread pool, so that no event loop or task waits in it.
func offLoop<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await NIOThreadPool.singleton.runIfActive(work)
}
