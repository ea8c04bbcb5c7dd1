/// What a PostgreSQL client asks for in its StartupMessage, as far as rules speak of it. As bytes: nothing promises
/// that they are UTF-8.
package struct SessionRequest: Sendable, Hashable {
    /// NAMEDATALEN - 1. A server that is older than PostgreSQL 17 cuts a longer name there, and would look at another
    /// name than the rules did.
    static let nameLimit = 63

    let user: [UInt8]?
    /// nil for physical replication, which is of all databases at once.
    let database: [UInt8]?
    let isReplication: Bool

    init(user: [UInt8]?, database: [UInt8]?, isReplication: Bool) {
        self.user = user
        self.database = database
        self.isReplication = isReplication
    }

    /// As a client would ask: without a database for the one that is named as the user; for replication without a
    /// database for the physical kind.
    package init(user: String?, database: String?, isReplication: Bool) {
        let user = user.map { Array($0.utf8) }
        self.init(
            user: user, database: database.map { Array($0.utf8) } ?? (isReplication ? nil : user),
            isReplication: isReplication)
    }

    /// A name that the server may take for another.
    var ambiguity: Objection? {
        if let user, user.count > Self.nameLimit { return .user }
        if let database, database.count > Self.nameLimit { return .database }
        return nil
    }
}
