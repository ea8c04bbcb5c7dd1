import PlaneClient

extension KeyCustody {
    /// The management plane keeps them.
    package init(_ plane: PlaneClient) {
        self.init(
            create: { backup in
                let made = try await plane.createKey(backup: backup)
                return CreatedBackupKey(
                    key: BackupKey(id: made.id, secret: made.secret), kek: made.kek, wrapped: made.wrapped)
            },
            unwrap: { id, wrapped, kek, reason in
                try await plane.unwrapKey(id: id, wrapped: wrapped, kek: kek, reason: reason)
            },
            delete: { id in try await plane.requestKeyDeletion(id: id) })
    }
}
