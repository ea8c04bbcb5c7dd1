import IO
import Systemd

/// A unit of systemd that opens a listener's ports and hands them to the daemon (systemd.socket(5)): they are open
/// from early in the boot on, and stay so while the daemon is stopped.
///
/// The daemon knows them by the same name as those that it parks in the descriptor store itself.
struct ListenerSocketUnit {
    let name: String
    let addresses: [SocketAddress]

    var text: String {
        let ports = addresses.map { "ListenStream=\($0)" }.joined(separator: "\n")
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
