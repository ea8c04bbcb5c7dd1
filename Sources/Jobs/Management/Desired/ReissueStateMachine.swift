/// Orders to renew a certificate, each carried out once: it is done as soon as the role has another certificate than at
/// the time of the order, over restarts too.
struct ReissueStateMachine: Equatable {
    struct Order: Equatable {
        let id: String
        let role: String
    }

    /// By order: the serial number of the role's certificate when the order came; empty: it had none.
    private(set) var serials: [String: String]
    /// Begun by this process.
    private var begun: Set<String> = []

    init(serials: [String: String] = [:]) { self.serials = serials }

    /// What is to be renewed now. `serial`: of the role's certificate that is in service. What is no longer ordered is
    /// forgotten.
    mutating func reviewed(_ orders: [Order], serial: (String) -> String?) -> [Order] {
        let known = Set(orders.map(\.id))
        serials = serials.filter { known.contains($0.key) }
        begun.formIntersection(known)
        var due: [Order] = []
        for order in orders {
            let present = serial(order.role) ?? ""
            if serials[order.id] == nil { serials[order.id] = present }
            guard serials[order.id] == present, begun.insert(order.id).inserted else { continue }
            due.append(order)
        }
        return due
    }

    /// It could not be begun: the next review tries again.
    mutating func refused(_ order: Order) { begun.remove(order.id) }

    func isDone(_ order: Order, serial: String?) -> Bool {
        guard let before = serials[order.id], let serial else { return false }
        return before != serial
    }
}
