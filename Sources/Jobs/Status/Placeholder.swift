enum PlaceholderStatus {}
