import Foundation
import IO
import TestSupport

/// How HAProxy is set up.
struct HAProxyTuning: Sendable {
    var name: String
    var threads = 1
    /// Its default resumes sessions with tickets and a cache, which nodeguard does only where it is told to.
    var resumes = false
    /// Bytes; its default is 16384.
    var buffer: Int?
    var works: Set<Work.Kind>?

    static let all = [
        HAProxyTuning(name: "haproxy", works: [.memory, .handshakes, .newChains, .requests, .bulk]),
        HAProxyTuning(name: "haproxy as shipped", resumes: true, works: [.handshakes]),
        HAProxyTuning(name: "haproxy 64 KiB", buffer: 65_536, works: [.bulk]),
        HAProxyTuning(name: "haproxy 2 threads", threads: 2, works: [.storm]),
    ]
}

extension Scenery {
    /// Mutual TLS 1.3, without a log.
    func startHAProxy(_ tuning: HAProxyTuning) throws -> Subject {
        let port = try freePort()
        let configuration = try folder.write(
            """
            global
                nbthread \(tuning.threads)
                maxconn 4000
                \(tuning.resumes ? "" : "tune.ssl.cachesize 0")
                \(tuning.buffer.map { "tune.bufsize \($0)" } ?? "")
                ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
                ssl-default-bind-options ssl-min-ver TLSv1.3 \(tuning.resumes ? "" : "no-tls-tickets")
            defaults
                mode tcp
                timeout connect 5s
                timeout client 1h
                timeout server 1h
            frontend clients
                bind 127.0.0.1:\(port) ssl crt \(bundle) ca-file \(authority.trustPath) verify required
                default_backend database
            backend database
                server one \(backend)

            """, to: "haproxy-\(port).cfg")
        let process = try Subprocess("/usr/sbin/haproxy", ["-db", "-f", configuration])
        return Subject(tuning.name, process, port: port, works: tuning.works)
    }
}
