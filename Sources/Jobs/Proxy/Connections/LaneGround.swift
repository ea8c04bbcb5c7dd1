import IO
import OpenSSL

/// What all connections of one lane share: its poller and its buffers. Owned by the lane's actor.
///
/// The buffers are empty between two events: OpenSSL keeps a partial record itself, and what a socket did not take
/// moves to its connection's `Leftovers`. So an idle connection holds no buffer at all.
final class LaneGround {
    let poller: Poller
    let transport: TLSTransport
    let cipherIn: LaneBuffer
    let plain: LaneBuffer
    let cipherOut: LaneBuffer
    /// The largest piece that is read at once.
    let pieceLimit: Int

    init(poller: Poller, pieceLimit: Int) {
        self.poller = poller
        self.pieceLimit = pieceLimit
        // More room than a piece needs after decryption, with the partial record that OpenSSL had kept, and after
        // encryption, with the overhead of its records.
        cipherIn = LaneBuffer(capacity: pieceLimit)
        plain = LaneBuffer(capacity: pieceLimit + 32 << 10)
        cipherOut = LaneBuffer(capacity: pieceLimit + 64 << 10)
        transport = TLSTransport(cipherIn: cipherIn, cipherOut: cipherOut)
    }
}

/// Something that stays on a lane for a while and can be told to leave.
protocol Occupant: AnyObject {
    func abandon(_ reason: RefusalReason, detail: String?)
}

extension Occupant {
    func abandon(_ reason: RefusalReason) { abandon(reason, detail: nil) }
}

/// A timer that forgets what it was for when it is cancelled: the poller keeps cancelled timers for a while, and must
/// not keep sockets with them.
final class Deadline: TimerTarget {
    private var action: (() -> Void)?
    private var token: TimerToken?
    /// Let go when it is over: the poller keeps a cancelled timer until its time.
    private var poller: Poller?

    init(after delay: Duration, on poller: Poller, _ action: @escaping () -> Void) {
        self.action = action
        self.poller = poller
        token = poller.schedule(after: delay, self)
    }

    func timerFired(_ token: TimerToken) {
        let action = self.action
        forget()
        action?()
    }

    func cancel() {
        if let token { poller?.cancel(token) }
        forget()
    }

    private func forget() {
        action = nil
        token = nil
        poller = nil
    }
}
