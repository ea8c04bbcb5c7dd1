import NIOCore
import Synchronization

/// Who waits for the next revocation list of a cluster, or for a node's next desired state under the name
/// `CLUSTER/NODE`, and until when. Both are made by other processes, so somebody has to look (`look`) again and again.
final class RevocationNews: Sendable {
    /// How soon the news reaches those who wait.
    static let interval = TimeAmount.milliseconds(200)

    private struct Waiter {
        let cluster: String
        let tag: String
        let deadline: NIODeadline
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        /// By the serial numbers of their identities.
        var waiters: [String: Waiter] = [:]
        var isClosed = false
    }

    private let limit: Int
    private let state = Mutex(State())

    /// `limit`: no more wait at a time.
    init(limit: Int = PlaneServer.connectionLimit) { self.limit = limit }

    /// Returns true when there may be another list than that of this tag, when the time is over, or when the same node
    /// asks again: each has one place. False, at once, where too many wait.
    func wait(for cluster: String, after tag: String, seconds: Int, as node: String) async -> Bool {
        await withCheckedContinuation { continuation in
            let (waits, earlier) = state.withLock { state in
                let earlier = state.waiters.removeValue(forKey: node)
                if state.isClosed || state.waiters.count >= limit { return (false, earlier) }
                state.waiters[node] = Waiter(
                    cluster: cluster, tag: tag, deadline: .now() + .seconds(Int64(seconds)), continuation: continuation)
                return (true, earlier)
            }
            earlier?.continuation.resume(returning: true)
            if !waits { continuation.resume(returning: false) }
        }
    }

    /// Lets those go on for whom there is news. `current`: the tag of a cluster's list; nil: a new one has to be made.
    func look(_ current: (String) throws -> String?) rethrows {
        let clusters = Set(state.withLock { $0.waiters.values.map(\.cluster) })
        var tags: [String: String] = [:]
        for cluster in clusters { tags[cluster] = try current(cluster) }
        let now = NIODeadline.now()
        release { clusters.contains($0.cluster) && tags[$0.cluster] != $0.tag || $0.deadline <= now }
    }

    /// Lets everybody go on: something else is new, of which each answer tells.
    func wake() { release { _ in true } }

    /// Nobody waits any more: the plane ends.
    func close() {
        state.withLock { $0.isClosed = true }
        release { _ in true }
    }

    /// What those who wait have seen: of the lists, and of whom to trust, which an answer names as well. nil: a list
    /// has to be made.
    static func mark(of cluster: String, now: Int64, _ database: Database) throws -> String? {
        guard let tag = try PublishedLists.tag(of: cluster, now: now, database) else { return nil }
        return try tag + TrustRevision.current(of: cluster, database)
    }

    private func release(_ isOver: (Waiter) -> Bool) {
        let over = state.withLock { state in
            let over = state.waiters.filter { isOver($0.value) }
            for node in over.keys { state.waiters[node] = nil }
            return over.values
        }
        for waiter in over { waiter.continuation.resume(returning: true) }
    }
}
