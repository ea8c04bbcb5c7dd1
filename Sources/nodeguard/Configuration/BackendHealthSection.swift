import Proxy

extension BackendHealthRules {
    /// `health:` of a listener; nil: its databases are not probed.
    static func read(_ section: Section) -> BackendHealthRules? {
        section.section("health") { section in
            let usual = BackendHealthRules()
            let every = section.value("every", .duration(.seconds(1)...Duration.seconds(3600))) ?? usual.every
            let timeout = section.value("timeout", .duration(.milliseconds(100)...Duration.seconds(60)))
            return BackendHealthRules(every: every, timeout: timeout ?? usual.timeout)
        }
    }

    var shown: ConfigurationText.Members {
        [
            (
                "health",
                .section([("every", .text(Quantity.text(every))), ("timeout", .text(Quantity.text(timeout)))])
            )
        ]
    }
}
