import ArgumentParser

/// The reference management plane: one small server and the verbs that work beside it on the same state folder.
@main
struct NodeguardPlane: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nodeguard-plane",
        abstract: "The reference management plane of nodeguard: certificates, backup keys, audit.",
        discussion: """
            Every verb takes --state DIR and works beside a running plane. DIR holds the root's key, the clusters' \
            keys, the key that wraps backup keys (wrapping.key) and the database; it must be as safe as what it \
            protects, and copied. In production the wrapping key and the root belong in an HSM or KMS.
            """,
        version: "nodeguard-plane 0.1.0",
        subcommands: [
            RunCommand.self, ClusterCommand.self, TokenCommand.self, RoleCommand.self, ClientCertificateCommand.self,
            TrustCommand.self, RevokeCommand.self, RotationCommand.self, RootCommand.self, RecoveryCommand.self,
            DesiredCommand.self,
            NodesCommand.self,
            NodeCommand.self, AuditCommand.self, KeyCommand.self, BackupCommand.self, RestoreCommand.self,
            JournalCommand.self,
        ])
}
