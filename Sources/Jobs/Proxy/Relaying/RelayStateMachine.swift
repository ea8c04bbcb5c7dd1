/// Two directions of bytes between a client and its backend: who is read, who is flushed, and when it is over.
///
/// Owned by one relayed connection. A direction whose last send was short stops reading until the rest has been sent,
/// so that a stalled reader pins one buffer; a direction that has ended lets the other go on (half-close). Readiness
/// is remembered, because epoll tells it once (edge-triggered).
struct RelayStateMachine: Hashable {
    enum Direction: CaseIterable, Hashable {
        /// From the client to the backend.
        case up
        /// From the backend to the client.
        case down

        var source: Side { self == .up ? .client : .backend }
        var sink: Side { self == .up ? .backend : .client }
    }

    enum Side: CaseIterable, Hashable { case client, backend }

    enum Action: Hashable {
        /// Read from the direction's source once and send it, then call `transferred`, `sourceEnded`, `readFailed` or
        /// `writeFailed`.
        case transfer(Direction)
        /// Send what is left over, then call `flushed` or `writeFailed`.
        case flush(Direction)
        /// Tell the sink that no more will come, then call `endingSent` or `writeFailed`; comes again when the ending
        /// did not fit at once.
        case sendEnding(Direction)
        /// One direction is over: from now on the other must make progress within the linger time.
        case watchLinger
        /// Everything was delivered.
        case close
        /// This side failed, so not everything was delivered: the other must learn it by a reset.
        case abort(Side)
        case wait
    }

    private enum Phase: Hashable {
        case flowing
        /// The source has ended or failed; its last bytes may still wait for the sink.
        case ending
        case over
    }

    private struct Flow: Hashable {
        var phase = Phase.flowing
        var sourceMayHaveBytes = true
        var hasLeftovers = false
        var sinkMayTakeBytes = true
    }

    private var up = Flow()
    private var down = Flow()
    private var prefersDown = false
    private var lingers = false
    private var failure: Side?
    private(set) var isOver = false

    /// `upHasLeftovers`: bytes for the backend came with the client's first message.
    init(upHasLeftovers: Bool = false) { up.hasLeftovers = upHasLeftovers }

    mutating func began() -> Action { next() }

    mutating func becameReadable(_ side: Side) -> Action {
        if side == .client { up.sourceMayHaveBytes = true } else { down.sourceMayHaveBytes = true }
        return next()
    }

    mutating func becameWritable(_ side: Side) -> Action {
        if side == .backend { up.sinkMayTakeBytes = true } else { down.sinkMayTakeBytes = true }
        return next()
    }

    /// `sourceIsDrained`: the read brought less than it could have. `sinkIsFull`: some bytes are left over.
    mutating func transferred(_ direction: Direction, sourceIsDrained: Bool, sinkIsFull: Bool) -> Action {
        change(direction) { flow in
            if sourceIsDrained { flow.sourceMayHaveBytes = false }
            if sinkIsFull { (flow.hasLeftovers, flow.sinkMayTakeBytes) = (true, false) }
        }
        prefersDown = direction == .up
        return next()
    }

    mutating func flushed(_ direction: Direction, isComplete: Bool) -> Action {
        change(direction) { flow in
            flow.hasLeftovers = !isComplete
            if !isComplete { flow.sinkMayTakeBytes = false }
        }
        return next()
    }

    /// TLS itself had something to say to the direction's sink (an answer to KeyUpdate), and it did not fit.
    mutating func controlBytesWait(_ direction: Direction = .down) {
        change(direction) { ($0.hasLeftovers, $0.sinkMayTakeBytes) = (true, false) }
    }

    /// `sinkIsFull`: its very last bytes are left over.
    mutating func sourceEnded(_ direction: Direction, sinkIsFull: Bool = false) -> Action {
        change(direction) { flow in
            if flow.phase == .flowing { flow.phase = .ending }
            if sinkIsFull { (flow.hasLeftovers, flow.sinkMayTakeBytes) = (true, false) }
        }
        return next()
    }

    mutating func endingSent(_ direction: Direction, sinkIsFull: Bool) -> Action {
        change(direction) { flow in
            if sinkIsFull {
                (flow.hasLeftovers, flow.sinkMayTakeBytes) = (true, false)
            } else {
                flow.phase = .over
            }
        }
        return next()
    }

    /// A client that fails is gone. What a failing backend had said before is still delivered: it may say why.
    mutating func readFailed(_ side: Side) -> Action {
        if side == .client { return abort(.client) }
        failure = failure ?? .backend
        endUp()
        down.sourceMayHaveBytes = false
        if down.phase == .flowing { down.phase = .ending }
        return next()
    }

    /// The sink takes no more. A backend may have said why before: its bytes are still read.
    mutating func writeFailed(_ direction: Direction) -> Action {
        if direction == .down { return abort(.client) }
        failure = failure ?? .backend
        endUp()
        down.sourceMayHaveBytes = true
        return next()
    }

    /// After the driver had interrupted itself to let others work.
    mutating func resumed() -> Action { next() }

    /// Whether the other direction alone is left.
    var isHalfClosed: Bool { (up.phase == .over) != (down.phase == .over) }

    private mutating func endUp() {
        up.phase = .over
        up.hasLeftovers = false
    }

    private mutating func abort(_ side: Side) -> Action {
        if isOver { return .wait }
        isOver = true
        return .abort(failure ?? side)
    }

    private mutating func next() -> Action {
        if isOver { return .wait }
        for direction in prefersDown ? [Direction.down, .up] : [.up, .down] {
            if let action = step(direction) { return action }
        }
        if up.phase == .over, down.phase == .over {
            isOver = true
            return .close
        }
        if !lingers, up.phase == .over || down.phase == .over {
            lingers = true
            return .watchLinger
        }
        return .wait
    }

    private mutating func step(_ direction: Direction) -> Action? {
        let flow = direction == .up ? up : down
        if flow.hasLeftovers { return flow.sinkMayTakeBytes ? .flush(direction) : nil }
        switch flow.phase {
        case .flowing: return flow.sourceMayHaveBytes ? .transfer(direction) : nil
        case .ending:
            // Without an orderly ending there is none to pass on.
            if direction == .down, failure != nil { return abort(.backend) }
            return .sendEnding(direction)
        case .over: return nil
        }
    }

    private mutating func change(_ direction: Direction, _ body: (inout Flow) -> Void) {
        if direction == .up { body(&up) } else { body(&down) }
    }
}
