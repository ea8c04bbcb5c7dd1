import IO
import TestSupport

/// General TLS proxies: one worker each, mutual TLS 1.3, no resumption, no log.
extension Scenery {
    static let proxyWorks: Set<Work.Kind> = [.memory, .handshakes, .newChains, .requests, .bulk]

    func startNginx() throws -> Subject {
        let port = try freePort()
        let home = folder.file("nginx-\(port)")
        try Subprocess.check("install", ["-d", home])
        let configuration = try folder.write(
            """
            load_module /usr/lib/nginx/modules/ngx_stream_module.so;
            daemon off;
            master_process off;
            user root;
            pid \(home)/pid;
            error_log \(home)/errors error;
            events { worker_connections 16384; }
            stream {
                server {
                    listen 127.0.0.1:\(port) ssl backlog=1024;
                    proxy_pass \(backend);
                    proxy_buffer_size 64k;
                    proxy_timeout 1h;
                    ssl_certificate \(server.chainPath);
                    ssl_certificate_key \(server.keyPath);
                    ssl_client_certificate \(authority.trustPath);
                    ssl_verify_client on;
                    ssl_verify_depth 3;
                    ssl_protocols TLSv1.3;
                    ssl_session_tickets off;
                    ssl_session_cache off;
                }
            }

            """, to: "nginx-\(port).conf")
        let process = try Subprocess("/usr/sbin/nginx", ["-p", home, "-e", "\(home)/errors", "-c", configuration])
        return Subject("nginx", process, port: port, works: Self.proxyWorks)
    }

    func startHitch() throws -> Subject {
        let port = try freePort()
        guard case .ipv4(_, let backendPort) = backend else { throw BenchmarkError("the backend has no IPv4 address") }
        let configuration = try folder.write(
            """
            frontend = { host = "127.0.0.1" port = "\(port)" }
            backend = "[127.0.0.1]:\(backendPort)"
            pem-file = "\(bundle)"
            client-verify = required
            client-verify-ca = "\(authority.trustPath)"
            tls-protos = TLSv1.3
            workers = 1
            backlog = 1024
            daemon = off
            quiet = on
            user = "root"

            """, to: "hitch-\(port).conf")
        let process = try Subprocess("/usr/sbin/hitch", ["--config=\(configuration)"])
        return Subject("hitch", process, port: port, works: Self.proxyWorks)
    }

    func startStunnel() throws -> Subject {
        let port = try freePort()
        let configuration = try folder.write(
            """
            foreground = yes
            pid =
            debug = 3
            [database]
            accept = 127.0.0.1:\(port)
            connect = \(backend)
            cert = \(server.chainPath)
            key = \(server.keyPath)
            CAfile = \(authority.trustPath)
            verifyChain = yes
            requireCert = yes
            sslVersionMin = TLSv1.3
            options = NO_TICKET
            sessionCacheSize = 1

            """, to: "stunnel-\(port).conf")
        let process = try Subprocess("/usr/bin/stunnel4", [configuration])
        return Subject("stunnel", process, port: port, works: Self.proxyWorks)
    }
}
