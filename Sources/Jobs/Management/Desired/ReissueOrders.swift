import FoundationEssentials
import Glibc
import IO
import PlaneAPI

/// Orders to renew, and what became of them; what was ordered is in `desired/orders.json` before it is begun.
struct ReissueOrders {
    private struct Contents: Codable {
        let serials: [String: String]
    }

    private static let sizeLimit = 1 << 20

    private let folder: String
    private let serial: @Sendable (String) -> String?
    private var machine: ReissueStateMachine
    private var orders: [ReissueStateMachine.Order] = []
    private var refusals: [String: RenewalRefusal] = [:]

    init(stateDirectory: String, serial: @escaping @Sendable (String) -> String?) {
        folder = stateDirectory + "/desired"
        self.serial = serial
        let bytes = (try? Files.read(stateDirectory + "/desired/orders.json", limit: Self.sizeLimit)) ?? []
        // Without it the certificates of open orders are renewed once more, which harms nobody.
        let known = try? JSONDecoder().decode(Contents.self, from: Data(bytes))
        machine = ReissueStateMachine(serials: known?.serials ?? [:])
    }

    /// What is to be renewed now; `flaw`: why it is not on the disk.
    mutating func review(_ wanted: [DesiredOrder]) -> (due: [ReissueStateMachine.Order], flaw: String?) {
        orders = wanted.map { ReissueStateMachine.Order(id: $0.id, role: $0.role) }
        let before = machine.serials
        let due = machine.reviewed(orders, serial: serial)
        return (due, machine.serials == before ? nil : save())
    }

    /// nil: it is under way.
    mutating func answered(_ order: ReissueStateMachine.Order, _ refusal: RenewalRefusal?) {
        refusals[order.id] = refusal
        if refusal != nil { machine.refused(order) }
    }

    var results: [ObservedState.Result] {
        orders.map { order in
            let resource = "order \(order.id)"
            if machine.isDone(order, serial: serial(order.role)) {
                return ObservedState.Result(resource: resource, outcome: "applied")
            }
            switch refusals[order.id] {
            case nil: return ObservedState.Result(resource: resource, outcome: "pending")
            case .unknownRole: return ObservedState.Result(resource: resource, outcome: "absent")
            case .refused(let reason):
                return ObservedState.Result(resource: resource, outcome: "refused", detail: reason)
            }
        }
    }

    private func save() -> String? {
        do {
            let bytes = Array(try JSONEncoder.plane.encode(Contents(serials: machine.serials))) + [0x0A]
            try Files.makeDirectory(folder, mode: 0o700)
            try Files.write(bytes, to: folder + "/orders.json", mode: 0o600)
            return nil
        } catch { return "\(error)" }
    }
}

/// Why a certificate is not renewed.
package enum RenewalRefusal: Sendable, Equatable {
    case unknownRole
    case refused(String)
}
