/// What the shipper asks for.
extension AuditSpool {
    /// nil while there is no open log.
    func view() -> SpoolView? {
        guard let state = store?.state, let store else { return nil }
        return SpoolView(
            epoch: state.place.epoch, acknowledged: UInt64(state.acknowledged), committed: UInt64(state.last),
            waitingBytes: state.usage - store.keptBytes, offered: UInt64(state.offered),
            isRegistered: state.isRegistered)
    }

    /// The raw key of the log, if it is still this one.
    func publicKey(epoch: UInt64) -> [UInt8]? { current(epoch)?.key.publicKey }

    func witness(epoch: UInt64) -> String? {
        current(epoch).flatMap { $0.state.witness.isEmpty ? nil : $0.state.witness }
    }

    /// nil if the log is another one by now, or the disk refuses.
    func makeBatch(epoch: UInt64, first: UInt64, count: UInt64) -> AuditBatch? {
        guard let store = current(epoch), first > store.state.acknowledged, first <= store.state.last else {
            return nil
        }
        return attempt { () throws(SpoolError) in try store.makeBatch(first: Int64(first), count: Int(count)) }
    }

    func noteRegistered(epoch: UInt64) -> Bool {
        guard let store = current(epoch) else { return false }
        return attempt { () throws(SpoolError) in try store.noteRegistered() } != nil
    }

    func noteWitness(epoch: UInt64, _ verifierKey: String) -> Bool {
        guard let store = current(epoch) else { return false }
        guard attempt({ () throws(SpoolError) in try store.noteWitness(verifierKey) }) != nil else { return false }
        lastWitness = verifierKey
        return true
    }

    func acknowledge(epoch: UInt64, through last: UInt64, cosigned: String?) -> Bool {
        guard let store = current(epoch), last > store.state.acknowledged, last <= store.state.offered else {
            return false
        }
        defer { publish() }
        return attempt { () throws(SpoolError) in
            try store.acknowledge(through: Int64(last), cosigned: cosigned)
        } != nil
    }

    /// Puts the log aside because it cannot be continued at the plane.
    func beginEpoch(instead epoch: UInt64, reason: String) -> Bool {
        guard current(epoch) != nil else { return false }
        return recover(SpoolError(.damaged, reason))
    }

    private func current(_ epoch: UInt64) -> SpoolStore? { store?.state.place.epoch == epoch ? store : nil }

    func attempt<Result>(_ body: () throws(SpoolError) -> Result) -> Result? {
        do {
            return try body()
        } catch {
            _ = recover(error)
            return nil
        }
    }
}
