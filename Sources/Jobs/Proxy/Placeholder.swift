enum PlaceholderProxy {}
