import Foundation
import IO
import TestSupport

extension Scenery {
    /// One data lane and one handshake lane, standalone on certificate files, with its audit trail as always. Limits
    /// that are there to slow floods down are out of the way, since all load comes from one address.
    ///
    /// `listener`: further keys of the listener, as YAML. `unauthenticated`: places of those who are not proven.
    func startNodeguard(
        _ program: String, round: Int, listener: String = "", unauthenticated: Int = 4096
    ) throws -> Subject {
        let port = try freePort()
        let home = folder.file("node-\(round)")
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        let configuration = try folder.write(
            """
            node: { name: benchmark, cluster: benchmark, state: \(home)/state }
            certificates:
              roles:
                - { name: database, files: { chain: \(server.chainPath), key: \(server.keyPath) } }
            proxy:
              lanes: { data: 1, handshake: 1 }
              limits:
                connections: 20000
                unauthenticated: \(unauthenticated)
                handshakes-per-second: 100000
                per-address: { connections: off, unauthenticated: off, rate: off }
                per-prefix: { unauthenticated: off }
              listeners:
                - name: benchmark
                  listen: ["127.0.0.1:\(port)"]
                  protocol: tcp
                  backend: \(backend)
                  certificate: database
                  trust: ["file:\(authority.trustPath)"]
                  allow: [ { common-name: \(Self.clientName) } ]
                  \(listener)
            status: { socket: \(home)/status.sock, control: \(home)/control.sock, stream: \(home)/stream.sock }
            log: { level: warning }

            """, to: "nodeguard-\(round).yaml")
        let process = try Subprocess(program, ["run", "--config", configuration])
        return Subject("nodeguard", process, port: port)
    }
}
