/// The tables of the plane's database, and how older ones become newer ones. A migration that has shipped never
/// changes. Written for SQLite; `PostgresStatement.schema` makes PostgreSQL's of it, triggers excepted.
enum PlaneSchema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1-identities") { database in
            try database.execute(sql: identities)
        }
        migrator.registerMigration("1-custody-and-audit") { database in
            try database.execute(sql: custodyAndAudit)
        }
        migrator.registerMigration("2-revocation-lists") { database in
            try database.execute(sql: revocationLists)
            try database.execute(
                sql: database.dialect == .sqlite ? revocationCount : revocationCountInPostgreSQL)
        }
        migrator.registerMigration("3-own-log") { database in
            try database.execute(sql: ownLog)
        }
        migrator.registerMigration("4-observed") { database in
            try database.execute(sql: observed)
        }
        migrator.registerMigration("5-desired") { database in
            try database.execute(sql: desired)
        }
        migrator.registerMigration("6-grant-limits") { database in
            try database.execute(sql: grantLimits)
        }
        migrator.registerMigration("7-authorities-and-rotations") { database in
            try database.execute(sql: authorities)
        }
        migrator.registerMigration("8-recovery") { database in
            try database.execute(sql: recovery)
        }
        migrator.registerMigration("9-keys-in-tokens") { database in
            try database.execute(sql: keysInTokens)
        }
        return migrator
    }

    /// `uses`: how often a node has recovered with this key.
    private static let recovery = """
        CREATE TABLE recovery_keys (
            cluster TEXT NOT NULL, node TEXT NOT NULL, public_key BLOB NOT NULL, registered_at INTEGER NOT NULL,
            uses INTEGER NOT NULL, PRIMARY KEY (cluster, node),
            FOREIGN KEY (cluster, node) REFERENCES nodes (cluster, name) ON DELETE CASCADE);
        CREATE TABLE recovery_uses (
            nonce BLOB PRIMARY KEY, cluster TEXT NOT NULL, node TEXT NOT NULL, at INTEGER NOT NULL);
        CREATE INDEX recovery_uses_by_node ON recovery_uses (cluster, node, at);
        """

    /// What was the one root, and the one intermediate of each cluster, are the first of many. A list of revocations
    /// is called after its authority's number, and goes on with the number that it had.
    private static let authorities = """
        CREATE TABLE authorities (
            id INTEGER PRIMARY KEY, cluster TEXT NOT NULL, certificate BLOB NOT NULL, key_file TEXT NOT NULL UNIQUE,
            root INTEGER NOT NULL, made_at INTEGER NOT NULL, revoked_at INTEGER);
        INSERT INTO authorities (id, cluster, certificate, key_file, root, made_at)
            SELECT 1, '', value, 'root.key', 1, 0 FROM settings WHERE name = 'root-certificate';
        INSERT INTO authorities (id, cluster, certificate, key_file, root, made_at)
            SELECT 1 + row_number() OVER (ORDER BY name), name, certificate, 'cluster-' || name || '.key', 1, created_at
            FROM clusters;
        ALTER TABLE certificates ADD COLUMN authority INTEGER;
        UPDATE certificates SET authority =
            (SELECT id FROM authorities WHERE authorities.cluster = certificates.cluster);
        UPDATE revocation_lists SET authority = '#' ||
            (SELECT id FROM authorities WHERE authorities.cluster = revocation_lists.authority);
        CREATE TABLE rotations (
            id INTEGER PRIMARY KEY, phase TEXT NOT NULL, pace TEXT NOT NULL, canary TEXT, canary_since INTEGER,
            alert_limit INTEGER NOT NULL, watch INTEGER NOT NULL, spread INTEGER NOT NULL, changed_at INTEGER NOT NULL,
            old_root INTEGER NOT NULL, new_root INTEGER NOT NULL, new_with_old BLOB NOT NULL,
            old_with_new BLOB NOT NULL, halt TEXT, started_at INTEGER NOT NULL);
        CREATE TABLE rotation_nodes (
            rotation INTEGER NOT NULL, node TEXT NOT NULL, alerts_before INTEGER NOT NULL,
            PRIMARY KEY (rotation, node));
        """

    private static let identities = """
        CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL);
        CREATE TABLE clusters (name TEXT PRIMARY KEY, certificate BLOB NOT NULL, created_at INTEGER NOT NULL);
        CREATE TABLE nodes (
            cluster TEXT NOT NULL REFERENCES clusters (name), name TEXT NOT NULL, created_at INTEGER NOT NULL,
            last_seen_at INTEGER, PRIMARY KEY (cluster, name));
        CREATE TABLE roles (
            cluster TEXT NOT NULL, node TEXT NOT NULL, role TEXT NOT NULL, dns TEXT NOT NULL, addresses TEXT NOT NULL,
            uris TEXT NOT NULL, usages TEXT NOT NULL, lifetime INTEGER NOT NULL, PRIMARY KEY (cluster, node, role),
            FOREIGN KEY (cluster, node) REFERENCES nodes (cluster, name) ON DELETE CASCADE);
        CREATE TABLE tokens (
            id TEXT PRIMARY KEY, digest BLOB NOT NULL, cluster TEXT NOT NULL, node TEXT NOT NULL,
            created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, spent_at INTEGER, spent_key BLOB, serial TEXT,
            FOREIGN KEY (cluster, node) REFERENCES nodes (cluster, name) ON DELETE CASCADE);
        CREATE TABLE certificates (
            serial TEXT PRIMARY KEY, fingerprint BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, cluster TEXT NOT NULL,
            holder TEXT NOT NULL, role TEXT, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, der BLOB NOT NULL,
            revoked_at INTEGER);
        CREATE INDEX certificates_by_holder ON certificates (cluster, holder, not_before);
        CREATE INDEX certificates_revoked ON certificates (cluster, revoked_at) WHERE revoked_at IS NOT NULL;
        CREATE TABLE journal (
            id INTEGER PRIMARY KEY, at INTEGER NOT NULL, cluster TEXT, node TEXT, action TEXT NOT NULL,
            outcome TEXT NOT NULL, reason TEXT, detail TEXT NOT NULL);
        """

    /// `revocations` counts those of a cluster, whoever made them, so that a list is seen to be too old without a look
    /// at each certificate. `revocation_lists` has a row for each authority, the root's without a name.
    private static let revocationLists = """
        CREATE TABLE revocations (cluster TEXT PRIMARY KEY, count INTEGER NOT NULL);
        CREATE TABLE revocation_lists (
            authority TEXT PRIMARY KEY, issuer BLOB NOT NULL, number INTEGER NOT NULL, revocations INTEGER NOT NULL,
            made_at INTEGER NOT NULL, der BLOB NOT NULL);
        """

    private static let revocationCount = """
        CREATE TRIGGER certificate_is_revoked AFTER UPDATE OF revoked_at ON certificates
        WHEN NEW.revoked_at IS NOT NULL AND OLD.revoked_at IS NULL
        BEGIN
            INSERT INTO revocations (cluster, count) VALUES (NEW.cluster, 1)
            ON CONFLICT (cluster) DO UPDATE SET count = count + 1;
        END;
        """

    private static let revocationCountInPostgreSQL = """
        CREATE FUNCTION certificate_is_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO revocations (cluster, count) VALUES (NEW.cluster, 1)
            ON CONFLICT (cluster) DO UPDATE SET count = revocations.count + 1;
            RETURN NULL;
        END $$;
        CREATE TRIGGER certificate_is_revoked AFTER UPDATE OF revoked_at ON certificates FOR EACH ROW
        WHEN (NEW.revoked_at IS NOT NULL AND OLD.revoked_at IS NULL)
        EXECUTE FUNCTION certificate_is_revoked();
        """

    /// `plane_log` has one row, from now on and for ever: a log whose head is gone is damaged, not new.
    private static let ownLog = """
        CREATE TABLE plane_events (seq INTEGER PRIMARY KEY, event BLOB NOT NULL, mark BLOB NOT NULL);
        CREATE TABLE plane_log (size INTEGER NOT NULL, peaks BLOB NOT NULL, checkpoint TEXT NOT NULL);
        INSERT INTO plane_log (size, peaks, checkpoint) VALUES (0, x'', '');
        """

    /// The last report of each node. `former`: agents that have reported before this one, as a JSON list.
    private static let observed = """
        CREATE TABLE observed (
            cluster TEXT NOT NULL, node TEXT NOT NULL, instance TEXT NOT NULL, former TEXT NOT NULL,
            generation INTEGER NOT NULL, received_at INTEGER NOT NULL, finding TEXT, found_at INTEGER,
            report BLOB NOT NULL, PRIMARY KEY (cluster, node),
            FOREIGN KEY (cluster, node) REFERENCES nodes (cluster, name) ON DELETE CASCADE);
        """

    /// An empty `node` stands for all nodes of the cluster. `renew_at`: when the envelopes are to be signed anew.
    private static let desired = """
        CREATE TABLE configuration_keys (
            cluster TEXT PRIMARY KEY REFERENCES clusters (name), certificate BLOB NOT NULL,
            created_at INTEGER NOT NULL);
        CREATE TABLE desired_contents (
            cluster TEXT NOT NULL REFERENCES clusters (name), node TEXT NOT NULL, content BLOB NOT NULL,
            set_at INTEGER NOT NULL, PRIMARY KEY (cluster, node));
        CREATE TABLE desired_envelopes (
            cluster TEXT NOT NULL REFERENCES clusters (name), node TEXT NOT NULL, hash TEXT NOT NULL,
            envelope BLOB NOT NULL, PRIMARY KEY (cluster, node));
        CREATE TABLE desired_versions (
            cluster TEXT PRIMARY KEY REFERENCES clusters (name), version INTEGER NOT NULL, lifetime INTEGER NOT NULL,
            renew_at INTEGER NOT NULL);
        """

    private static let grantLimits = """
        CREATE TABLE grant_limits (name TEXT PRIMARY KEY, level INTEGER NOT NULL, at INTEGER NOT NULL);
        """

    /// Without `key_place` a configuration key is in the file that its certificate names.
    private static let keysInTokens = """
        ALTER TABLE configuration_keys ADD COLUMN key_place TEXT;
        """

    private static let custodyAndAudit = """
        CREATE TABLE keys (
            id TEXT PRIMARY KEY, cluster TEXT NOT NULL, node TEXT NOT NULL, backup TEXT NOT NULL, kek TEXT NOT NULL,
            salt BLOB, created_at INTEGER NOT NULL, unwraps INTEGER NOT NULL DEFAULT 0, last_unwrapped_at INTEGER,
            deletion_requested_at INTEGER);
        CREATE TABLE audit_logs (
            id INTEGER PRIMARY KEY, cluster TEXT NOT NULL, node TEXT NOT NULL, epoch INTEGER NOT NULL,
            public_key BLOB NOT NULL, size INTEGER NOT NULL DEFAULT 0, peaks BLOB NOT NULL DEFAULT x'',
            registered_at INTEGER NOT NULL, UNIQUE (cluster, node, epoch));
        CREATE TABLE audit_events (
            log INTEGER NOT NULL REFERENCES audit_logs (id), seq INTEGER NOT NULL, event BLOB NOT NULL,
            PRIMARY KEY (log, seq)) WITHOUT ROWID;
        CREATE TABLE audit_batches (
            log INTEGER NOT NULL REFERENCES audit_logs (id), first INTEGER NOT NULL, last INTEGER NOT NULL,
            checkpoint TEXT NOT NULL, cosignature TEXT NOT NULL, received_at INTEGER NOT NULL,
            PRIMARY KEY (log, last)) WITHOUT ROWID;
        """
}
