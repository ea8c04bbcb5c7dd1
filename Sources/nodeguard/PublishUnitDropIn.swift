import Certificates

/// What the shipped `nodeguard-publish.service` does not know: the folders of this configuration, and what the reload
/// commands need (systemd.unit(5), drop-ins).
struct PublishUnitDropIn {
    private let roles: [(name: String, publication: PublicationConfiguration)]
    private let state: String
    private let path: String

    /// `path`: of the configuration.
    init(_ configuration: NodeConfiguration, path: String) {
        roles = configuration.certificates.roles.compactMap { role in
            guard let publication = role.publication?.publication, publication.publisher != .daemon else { return nil }
            return (role.name, publication)
        }
        state = configuration.node.state
        self.path = path
    }

    var isEmpty: Bool { roles.isEmpty }

    var text: String {
        let folders = Self.distinct(roles.map(\.publication.directory))
        var lines = [
            "# /etc/systemd/system/nodeguard-publish.service.d/folders.conf",
            "# systemctl daemon-reload && systemctl enable --now nodeguard-publish.path",
        ]
        if state != NodeSection.defaultState {
            lines.append("# And in nodeguard-publish.path.d/state.conf: [Path], PathChanged=\(state)/publish/request")
        }
        lines.append("[Service]")
        if path != NodeConfiguration.defaultPath {
            lines += ["ExecStart=", "ExecStart=/usr/bin/nodeguard publish --config \(Self.argument(path))"]
        }
        if state != NodeSection.defaultState { lines.append("ReadWritePaths=\(Self.word("-" + state + "/publish"))") }
        lines += folders.map { "ReadWritePaths=\(Self.word($0))" }
        if folders.contains(where: Self.isHome) {
            lines += [
                "# Homes can be seen, and nothing there but these folders can be changed.", "ProtectHome=read-only",
            ]
        }
        let programs = Self.distinct(roles.compactMap(\.publication.reload.first).filter { !Self.isSystemctl($0) })
        if !programs.isEmpty {
            lines += [
                "# To become the database's user and to signal it, as \(programs.joined(separator: ", ")) may do.",
                "CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL",
            ]
        }
        // Each command in turn has its own limit.
        let seconds = roles.reduce(60) { $0 + $1.publication.reloadTimeout.components.seconds }
        lines.append("TimeoutStartSec=\(seconds)")
        return lines.joined(separator: "\n")
    }

    private static func distinct(_ texts: [String]) -> [String] {
        texts.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    /// It asks the service manager, who has rights of its own.
    private static func isSystemctl(_ program: String) -> Bool {
        program == "systemctl" || program.hasSuffix("/systemctl")
    }

    private static func isHome(_ folder: String) -> Bool {
        ["/home", "/root", "/run/user"].contains { folder == $0 || folder.hasPrefix($0 + "/") }
    }

    /// In a command line a dollar begins a variable, too (systemd.service(5)).
    private static func argument(_ text: String) -> String { word(text).replacing("$", with: "$$") }

    /// Quoted where systemd would see more than one word or a specifier (systemd.syntax(7)).
    private static func word(_ text: String) -> String {
        let escaped = text.replacing("%", with: "%%")
        guard escaped.contains(where: { " \t\"'\\".contains($0) }) else { return escaped }
        return "\"" + escaped.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}
