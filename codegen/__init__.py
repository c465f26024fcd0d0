"""From a reference to drafts: contracts, inputs, the calling convention, drafters, emitters."""
