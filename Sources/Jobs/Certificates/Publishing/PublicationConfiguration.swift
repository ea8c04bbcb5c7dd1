/// Where a role's certificate is written for programs that read files, and what makes them read it.
package struct PublicationConfiguration: Sendable, Equatable {
    /// Of files in the folder.
    package struct Names: Sendable, Equatable {
        package var chain: String
        package var key: String
        /// nil: the authorities are not written.
        package var authorities: String?

        package init(chain: String, key: String, authorities: String?) {
            (self.chain, self.key, self.authorities) = (chain, key, authorities)
        }
    }

    package enum Publisher: String, Sendable, CaseIterable {
        /// The unit where systemd started the daemon, else the daemon.
        case auto
        case daemon, unit
    }

    package enum CheckProtocol: String, Sendable, CaseIterable {
        /// An SSLRequest comes first.
        case postgres
        case tls
    }

    /// Who must serve the certificate in the end.
    package struct Check: Sendable, Equatable {
        /// `host:port`.
        package var address: String
        package var spoken: CheckProtocol

        package init(address: String, spoken: CheckProtocol) { (self.address, self.spoken) = (address, spoken) }
    }

    package var directory: String
    package var names: Names
    /// nil: the folder's.
    package var owner: String?
    package var group: String?
    /// Of chain and authorities, and of the key.
    package var mode: UInt32 = 0o644
    package var keyMode: UInt32 = 0o600
    /// A program with its arguments; empty: nothing is run.
    package var reload: [String] = []
    package var reloadTimeout = Duration.seconds(30)
    package var check: Check?
    /// Outside of it what is there stays; nil: there is no such time.
    package var window: MaintenanceWindow?
    package var publisher = Publisher.auto

    package init(directory: String, names: Names) { (self.directory, self.names) = (directory, names) }
}

/// Why files of others could not be brought up to date: what was being done, and the system's own words.
package struct PublicationError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}
