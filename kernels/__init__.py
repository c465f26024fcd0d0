"""From a draft to something that runs: languages, promotions on disk, serving, the library."""
