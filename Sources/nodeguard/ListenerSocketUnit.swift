import IO
import Systemd

/// A unit of systemd that opens a listener's ports and hands them to the daemon (systemd.socket(5)): they are open
/// from early in the boot on, and stay so while the daemon is stopped.
///
/// The daemon knows them by the same name as those that it parks in the descriptor store itself.
struct ListenerSocketUnit {
    let name: String
    let addresses: [SocketAddress]
    /// Of the files of unix sockets.
    private let owner: [String]

    init(name: String, addresses: [SocketAddress]) {
        (self.name, self.addresses, owner) = (name, addresses, [])
    }

    init(_ tunnel: TunnelSection) {
        (name, addresses) = (tunnel.name, tunnel.listen)
        let hasFile = addresses.contains { if case .unix = $0 { true } else { false } }
        let group = tunnel.socketGroup.map { ["SocketGroup=\($0)"] } ?? []
        owner = hasFile ? ["SocketUser=nodeguard", "SocketMode=\(tunnel.octalMode)"] + group : []
    }

    var text: String {
        let streams = addresses.map { address in
            if case .unix(let path) = address { "ListenStream=\(path)" } else { "ListenStream=\(address)" }
        }
        let ports = (streams + owner).joined(separator: "\n")
        return """
            # /etc/systemd/system/nodeguard-\(name).socket
            # systemctl daemon-reload && systemctl stop nodeguard && systemctl enable --now nodeguard-\(name).socket
            [Unit]
            Description=Ports of nodeguard's listener \(name)
            Documentation=man:nodeguard(1)

            [Socket]
            \(ports)
            FileDescriptorName=\(SocketStore.descriptorName(ofListener: name))
            # An address that is not there yet is no reason to fail; [::] does not take IPv4's port, too.
            FreeBind=yes
            BindIPv6Only=ipv6-only
            Backlog=4096
            Service=nodeguard.service

            [Install]
            WantedBy=sockets.target
            """
    }
}
