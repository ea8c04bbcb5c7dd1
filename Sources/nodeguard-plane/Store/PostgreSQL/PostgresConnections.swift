import Synchronization

/// The sessions that are open and not in use. There are no more than there are places for readers and writers.
final class PostgresConnections: Sendable {
    private struct State {
        var idle: [PostgresConnection] = []
        var reconnection = ReconnectionStateMachine()
    }

    private let address: PostgresAddress
    private let state = Mutex(State())

    init(_ address: PostgresAddress) { self.address = address }

    /// Blocks while it connects; while the database is away, throws at once.
    func borrow() throws -> PostgresConnection {
        let action = try state.withLock { state -> PostgresConnection? in
            if let connection = state.idle.popLast() { return connection }
            guard state.reconnection.wanted(at: PostgresConnection.milliseconds()) == .connect else {
                throw StoreProblem.unavailable("the database \(address.description) cannot be reached")
            }
            return nil
        }
        if let action { return action }
        do {
            let connection = try PostgresConnection(address)
            state.withLock { $0.reconnection.connected() }
            return connection
        } catch {
            state.withLock { $0.reconnection.failed(at: PostgresConnection.milliseconds()) }
            throw StoreProblem.unavailable("the database \(address.description) cannot be reached: \(error)")
        }
    }

    /// Ends what is left of a transaction; a session that cannot do that is closed.
    func giveBack(_ connection: PostgresConnection) {
        if connection.isInTransaction { _ = try? connection.run("ROLLBACK") }
        if connection.isInTransaction { return }
        state.withLock { $0.idle.append(connection) }
    }

    /// One was lost: the others that are idle have most likely met the same end.
    func forgetIdle() { state.withLock { $0.idle = [] } }
}
