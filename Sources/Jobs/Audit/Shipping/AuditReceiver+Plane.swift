import PlaneAPI
import PlaneClient

extension AuditReceiver {
    /// The management plane.
    package static func plane(_ client: PlaneClient) -> AuditReceiver {
        AuditReceiver(
            registerKey: { epoch, publicKey in
                do throws(PlaneError) {
                    try await client.registerAuditKey(epoch: epoch, publicKey: publicKey)
                    return .keyRegistered
                } catch {
                    return ShippingAnswer(error)
                }
            },
            send: { batch in
                do throws(PlaneError) {
                    return Delivery(
                        try await client.sendAudit(
                            epoch: batch.epoch, first: batch.first, last: batch.last, body: batch.body))
                } catch {
                    return Delivery(ShippingAnswer(error))
                }
            },
            witness: { try? await client.auditWitness() })
    }
}

extension ShippingAnswer {
    /// Only what says something of the batch itself may stop or move the log; a refusal of this node, a wrong address
    /// or a server that fails may all be mended at the plane, and the events are still there then.
    init(_ error: PlaneError) {
        self =
            switch error.kind {
            case .conflict(let next): .conflict(next: next)
            case .tooLarge: .tooLarge
            case .throttled, .busy: .busy(retryAfter: error.retryAfter)
            case .request where error.reason == "key-not-registered": .keyUnknown
            case .request: .invalid(reason: error.detail)
            case .pending: .busy(retryAfter: error.retryAfter)
            case .unreachable, .failing, .untrusted, .identityRefused, .unauthorized, .denied, .configuration,
                .redirect, .protocolError:
                .unavailable(reason: error.detail)
            }
    }
}
