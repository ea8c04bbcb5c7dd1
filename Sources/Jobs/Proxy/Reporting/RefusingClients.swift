import Synchronization

/// Counts the clients that were let in lately and now say that they do not know who has certified us: whoever else says
/// so may be anybody, and a change of authorities must not be halted by anybody.
final class RefusingClients: Sendable {
    /// Those that were let in first are forgotten first.
    static let limit = 4096

    private struct Memory {
        /// Let in, and whether it has refused us since.
        var hasRefused: [PeerNetwork: Bool] = [:]
        var order: [PeerNetwork] = []
        var oldest = 0
        var count: UInt64 = 0
    }

    private let memory = Mutex(Memory())

    func letIn(_ client: PeerNetwork) {
        memory.withLock { memory in
            if memory.hasRefused.updateValue(false, forKey: client) != nil { return }
            guard memory.order.count == Self.limit else { return memory.order.append(client) }
            memory.hasRefused[memory.order[memory.oldest]] = nil
            memory.order[memory.oldest] = client
            memory.oldest = (memory.oldest + 1) % Self.limit
        }
    }

    /// One counts once until it is let in again.
    func refused(_ client: PeerNetwork) {
        memory.withLock { memory in
            guard memory.hasRefused[client] == false else { return }
            memory.hasRefused[client] = true
            memory.count += 1
        }
    }

    var count: UInt64 { memory.withLock { $0.count } }
}
