import Testing

/// Tests on real sockets, one after another: they count the descriptors of their process and measure time.
@Suite(.serialized) enum LiveTests {}
