/// What admission keeps of those that it has let in.
extension AdmissionStateMachine {
    enum Budget {
        case silent, reservedSilent, authenticated, reservedAuthenticated

        var isAuthenticated: Bool { self == .authenticated || self == .reservedAuthenticated }
    }

    struct Connection {
        var client: Newcomer
        var budget: Budget
        /// Places in the tables; nil where nothing is limited.
        var address: Int?
        var prefix: Int?
        var identity: Int?
    }

    struct Listener {
        let name: String
        var limits: ProxyLimits.PerListener
        var silent = PlaceLists.List()
        var authenticated = 0
    }
}
