"""Campaign folders: no draft of a model may come back as somebody else's."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from outpace.codegen.drafters import Proposal
from outpace.model import Draft, Parameter, Provenance, Target
from outpace.tuner.travel.carrying import Origin
from outpace.tuner.travel.folder import Campaign, CampaignFolder

EMPTY = Campaign(
    Origin("m:f", "f", "0", {}), Target("x86_64", "cpu", 2), "openai", "", ("numba",), None, "0"
)
BY_MODEL = Provenance("openai", idea="../idea", model="m", tokens=7)
PIECES = ["\n", "\r", "\r\n", "\f", "\x85", "\u2028", "\ufeff", "# outpace: {}", "x"]
TEXT = st.one_of(st.sampled_from(PIECES), st.text(st.characters(codec="utf-8"), max_size=3))
SOURCES = st.lists(TEXT).map("".join)
PARAMETERS = st.sampled_from([(), (Parameter("TILE", (8, 16)),)])


@settings(max_examples=25, deadline=None)
@given(SOURCES, PARAMETERS, st.sampled_from(["numba", "c"]))
def test_a_draft_is_the_same_when_it_comes_back_or_is_refused(source, parameters, language):
    draft = Draft(language, source, parameters, provenance=BY_MODEL)
    with TemporaryDirectory() as path:
        folder = CampaignFolder(Path(path) / "campaign")
        folder.add(EMPTY, Proposal((draft,)), 0)
        campaign = folder.read()
        (held, refused) = folder.drafts(campaign), campaign.refused
        found = [one.draft for one in held] + [one.draft for one in refused]
        assert found == [draft]
        assert not any(one.is_edited for one in held)
        files = list((folder.path / "drafts").iterdir())
        assert [folder.path / one.entry.file for one in held] == files
        assert folder.add(campaign, Proposal((draft,)), 0) == campaign
