/// What `nodeguard config example` prints: every key of this version, explained; a file to begin with.
enum ConfigurationExample {
    static let text = """
        # nodeguard's configuration. Unknown keys are errors; `nodeguard config check` reports every mistake at once.
        # Every key is here: keep those that you need. What they name (files, a group, a target's folder) must be there.
        # Durations: 500ms, 10s, 5m, 2h, 7d. Sizes: 64KiB, 128MiB, 1GiB. All paths are absolute.

        # Who this node is. The join bundle's node and cluster must be the same.
        node:
          name: db-1                      # default: the host name
          cluster: cluster-a              # default: what the join bundle says
          state: /var/lib/nodeguard       # keys, certificates, the audit spool; of mode 0700

        # The plane that issues this node's certificates, keeps its backup keys and receives its audit events.
        # Without this section the node runs standalone, on certificate files.
        management:
          url: https://plane.example:8443
          join: /var/lib/nodeguard/join/bundle  # `nodeguard join -` writes it; it is removed when it has been used
          desired: on                     # off: the plane narrows no rules here, and hears nothing of this node
          est:                            # another EST server (RFC 7030) may issue the certificates
            url: https://plane.example:8443     # default: the url above
            label: cluster-a              # default: the cluster's name
            user: join                    # sent with the token at the join; default: none

        certificates:
          key:
            kind: ec-p256                 # ec-p256, ec-p384 or rsa-3072; made on the node, never leaves it
            store: file                   # or tpm, or a PKCS #11 URI: see the last role
          # Beside the node's own identity, each role is one certificate.
          roles:
            - name: database
              names: [db-1.cluster-a.example, localhost]
              addresses: [127.0.0.1, "::1"]
              uris: ["spiffe://cluster-a/node/db-1"]
              usage: [server, client]     # default: server
            - name: own-files             # brought by someone else; read again when they change
              files:
                chain: /etc/nodeguard/own/chain.pem   # the leaf first
                key: /etc/nodeguard/own/key.pem
            - name: postgres-files        # written for a program that reads files, here PostgreSQL's own ssl=on
              names: [db-1.cluster-a.example]
              publish:                    # by nodeguard-publish.path where systemd runs the daemon: see nodeguard(1)
                directory: /etc/postgresql/tls
                layout: postgresql        # server.crt, server.key, root.crt; or yugabytedb, or pair, the default
                owner: postgres           # default: the folder's, as the next
                group: postgres
                mode: 0644                # of chain and authorities
                key-mode: 0600
                reload: [pg_ctlcluster, "15", main, reload]   # run without a shell; default: nothing is run
                reload-timeout: 30s
                check: { address: "127.0.0.1:5432", protocol: postgres }    # who must serve it then; or protocol tls
                window: Sat 02:00-04:00   # UTC; others are told then, or when a sixth of the old one's life is left
                by: auto                  # or daemon, or unit
            - name: yugabyte-files
              addresses: [10.0.0.5]
              publish:
                directory: /opt/yugabyte/certs
                layout: yugabytedb        # node.HOST.crt, node.HOST.key, ca.crt
                host: 10.0.0.5            # default: the first of names or addresses
                chain-file: node.10.0.0.5.crt         # each file may have another name
                key-file: node.10.0.0.5.key
                authorities-file: ca.crt  # or off
            - name: in-token              # its key is made in a token, and used there
              names: [db-1.cluster-a.example]
              key:
                kind: ec-p256             # default: that of above, as the next
                store: "pkcs11:token=nodeguard?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=credential:pin"

        proxy:
          defaults:
            minimum-tls: "1.2"            # 1.2 or 1.3
            session-resumption: no        # yes: clients that come again may show a TLS session ticket
            handshake-timeout: 10s        # from accept to the authorized session
            connect-timeout: 5s           # to the database
            idle-timeout: off             # or a duration without a byte in either direction
            drain: 30s                    # how long a stopping daemon lets its connections end
            drain-spread: 5s              # over the last part of it, it ends them one after the other
            # Whom every listener refuses at once, one a line: 'serial 0A:1B CN=the issuer', 'spki sha256:…', 'uri …', …
            deny-list: /etc/nodeguard/denied  # default: none
          listeners:
            - name: ysql
              listen: ["0.0.0.0:5433", "[::]:5433"]
              protocol: postgres          # postgres, cassandra, redis or tcp
              backend: 127.0.0.1:5432     # host:port or unix:/path
              # off; verify: TLS to the database, its certificate from backend-trust and for backend-name;
              # same-certificate: it must present this listener's own, so that SCRAM can bind to the channel
              backend-tls: verify
              backend-tls-negotiation: sslrequest     # or direct: TLS from the first byte, PostgreSQL 17 and later
              backend-name: db-1.cluster-a.example    # default: the host of backend
              backend-trust: [cluster]                # or "file:/…/ca.pem", read again when it changes
              backend-source: node                    # or transparent: from the client's own address
              proxy-protocol: off                     # or v2: the client's address and certificate are sent ahead
              application-name: keep                  # or append-address: 'psql - 192.0.2.1:5555'
              health: { every: 5s, timeout: 2s }      # ask whether it is there; default: nothing is asked
              certificate: database       # a role of above
              trust: [cluster]            # whose clients: cluster, or "file:/…/ca.pem", read again when it changes
              # What the authorities have revoked: cluster, what the plane publishes, fetched as soon as it is there; or
              # "file:/…/crl.pem", read again when it changes. Default: nothing is looked up.
              crl: [cluster, "file:/etc/nodeguard/crl/partner.pem"]
              crl-check: chain            # leaf, or chain: every certificate below the one that is trusted
              crl-freshness: strict       # once a CRL has ended: strict refuses all; or grace 24h, or last-known
              deny-list: /etc/nodeguard/denied-ysql     # beside the one for all
              # Keys of one rule: all must match. Values of one key: any. Rules: any. Without a rule nobody may connect.
              allow:
                - uri: "spiffe://cluster-a/app/*"     # * is one path segment or a part of one, ** one or more segments
                - common-name: reporting
                  organization: Example
                  organizational-unit: [Analytics, Finance]
                  database-user: [reporter]           # of the session; protocol postgres only, so with the next two
                  database: [reports, archive]
                - common-name: standby
                  usage: clientAuth                   # an extended key usage, by name or object identifier
                  replication: yes                    # replication as well; or only. Default: no
                # Groups of rules: all of `all`, one of `any`; they may hold groups again.
                - organization: Example
                  all:
                    - uri: "spiffe://cluster-a/**"
                  any:
                    - dns: batch-1.cluster-a.example
                    - dns: batch-2.cluster-a.example
                      any: [ { email: batch@example.org }, { common-name: batch } ]
                - dns: batch.cluster-a.example
                  ip: [192.0.2.10, "2001:db8::10"]
                - email: dba@example.org
                - spki: "sha256:0000000000000000000000000000000000000000000000000000000000000000"
              # What is denied here is denied whatever is allowed above. A serial counts with its issuer.
              deny:
                - issuer: "CN=cluster-a intermediate"
                  serial: "0A:1B"
              # Which certificates may be which database users: lines such as `common-name:shop shop_app`. Whoever the
              # rules allow must be in it. Protocol postgres only.
              database-user-map: /etc/nodeguard/database-users
              mode: enforce               # or dry-run: say what would be refused, and let it pass
              explain-certificate-refusals: no    # yes: a client reads why its certificate is not accepted
              session-resumption: yes     # of this listener. Default: that of defaults
              limits:                     # of this listener, within those of all
                connections: 5000         # default: off
                unauthenticated: 256
            - name: local-socket
              listen: 127.0.0.1:5434
              protocol: postgres
              backend: unix:/var/run/postgresql/.s.PGSQL.5432
              # A database may trust whoever comes over its socket ('local … trust' in pg_hba.conf, as YugabyteDB has it
              # by default): look before you say yes.
              acknowledge-local-trust: yes
              # Proxies before this port, which must say by a PROXY header (version 2) who their clients are.
              accept-proxy-protocol: [10.0.0.0/8, "2001:db8::/32"]    # default: nobody may
              acknowledge-any-proxy: no   # yes: 0.0.0.0/0 may be among them
              # Several: each is shown to clients that ask for a name of its (SNI), the first to all others.
              certificates: [own-files, database]
              sni: first                  # strict: a client that asks for no name, or an unknown one, gets an alert
              trust: ["file:/etc/nodeguard/own/clients-ca.pem"]
              allow:
                - common-name: admin
          # Plain ports for this node's own processes, each of which leads to a remote port by mutual TLS.
          tunnels:
            - name: peer-9100
              listen: 127.0.0.1:19100     # loopback, or unix:/path; what listens elsewhere is open to other machines
              connect: "db-2.cluster-a.example:9100"  # looked up anew for new connections
              protocol: tcp               # tcp, postgres, cassandra or redis
              certificate: database       # the role to show, with usage client
              trust: [cluster]            # who certifies the remote end. Default: cluster
              verify-name: db-2.cluster-a.example     # default: the host of connect
              connect-timeout: 5s         # default: that of above, as the next
              idle-timeout: off
              health: { every: 5s, timeout: 2s }      # ask whether it is there; default: nothing is asked
            - name: primary
              listen: ["unix:/run/nodeguard/primary", "192.0.2.1:15432"]
              socket-mode: 0660           # of the socket's file. Default: 0600
              socket-group: postgres      # default: the daemon's
              acknowledge-plaintext: yes  # without it nothing but loopback and unix sockets is listened on
              connect: "[2001:db8::2]:5433"
              protocol: postgres          # its clients' own SSLRequest is answered 'N', their cancel requests go along
              tls: sslrequest             # or direct: TLS from the first byte, as PostgreSQL 17 has it
              certificate: database
              crl: ["file:/etc/nodeguard/crl/intermediate.pem", "file:/etc/nodeguard/crl/root.pem"]
              crl-check: chain            # as of listeners, but about the remote end
              crl-freshness: strict
              deny-list: /etc/nodeguard/denied-remotes
          lanes:                          # threads; auto, the default: data one for each core, handshake half of that
            data: 4
            handshake: 2
          algorithms: trimmed             # trimmed: of OpenSSL's only what TLS needs, for cheaper handshakes; or all
          exposure: report                # a database that is reachable around its listener: off, report or refuse
          limits:
            connections: 10000            # authenticated
            unauthenticated: 512          # a full budget closes the connection that has been silent longest
            handshakes-per-second: 2000
            per-address:                  # behind one address may stand a whole pool
              connections: off
              unauthenticated: 128
              rate: 500/s
            per-prefix:                   # 24 bits of IPv4, 48 of IPv6: all applications may stand in one
              connections: off
              unauthenticated: 256
              rate: off
            per-identity:                 # the issuer and all names of a certificate, whichever its key
              connections: off
              rate: off
            memory: off                   # or what may be resident: at 90 % newcomers are refused; MemoryMax= counts
            # Places beside all others, for administrators. Who comes from the networks takes one before it is
            # proven, and is never banned; who is one of the identities takes one where a limit would refuse it.
            reserved:
              networks: [10.0.9.0/28, "2001:db8:9::/64"]
              unauthenticated: 16
              identities:                 # rules as above
                - { organizational-unit: Administrators, uri: "spiffe://cluster-a/admin/*" }
              connections: 8
            ban: { failures: 20, within: 1m, for: 10m }   # default: nobody is banned

        backups:
          memory: 128MiB                  # of all streams together
          targets:
            - name: local
              url: "file:///var/backups/nodeguard"
            - name: bucket                # S3, or a store that speaks its protocol
              url: "s3://example-backups/databases"
              endpoint: "https://storage.example:9000"   # default: Amazon's of the region
              region: eu-central-1
              credentials: "file:/etc/nodeguard/bucket"  # or env
              addressing: path            # or virtual-host
              checksums: basic            # aws, gcs or basic
              ca: /etc/nodeguard/storage-ca.pem          # default: the authorities that the system trusts
              acknowledge-plaintext: no   # yes lets the endpoint begin with http://
              bandwidth: 200MiB/s         # default: no limit

        audit:
          spool:
            limit: 1GiB                   # security events are kept beyond it
            when-full:                    # drop-oldest, drop-newest or refuse-connections (until there is room)
              security: never-drop
              connection: drop-oldest
              backup: drop-oldest
              agent: drop-oldest
          # The plane's witness key, the last line of `nodeguard-plane audit keys`; default: the first that it names.
          witness: "nodeguard-plane/b4188859b24cfdc3+3b51f92f+BKUwOJhmoYOX23F10Nn3oGDA02yFCVs4ahsiHnsIyhFK"

        status:
          socket: /run/nodeguard/status.sock    # read-only
          control: /run/nodeguard/control.sock  # everything that changes something, and who is connected
          stream: /run/nodeguard/stream.sock    # backups
          mode: 0666                      # of the read-only socket; the others have 0660
          group: nodeguard                # of the others; default: the group of the daemon

        log:
          level: info                     # trace, debug, info, notice, warning, error or critical
          destination: auto               # auto, journal or stderr; auto is the journal where there is one

        """
}
