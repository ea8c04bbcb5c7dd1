import Reports

/// Whose cosignatures are believed: the witness of the configuration, or else the first that the plane named over its
/// authenticated connection. It fails closed: what is not cosigned by that one stays in the spool.
extension AuditShipper {
    /// nil if the acknowledgement of the batch may be believed; else why not.
    func problem(ofCosignature line: String?, of batch: AuditBatch, _ spool: AuditSpool) async -> String? {
        guard let line else {
            // Of a batch that was cut smaller when it was sent again: the plane keeps the checkpoint of the larger one
            // and cosigns that, as soon as it gets the rest.
            let offered = await spool.view()?.offered ?? 0
            return batch.last < offered ? nil : "the plane acknowledged without a cosignature"
        }
        let noted = await spool.witness(epoch: batch.epoch)
        var known = pinnedWitness ?? noted
        if known == nil { known = await receiver.witness() }
        guard let known, let witness = Witness(verifierKey: known) else {
            return "the plane does not say with which key it cosigns"
        }
        guard witness.cosigned(batch.checkpoint.text, line) else { return await explain(witness, known) }
        if noted != known, await !spool.noteWitness(epoch: batch.epoch, known) {
            return "the spool could not note the plane's witness key"
        }
        health.witnessIsKnown()
        return nil
    }

    /// Why a cosignature does not fit: the plane has another key than before, or it is wrong in itself.
    private func explain(_ witness: Witness, _ known: String) async -> String {
        guard let told = await receiver.witness(), told != known, let other = Witness(verifierKey: told) else {
            return "the plane's cosignature does not fit the checkpoint"
        }
        health.witnessChanged(from: witness.name, to: other.name)
        if reportedWitness != told {
            reportedWitness = told
            audit.report(
                AuditEvent(.auditWitnessChanged, .failure, fields: ["known": .string(known), "told": .string(told)]))
        }
        return "the plane cosigns as \(other.name), this node knows it as \(witness.name)"
    }
}
