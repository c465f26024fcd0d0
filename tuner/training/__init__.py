"""Training data from judged drafts: what was asked, what was replied, and what the judge found."""
