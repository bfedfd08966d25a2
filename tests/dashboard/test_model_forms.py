"""Forms of what-ifs that follow what a model declares."""

from streamlit.testing.v1 import AppTest


def test_names_of_experts_are_said_to_be_hypotheses_and_other_entries_are_not() -> None:
    """A role is what somebody called it; a modality is what it is."""

    def forms() -> None:
        from types import SimpleNamespace

        from dashboard.views.model_forms import pick_entry

        roles = SimpleNamespace(routing="roles.used", raw="roles.raw")
        entries = {"roles.used": ("student", "nurse"), "modality": ("tile", "words")}
        model = SimpleNamespace(experts=lambda: {"roles": roles}, entry_names=entries.__getitem__)
        for name in entries:
            pick_entry(model, name, SimpleNamespace(axes=("sample", "expert")))

    at = AppTest.from_function(forms).run()
    assert not at.exception
    experts, modalities = at.selectbox
    assert "hypotheses" in experts.help and "Experts page" in experts.help
    assert experts.options == ["student", "nurse"] and not modalities.help
