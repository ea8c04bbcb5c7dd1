/// What admission is told of a client, and what it answers.
extension AdmissionStateMachine {
    /// A client that was taken out of a port's backlog; nothing has been read of it.
    struct Newcomer {
        let id: UInt64
        /// nil: a listed proxy has yet to announce it, which stands for all of its clients.
        var network: PeerNetwork?
        /// Its number.
        let listener: Int
        /// Whether it comes from a network that places are reserved for.
        var isReserved = false
        /// Behind whose address stands the whole node: what one of its processes did at a listener bans no other here.
        var isOfTunnel = false
        /// The number of its socket.
        var descriptor = 0
    }

    /// Who a client has proven to be, as far as any limit asks.
    struct Claim {
        var identity: PeerIdentity?
        /// Whether places are reserved for it.
        var isReserved = false
    }

    /// Somebody who makes room, and what for.
    struct Eviction: Equatable {
        let id: UInt64
        let excess: Excess
    }

    enum Arrival: Equatable {
        /// More than one have to go only where the newcomer's address and its listener are both full.
        case admit(evicting: [Eviction])
        case refuse(Excess)
    }

    enum Turn: Equatable {
        case begin
        /// A place in the queue of handshakes is kept: begin after this long.
        case wait(Duration)
        case refuse(Excess)
    }

    enum Verdict: Equatable {
        case admit
        case refuse(Excess)
        /// It was evicted before.
        case gone
    }
}
