import Certificates
import IO

/// `publish:` of a role: the files of others that its certificate is written into.
struct PublishSection: Sendable, Equatable {
    /// What programs call their files.
    enum Layout: String, Sendable, CaseIterable {
        case pair, postgresql, yugabytedb

        /// `host`: how a YugabyteDB node is called in the names of the files in its `--certs_dir`.
        func names(host: String) -> PublicationConfiguration.Names {
            switch self {
            case .pair: .init(chain: "chain.pem", key: "key.pem", authorities: "ca.pem")
            case .postgresql: .init(chain: "server.crt", key: "server.key", authorities: "root.crt")
            case .yugabytedb: .init(chain: "node.\(host).crt", key: "node.\(host).key", authorities: "ca.crt")
            }
        }
    }

    let layout: Layout
    let publication: PublicationConfiguration

    /// `trustsCluster`: there are authorities of a cluster to be written.
    static func read(_ section: Section, host: String?, trustsCluster: Bool) -> PublishSection? {
        let directory = section.value("directory", .path, isRequired: true)
        let layout = section.value("layout", Form<Layout>.word("layout")) ?? .pair
        let host = section.value("host", .dnsOrAddress) ?? host
        let isNamedByHost = layout == .yugabytedb && !(section.has("chain-file") && section.has("key-file"))
        if isNamedByHost, host == nil, !section.has("host") {
            section.add(
                "'yugabytedb' needs 'host', the NAME of node.NAME.crt, where the role has no 'names' and 'addresses'",
                at: section.place(of: "layout"))
        }
        var names = layout.names(host: host ?? "")
        if let name = section.value("chain-file", .fileName) { names.chain = name }
        if let name = section.value("key-file", .fileName) { names.key = name }
        let authorities = section.value("authorities-file", Form<String>.fileName.orOff())
        if let authorities { names.authorities = authorities }
        if !trustsCluster {
            if let authorities, authorities != nil {
                section.add(
                    "without 'management' there are no authorities to be written: write 'authorities-file: off'",
                    at: section.place(of: "authorities-file"))
            }
            names.authorities = nil
        }
        check(names, section)
        let owner = section.value("owner", .account)
        let group = section.value("group", .account)
        let mode = section.value("mode", .mode)
        let keyMode = section.value("key-mode", .keyMode)
        let reload = section.list("reload", .text(limit: 4096))?.map(\.value)
        let reloadTimeout = section.value("reload-timeout", .duration(.seconds(1) ... .seconds(600)))
        if reloadTimeout != nil, reload == nil {
            section.add("'reload-timeout' says nothing without 'reload'", at: section.place(of: "reload-timeout"))
        }
        let served = section.section("check", readCheck)
        let window = section.list("window", .span, isRequired: false)?.map(\.value)
        let publisher = section.value("by", Form<PublicationConfiguration.Publisher>.word("publisher"))
        guard let directory else { return nil }
        var publication = PublicationConfiguration(directory: directory, names: names)
        (publication.owner, publication.group) = (owner, group)
        if let mode { publication.mode = mode }
        if let keyMode { publication.keyMode = keyMode }
        publication.reload = reload ?? []
        if let reloadTimeout { publication.reloadTimeout = reloadTimeout }
        publication.check = served
        if let publisher { publication.publisher = publisher }
        publication.window = window.map { MaintenanceWindow($0) }
        return PublishSection(layout: layout, publication: publication)
    }

    private static func check(_ names: PublicationConfiguration.Names, _ section: Section) {
        let all = [names.chain, names.key] + (names.authorities.map { [$0] } ?? [])
        if Set(all).count == all.count { return }
        section.add("chain, key and authorities need files of their own", at: section.position)
    }

    private static func readCheck(_ section: Section) -> PublicationConfiguration.Check? {
        let address = section.value("address", .serverAddress, isRequired: true)
        let spoken = section.value("protocol", Form<PublicationConfiguration.CheckProtocol>.word("protocol"))
        return address.map { PublicationConfiguration.Check(address: $0, spoken: spoken ?? .tls) }
    }

    var shown: ConfigurationText.Members {
        func optional(_ key: String, _ text: String?) -> ConfigurationText.Members {
            text.map { [(key, .text($0))] } ?? []
        }
        let names = publication.names
        let reload: ConfigurationText.Members =
            publication.reload.isEmpty
            ? []
            : [
                ("reload", .list(publication.reload)),
                ("reload-timeout", .text(Quantity.text(publication.reloadTimeout))),
            ]
        let check: ConfigurationText.Members =
            publication.check.map { check in
                [
                    (
                        "check",
                        .section([("address", .text(check.address)), ("protocol", .text(check.spoken.rawValue))])
                    )
                ]
            } ?? []
        let window: ConfigurationText.Members =
            publication.window.map { [("window", .list($0.spans.map(\.text)))] } ?? []
        return [
            ("directory", .text(publication.directory)), ("layout", .text(layout.rawValue)),
            ("chain-file", .text(names.chain)), ("key-file", .text(names.key)),
            ("authorities-file", .text(names.authorities ?? "off")),
        ] + optional("owner", publication.owner) + optional("group", publication.group) + [
            ("mode", .text(Self.octal(publication.mode))), ("key-mode", .text(Self.octal(publication.keyMode))),
        ] + reload + check + window + [("by", .text(publication.publisher.rawValue))]
    }

    private static func octal(_ mode: UInt32) -> String {
        let digits = String(mode, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}

extension Form where Value == String {
    /// One name in a folder; `.previous` and `.new` behind it are ours.
    fileprivate static var fileName: Form {
        Form { text throws(Flaw) in
            guard !text.contains("/"), text != ".", text != "..", text.utf8.count <= 200,
                !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F })
            else { throw Flaw("'\(text)' is no file's name: it stands in 'directory'") }
            return text
        }
    }

    /// A user or a group (useradd(8)).
    fileprivate static var account: Form {
        Form { text throws(Flaw) in
            let isName = text.utf8.allSatisfy { byte in
                byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: ":") && byte != UInt8(ascii: "/")
            }
            guard isName, text.utf8.count <= 64 else { throw Flaw("'\(text)' is no user's or group's name") }
            return text
        }
    }

    fileprivate static var dnsOrAddress: Form {
        Form { text throws(Flaw) in
            if SocketAddress(text + ":1") != nil { return text }
            return try Form<String>.dnsName.read(text)
        }
    }

    fileprivate static var serverAddress: Form {
        Form { text throws(Flaw) in
            if let address = SocketAddress(text), address.port != nil, address.port != 0 { return text }
            guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0,
                (try? Form<String>.dnsName.read(String(text[..<colon]))) != nil
            else { throw Flaw("'\(text)' is no address: write 127.0.0.1:5432") }
            return text
        }
    }
}

extension Form where Value == UInt32 {
    /// Nobody but its owner and group may read a key (PostgreSQL refuses one of more than 0640).
    fileprivate static var keyMode: Form {
        Form { text throws(Flaw) in
            let value = try mode.read(text)
            guard value & 0o137 == 0 else { throw Flaw("'\(text)' lets others at the key: write 0600, 0640 or less") }
            return value
        }
    }
}
