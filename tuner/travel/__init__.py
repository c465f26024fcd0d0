"""Campaigns on two machines: drafts are made on one and judged on another."""
