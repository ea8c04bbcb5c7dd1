import IO

/// The far end of a live tunnel connection, verified.
struct RemoteEnd {
    let address: SocketAddress
    let facts: TLSFacts
}
