import CPostgres

/// Which database, and how it is reached: what libpq makes of an URL and of the environment, with what is not safe
/// refused. No password is in it: libpq reads that from a file itself.
struct PostgresAddress: Sendable {
    let options: [String: String]

    init(_ url: String) throws(PlaneProblem) {
        guard url.hasPrefix("postgresql://") || url.hasPrefix("postgres://") else {
            throw PlaneProblem("this is no URL of PostgreSQL", remedy: Self.form)
        }
        let said = try Self.parse(url)
        if said["password"] != nil || said["sslpassword"] != nil {
            throw PlaneProblem(
                "the URL of the database holds a password, which everybody on this machine may read",
                remedy:
                    "write it into a file of mode 0600, a line HOST:PORT:DATABASE:USER:PASSWORD, and name that with "
                    + "?passfile=FILE or PGPASSFILE; then change the password")
        }
        var options = Self.defaults().merging(said) { $1 }
        for secret in ["password", "sslpassword"] { options[secret] = nil }
        if options["service"] != nil {
            throw PlaneProblem(
                "the database is named by a service file (service, PGSERVICE)", remedy: "name it by its URL alone")
        }
        self.options = try Self.completed(options, saysSession: said["target_session_attrs"] != nil)
    }

    /// What the file `database` of a state folder says, so that no verb forgets which database the folder belongs to.
    static func named(in directory: String) throws -> PostgresAddress? {
        let path = directory + "/database"
        guard StateFile.exists(path) else { return nil }
        let lines = String(decoding: try StateFile.read(path), as: UTF8.self).split(whereSeparator: \.isNewline)
        guard lines.count == 1, let line = lines.first else {
            throw PlaneProblem("\(path) does not name a database", remedy: "one line: \(form)")
        }
        return try PostgresAddress(String(line))
    }

    /// For people: host, port and database.
    var description: String {
        "postgresql://\(options["host"] ?? options["hostaddr"] ?? "")"
            + (options["port"].map { ":" + $0 } ?? "") + "/" + (options["dbname"] ?? "")
    }

    /// A path within this machine, which needs no TLS.
    var isLocal: Bool { Self.isLocal(options) }

    private static let form =
        "write postgresql://USER@HOST[:PORT]/DATABASE[?OPTION=VALUE&…], as libpq reads it"

    private static func isLocal(_ options: [String: String]) -> Bool {
        let list = { (name: String) in
            (options[name] ?? "").split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        let addresses = list("hostaddr").filter { !$0.isEmpty }
        if !addresses.isEmpty { return addresses.allSatisfy(isLoopback) }
        return list("host").allSatisfy { host in
            // libpq: a path, an abstract socket, or nothing at all is a unix socket.
            host.isEmpty || host.hasPrefix("/") || host.hasPrefix("@") || host == "localhost" || isLoopback(host)
        }
    }

    private static func isLoopback(_ text: String) -> Bool {
        guard let bytes = NetworkAddress(text)?.bytes else { return false }
        return bytes.count == 4 ? bytes.first == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
    }

    private static func completed(
        _ given: [String: String], saysSession: Bool
    ) throws(PlaneProblem) -> [String: String] {
        var options = given
        if !isLocal(options) {
            guard options["sslmode"] == "verify-full" else {
                throw PlaneProblem(
                    "the database at \(options["host"] ?? options["hostaddr"] ?? "") is not on this machine, and "
                        + "sslmode=\(options["sslmode"] ?? "prefer") lets others read along or stand in for it",
                    remedy: "add sslmode=verify-full and sslrootcert=FILE to the URL")
            }
            // With GSSAPI encryption libpq would not use TLS, whatever sslmode says.
            options["gssencmode"] = "disable"
        }
        // A database that vanished is noticed within these seconds, not after hours.
        let usual = [
            "connect_timeout": "5", "keepalives_idle": "10", "keepalives_interval": "3", "keepalives_count": "3",
            "tcp_user_timeout": "10000",
        ]
        options.merge(usual) { said, _ in said }
        // Of several hosts, the one that takes writes.
        if !saysSession { options["target_session_attrs"] = "read-write" }
        options["client_encoding"] = "UTF8"
        options["application_name"] = options["application_name"] ?? "nodeguard-plane"
        return options
    }

    private static func parse(_ url: String) throws(PlaneProblem) -> [String: String] {
        var message: UnsafeMutablePointer<CChar>?
        guard let list = PQconninfoParse(url, &message) else {
            defer { PQfreemem(message) }
            // libpq quotes what it could not read.
            let mayHoldSecret = url.contains("password") || url.contains(/:\/\/[^\/]*:[^\/]*@/)
            let reason = mayHoldSecret ? "" : message.map { ": " + PostgresError.line(String(cString: $0)) } ?? ""
            throw PlaneProblem("the URL of the database cannot be read\(reason)", remedy: form)
        }
        defer { PQconninfoFree(list) }
        return values(list)
    }

    /// What the environment (PGHOST, PGSSLMODE, …) and the library say of what the URL leaves open.
    private static func defaults() -> [String: String] {
        guard let list = PQconndefaults() else { return [:] }
        defer { PQconninfoFree(list) }
        return values(list)
    }

    private static func values(_ list: UnsafeMutablePointer<PQconninfoOption>) -> [String: String] {
        var values: [String: String] = [:]
        var entry = list
        while let keyword = entry.pointee.keyword {
            if let value = entry.pointee.val, value.pointee != 0 {
                values[String(cString: keyword)] = String(cString: value)
            }
            entry += 1
        }
        return values
    }
}
