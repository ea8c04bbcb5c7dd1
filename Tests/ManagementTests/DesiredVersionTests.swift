import Testing

@testable import Management

@Suite struct `The version of a desired state` {
    typealias Machine = DesiredVersionStateMachine

    private func offer(
        _ version: Int64, hash: String? = nil, issued: Int64 = 1000, expires: Int64 = 2000, key: Int64 = 10
    ) -> Machine.Offer {
        Machine.Offer(
            version: version, hash: hash ?? "h\(version)", issuedAt: issued, expiresAt: expires, keyMadeAt: key)
    }

    @Test func `is free at first`() {
        #expect(Machine().offered(offer(7), at: 1000) == .apply)
        #expect(!Machine().isExpired(at: .max))
    }

    @Test func `goes forward only`() {
        var machine = Machine()
        machine.applied(offer(5))
        #expect(machine.offered(offer(5), at: 1500) == .known)
        #expect(machine.offered(offer(5, hash: "other"), at: 1500) == .refuse(.sameVersion))
        #expect(machine.offered(offer(4), at: 1500) == .refuse(.olderVersion))
        #expect(machine.offered(offer(6), at: 1500) == .apply)
    }

    @Test func `goes with a key that is not older`() {
        var machine = Machine()
        machine.applied(offer(5, key: 20))
        #expect(machine.offered(offer(6, key: 19), at: 1500) == .refuse(.olderKey))
        #expect(machine.offered(offer(6, key: 20), at: 1500) == .apply)
        #expect(machine.offered(offer(6, key: 21), at: 1500) == .apply)
    }

    @Test func `is applied in its time, and stays when that is over`() {
        var machine = Machine()
        #expect(machine.offered(offer(5), at: 1999) == .apply)
        #expect(machine.offered(offer(5), at: 2000) == .refuse(.expired))
        #expect(machine.offered(offer(5), at: 1000 - Machine.tolerance) == .apply)
        #expect(machine.offered(offer(5), at: 1000 - Machine.tolerance - 1) == .refuse(.fromTheFuture))
        machine.applied(offer(5))
        #expect(machine.offered(offer(5), at: 3000) == .known)
        #expect(!machine.isExpired(at: 1999))
        #expect(machine.isExpired(at: 2000))
    }

    /// Every sequence of four offers out of all that differ: what is applied never goes back in version or key.
    @Test func `never goes back, whatever is offered`() {
        let offers = [1, 2, 3].flatMap { version in
            [10, 20].flatMap { key in
                [(500, 900), (1000, 2000), (5000, 6000)].map { issued, expires in
                    offer(
                        Int64(version), hash: "\(version)-\(key)-\(issued)", issued: Int64(issued),
                        expires: Int64(expires), key: Int64(key))
                }
            }
        }
        var objections: Set<String> = []
        func explore(_ machine: Machine, _ depth: Int) {
            if depth == 0 { return }
            for offer in offers {
                var next = machine
                switch machine.offered(offer, at: 1500) {
                case .apply:
                    #expect(offer.version > (machine.applied?.version ?? 0))
                    #expect(offer.keyMadeAt >= (machine.applied?.keyMadeAt ?? 0))
                    #expect(offer.issuedAt <= 1800 && 1500 < offer.expiresAt)
                    next.applied(offer)
                case .known: #expect(offer == machine.applied)
                case .refuse(let objection):
                    objections.insert("\(objection)")
                    #expect(next == machine)
                }
                explore(next, depth - 1)
            }
        }
        explore(Machine(), 3)
        #expect(objections.count == Machine.Objection.allCases.count)
    }
}

@Suite struct `An order to renew` {
    typealias Order = ReissueStateMachine.Order
    private let order = Order(id: "a", role: "database")

    @Test func `is carried out once`() {
        var machine = ReissueStateMachine()
        #expect(machine.reviewed([order]) { _ in "01" } == [order])
        #expect(machine.reviewed([order]) { _ in "01" } == [])
        #expect(!machine.isDone(order, serial: "01"))
        #expect(machine.reviewed([order]) { _ in "02" } == [])
        #expect(machine.isDone(order, serial: "02"))
    }

    @Test func `is carried out after a restart if it was not done, and not again if it was`() {
        var open = ReissueStateMachine(serials: ["a": "01"])
        #expect(open.reviewed([order]) { _ in "01" } == [order])
        var done = ReissueStateMachine(serials: ["a": "01"])
        #expect(done.reviewed([order]) { _ in "02" } == [])
        #expect(done.isDone(order, serial: "02"))
    }

    @Test func `is tried again if it could not be begun`() {
        var machine = ReissueStateMachine()
        #expect(machine.reviewed([order]) { _ in "01" } == [order])
        machine.refused(order)
        #expect(machine.reviewed([order]) { _ in "01" } == [order])
    }

    @Test func `of a role without a certificate is asked for, and done with its first`() {
        var machine = ReissueStateMachine()
        #expect(machine.reviewed([order]) { _ in nil } == [order])
        machine.refused(order)
        #expect(!machine.isDone(order, serial: nil))
        #expect(machine.reviewed([order]) { _ in "01" } == [])
        #expect(machine.isDone(order, serial: "01"))
    }

    @Test func `that is taken back is forgotten`() {
        var machine = ReissueStateMachine()
        _ = machine.reviewed([order]) { _ in "01" }
        #expect(machine.reviewed([]) { _ in "01" } == [])
        #expect(machine == ReissueStateMachine())
        #expect(machine.reviewed([order]) { _ in "02" } == [order])
    }

    @Test func `is one of several, each for itself`() {
        var machine = ReissueStateMachine()
        let orders = [order, Order(id: "b", role: "database"), Order(id: "c", role: "other")]
        #expect(machine.reviewed(orders) { $0 == "database" ? "01" : nil } == orders)
    }
}
