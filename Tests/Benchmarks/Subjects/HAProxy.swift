import Foundation
import IO
import TestSupport

extension Scenery {
    /// One thread, mutual TLS 1.3; without tickets and session cache, as nodeguard never resumes; without a log.
    func startHAProxy(_ program: String) throws -> Subject {
        let port = try freePort()
        let bundle = try folder.write(
            server.chainPEM + Array(Data(contentsOf: URL(fileURLWithPath: server.keyPath))), to: "haproxy.pem")
        let configuration = try folder.write(
            """
            global
                nbthread 1
                maxconn 4000
                tune.ssl.cachesize 0
                ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
                ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
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

            """, to: "haproxy.cfg")
        let process = try Subprocess(program, ["-db", "-f", configuration])
        return Subject(name: "haproxy", process: process, address: .ipv4([127, 0, 0, 1], port: UInt16(port)))
    }
}
