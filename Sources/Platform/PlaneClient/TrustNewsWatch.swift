import HTTP
import PlaneAPI
import Synchronization

/// Hears, with each answer of the plane, whether what `/cacerts` hands out is new (`TrustNews`). What it hears is only
/// a reason to ask. From any thread.
package final class TrustNewsWatch: Sendable {
    private struct State {
        var word: String?
        var listener: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    /// From now on; it must return at once.
    package func tell(_ listener: @escaping @Sendable () -> Void) { state.withLock { $0.listener = listener } }

    func heard(_ response: HTTPResponse) {
        guard let word = response.header(TrustNews.revisionHeader), word.utf8.count <= TrustNews.wordLimit else {
            return
        }
        let listener = state.withLock { state -> (@Sendable () -> Void)? in
            guard state.word != word else { return nil }
            state.word = word
            return state.listener
        }
        listener?()
    }
}
