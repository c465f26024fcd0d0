"""From a draft to a trial to a promotion: sandbox, judge, gate, journal."""
