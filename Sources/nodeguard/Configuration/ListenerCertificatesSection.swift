/// `certificate`, or `certificates` and `sni`, of a listener: what clients are shown.
struct ListenerCertificatesSection: Sendable, Equatable {
    /// What becomes of a client that asks for a name that no certificate has, or for none.
    enum UnknownName: String, Sendable, CaseIterable { case first, strict }

    /// Of `certificates`; the first is shown to who asks for no name.
    let roles: [String]
    let unknownName: UnknownName

    /// nil only if there is a mistake.
    static func read(_ section: Section, _ roles: CertificateRoles) -> ListenerCertificatesSection? {
        let hasSeveral = section.has("certificates")
        let one = section.located("certificate", .name, isRequired: !hasSeveral)
        let several = section.list("certificates", .name, isRequired: hasSeveral)
        let unknownName = section.value("sni", Form<UnknownName>.word("treatment of unknown names")) ?? .first
        if hasSeveral, section.has("certificate") {
            section.add(
                "'certificate' does not go with 'certificates': write it there, in the first place",
                at: section.place(of: "certificate"))
        }
        let all = several ?? (one.map { [$0] } ?? [])
        var seen: Set<String> = []
        for role in all {
            roles.check(role, section)
            if !seen.insert(role.value).inserted {
                section.add("the role '\(role.value)' is there already", at: role.position)
            }
        }
        return all.isEmpty
            ? nil : ListenerCertificatesSection(roles: all.map(\.value), unknownName: unknownName)
    }

    var shown: ConfigurationText.Members {
        [roles.count == 1 ? ("certificate", .text(roles[0])) : ("certificates", .list(roles))]
            + [("sni", .text(unknownName.rawValue))]
    }
}
