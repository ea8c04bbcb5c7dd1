import Foundation
import PlaneAPI
import TestSupport
import Testing

@testable import Audit

/// An audit receiver that checks what it takes, as the plane does, and misbehaves as it is told.
actor FakePlane {
    enum Misbehaviour: String, CaseIterable, Sendable {
        case away, busy, tooLarge, answerLost, acknowledgesPart, acknowledgesTooMuch, acknowledgesNothing
        case contradicts, forgetsTheKey, foreignCosignature, garbledCosignature, noCosignature, keyRefusedOnce
    }

    struct Log {
        let key: [UInt8]
        var lines: [String] = []
        var tree = MerkleTree()
    }

    private(set) var witness: FakeWitness
    private let stranger: FakeWitness
    private(set) var logs: [UInt64: Log] = [:]
    private(set) var epochs: [UInt64] = []
    private(set) var batches = 0
    private(set) var flaws: [String] = []
    /// One for each call, then it behaves.
    var misbehaviours: [Misbehaviour]
    /// Answers every batch, while it is set.
    private(set) var verdict: ShippingAnswer?

    init(_ misbehaviours: [Misbehaviour] = []) throws {
        witness = try FakeWitness()
        stranger = try FakeWitness()
        self.misbehaviours = misbehaviours
    }

    /// As after the loss of its key.
    func become(_ witness: FakeWitness) { self.witness = witness }

    func answerAlways(_ verdict: ShippingAnswer?) { self.verdict = verdict }

    var lines: [String] { epochs.last.flatMap { logs[$0]?.lines } ?? [] }

    nonisolated var receiver: AuditReceiver {
        AuditReceiver(
            registerKey: { await self.register($0, $1) }, send: { await self.take($0) },
            witness: { await self.witness.verifierKey })
    }

    private func register(_ epoch: UInt64, _ key: [UInt8]) -> ShippingAnswer {
        if misbehaviours.first == .keyRefusedOnce {
            misbehaviours.removeFirst()
            return .unavailable(reason: "not now")
        }
        if let known = logs[epoch] { return known.key == key ? .keyRegistered : .invalid(reason: "key-differs") }
        logs[epoch] = Log(key: key)
        epochs.append(epoch)
        return .keyRegistered
    }

    private func take(_ batch: AuditBatch) -> AuditReceiver.Delivery {
        batches += 1
        if let verdict { return .init(verdict) }
        let misbehaviour = misbehaviours.isEmpty ? nil : misbehaviours.removeFirst()
        switch misbehaviour {
        case .away: return .init(.unavailable(reason: "away"))
        case .busy: return .init(.busy(retryAfter: .milliseconds(300)))
        case .tooLarge: return .init(.tooLarge)
        case .contradicts: return .init(.conflict(next: batch.first))
        case .forgetsTheKey: return .init(.keyUnknown)
        case .acknowledgesTooMuch: return .init(.acknowledged(batch.last + 1))
        case .acknowledgesNothing: return .init(.acknowledged(0))
        default: break
        }
        let delivery = store(batch)
        switch (misbehaviour, delivery.answer) {
        case (.answerLost, _): return .init(.unavailable(reason: "the answer was lost"))
        case (.acknowledgesPart, .acknowledged(let last)) where last > batch.first:
            return .init(.acknowledged(last - 1), cosignature: delivery.cosignature)
        case (.foreignCosignature, _):
            return .init(delivery.answer, cosignature: try? stranger.cosign(batch.checkpoint.text))
        case (.garbledCosignature, _): return .init(delivery.answer, cosignature: "\u{2014} a b\n")
        case (.noCosignature, _): return .init(delivery.answer)
        default: return delivery
        }
    }

    private func store(_ batch: AuditBatch) -> AuditReceiver.Delivery {
        guard var log = logs[batch.epoch] else { return .init(.keyUnknown) }
        let origin = AuditBatches.origin(node: "db-1", epoch: batch.epoch)
        guard batch.checkpoint.isSigned(by: origin, publicKey: log.key),
            let checkpoint = try? Checkpoint(parsing: batch.checkpoint.text), checkpoint.size == batch.last,
            batch.body.count <= AuditBatches.sizeLimit,
            batch.lines.map(seq) == Array(Int(batch.first)...Int(batch.last))
        else { return refuse("a batch of another form") }
        let cosignature = try? witness.cosign(batch.checkpoint.text)
        if batch.last <= log.tree.size {
            guard Array(log.lines[Int(batch.first) - 1..<Int(batch.last)]) == batch.lines else {
                return refuse("differs-from-stored")
            }
            return .init(.acknowledged(batch.last), cosignature: cosignature)
        }
        guard batch.first == log.tree.size + 1 else { return .init(.conflict(next: log.tree.size + 1)) }
        for line in batch.lines { log.tree.append(Array(line.utf8)) }
        guard log.tree.root == checkpoint.root else { return refuse("checkpoint-root") }
        log.lines += batch.lines
        logs[batch.epoch] = log
        return .init(.acknowledged(batch.last), cosignature: cosignature)
    }

    private func refuse(_ reason: String) -> AuditReceiver.Delivery {
        flaws.append(reason)
        return .init(.invalid(reason: reason))
    }
}
