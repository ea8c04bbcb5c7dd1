import ArgumentParser

/// The reference management plane: one small server and the verbs that work beside it on the same state folder.
@main
struct NodeguardPlane: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nodeguard-plane",
        abstract: "The reference management plane of nodeguard: certificates, backup keys, audit.",
        discussion: """
            Every verb takes --state DIR and works beside a running plane. DIR holds the database and, unless they \
            are in a PKCS #11 token (run --hsm), the root's key, the clusters' keys and the key that wraps backup keys \
            (wrapping.key); it must be as safe as what it protects, and copied.
            """,
        version: "nodeguard-plane 0.1.0",
        subcommands: [
            RunCommand.self, ClusterCommand.self, TokenCommand.self, RoleCommand.self, ClientCertificateCommand.self,
            TrustCommand.self, RevokeCommand.self, RotationCommand.self, RootCommand.self, RecoveryCommand.self,
            DesiredCommand.self, NodesCommand.self, NodeCommand.self, AuditCommand.self, KeyCommand.self,
            BackupCommand.self, RestoreCommand.self, JournalCommand.self, StatusCommand.self, HoldKeysCommand.self,
        ])
}
