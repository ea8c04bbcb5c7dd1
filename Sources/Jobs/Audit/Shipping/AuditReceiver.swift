import PlaneAPI

/// The plane, as the shipper needs it; `nodeguard` makes it of the plane's client, tests of whatever misbehaves.
package struct AuditReceiver: Sendable {
    /// Registers the raw Ed25519 key of a log: `keyRegistered`, or why not.
    package let registerKey: @Sendable (_ epoch: UInt64, _ publicKey: [UInt8]) async -> ShippingAnswer
    /// Delivers a batch.
    package let send: @Sendable (AuditBatch) async -> Delivery
    /// The plane's C2SP verifier key, with which its cosignatures are checked; nil if it cannot be had now.
    package let witness: @Sendable () async -> String?

    package init(
        registerKey: @escaping @Sendable (_ epoch: UInt64, _ publicKey: [UInt8]) async -> ShippingAnswer,
        send: @escaping @Sendable (AuditBatch) async -> Delivery,
        witness: @escaping @Sendable () async -> String? = { nil }
    ) {
        self.registerKey = registerKey
        self.send = send
        self.witness = witness
    }

    package struct Delivery: Sendable, Equatable {
        package let answer: ShippingAnswer
        /// A signed-note line of the plane over the batch's checkpoint.
        package let cosignature: String?

        package init(_ answer: ShippingAnswer, cosignature: String? = nil) {
            self.answer = answer
            self.cosignature = cosignature
        }

        package init(_ acknowledgement: AuditAcknowledgement) {
            self.init(.acknowledged(acknowledgement.acknowledged), cosignature: acknowledgement.cosignature)
        }
    }
}
